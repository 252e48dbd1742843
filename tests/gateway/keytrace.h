/* keytrace.h - which message key met which plaintext, over everything that was published (I24). */
#ifndef PARLEY_TESTS_GATEWAY_KEYTRACE_H
#define PARLEY_TESTS_GATEWAY_KEYTRACE_H

#include "net.h"

/* From now on everybody logs at level trace into a file of the network's folder. */
void keytrace_begin(struct net *net);
/* Fails the test if a key that was published met two plaintexts. The number of published
 * ciphertexts, each counted once. */
size_t keytrace_check(struct net *net);

#endif

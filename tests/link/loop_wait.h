/* loop_wait.h - run a loop until something is true, with a limit instead of a sleep. */
#ifndef PARLEY_TESTS_LINK_LOOP_WAIT_H
#define PARLEY_TESTS_LINK_LOOP_WAIT_H

#include "base/loop.h"

#define WAIT_MS                                                                                    \
    8000u /* far above what any step takes, also under a sanitizer on a busy machine               \
           */

/* True when is_done() became true, false when WAIT_MS passed. */
bool loop_wait(struct loop *loop, bool (*is_done)(void *ctx), void *ctx);
/* Run for at least this long: only to show that something does not happen. */
void loop_pass_ms(struct loop *loop, unsigned ms);

#endif

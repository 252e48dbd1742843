/* ticket.h - the proof that a code was typed: number and randomness; the store keeps its hash.
 *
 * Thread rule: pure. Source: docs/protocol/registration.md, "The ticket". */
#ifndef PARLEY_RELAY_TICKET_H
#define PARLEY_RELAY_TICKET_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "crypto/prim.h"

#define TICKET_SIZE 32u /* u64 number, 24 random bytes */

void ticket_make(uint8_t out[TICKET_SIZE], uint64_t number, struct rng rng);
/* The number a ticket says it is for; 0 when it is not of our size. */
uint64_t ticket_number(struct bytes ticket);
void ticket_hash(uint8_t out[SHA256_SIZE], const uint8_t key[32], struct bytes ticket);

#endif

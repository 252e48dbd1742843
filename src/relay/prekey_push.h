/* prekey_push.h - telling a connected device that its one-time prekeys run low.
 *
 * Thread rule: any thread, after the commit that spent one. */
#ifndef PARLEY_RELAY_PREKEY_PUSH_H
#define PARLEY_RELAY_PREKEY_PUSH_H

#include <stdbool.h>
#include <stdint.h>

#define PREKEY_LOW_PHONE 20u /* fewer than this: please upload */
#define PREKEY_LOW_BUSINESS 400u

struct relay;

void prekey_push(struct relay *relay, uint64_t account, uint32_t device, bool is_business,
                 uint32_t left, uint32_t signed_id);

#endif

/* ticket.c - making, reading and hashing tickets. */
#include "relay/ticket.h"

#include "base/reader.h"

void
ticket_make(uint8_t out[TICKET_SIZE], uint64_t number, struct rng rng)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(number >> (56 - 8 * i));
    rng_fill(rng, out + 8, TICKET_SIZE - 8);
}

uint64_t
ticket_number(struct bytes ticket)
{
    struct reader r = reader_over(ticket);

    return ticket.len == TICKET_SIZE ? reader_u64be(&r) : 0;
}

void
ticket_hash(uint8_t out[SHA256_SIZE], const uint8_t key[32], struct bytes ticket)
{
    hmac_sha256_2(out, bytes_of(key, 32), bytes_of_str("ticket"), ticket);
}

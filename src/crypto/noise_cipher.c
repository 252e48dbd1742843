/* noise_cipher.c - one direction: a key and a counter, and the rekey that both ends count to.
 *
 * A counter value is used once under one key; the last one belongs to the rekey. Source: Noise
 * revision 34, sections 5.1, 11.3; docs/protocol/transport.md. */
#include "crypto/noise_cipher.h"

#include <string.h>

#include "crypto/prim.h"

#define NONCE_REKEY UINT64_MAX

/* Four zero bytes, then the counter. */
static void
make_nonce(uint8_t nonce[12], uint64_t n)
{
    memset(nonce, 0, 4);
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(n >> (56 - 8 * i));
}

void
noise_cipher_seal(struct noise_cipher *c, uint8_t *out, struct bytes ad, struct bytes in)
{
    uint8_t nonce[12];

    make_nonce(nonce, c->n++);
    aes256gcm_seal(out, c->key, nonce, ad, in);
}

enum rc
noise_cipher_open(struct noise_cipher *c, uint8_t *out, struct bytes ad, struct bytes in)
{
    uint8_t nonce[12];

    make_nonce(nonce, c->n);
    if (aes256gcm_open(out, c->key, nonce, ad, in) != RC_OK)
        return RC_AUTH;
    c->n++;
    return RC_OK;
}

/* The first 32 bytes of 32 zeros encrypted under the reserved counter; the counter goes on. */
static void
rekey_if_due(struct noise_cipher *c)
{
    static const uint8_t zeros[32];
    uint8_t nonce[12], fresh[32 + NOISE_TAG_SIZE];

    if (c->n % NOISE_REKEY_EVERY != 0)
        return;
    make_nonce(nonce, NONCE_REKEY);
    aes256gcm_seal(fresh, c->key, nonce, bytes_of(NULL, 0), bytes_of(zeros, sizeof(zeros)));
    memcpy(c->key, fresh, sizeof(c->key));
    bytes_wipe(fresh, sizeof(fresh));
}

enum rc
noise_encrypt(struct noise_cipher *c, uint8_t *out, struct bytes in)
{
    if (c->n == NONCE_REKEY || in.len > NOISE_PLAINTEXT_MAX)
        return RC_LIMIT;
    noise_cipher_seal(c, out, bytes_of(NULL, 0), in);
    rekey_if_due(c);
    return RC_OK;
}

enum rc
noise_decrypt(struct noise_cipher *c, uint8_t *out, struct bytes in)
{
    if (c->n == NONCE_REKEY || in.len > NOISE_MESSAGE_MAX ||
        noise_cipher_open(c, out, bytes_of(NULL, 0), in) != RC_OK)
        return RC_AUTH;
    rekey_if_due(c);
    return RC_OK;
}

void
noise_cipher_wipe(struct noise_cipher *c)
{
    bytes_wipe(c, sizeof(*c));
}

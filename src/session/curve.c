/* curve.c - libsodium in place of the session library's own curve code.
 *
 * libsignal-protocol-c calls curve25519_donna, curve25519_sign and curve25519_verify through the
 * dynamic symbol table. A program that defines and exports functions of these names (curve.list,
 * passed to the linker) takes their place: four times faster, and with the check that the library
 * lacks, that a shared secret is not all zero (RFC 7748, section 6.1). signal_buffer_free is taken
 * over for another reason: the library releases plaintext and records without clearing them.
 * session_engine_new proves by the counters that the replacement is in force.
 *
 * The counters are the one exception to "no state at file scope": these signatures carry no
 * context. They are per thread and only ever grow. Thread rule: any thread. */
#include "session/engine.h"

#include "crypto/prim.h"

#include <sodium.h>
#include <stdlib.h>

static _Thread_local struct curve_calls calls;

const struct curve_calls *
curve_calls_borrow(void)
{
    return &calls;
}

/* The names, types and results below are the library's: 0 is good. */
int curve25519_donna(uint8_t *out, const uint8_t *scalar, const uint8_t *point);
int curve25519_sign(unsigned char *signature, const unsigned char *priv, const unsigned char *msg,
                    unsigned long msg_len, const unsigned char *random64);
int curve25519_verify(const unsigned char *signature, const unsigned char *pub,
                      const unsigned char *msg, unsigned long msg_len);

int
curve25519_donna(uint8_t *out, const uint8_t *scalar, const uint8_t *point)
{
    static const uint8_t base_point[32] = {9};

    calls.multiply++;
    if (memcmp(point, base_point, sizeof(base_point)) == 0)
        return crypto_scalarmult_curve25519_base(out, scalar);
    return crypto_scalarmult_curve25519(out, scalar, point);
}

int
curve25519_sign(unsigned char *signature, const unsigned char *priv, const unsigned char *msg,
                unsigned long msg_len, const unsigned char *random64)
{
    calls.sign++;
    curve_sign(signature, priv, bytes_of(msg, msg_len), random64);
    return 0;
}

int
curve25519_verify(const unsigned char *signature, const unsigned char *pub,
                  const unsigned char *msg, unsigned long msg_len)
{
    calls.verify++;
    return curve_verify(signature, pub, bytes_of(msg, msg_len)) == RC_OK ? 0 : -1;
}

void
signal_buffer_free(signal_buffer *buffer)
{
    if (buffer == NULL)
        return;
    bytes_wipe(signal_buffer_data(buffer), signal_buffer_len(buffer));
    free(buffer); /* as the library does: a buffer is one piece of memory */
}

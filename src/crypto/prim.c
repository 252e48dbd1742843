/* prim.c - starting the libraries, and password hashes. The other primitives are in hash.c, aead.c
 * and curve.c. Source of the password form: RFC 9106 (Argon2id), libsodium's interactive limits. */
#include "crypto/prim.h"

#include <sodium.h>

#include "crypto/context.h"

_Static_assert(crypto_pwhash_STRBYTES == 128, "prim.h promises 128 bytes");

enum rc
crypto_start(struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, RC_IO, "crypto.start", "libsodium does not start");
    if (crypto_context_try() == NULL)
        return err_set(err, RC_NOMEM, "crypto.start",
                       "OpenSSL lacks SHA-2, HMAC or AES-256-GCM, or memory is short");
    return RC_OK;
}

enum rc
password_hash(char out[128], struct bytes password, struct err *err)
{
    memset(out, 0, crypto_pwhash_STRBYTES);
    if (crypto_pwhash_str(out, (const char *)password.ptr, password.len,
                          crypto_pwhash_OPSLIMIT_INTERACTIVE,
                          crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
        return err_set(err, RC_NOMEM, "crypto.password", "no memory for Argon2id (64 MiB)");
    return RC_OK;
}

enum rc
password_verify(const char stored[128], struct bytes password)
{
    if (memchr(stored, 0, crypto_pwhash_STRBYTES) == NULL)
        return RC_AUTH;
    return crypto_pwhash_str_verify(stored, (const char *)password.ptr, password.len) == 0
               ? RC_OK
               : RC_AUTH;
}

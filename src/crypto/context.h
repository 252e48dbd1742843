/* context.h - this thread's OpenSSL contexts, made at first use and kept. Private to src/crypto.
 *
 * Making a context costs more than using it, so every thread keeps one of each. A cipher
 * context remembers the last key it worked with until its next use or the thread's end; that is the
 * price of speed, and the reason why contexts are never shared. */
#ifndef PARLEY_CRYPTO_CONTEXT_H
#define PARLEY_CRYPTO_CONTEXT_H

#include <openssl/evp.h>

#include "base/attr.h"

struct crypto_context {
    EVP_MD_CTX *digest;
    EVP_MD *sha1, *sha256, *sha512;
    EVP_CIPHER_CTX *gcm_seal, *gcm_open; /* AES-256-GCM, key and nonce set at each use */
};

/* This thread's contexts, or NULL when there is no memory for them. Borrowed until the thread ends.
 */
struct crypto_context *crypto_context_try(void);
/* The same; ends the process when there is none. The primitives have no other way to fail, and a
 * primitive that silently did nothing would be worse. */
struct crypto_context *crypto_context(void);
/* End the process unless a library call that cannot fail did succeed. */
void crypto_must(int is_ok, const char *what);

#endif

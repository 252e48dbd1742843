/* aead.c - the two authenticated ciphers: AES-256-GCM (OpenSSL) and XChaCha20-Poly1305 (libsodium).
 *
 * GCM is for keys with a counted nonce (the transport); XChaCha for long-lived keys with random
 * nonces (at rest). Sources: NIST SP 800-38D; draft-irtf-cfrg-xchacha-03. */
#include "crypto/prim.h"

#include <assert.h>
#include <limits.h>

#include <sodium.h>

#include "crypto/context.h"

/* Key, nonce and associated data in; true if the library took them all. */
static bool
gcm_begin(EVP_CIPHER_CTX *ctx, int is_seal, const uint8_t key[32], const uint8_t nonce[12],
          struct bytes ad, struct bytes in)
{
    int n = 0;

    assert(in.len <= INT_MAX && ad.len <= INT_MAX);
    if (EVP_CipherInit_ex(ctx, NULL, NULL, key, nonce, is_seal) != 1)
        return false;
    return ad.len == 0 || EVP_CipherUpdate(ctx, NULL, &n, ad.ptr, (int)ad.len) == 1;
}

void
aes256gcm_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
               struct bytes in)
{
    EVP_CIPHER_CTX *ctx = crypto_context()->gcm_seal;
    uint8_t rest[16]; /* GCM is a stream: the final call writes nothing */
    int n = 0;
    bool is_ok = gcm_begin(ctx, 1, key, nonce, ad, in);

    is_ok = is_ok && (in.len == 0 || EVP_EncryptUpdate(ctx, out, &n, in.ptr, (int)in.len) == 1);
    is_ok = is_ok && EVP_EncryptFinal_ex(ctx, rest, &n) == 1;
    is_ok =
        is_ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + in.len) == 1;
    crypto_must(is_ok, "aes-256-gcm");
}

enum rc
aes256gcm_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[12], struct bytes ad,
               struct bytes in)
{
    EVP_CIPHER_CTX *ctx = crypto_context()->gcm_open;
    uint8_t tag[AEAD_TAG_SIZE], rest[16];
    int n = 0;

    if (in.len < AEAD_TAG_SIZE)
        return RC_AUTH;
    struct bytes body = bytes_of(in.ptr, in.len - AEAD_TAG_SIZE);
    memcpy(tag, in.ptr + body.len, sizeof(tag));
    bool is_ok = gcm_begin(ctx, 0, key, nonce, ad, body);
    is_ok = is_ok && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1;
    is_ok =
        is_ok && (body.len == 0 || EVP_DecryptUpdate(ctx, out, &n, body.ptr, (int)body.len) == 1);
    crypto_must(is_ok, "aes-256-gcm");
    if (EVP_DecryptFinal_ex(ctx, rest, &n) == 1)
        return RC_OK;
    if (body.len != 0)
        bytes_wipe(out, body.len);
    return RC_AUTH;
}

void
xchacha_seal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
             struct bytes in)
{
    int failed = crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in.ptr, in.len, ad.ptr,
                                                            ad.len, NULL, nonce, key);

    crypto_must(failed == 0, "xchacha20-poly1305");
}

enum rc
xchacha_open(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], struct bytes ad,
             struct bytes in)
{
    if (in.len < AEAD_TAG_SIZE)
        return RC_AUTH;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in.ptr, in.len, ad.ptr, ad.len,
                                                   nonce, key) == 0)
        return RC_OK;
    if (in.len > AEAD_TAG_SIZE)
        bytes_wipe(out, in.len - AEAD_TAG_SIZE);
    return RC_AUTH;
}

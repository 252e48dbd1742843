/* provider.c - the session library's crypto callbacks: HMAC-SHA256, SHA-512, AES-256-CBC over
 * OpenSSL, randomness from the engine's source.
 *
 * Owns the OpenSSL contexts, made once per engine: the library asks for a fresh HMAC six times a
 * message, and making a context costs more than using it. The library computes one HMAC and one
 * digest at a time; a second one meanwhile is refused rather than mixed up with the first. AES-CTR
 * belongs to version 2 sessions, which we refuse: it is not offered. */
#include "session/engine.h"

static int
fill_random(uint8_t *data, size_t len, void *self)
{
    const struct session_engine *engine = self;

    rng_fill(engine->rng, data, len);
    return SG_SUCCESS;
}

/* RFC 2104 over one digest context: on OpenSSL 3.0 half the cost of its MAC objects for the short
 * inputs of a key schedule. `pad` holds the key for the outer digest until the end. */
static int
hmac_begin(void **out, const uint8_t *key, size_t key_len, void *self)
{
    struct session_engine *engine = self;
    struct hmac_run *run = &engine->hmac;

    *out = NULL;
    if (run->is_lent || key_len > sizeof(run->pad)) /* the protocol's keys have 32 bytes */
        return SG_ERR_INVAL;
    run->is_lent = true;
    memset(run->pad, 0x36, sizeof(run->pad));
    for (size_t i = 0; i < key_len; i++)
        run->pad[i] ^= key[i];
    *out = run;
    return EVP_DigestInit_ex2(run->ctx, engine->sha256, NULL) == 1 &&
                   EVP_DigestUpdate(run->ctx, run->pad, sizeof(run->pad)) == 1
               ? SG_SUCCESS
               : SG_ERR_UNKNOWN;
}

static int
hmac_add(void *ctx, const uint8_t *data, size_t len, void *self UNUSED)
{
    struct hmac_run *run = ctx;

    return EVP_DigestUpdate(run->ctx, data, len) == 1 ? SG_SUCCESS : SG_ERR_UNKNOWN;
}

static int
hmac_finish(void *ctx, signal_buffer **out, void *self)
{
    struct session_engine *engine = self;
    struct hmac_run *run = ctx;
    uint8_t digest[32];
    bool is_ok;

    for (size_t i = 0; i < sizeof(run->pad); i++)
        run->pad[i] ^= 0x36 ^ 0x5c;
    is_ok = EVP_DigestFinal_ex(run->ctx, digest, NULL) == 1 &&
            EVP_DigestInit_ex2(run->ctx, engine->sha256, NULL) == 1 &&
            EVP_DigestUpdate(run->ctx, run->pad, sizeof(run->pad)) == 1 &&
            EVP_DigestUpdate(run->ctx, digest, sizeof(digest)) == 1 &&
            EVP_DigestFinal_ex(run->ctx, digest, NULL) == 1;
    *out = is_ok ? signal_buffer_create(digest, sizeof(digest)) : NULL;
    bytes_wipe(digest, sizeof(digest));
    if (!is_ok)
        return SG_ERR_UNKNOWN;
    return *out == NULL ? SG_ERR_NOMEM : SG_SUCCESS;
}

static void
hmac_end(void *ctx, void *self UNUSED)
{
    struct hmac_run *run = ctx;

    if (run == NULL)
        return;
    bytes_wipe(run->pad, sizeof(run->pad));
    run->is_lent = false;
}

static int
sha512_begin(void **out, void *self)
{
    struct session_engine *engine = self;

    *out = NULL;
    if (engine->is_sha512_lent || EVP_DigestInit_ex2(engine->sha512_ctx, engine->sha512, NULL) != 1)
        return SG_ERR_UNKNOWN;
    engine->is_sha512_lent = true;
    *out = engine->sha512_ctx;
    return SG_SUCCESS;
}

static int
sha512_add(void *ctx, const uint8_t *data, size_t len, void *self UNUSED)
{
    return EVP_DigestUpdate(ctx, data, len) == 1 ? SG_SUCCESS : SG_ERR_UNKNOWN;
}

/* The library goes on with the same context after the final: it must be ready for the next run. */
static int
sha512_finish(void *ctx, signal_buffer **out, void *self)
{
    struct session_engine *engine = self;
    uint8_t digest[64];
    unsigned digest_len = 0;

    if (EVP_DigestFinal_ex(ctx, digest, &digest_len) != 1 ||
        EVP_DigestInit_ex2(ctx, engine->sha512, NULL) != 1)
        return SG_ERR_UNKNOWN;
    *out = signal_buffer_create(digest, digest_len);
    return *out == NULL ? SG_ERR_NOMEM : SG_SUCCESS;
}

static void
sha512_end(void *ctx UNUSED, void *self)
{
    struct session_engine *engine = self;

    engine->is_sha512_lent = false;
}

static bool
is_supported(int cipher, size_t key_len, size_t iv_len, size_t in_len)
{
    return cipher == SG_CIPHER_AES_CBC_PKCS5 && key_len == 32 && iv_len == 16 &&
           in_len <= SESSION_MESSAGE_MAX;
}

static int
encrypt_cbc(signal_buffer **out, int cipher, const uint8_t *key, size_t key_len, const uint8_t *iv,
            size_t iv_len, const uint8_t *plain, size_t plain_len, void *self)
{
    struct session_engine *engine = self;
    EVP_CIPHER_CTX *ctx = engine->aes_ctx;
    signal_buffer *result;
    int head = 0;
    int tail = 0;

    *out = NULL;
    if (!is_supported(cipher, key_len, iv_len, plain_len))
        return SG_ERR_INVAL;
    result = signal_buffer_alloc((plain_len / 16 + 1) * 16);
    if (result == NULL)
        return SG_ERR_NOMEM;
    if (EVP_EncryptInit_ex2(ctx, engine->aes, key, iv, NULL) != 1 ||
        EVP_EncryptUpdate(ctx, signal_buffer_data(result), &head, plain, (int)plain_len) != 1 ||
        EVP_EncryptFinal_ex(ctx, signal_buffer_data(result) + head, &tail) != 1 ||
        (size_t)(head + tail) != signal_buffer_len(result)) {
        signal_buffer_free(result);
        return SG_ERR_UNKNOWN;
    }
    *out = result;
    return SG_SUCCESS;
}

/* Runs only after the MAC was right. Bad padding is told in the same words as a bad MAC. */
static int
decrypt_cbc(signal_buffer **out, int cipher, const uint8_t *key, size_t key_len, const uint8_t *iv,
            size_t iv_len, const uint8_t *in, size_t in_len, void *self)
{
    struct session_engine *engine = self;
    EVP_CIPHER_CTX *ctx = engine->aes_ctx;
    signal_buffer *scratch;
    int head = 0;
    int tail = 0;

    *out = NULL;
    if (!is_supported(cipher, key_len, iv_len, in_len) || in_len == 0 || in_len % 16 != 0)
        return SG_ERR_INVALID_MESSAGE;
    scratch = signal_buffer_alloc(in_len + 16); /* OpenSSL may use one block more on the way */
    if (scratch == NULL)
        return SG_ERR_NOMEM;
    if (EVP_DecryptInit_ex2(ctx, engine->aes, key, iv, NULL) != 1 ||
        EVP_DecryptUpdate(ctx, signal_buffer_data(scratch), &head, in, (int)in_len) != 1 ||
        EVP_DecryptFinal_ex(ctx, signal_buffer_data(scratch) + head, &tail) != 1) {
        signal_buffer_bzero_free(scratch);
        return SG_ERR_INVALID_MESSAGE;
    }
    *out = signal_buffer_create(signal_buffer_data(scratch), (size_t)(head + tail));
    signal_buffer_bzero_free(scratch);
    return *out == NULL ? SG_ERR_NOMEM : SG_SUCCESS;
}

static bool
make_contexts(struct session_engine *engine)
{
    engine->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    engine->hmac.ctx = EVP_MD_CTX_new();
    engine->sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    engine->sha512_ctx = EVP_MD_CTX_new();
    engine->aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    engine->aes_ctx = EVP_CIPHER_CTX_new();
    return engine->sha256 != NULL && engine->hmac.ctx != NULL && engine->sha512 != NULL &&
           engine->sha512_ctx != NULL && engine->aes != NULL && engine->aes_ctx != NULL;
}

enum rc
provider_open(struct session_engine *engine, struct err *err)
{
    const signal_crypto_provider provider = {
        .random_func = fill_random,
        .hmac_sha256_init_func = hmac_begin,
        .hmac_sha256_update_func = hmac_add,
        .hmac_sha256_final_func = hmac_finish,
        .hmac_sha256_cleanup_func = hmac_end,
        .sha512_digest_init_func = sha512_begin,
        .sha512_digest_update_func = sha512_add,
        .sha512_digest_final_func = sha512_finish,
        .sha512_digest_cleanup_func = sha512_end,
        .encrypt_func = encrypt_cbc,
        .decrypt_func = decrypt_cbc,
        .user_data = engine,
    };

    if (!make_contexts(engine) || signal_context_create(&engine->context, engine) < 0 ||
        signal_context_set_crypto_provider(engine->context, &provider) < 0)
        return err_set(err, RC_NOMEM, "session.provider", "cannot make the crypto contexts");
    return RC_OK;
}

void
provider_close(struct session_engine *engine)
{
    signal_context_destroy(engine->context);
    EVP_CIPHER_CTX_free(engine->aes_ctx);
    EVP_CIPHER_free(engine->aes);
    EVP_MD_CTX_free(engine->sha512_ctx);
    EVP_MD_free(engine->sha512);
    EVP_MD_CTX_free(engine->hmac.ctx);
    EVP_MD_free(engine->sha256);
}

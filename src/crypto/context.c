/* context.c - makes a thread's contexts at first use, releases them when the thread ends.
 *
 * The thread-local pointer below is the one piece of state in src/crypto that is not handed in: it
 * is a cache without meaning, and its absence changes nothing but speed. */
#include "crypto/context.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local struct crypto_context *mine;
static pthread_key_t exit_key;
static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;

static void
release(void *arg)
{
    struct crypto_context *c = arg;

    EVP_MD_CTX_free(c->digest);
    EVP_MD_free(c->sha1);
    EVP_MD_free(c->sha256);
    EVP_MD_free(c->sha512);
    EVP_CIPHER_CTX_free(c->gcm_seal);
    EVP_CIPHER_CTX_free(c->gcm_open);
    free(c);
    mine = NULL;
}

static void
make_exit_key(void)
{
    crypto_must(pthread_key_create(&exit_key, release) == 0, "pthread_key_create");
}

static EVP_CIPHER_CTX *
make_gcm(int is_seal)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = cipher == NULL ? NULL : EVP_CIPHER_CTX_new();

    if (ctx != NULL && EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, is_seal) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_CIPHER_free(cipher);
    return ctx;
}

struct crypto_context *
crypto_context_try(void)
{
    if (mine != NULL)
        return mine;
    pthread_once(&exit_key_once, make_exit_key);
    struct crypto_context *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->digest = EVP_MD_CTX_new();
    c->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    c->gcm_seal = make_gcm(1);
    c->gcm_open = make_gcm(0);
    if (c->digest == NULL || c->sha256 == NULL || c->sha512 == NULL || c->sha1 == NULL ||
        c->gcm_seal == NULL || c->gcm_open == NULL || pthread_setspecific(exit_key, c) != 0) {
        release(c);
        return NULL;
    }
    mine = c;
    return c;
}

struct crypto_context *
crypto_context(void)
{
    struct crypto_context *c = crypto_context_try();

    crypto_must(c != NULL, "no memory for a thread's contexts");
    return c;
}

void
crypto_must(int is_ok, const char *what)
{
    if (is_ok)
        return;
    fprintf(stderr, "parley: crypto failed: %s\n", what);
    abort();
}

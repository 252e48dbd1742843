/* trace.c - evidence at log level "trace" that no message key meets two plaintexts (I24) and that
 * retries send stored bytes (I25).
 *
 * An encryption that was rolled back may use its key again, because nothing of it left; so two
 * events are written: endpoint.encrypted (key, plaintext, ciphertext) inside the transaction and
 * endpoint.published (message, device, ciphertext) when bytes leave. Who reads both looks only at
 * keys whose ciphertext was published. A key appears as a hash, a plaintext as a hash keyed with
 * the account's own key, so that a short text cannot be guessed from the log. Costs nothing at
 * other levels. */
#include "endpoint/internal.h"

#define TRACE_BYTES 16u

static void
on_key(void *ctx, const uint8_t key_hash[32], const uint8_t plain_hash[32])
{
    struct trace_keys *trace = ctx;

    memcpy(trace->key_hash, key_hash, sizeof trace->key_hash);
    memcpy(trace->plain_hash, plain_hash, sizeof trace->plain_hash);
}

void
trace_begin(struct endpoint *ep, struct trace_keys *trace)
{
    *trace = (struct trace_keys){.is_on = log_on(ep->host->log, LOG_TRACE)};
    if (trace->is_on)
        session_engine_trace_keys(ep->host->engine, on_key, trace);
}

void
trace_encrypted(struct endpoint *ep, const struct trace_keys *trace, struct bytes cipher)
{
    uint8_t plain[SHA256_SIZE], digest[SHA256_SIZE];

    if (!trace->is_on)
        return;
    session_engine_trace_keys(ep->host->engine, NULL, NULL);
    if (cipher.len == 0)
        return; /* it failed */
    hmac_sha256(plain, bytes_of(ep->hash_key, sizeof ep->hash_key),
                bytes_of(trace->plain_hash, sizeof trace->plain_hash));
    sha256(digest, cipher);
    log_event(ep->host->log, LOG_TRACE, "endpoint.encrypted",
              LOG_HEX("key", bytes_of(trace->key_hash, TRACE_BYTES)),
              LOG_HEX("plain", bytes_of(plain, TRACE_BYTES)),
              LOG_HEX("cipher", bytes_of(digest, TRACE_BYTES)));
}

void
trace_published(struct endpoint *ep, const Parley__Wire__Publish *publish)
{
    uint8_t digest[SHA256_SIZE];

    if (!log_on(ep->host->log, LOG_TRACE))
        return;
    for (size_t i = 0; i < publish->n_ciphertexts; i++) {
        const Parley__Wire__DeviceCiphertext *c = publish->ciphertexts[i];

        sha256(digest, wire_bytes(c->body));
        log_event(ep->host->log, LOG_TRACE, "endpoint.published",
                  LOG_HEX("message", wire_bytes(publish->message_id)),
                  LOG_UINT("device", c->device), LOG_HEX("cipher", bytes_of(digest, TRACE_BYTES)));
    }
}

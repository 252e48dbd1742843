/* session.h - end-to-end sessions (Signal protocol v3: X3DH and Double Ratchet) as pure functions.
 *
 * Bytes in, bytes out: records and keys are opaque byte strings owned by the caller, nothing is
 * stored here, no I/O happens here. The caller commits what comes out, in one transaction, before
 * anything leaves (docs/protocol/sessions.md). libsignal-protocol-c stands behind this header and
 * is seen nowhere else; its curve functions are replaced by libsodium's, which session_engine_new
 * proves.
 * Thread rule: one engine per worker thread; an engine is not shared. */
#ifndef PARLEY_SESSION_SESSION_H
#define PARLEY_SESSION_SESSION_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"

#define SESSION_PUBLIC_SIZE 33u /* 05 || u-coordinate */
#define SESSION_PRIVATE_SIZE 32u
#define SESSION_PLAIN_MAX (64u * 1024)    /* payload accepted for sealing */
#define SESSION_MESSAGE_MAX (68u * 1024)  /* ciphertext accepted for opening */
#define SESSION_RECORD_MAX (1024u * 1024) /* stored record; larger is refused */
#define SESSION_PREKEY_ID_MAX 0xFFFFFEu   /* ids are 1..this */
#define SESSION_REGISTRATION_ID_MAX 16380u

/* Message kinds on the wire. */
enum session_type { SESSION_WHISPER = 2, SESSION_PREKEY = 3 };

struct session_engine;

/* Proves by a known answer and a counter that the replaced curve is the one in use; RC_PROTO if
 * not. */
NODISCARD enum rc session_engine_new(struct session_engine **out, struct rng rng, struct err *err);
void session_engine_free(struct session_engine **engine);

struct session_identity {
    uint8_t pub[SESSION_PUBLIC_SIZE];
    uint8_t priv[SESSION_PRIVATE_SIZE];
    uint32_t registration_id; /* 1..SESSION_REGISTRATION_ID_MAX */
};
struct session_prekey { /* one-time prekey pair */
    uint32_t id;
    uint8_t pub[SESSION_PUBLIC_SIZE];
    uint8_t priv[SESSION_PRIVATE_SIZE];
};
struct session_signed_prekey {
    struct session_prekey pair;
    uint8_t signature[64]; /* by the identity key over the 33 public bytes */
    int64_t created_ms;
};

NODISCARD enum rc session_identity_make(struct session_engine *engine, struct session_identity *out,
                                        struct err *err);
NODISCARD enum rc session_signed_prekey_make(struct session_engine *engine,
                                             struct session_signed_prekey *out,
                                             const struct session_identity *identity, uint32_t id,
                                             int64_t now_ms, struct err *err);
/* n pairs with ids first_id, first_id+1, … wrapping from SESSION_PREKEY_ID_MAX to 1. */
NODISCARD enum rc session_prekeys_make(struct session_engine *engine, struct session_prekey *out,
                                       size_t n, uint32_t first_id, struct err *err);
/* Sign with the identity key (channel binding, device statement). */
NODISCARD enum rc session_sign(struct session_engine *engine, uint8_t signature[64],
                               const struct session_identity *identity, struct bytes msg,
                               struct err *err);

/* A peer device's public keys, as the relay handed them out. */
struct session_bundle {
    uint32_t registration_id;
    uint32_t device;
    uint8_t identity[SESSION_PUBLIC_SIZE];
    uint32_t signed_id;
    uint8_t signed_key[SESSION_PUBLIC_SIZE];
    uint8_t signature[64];
    bool has_one_time;
    uint32_t one_time_id;
    uint8_t one_time[SESSION_PUBLIC_SIZE];
};

/* Start a session from a bundle. record_in may be empty (no session yet); an old session is
 * archived inside the record. Appends the new record to *record_out. The caller has compared the
 * identity key with the one it knows. Errors: RC_AUTH (signature), RC_MALFORMED (keys), RC_LIMIT
 * (record). */
NODISCARD enum rc session_start(struct session_engine *engine, struct buf *record_out,
                                const struct session_identity *identity, struct bytes record_in,
                                const struct session_bundle *bundle, struct err *err);

/* Encrypt one payload (already padded). Appends ciphertext and next record. Until *record_out is
 * durable the ciphertext must not leave; if it is not kept, the ciphertext must be thrown away.
 * Errors: RC_NO_SESSION, RC_LIMIT. */
NODISCARD enum rc session_encrypt(struct session_engine *engine, struct buf *cipher_out,
                                  enum session_type *type_out, struct buf *record_out,
                                  const struct session_identity *identity, struct bytes record_in,
                                  struct bytes plain, struct err *err);

/* Private prekeys are asked for by id while a first message is opened. RC_NOTFOUND: none such. */
struct session_prekey_source {
    enum rc (*one_time)(void *ctx, uint32_t id, struct session_prekey *out);
    enum rc (*signed_prekey)(void *ctx, uint32_t id, struct session_signed_prekey *out);
    void *ctx;
};
struct session_opened {
    bool used_one_time; /* delete this one-time prekey in the same commit (I26) */
    uint32_t one_time_id;
    bool is_new_session; /* a first message built it */
    uint8_t peer_identity[SESSION_PUBLIC_SIZE];
};
/* Decrypt. record_in may be empty for a first message. expected_identity (33 bytes) is the key
 * known for that address, or NULL when none is known yet; a first message under another key is
 * RC_UNTRUSTED, with out->peer_identity filled, and nothing else happens; so is an ordinary message
 * that opens under a session of another key. out->peer_identity is the key of the session that
 * opened the message. On any failure nothing is appended and the record stays as it was (I27).
 * plain_out receives the padded payload. Errors: RC_DUPLICATE, RC_NO_SESSION, RC_AUTH (bad MAC),
 * RC_NOTFOUND (unknown prekey id), RC_MALFORMED, RC_LIMIT (too far ahead), RC_UNTRUSTED. */
NODISCARD enum rc session_decrypt(struct session_engine *engine, struct buf *plain_out,
                                  struct buf *record_out, struct session_opened *out,
                                  const struct session_identity *identity, struct bytes record_in,
                                  enum session_type type, struct bytes cipher,
                                  const uint8_t *expected_identity,
                                  const struct session_prekey_source *source, struct err *err);

struct session_description {
    bool has_session;
    uint32_t version; /* 3 */
    uint32_t remote_registration_id;
    bool is_unanswered; /* first messages still carry the prekey header */
};
NODISCARD enum rc session_describe(struct session_engine *engine, struct session_description *out,
                                   struct bytes record, struct err *err);

/* The 60-digit number for two identities and their E.164 digits, as twelve groups' worth of digits
 * without spaces; out holds 61 bytes. */
NODISCARD enum rc session_safety_number(struct session_engine *engine, char out[61],
                                        const uint8_t local_identity[SESSION_PUBLIC_SIZE],
                                        const char *local_id,
                                        const uint8_t remote_identity[SESSION_PUBLIC_SIZE],
                                        const char *remote_id, struct err *err);

/* Test hook: called with SHA-256 of each message key and of each plaintext encrypted under it, so
 * that a test can show that no key ever meets two plaintexts (I24). NULL (the default): not called.
 * The message key's hash is derived from record_in's sending chain. */
void session_engine_trace_keys(struct session_engine *engine,
                               void (*fn)(void *ctx, const uint8_t key_hash[32],
                                          const uint8_t plain_hash[32]),
                               void *ctx);

#endif

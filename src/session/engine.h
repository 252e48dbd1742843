/* engine.h - what the files of this module share: the engine, the staging area of one call, and the
 * few helpers around libsignal-protocol-c. Private to src/session/.
 *
 * The library's types appear here and in the .c files of this folder, nowhere else. */
#ifndef PARLEY_SESSION_ENGINE_H
#define PARLEY_SESSION_ENGINE_H

#include "session/session.h"

#include <openssl/evp.h>
#include <signal_protocol.h>

/* A stored record is these two bytes, then what the engine wrote. Another engine gets another first
 * byte, so both kinds can lie in one store side by side. */
#define RECORD_ENGINE_SIGNAL_V3 1u
#define RECORD_FORMAT 1u
#define RECORD_HEADER_SIZE 2u

/* How far a receiving chain jumps ahead at most: the library's own limit. */
#define JUMP_MAX 2000u

/* What the store callbacks of one call read and write. Nothing in it outlives the call. */
struct staging {
    const struct session_identity *identity;
    struct bytes record_in; /* the library's bytes, without our header; empty: no session */
    struct buf *record_out;
    const struct session_prekey_source *source; /* NULL where no private prekey may be asked for */
    enum rc callback_rc; /* what a callback refused with, RC_OK if none did */
    bool is_set_up;      /* a signed prekey was asked for: this call builds a session */
    bool has_spent_one_time;
    uint32_t spent_one_time_id;
};

/* One HMAC-SHA256 under way. */
struct hmac_run {
    EVP_MD_CTX *ctx;
    uint8_t pad[64]; /* the key, padded for the inner or the outer digest */
    bool is_lent;
};

struct session_engine {
    struct rng rng;
    signal_context *context;
    signal_protocol_store_context *store;
    EVP_MD *sha256;
    struct hmac_run hmac; /* lent to one computation at a time */
    EVP_MD *sha512;
    EVP_MD_CTX *sha512_ctx; /* likewise */
    bool is_sha512_lent;
    EVP_CIPHER *aes;
    EVP_CIPHER_CTX *aes_ctx;
    struct staging stage;
    void (*trace)(void *ctx, const uint8_t key_hash[32], const uint8_t plain_hash[32]);
    void *trace_ctx;
};

/* provider.c: the library's crypto callbacks over OpenSSL, contexts kept in the engine. */
NODISCARD enum rc provider_open(struct session_engine *engine, struct err *err);
void provider_close(struct session_engine *engine);

/* curve.c: how often this thread went through our curve functions. */
struct curve_calls {
    uint64_t multiply;
    uint64_t sign;
    uint64_t verify;
};
const struct curve_calls *curve_calls_borrow(void);

/* staging.c */
NODISCARD enum rc staging_attach(struct session_engine *engine, struct err *err);
/* Set the staging area for one call. Checks record_in's header and size: RC_LIMIT, RC_MALFORMED. */
NODISCARD enum rc staging_begin(struct session_engine *engine,
                                const struct session_identity *identity, struct bytes record_in,
                                struct buf *record_out, struct err *err);
void staging_end(struct session_engine *engine);
/* The one address that the library ever sees: a record is told apart by its caller, not by name. */
const signal_protocol_address *staging_address(void);

/* errors.c: the library's code (negative) as ours. Errors of callbacks come out as they went in. */
enum rc signal_error(const struct session_engine *engine, int code, const char *site,
                     struct err *err);

/* describe.c: what the caller of a decrypted record must know about its current state. */
struct peek {
    struct session_description description;
    uint8_t peer_identity[SESSION_PUBLIC_SIZE]; /* zero where there is none */
};
NODISCARD enum rc peek_record(struct session_engine *engine, struct peek *out, struct bytes record,
                              struct err *err);
/* The library's bytes inside a stored record. RC_LIMIT, RC_MALFORMED. */
NODISCARD enum rc record_open(struct bytes *out, struct bytes record, struct err *err);

/* keys.c: a library key pair from stored bytes. The caller unrefs *out. */
NODISCARD int key_pair_decode(ec_key_pair **out, const struct session_prekey *pair,
                              signal_context *context);

/* Take back what was appended to a buffer since `mark`, and clear it. */
void buf_roll_back(struct buf *buf, size_t mark);

#endif

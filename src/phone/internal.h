/* internal.h - the phone's insides, shared by the files of this folder and nobody else.
 *
 * As in endpoint/, a profile has two halves: what store jobs touch (tx_…), on the writer thread,
 * and the rest, on the loop. */
#ifndef PARLEY_PHONE_INTERNAL_H
#define PARLEY_PHONE_INTERNAL_H

#include <uthash.h>

#include "base/e164.h"
#include "base/json.h"
#include "content/wamid.h"
#include "crypto/prim.h"
#include "endpoint/endpoint.h"
#include "phone/phone.h"
#include "phone/tables.h"
#include "wire/ident.h"
#include "wire/wire.h"

#define INFO_MAX (CONTENT_MAX + 1024u) /* a payload as it is kept */

extern const struct store_part phone_part;
extern const struct endpoint_ops profile_endpoint_ops;

struct phone {
    struct endpoint_host host; /* what the endpoints share */
    struct profile *profiles;
    struct loop_timer tick; /* hourly: what is due */
    bool is_closing, may_shift_clock;
    uint32_t jobs; /* what still points here */
    void (*on_closed)(void *ctx);
    void *closed_ctx;
};

struct profile {
    struct phone *phone;
    char name[PHONE_NAME_MAX + 1];
    char display_name[CONTENT_NAME_MAX + 1];
    uint64_t account;
    enum profile_state state;
    bool is_offline;
    struct endpoint *endpoint;    /* NULL only while the phone closes; loop */
    struct endpoint *tx_endpoint; /* the same, for jobs: each holds it (endpoint_hold) */
    struct phone_watch *watches;
    uint64_t listened;
    uint32_t asks; /* registration steps under way */

    /* tx half */
    uint64_t tx_ord;                  /* last one given; only grows */
    uint64_t tx_blocked;              /* how many numbers are blocked */
    struct receipts_due *tx_receipts; /* within a transaction; see receipts.c */
    UT_hash_handle hh;                /* by name */
};

void phone_hold(struct phone *phone);
void phone_release(struct phone *phone);

/* A job of a profile: holds phone and endpoint until it is done. */
struct profile_job {
    struct store_job job;
    struct profile *p;
    struct endpoint *endpoint;
    struct endpoint_outputs *out; /* NULL where nothing is sent */
};
/* Fill the base of a job; false: out of memory or closing. `sends` asks for outputs. */
bool profile_job_init(struct profile_job *job, struct profile *p, bool sends);
/* After done(): send what was collected, let go. The caller frees its object afterwards. */
void profile_job_end(struct profile_job *job, enum rc rc);

/* inbox.c: rows of messages */
NODISCARD enum rc info_seal(struct profile *p, struct buf *out, const char *table, struct bytes key,
                            struct bytes plain, struct err *err);
NODISCARD enum rc info_open(const struct profile *p, const char *table, struct bytes key,
                            struct bytes sealed, struct buf *out, struct err *err);
/* Store a message once; *is_new tells whether it was. */
NODISCARD enum rc message_insert_in(struct profile *p, struct store_tx *tx,
                                    const struct endpoint_incoming *in, bool *is_new,
                                    struct err *err);
NODISCARD enum rc message_insert_out(struct profile *p, struct store_tx *tx, uint64_t to,
                                     const uint8_t message_id[16],
                                     const Parley__Content__Payload *payload, int64_t now_ms,
                                     struct err *err);
NODISCARD enum rc message_move(struct profile *p, struct store_tx *tx,
                               const uint8_t peer_key[ENDPOINT_PEER_KEY_SIZE],
                               const uint8_t message_id[16], enum phone_status status,
                               bool *has_moved, struct err *err);
/* Is there such a message in the conversation? *direction tells who wrote it. */
NODISCARD enum rc message_find(struct profile *p, struct store_tx *tx,
                               const uint8_t peer_key[ENDPOINT_PEER_KEY_SIZE],
                               const uint8_t message_id[16], enum phone_direction *direction,
                               struct err *err);
/* Open and unpack a stored message into the arena. */
NODISCARD enum rc message_open(const struct profile *p, struct arena *arena, const uint8_t peer[16],
                               enum phone_direction direction, const uint8_t message_id[16],
                               struct bytes sealed, Parley__Content__Payload **out,
                               struct err *err);

/* render.c: one message as a JSON object */
struct message_view {
    uint64_t account;
    enum phone_direction direction;
    enum phone_status status;
    int64_t at_ms;
    const uint8_t *message_id;
    const Parley__Content__Payload *payload;
    const char
        *context_id; /* public id of the quoted message; "" or NULL: as the business knows it */
};
void render_message(struct buf *out, const struct message_view *view);
/* A message's public id as it is shown: the dialect's own, or a wamid (out: CONTENT_PUBLIC_ID_MAX +
 * 1). */
void render_id(char *out, const struct message_view *view);
/* The 16 bytes behind an id that a person gives us. RC_MALFORMED. */
NODISCARD enum rc public_id_read(uint8_t message_id[16], const char *text, struct err *err);

/* receipts.c */
/* A delivered receipt that this transaction owes; sent by receipts_flush, forgotten by
 * receipts_drop. */
NODISCARD enum rc receipts_add(struct profile *p, uint64_t to, const uint8_t message_id[16],
                               struct err *err);
NODISCARD enum rc receipts_flush(struct profile *p, struct store_tx *tx,
                                 struct endpoint_outputs *out, struct err *err);
void receipts_drop(struct profile *p);

/* block.c */
NODISCARD enum rc contact_is_blocked(struct profile *p, struct store_tx *tx,
                                     const uint8_t peer_key[16], bool *is_blocked, struct err *err);

/* listen.c */
void watches_tell(struct profile *p);
void watches_tell_typing(struct profile *p, uint64_t peer, bool is_typing);

#endif

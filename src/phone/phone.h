/* phone.h - people's end: the profiles of one data folder, their messages, contacts and receipts.
 *
 * A profile is an account with a name and an endpoint of its own (endpoint/). All profiles share
 * one loop, one store, one session engine and one hub of connections, and each is kept connected,
 * so a message is delivered when it is stored here, whether or not anybody looks. Owns the table of
 * messages (each once, I11), the receipts for them (I18) and the block list. Knows no command line:
 * server.h answers that. Source: docs/phone.md. Thread rule: one loop; a reply function is called
 * once, later, on it. */
#ifndef PARLEY_PHONE_PHONE_H
#define PARLEY_PHONE_PHONE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "crypto/seal.h"
#include "store/store.h"

/* The parts that a phone's store is opened with. */
extern const struct store_part *const phone_parts[];
extern const size_t phone_parts_n;

#define PHONE_NAME_MAX 32u /* characters of a profile's name: a-z 0-9 _ - */
#define PHONE_PROFILES_MAX 10000u
#define PHONE_TEXT_MAX 4096u  /* characters of a text */
#define PHONE_READ_BATCH 500u /* messages that one read receipt speaks of */

struct phone_opt {
    /* all borrowed for the phone's life */
    struct loop *loop;
    struct store *store;
    struct keyring *ring;
    struct clock *clock;
    struct rng rng;
    struct log *log;
    const char *relay_host;
    uint16_t relay_port;
    uint8_t relay_root[32]; /* Ed25519: the relay's pinned root */
    bool has_authority;
    uint8_t authority[32]; /* Ed25519: who signs number certificates */
    bool may_shift_clock;  /* a test clock's offset is remembered */
};

struct phone;
struct profile;

/* Open every profile of the store and connect it. Blocking: at start only. */
NODISCARD enum rc phone_open(struct phone **out, const struct phone_opt *opt, struct err *err);
/* Lets jobs in flight finish; on_closed once everything is gone. */
void phone_close(struct phone **phone, void (*on_closed)(void *ctx), void *ctx);
/* Do what is due by platform time on every profile; fn (may be NULL) once all is done. */
void phone_run_due(struct phone *phone, void (*fn)(void *ctx), void *ctx);

/* ---- profiles ---- */

enum profile_state { PROFILE_NEW, PROFILE_REGISTERED, PROFILE_UNREGISTERED };

struct profile_info {
    const char *name, *display_name; /* borrowed until the loop runs again */
    uint64_t account;
    enum profile_state state;
    bool is_up, is_offline;
    uint64_t published, received, duplicates, undecryptable, in_flight;
};

/* Borrowed until the profile is gone (phone_close); NULL: none of that name. */
struct profile *phone_profile(struct phone *phone, const char *name);
void phone_each(struct phone *phone, void (*fn)(void *ctx, struct profile *p), void *ctx);
void profile_info(const struct profile *p, struct profile_info *out);

/* text is for people, "" if there is nothing to say. */
typedef void phone_reply_fn(void *ctx, enum rc rc, const char *text);

/* Begin a registration: makes the profile (or takes the one of that name and number), and lets the
 * relay send a code. request_code false: one was sent before. Errors through fn: RC_INVAL (name,
 * number), RC_EXISTS (name or number is another profile's, or registered already), RC_LIMIT
 * (too many codes), RC_IO (no relay). */
struct phone_newcomer {
    const char *name, *display_name; /* display_name NULL: as before, or the name */
    uint64_t number;
    bool request_code;
};
void phone_register(struct phone *phone, const struct phone_newcomer *who, phone_reply_fn *fn,
                    void *ctx);
/* As after installing the app anew: another identity on the same number, the history stays. */
void phone_reinstall(struct profile *p, bool request_code, phone_reply_fn *fn, void *ctx);
/* The code, and the two-step PIN or NULL: fresh keys are made and registered. RC_AUTH: wrong code
 * or PIN. */
void phone_confirm(struct profile *p, const char *code, const char *pin, phone_reply_fn *fn,
                   void *ctx);
void phone_unregister(struct profile *p, phone_reply_fn *fn, void *ctx);
/* Stay away from the relay, also after a restart; messages wait on both sides. */
void phone_offline(struct profile *p, bool is_offline, phone_reply_fn *fn, void *ctx);

/* ---- messages ---- */

struct phone_text {
    uint64_t to;
    const char *body;
    const char *reply_to; /* id of a message of this conversation, or NULL */
};
/* fn once the message is durable (T1): id is what the business's webhook will carry. RC_INVAL,
 * RC_NOTFOUND (reply_to), RC_PROTO (not registered), RC_FULL. */
typedef void phone_send_fn(void *ctx, enum rc rc, const char *id, const char *text);
void phone_send_text(struct profile *p, const struct phone_text *what, phone_send_fn *fn,
                     void *ctx);

/* Tell `to` that we type, or stopped; nothing is kept, nothing answers. */
void phone_typing(struct profile *p, uint64_t to, bool is_typing);

/* Open the chat with a number: what was received in it is read now, and told so. */
void phone_read_chat(struct profile *p, uint64_t number, phone_reply_fn *fn, void *ctx);
/* The same for incoming messages of ords (after, to], for one who showed exactly these. */
void phone_read_shown(struct profile *p, uint64_t after, uint64_t to);

/* A page of history as JSON lines (render.h), oldest first: messages after `ord`, at most
 * PHONE_PAGE_MAX. lines are borrowed for the call. */
#define PHONE_PAGE_MAX 100u
struct phone_page_query {
    uint64_t after;  /* ord of the last message seen, 0 from the start */
    uint64_t number; /* only this conversation; 0: all */
    bool incoming_only;
};
struct phone_page {
    const struct buf *lines;
    uint64_t last; /* ord of the last line */
    uint32_t n;
    bool has_more;
};
void phone_page(struct profile *p, const struct phone_page_query *query,
                void (*fn)(void *ctx, enum rc rc, const struct phone_page *page), void *ctx);

/* ---- listening ---- */

/* Told of changes on the loop. In-place, owned by the caller, who ends it. */
struct phone_watch {
    void (*on_news)(struct phone_watch *watch); /* messages may have come: read a page */
    void (*on_typing)(struct phone_watch *watch, uint64_t peer, bool is_typing);
    struct phone_watch *prev, *next;
    struct profile *profile; /* NULL: not watching */
};
void phone_watch_begin(struct phone_watch *watch, struct profile *p);
void phone_watch_end(struct phone_watch *watch);
/* What listeners printed is remembered: the next one begins after it. */
uint64_t phone_listened(const struct profile *p);
void phone_set_listened(struct profile *p, uint64_t ord);
/* fn once every set_listened and read_shown so far is durable. */
void phone_settle(struct profile *p, phone_reply_fn *fn, void *ctx);

/* ---- people ---- */

/* A blocked number's messages are not shown and get no receipt; the relay hears of it as a signal.
 */
void phone_block(struct profile *p, uint64_t number, bool is_blocked, phone_reply_fn *fn,
                 void *ctx);

struct phone_verification {
    char digits[12 * 6]; /* twelve groups of five with spaces, NUL */
    const char *label;   /* what may be said of this chat: "end-to-end encrypted" … */
    const char *hosting; /* "person", "hosted", "self-hosted", "unknown" */
    int64_t changed_ms;  /* when their identity last changed; 0: never */
    bool is_blocked;
};
/* RC_NOTFOUND: no key of that number is known and the relay has none. */
void phone_verify(struct profile *p, uint64_t number,
                  void (*fn)(void *ctx, enum rc rc, const struct phone_verification *v,
                             const char *text),
                  void *ctx);

#endif

/* verify.c - the 60-digit number of a conversation, and what may honestly be said of it.
 *
 * The label comes from what the peer's device signed and what its number's certificate says,
 * whichever claims less; never from the relay's word. Source: docs/phone.md, "Verify". */
#include <stdio.h>
#include <stdlib.h>

#include "phone/internal.h"

struct verify {
    struct profile_job base;
    uint64_t number;
    bool is_known;
    uint8_t own[33], theirs[33];
    struct phone_verification v;
    void (*fn)(void *ctx, enum rc rc, const struct phone_verification *v, const char *text);
    void *ctx;
};

static const struct hosting_words {
    enum endpoint_hosting hosting;
    const char *name, *label;
} words[] = {
    {ENDPOINT_PERSON,          "person",      "end-to-end encrypted"                              },
    {ENDPOINT_HOSTED,          "hosted",      "encrypted to your provider"                        },
    {ENDPOINT_SELF_HOSTED,     "self-hosted", "end-to-end encrypted with the business"            },
    {ENDPOINT_HOSTING_UNKNOWN, "unknown",     "encrypted; who runs the other end is not known yet"},
};

static void
words_choose(struct phone_verification *v, enum endpoint_hosting hosting)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i].hosting == hosting || i + 1 == ARRAY_LEN(words)) {
            v->hosting = words[i].name;
            v->label = words[i].label;
            return;
        }
}

/* The engine belongs to the writer thread, and 5,200 rounds of SHA-512 do not belong on a loop. */
static enum rc
verify_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct verify *v = (struct verify *)job;
    struct profile *p = v->base.p;
    char digits[61], own_id[E164_TEXT_SIZE], their_id[E164_TEXT_SIZE];
    uint8_t peer[ENDPOINT_PEER_KEY_SIZE];
    struct store_rows rows;
    enum rc rc;

    rc =
        session_safety_number(p->phone->host.engine, digits, v->own, e164_write(own_id, p->account),
                              v->theirs, e164_write(their_id, v->number), err);
    if (rc != RC_OK)
        return rc;
    for (int i = 0; i < 12; i++)
        snprintf(v->v.digits + i * 6, sizeof v->v.digits - (size_t)i * 6, "%.5s%s", digits + i * 5,
                 i < 11 ? " " : "");
    endpoint_peer_key(p->tx_endpoint, v->number, peer);
    store_query(&rows, tx, &phone_part, SQL_CONTACT_GET,
                ST_ARGS(ST_I(p->account), ST_B(bytes_of(peer, sizeof peer))));
    v->v.is_blocked = rows.has_row && store_col_int(&rows, 0) != 0;
    v->v.changed_ms = rows.has_row ? store_col_int(&rows, 1) : 0;
    store_rows_end(&rows);
    return rows.rc;
}

static void
verify_end(struct verify *v, enum rc rc, const char *text)
{
    v->fn(v->ctx, rc, rc == RC_OK ? &v->v : NULL, text);
    profile_job_end(&v->base, rc);
    free(v);
}

static void
verify_done(struct store_job *job, enum rc rc, const struct err *err)
{
    verify_end((struct verify *)job, rc, rc == RC_OK ? "" : err->text);
}

static void
on_identity(void *ctx, const uint8_t *key, enum endpoint_hosting hosting)
{
    struct verify *v = ctx;
    struct phone *phone = v->base.p->phone;
    const uint8_t *own = endpoint_identity(v->base.endpoint);

    if (key == NULL || own == NULL) {
        verify_end(v, RC_NOTFOUND,
                   "no key of this number is known: not on the network, or out of reach");
        return;
    }
    memcpy(v->own, own, sizeof v->own);
    memcpy(v->theirs, key, sizeof v->theirs);
    words_choose(&v->v, hosting);
    v->base.job =
        (struct store_job){.run = verify_run, .done = verify_done, .loop = phone->host.loop};
    store_submit(phone->host.store, &v->base.job);
}

void
phone_verify(struct profile *p, uint64_t number,
             void (*fn)(void *ctx, enum rc rc, const struct phone_verification *v,
                        const char *text),
             void *ctx)
{
    struct verify *v;

    if (p->state != PROFILE_REGISTERED || number == p->account) {
        fn(ctx, p->state != PROFILE_REGISTERED ? RC_PROTO : RC_INVAL, NULL,
           p->state != PROFILE_REGISTERED ? "this profile is not registered"
                                          : "this is the profile's own number");
        return;
    }
    if ((v = calloc(1, sizeof *v)) == NULL || !profile_job_init(&v->base, p, false)) {
        free(v);
        fn(ctx, RC_CLOSED, NULL, "the phone is shutting down");
        return;
    }
    v->number = number;
    v->fn = fn;
    v->ctx = ctx;
    endpoint_peer_identity(p->endpoint, number, on_identity, v);
}

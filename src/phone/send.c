/* send.c - T1 of a person: the message in our table, in the outgoing queue and, with a session at
 * hand, encrypted: one commit, and then it is said to be sent. */
#include <stdlib.h>

#include "phone/internal.h"

struct send {
    struct profile_job base;
    uint64_t to;
    uint8_t message_id[16];
    char *body;
    bool is_reply;
    uint8_t reply_to[16];
    phone_send_fn *fn;
    void *ctx;
};

static enum rc
send_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct send *s = (struct send *)job;
    struct profile *p = s->base.p;
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Context context = PARLEY__CONTENT__CONTEXT__INIT;
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    struct endpoint_message message = {
        .to = s->to, .class = PARLEY__WIRE__CLASS__MESSAGE, .payload = &payload};
    struct wamid id = {.user = p->account};
    int64_t now_ms = clock_unix_ms(p->phone->host.clock);
    uint8_t peer[ENDPOINT_PEER_KEY_SIZE];
    enum phone_direction author;
    char public_id[WAMID_SIZE];
    enum rc rc;

    endpoint_outputs_reset(s->base.out);
    memcpy(id.message_id, s->message_id, 16);
    memcpy(message.message_id, s->message_id, 16);
    message.expires_at_ms = now_ms + WIRE_EXPIRY_MAX_MS;
    payload.public_id = wamid_write(public_id, &id);
    payload.profile_name = p->display_name;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    payload.text = &text;
    text.body = s->body;
    if (s->is_reply) {
        endpoint_peer_key(p->tx_endpoint, s->to, peer);
        if ((rc = message_find(p, tx, peer, s->reply_to, &author, err)) != RC_OK)
            return rc;
        context.message_id = wire_field(bytes_of(s->reply_to, 16));
        context.author = author == DIRECTION_OUT ? p->account : s->to;
        payload.context = &context;
    }
    rc = endpoint_enqueue(p->tx_endpoint, tx, &message, s->base.out, err);
    if (rc == RC_OK)
        rc = message_insert_out(p, tx, s->to, s->message_id, &payload, now_ms, err);
    return rc;
}

static void
send_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct send *s = (struct send *)job;
    struct wamid id = {.user = s->base.p->account};
    char public_id[WAMID_SIZE];

    memcpy(id.message_id, s->message_id, 16);
    s->fn(s->ctx, rc, rc == RC_OK ? wamid_write(public_id, &id) : NULL,
          rc == RC_OK ? "" : err->text);
    profile_job_end(&s->base, rc);
    bytes_wipe(s->body, strlen(s->body));
    free(s->body);
    free(s);
}

/* What is wrong with this text, or NULL. */
static const char *
fault_of(const struct profile *p, const struct phone_text *what)
{
    struct bytes body = bytes_of_str(what->body);

    if (p->state != PROFILE_REGISTERED)
        return "this profile is not registered";
    if (what->to == p->account)
        return "this is the profile's own number";
    if (body.len == 0)
        return "the text is empty";
    if (!bytes_is_utf8(body))
        return "the text is not UTF-8";
    if (body.len > CONTENT_TEXT_MAX || bytes_utf8_count(body) > PHONE_TEXT_MAX)
        return "the text is longer than 4096 characters";
    return NULL;
}

void
phone_send_text(struct profile *p, const struct phone_text *what, phone_send_fn *fn, void *ctx)
{
    const char *fault = fault_of(p, what);
    struct err err = {0};
    struct send *s;

    if (fault != NULL) {
        fn(ctx, p->state != PROFILE_REGISTERED ? RC_PROTO : RC_INVAL, NULL, fault);
        return;
    }
    if ((s = calloc(1, sizeof *s)) == NULL || (s->body = strdup(what->body)) == NULL ||
        !profile_job_init(&s->base, p, true)) {
        if (s != NULL)
            free(s->body);
        free(s);
        fn(ctx, RC_CLOSED, NULL, "the phone is shutting down");
        return;
    }
    s->to = what->to;
    s->fn = fn;
    s->ctx = ctx;
    s->is_reply = what->reply_to != NULL;
    message_id_make(s->message_id, clock_unix_ms(p->phone->host.clock), p->phone->host.rng);
    if (s->is_reply && public_id_read(s->reply_to, what->reply_to, &err) != RC_OK) {
        send_done(&s->base.job, RC_NOTFOUND, &err);
        return;
    }
    s->base.job = (struct store_job){
        .run = send_run, .done = send_done, .loop = p->phone->host.loop, .grows = true};
    store_submit(p->phone->host.store, &s->base.job);
}

void
phone_typing(struct profile *p, uint64_t to, bool is_typing)
{
    if (p->state == PROFILE_REGISTERED && p->endpoint != NULL)
        endpoint_send_typing(p->endpoint, to, is_typing);
}

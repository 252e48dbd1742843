/* registration.c - how a profile comes to be, comes back after a reinstallation, and leaves.
 *
 * A profile is written down once the relay has registered it; until then it lives in memory only
 * and is forgotten by the hourly tick. Source: docs/phone.md, "Profiles". */
#include <stdlib.h>

#include "phone/profile.h"

/* One step on behalf of a command. */
struct step {
    struct profile_job base; /* the row that is written at the end */
    enum profile_state next;
    phone_reply_fn *fn;
    void *ctx;
    char pin[8];
};

static enum rc
rc_of(enum rc rc, Parley__Wire__Reason reason)
{
    if (rc == RC_OK)
        return RC_OK;
    switch (reason) {
    case PARLEY__WIRE__REASON__RATE_LIMITED:
        return RC_LIMIT;
    case PARLEY__WIRE__REASON__WRONG_CODE:
    case PARLEY__WIRE__REASON__CODE_EXPIRED:
    case PARLEY__WIRE__REASON__TICKET_INVALID:
    case PARLEY__WIRE__REASON__PIN_MISMATCH:
        return RC_AUTH;
    case PARLEY__WIRE__REASON__UNAVAILABLE:
        return RC_IO;
    default:
        return rc == RC_DENIED ? RC_DENIED : rc;
    }
}

static struct step *
step_begin(struct profile *p, phone_reply_fn *fn, void *ctx)
{
    struct step *step = calloc(1, sizeof *step);

    if (step == NULL || !profile_job_init(&step->base, p, false)) {
        free(step);
        fn(ctx, RC_CLOSED, "the phone is shutting down");
        return NULL;
    }
    step->fn = fn;
    step->ctx = ctx;
    p->asks++;
    return step;
}

static void
step_end(struct step *step, enum rc rc, const char *text)
{
    step->base.p->asks--;
    step->fn(step->ctx, rc, text == NULL ? "" : text);
    profile_job_end(&step->base, rc);
    bytes_wipe(step->pin, sizeof step->pin);
    free(step);
}

/* ---- the profile's row ---- */

static enum rc
row_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct step *step = (struct step *)job;
    struct profile *p = step->base.p;
    struct buf info;
    enum rc rc;

    if (step->next != PROFILE_REGISTERED)
        return store_run(tx, &phone_part, SQL_PROFILE_STATE, NULL, err,
                         ST_ARGS(ST_I(p->account), ST_I(step->next)));
    buf_init(&info, CONTENT_NAME_MAX + SEAL_OVERHEAD);
    rc = profile_name_seal(p, &info, err);
    if (rc == RC_OK)
        rc = store_run(
            tx, &phone_part, SQL_PROFILE_PUT, NULL, err,
            ST_ARGS(ST_I(p->account), ST_T(p->name), ST_I(step->next), ST_B(buf_bytes(&info))));
    buf_free(&info);
    return rc;
}

static void
row_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct step *step = (struct step *)job;
    struct profile *p = step->base.p;

    if (rc == RC_OK) {
        p->state = step->next;
        p->is_offline = false;
        log_event(p->phone->host.log, LOG_INFO,
                  step->next == PROFILE_REGISTERED ? "phone.registered" : "phone.unregistered",
                  LOG_NUM("account", p->account));
    }
    step_end(step, rc, rc == RC_OK ? "" : err->text);
}

static void
row_write(struct step *step, enum profile_state next)
{
    struct phone *phone = step->base.p->phone;

    step->next = next;
    step->base.job = (struct store_job){.run = row_run, .done = row_done, .loop = phone->host.loop};
    store_submit(phone->host.store, &step->base.job);
}

/* ---- asking for a code ---- */

static void
on_code_sent(void *ctx, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct step *step = ctx;

    step_end(step, rc_of(rc, reason), text);
}

static void
code_ask(struct profile *p, phone_reply_fn *fn, void *ctx)
{
    struct step *step = step_begin(p, fn, ctx);

    if (step != NULL)
        endpoint_request_code(p->endpoint, "sms", "en", on_code_sent, step);
}

/* Where the number is registered, here or elsewhere, we come back as a newcomer. */
static void
newcomer(struct profile *p, bool request_code, phone_reply_fn *fn, void *ctx)
{
    struct err err = {0};

    if (p->state == PROFILE_NEW && !endpoint_is_registered(p->endpoint))
        endpoint_online(p->endpoint);
    else if (endpoint_enrol(p->endpoint, &err) != RC_OK) {
        fn(ctx, err.rc, err.text);
        return;
    }
    if (request_code)
        code_ask(p, fn, ctx);
    else
        fn(ctx, RC_OK, "");
}

/* ---- beginning ---- */

static bool
is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = name == NULL ? 0 : strlen(name);

    return len > 0 && len <= PHONE_NAME_MAX && strspn(name, allowed) == len;
}

static struct profile *
find_number(struct phone *phone, uint64_t number)
{
    struct profile *p, *next;

    HASH_ITER(hh, phone->profiles, p, next)
    if (p->account == number)
        return p;
    return NULL;
}

static void
on_dropped(void *ctx)
{
    struct profile *p = ctx;
    struct phone *phone = p->phone;

    receipts_drop(p);
    free(p);
    phone_release(phone);
}

static void
profile_drop(struct profile *p)
{
    HASH_DEL(p->phone->profiles, p);
    phone_hold(p->phone);
    endpoint_close(&p->endpoint, on_dropped, p);
}

void
profiles_drop_unfinished(struct phone *phone)
{
    struct profile *p, *next;

    HASH_ITER(hh, phone->profiles, p, next)
    if (p->state == PROFILE_NEW && p->asks == 0 && p->watches == NULL)
        profile_drop(p);
}

static enum rc
profile_new(struct phone *phone, struct profile **out, const struct phone_newcomer *who,
            struct err *err)
{
    struct profile *p;
    enum rc rc;

    *out = NULL;
    if (HASH_COUNT(phone->profiles) >= PHONE_PROFILES_MAX)
        return err_set(err, RC_LIMIT, "phone.register", "at most %u profiles", PHONE_PROFILES_MAX);
    if ((p = calloc(1, sizeof *p)) == NULL)
        return err_set(err, RC_NOMEM, "phone.register", "profile");
    p->phone = phone;
    p->account = who->number;
    p->state = PROFILE_NEW;
    memcpy(p->name, who->name, strlen(who->name));
    if ((rc = profile_open(p, err)) != RC_OK) {
        free(p);
        return rc;
    }
    HASH_ADD_STR(phone->profiles, name, p);
    *out = p;
    return RC_OK;
}

/* The profile this registration is for: the one of that name and number, or a new one in place of
 * what was begun and not finished. */
static enum rc
profile_choose(struct phone *phone, struct profile **out, const struct phone_newcomer *who,
               struct err *err)
{
    struct profile *p = phone_profile(phone, who->name), *other = find_number(phone, who->number);

    *out = p;
    if (p != NULL && p->account == who->number)
        return p->state == PROFILE_REGISTERED
                   ? err_set(err, RC_EXISTS, "phone.register",
                             "this profile is registered; `reinstall` makes it anew")
                   : RC_OK;
    for (int i = 0; i < 2; i++) {
        struct profile *old = i == 0 ? p : other;

        if (old != NULL && (old->state != PROFILE_NEW || old->asks > 0 || old->watches != NULL))
            return err_set(err, RC_EXISTS, "phone.register",
                           i == 0 ? "a profile of this name has another number"
                                  : "another profile has this number");
        if (old != NULL)
            profile_drop(old);
    }
    return profile_new(phone, out, who, err);
}

void
phone_register(struct phone *phone, const struct phone_newcomer *who, phone_reply_fn *fn, void *ctx)
{
    const char *shown = who->display_name;
    struct profile *p;
    struct err err = {0};

    if (!is_name(who->name)) {
        fn(ctx, RC_INVAL, "a profile's name is 1 to 32 letters, digits, _ or -");
        return;
    }
    if (shown != NULL &&
        (strlen(shown) > CONTENT_NAME_MAX || !bytes_is_utf8(bytes_of_str(shown)))) {
        fn(ctx, RC_INVAL, "the display name is too long or not UTF-8");
        return;
    }
    if (phone->is_closing || profile_choose(phone, &p, who, &err) != RC_OK) {
        fn(ctx, phone->is_closing ? RC_CLOSED : err.rc, err.text);
        return;
    }
    if (shown == NULL && p->display_name[0] == '\0')
        shown = p->name;
    if (shown != NULL) {
        memset(p->display_name, 0, sizeof p->display_name);
        memcpy(p->display_name, shown, strlen(shown));
    }
    newcomer(p, who->request_code, fn, ctx);
}

void
phone_reinstall(struct profile *p, bool request_code, phone_reply_fn *fn, void *ctx)
{
    if (p->endpoint == NULL)
        fn(ctx, RC_CLOSED, "the phone is shutting down");
    else
        newcomer(p, request_code, fn, ctx);
}

/* ---- the code ---- */

static void
on_registered(void *ctx, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct step *step = ctx;

    if (rc == RC_OK)
        row_write(step, PROFILE_REGISTERED);
    else
        step_end(step, rc_of(rc, reason), text);
}

static void
on_verified(void *ctx, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct step *step = ctx;

    if (rc == RC_OK)
        endpoint_register(step->base.endpoint, step->pin[0] == '\0' ? NULL : step->pin,
                          on_registered, step);
    else
        step_end(step, rc_of(rc, reason), text);
}

void
phone_confirm(struct profile *p, const char *code, const char *pin, phone_reply_fn *fn, void *ctx)
{
    struct step *step;

    if (pin != NULL && strlen(pin) != 6) {
        fn(ctx, RC_INVAL, "a PIN is six digits");
        return;
    }
    if ((step = step_begin(p, fn, ctx)) == NULL)
        return;
    if (pin != NULL)
        memcpy(step->pin, pin, 6);
    endpoint_verify_code(p->endpoint, code, on_verified, step);
}

/* ---- leaving ---- */

static void
on_unregistered(void *ctx, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct step *step = ctx;

    if (rc == RC_OK)
        row_write(step, PROFILE_UNREGISTERED);
    else
        step_end(step, rc_of(rc, reason), text);
}

void
phone_unregister(struct profile *p, phone_reply_fn *fn, void *ctx)
{
    struct step *step;

    if (p->state != PROFILE_REGISTERED)
        fn(ctx, RC_PROTO, "this profile is not registered");
    else if ((step = step_begin(p, fn, ctx)) != NULL)
        endpoint_unregister(p->endpoint, on_unregistered, step);
}

static void
nobody(void *ctx UNUSED, enum rc rc UNUSED, const char *text UNUSED)
{
}

void
profile_lost(struct profile *p)
{
    struct step *step;

    if (p->state != PROFILE_REGISTERED || p->asks > 0 || p->phone->is_closing ||
        (step = step_begin(p, nobody, NULL)) == NULL)
        return;
    row_write(step, PROFILE_UNREGISTERED);
}

/* ---- away and back ---- */

struct going {
    struct profile_job base;
    bool is_offline;
    phone_reply_fn *fn;
    void *ctx;
};

static enum rc
going_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct going *g = (struct going *)job;

    return store_run(tx, &phone_part, SQL_PROFILE_OFFLINE, NULL, err,
                     ST_ARGS(ST_I(g->base.p->account), ST_I(g->is_offline)));
}

static void
going_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct going *g = (struct going *)job;
    struct profile *p = g->base.p;

    if (rc == RC_OK && p->endpoint != NULL) {
        p->is_offline = g->is_offline;
        if (g->is_offline)
            endpoint_offline(p->endpoint);
        else if (!endpoint_is_up(p->endpoint))
            endpoint_online(p->endpoint);
    }
    g->fn(g->ctx, rc, rc == RC_OK ? "" : err->text);
    profile_job_end(&g->base, rc);
    free(g);
}

void
phone_offline(struct profile *p, bool is_offline, phone_reply_fn *fn, void *ctx)
{
    struct going *g;

    if (p->state != PROFILE_REGISTERED) {
        fn(ctx, RC_PROTO, "this profile is not registered");
        return;
    }
    if ((g = calloc(1, sizeof *g)) == NULL || !profile_job_init(&g->base, p, false)) {
        free(g);
        fn(ctx, RC_CLOSED, "the phone is shutting down");
        return;
    }
    g->is_offline = is_offline;
    g->fn = fn;
    g->ctx = ctx;
    g->base.job =
        (struct store_job){.run = going_run, .done = going_done, .loop = p->phone->host.loop};
    store_submit(p->phone->host.store, &g->base.job);
}

/* listen.c - who watches a profile, and how far its listeners have come.
 *
 * A watcher is only told that there may be news; what it shows it reads from the table, so nothing
 * is lost between "stored" and "shown". The mark is the highest message that any listener printed;
 * the next listener begins behind it. */
#include <stdlib.h>

#include "phone/internal.h"

void
phone_watch_begin(struct phone_watch *watch, struct profile *p)
{
    watch->profile = p;
    watch->prev = NULL;
    watch->next = p->watches;
    if (p->watches != NULL)
        p->watches->prev = watch;
    p->watches = watch;
}

void
phone_watch_end(struct phone_watch *watch)
{
    if (watch->profile == NULL)
        return;
    if (watch->prev != NULL)
        watch->prev->next = watch->next;
    else
        watch->profile->watches = watch->next;
    if (watch->next != NULL)
        watch->next->prev = watch->prev;
    watch->profile = NULL;
}

void
watches_tell(struct profile *p)
{
    for (struct phone_watch *w = p->watches, *next; w != NULL; w = next) {
        next = w->next;
        w->on_news(w);
    }
}

void
watches_tell_typing(struct profile *p, uint64_t peer, bool is_typing)
{
    for (struct phone_watch *w = p->watches, *next; w != NULL; w = next) {
        next = w->next;
        if (w->on_typing != NULL)
            w->on_typing(w, peer, is_typing);
    }
}

/* ---- the mark ---- */

uint64_t
phone_listened(const struct profile *p)
{
    return p->listened;
}

struct marking {
    struct profile_job base;
    uint64_t ord;
    phone_reply_fn *fn;
    void *ctx;
};

static enum rc
marking_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct marking *m = (struct marking *)job;

    return store_run(tx, &phone_part, SQL_PROFILE_LISTENED, NULL, err,
                     ST_ARGS(ST_I(m->base.p->account), ST_I(m->ord)));
}

static void
marking_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct marking *m = (struct marking *)job;

    if (m->fn != NULL)
        m->fn(m->ctx, rc, rc == RC_OK ? "" : err->text);
    profile_job_end(&m->base, rc);
    free(m);
}

static bool
mark(struct profile *p, phone_reply_fn *fn, void *ctx)
{
    struct marking *m = calloc(1, sizeof *m);

    if (m == NULL || !profile_job_init(&m->base, p, false)) {
        free(m);
        return false;
    }
    m->ord = p->listened;
    m->fn = fn;
    m->ctx = ctx;
    m->base.job =
        (struct store_job){.run = marking_run, .done = marking_done, .loop = p->phone->host.loop};
    store_submit(p->phone->host.store, &m->base.job);
    return true;
}

void
phone_set_listened(struct profile *p, uint64_t ord)
{
    if (ord <= p->listened)
        return;
    p->listened = ord;
    mark(p, NULL, NULL);
}

void
phone_settle(struct profile *p, phone_reply_fn *fn, void *ctx)
{
    if (!mark(p, fn, ctx)) /* jobs are done in order: this one is behind all others */
        fn(ctx, RC_CLOSED, "the phone is shutting down");
}

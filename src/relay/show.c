/* show.c - what the operator can ask and tell a running relay.
 *
 * Numbers of people are shown by their last two digits at most; nothing here is content, for the
 * relay has none. Source: docs/protocol/relay.md, "Administration". */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/e164.h"
#include "link/hub.h"
#include "relay/core.h"

#define LINES_MAX 40
#define LINE_SIZE 160

/* A question to the store: lines are gathered there and printed on the loop. */
struct question {
    struct store_job job;
    struct relay *relay;
    struct admin_call *call;
    void (*ask)(struct question *q, struct store_tx *tx);
    uint64_t account;
    enum rc rc;
    unsigned n;
    char lines[LINES_MAX][LINE_SIZE];
};

static void PRINTF_LIKE(2, 3) say(struct question *q, const char *fmt, ...)
{
    va_list ap;

    if (q->n == LINES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(q->lines[q->n++], LINE_SIZE, fmt, ap);
    va_end(ap);
}

static enum rc
run_question(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct question *q = (struct question *)job;

    q->n = 0;
    q->rc = RC_OK;
    q->ask(q, tx);
    return q->rc == RC_OK ? RC_OK : err_set(err, q->rc, "relay.show", "cannot read the store");
}

static void
question_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct question *q = (struct question *)job;

    for (unsigned i = 0; rc == RC_OK && i < q->n; i++)
        admin_putf(q->call, "%s", q->lines[i]);
    admin_done(q->call, rc, rc == RC_OK ? NULL : err->text);
    free(q);
}

static void
ask_store(struct admin_call *call, struct relay_console *console, uint64_t account,
          void (*ask)(struct question *, struct store_tx *))
{
    struct question *q = calloc(1, sizeof(*q));

    if (q == NULL) {
        admin_done(call, RC_NOMEM, "out of memory");
        return;
    }
    q->relay = console->relay;
    q->call = call;
    q->ask = ask;
    q->account = account;
    q->job = (struct store_job){
        .run = run_question, .done = question_done, .loop = console->relay->loop};
    store_read(console->relay->store, &q->job);
}

static void
totals_of_queues(struct question *q, struct store_tx *tx)
{
    struct store_rows rows;

    store_query(&rows, tx, &relay_part, SQL_TOTAL_LANES, ST_NONE);
    if (rows.has_row)
        say(q,
            "lanes=%" PRId64 " enqueued=%" PRId64 " acked=%" PRId64 " expired=%" PRId64
            " purged=%" PRId64 " pending=%" PRId64 " bytes=%" PRId64 " duplicates=%" PRId64,
            store_col_int(&rows, 0), store_col_int(&rows, 1), store_col_int(&rows, 2),
            store_col_int(&rows, 3), store_col_int(&rows, 4), store_col_int(&rows, 5),
            store_col_int(&rows, 6), store_col_int(&rows, 7));
    store_rows_end(&rows);
    q->rc = rows.rc;
    store_query(&rows, tx, &relay_part, SQL_TOTAL_PENDING, ST_NONE);
    if (rows.has_row)
        say(q, "recounted pending=%" PRId64 " bytes=%" PRId64, store_col_int(&rows, 0),
            store_col_int(&rows, 1));
    store_rows_end(&rows);
    if (q->rc == RC_OK)
        q->rc = rows.rc;
}

static void
lanes_of_account(struct question *q, struct store_tx *tx)
{
    struct store_rows rows;

    for (store_query(&rows, tx, &relay_part, SQL_LANES_GET, ST_ARGS(ST_I(q->account), ST_I(1)));
         rows.has_row; store_next(&rows))
        say(q,
            "lane=%" PRId64 " enqueued=%" PRId64 " acked=%" PRId64 " expired=%" PRId64
            " purged=%" PRId64 " pending=%" PRId64 " bytes=%" PRId64 " last=%" PRId64,
            store_col_int(&rows, 0), store_col_int(&rows, 7), store_col_int(&rows, 8),
            store_col_int(&rows, 9), store_col_int(&rows, 10), store_col_int(&rows, 5),
            store_col_int(&rows, 6), store_col_int(&rows, 3));
    store_rows_end(&rows);
    q->rc = rows.rc;
}

static void
show_queues(struct admin_call *call, void *ctx)
{
    const char *number = admin_arg(call, 0);
    uint64_t account = 0;

    if (number != NULL && e164_read(&account, bytes_of_str(number), NULL) != RC_OK)
        admin_done(call, RC_INVAL, "show queues [NUMBER]");
    else
        ask_store(call, ctx, account, number == NULL ? totals_of_queues : lanes_of_account);
}

static void
totals_of_accounts(struct question *q, struct store_tx *tx)
{
    struct store_rows rows;

    for (store_query(&rows, tx, &relay_part, SQL_TOTAL_ACCOUNTS, ST_NONE); rows.has_row;
         store_next(&rows))
        say(q, "%s=%" PRId64, store_col_int(&rows, 0) != 0 ? "businesses" : "people",
            store_col_int(&rows, 1));
    store_rows_end(&rows);
    q->rc = rows.rc;
    for (store_query(&rows, tx, &relay_part, SQL_TOTAL_DEVICES, ST_NONE); rows.has_row;
         store_next(&rows))
        say(q, "devices %s=%" PRId64 " one_time_prekeys=%" PRId64,
            store_col_int(&rows, 0) != 0 ? "active" : "gone", store_col_int(&rows, 1),
            store_col_int(&rows, 2));
    store_rows_end(&rows);
    if (q->rc == RC_OK)
        q->rc = rows.rc;
}

static void
show_accounts(struct admin_call *call, void *ctx)
{
    ask_store(call, ctx, 0, totals_of_accounts);
}

static void
totals_of_meter(struct question *q, struct store_tx *tx)
{
    struct store_rows rows;

    for (store_query(&rows, tx, &relay_part, SQL_TOTAL_METER, ST_NONE); rows.has_row;
         store_next(&rows))
        say(q, "category=%" PRId64 " events=%" PRId64, store_col_int(&rows, 0),
            store_col_int(&rows, 1));
    store_rows_end(&rows);
    q->rc = rows.rc;
}

static void
meter_of_account(struct question *q, struct store_tx *tx)
{
    struct store_rows rows;

    for (store_query(&rows, tx, &relay_part, SQL_METER_GET, ST_ARGS(ST_I(q->account)));
         rows.has_row; store_next(&rows))
        say(q, "hour=%" PRId64 " category=%" PRId64 " events=%" PRId64, store_col_int(&rows, 0),
            store_col_int(&rows, 1), store_col_int(&rows, 2));
    store_rows_end(&rows);
    q->rc = rows.rc;
}

static void
show_meter(struct admin_call *call, void *ctx)
{
    const char *number = admin_arg(call, 0);
    uint64_t account = 0;

    if (number != NULL && e164_read(&account, bytes_of_str(number), NULL) != RC_OK)
        admin_done(call, RC_INVAL, "show meter [NUMBER]");
    else
        ask_store(call, ctx, account, number == NULL ? totals_of_meter : meter_of_account);
}

static void
show_store(struct admin_call *call, void *ctx)
{
    struct store_stats s;

    store_stats(((struct relay_console *)ctx)->relay->store, &s);
    admin_putf(call, "jobs=%" PRIu64 " commits=%" PRIu64 " reruns=%" PRIu64, s.jobs, s.commits,
               s.reruns);
    admin_putf(call, "refused_full=%" PRIu64 " waiting=%" PRIu64 " oldest_wait_us=%" PRId64,
               s.refused_full, s.waiting, s.oldest_wait_us);
    admin_done(call, RC_OK, NULL);
}

static void
show_links(struct admin_call *call, void *ctx)
{
    struct relay *relay = ((struct relay_console *)ctx)->relay;
    struct relay_counters *c = &relay->counters;
    uint32_t n = atomic_load(&relay->n_connections), opening = atomic_load(&relay->n_opening);

    admin_putf(call, "connections=%u opening=%u loops=%u requests=%u", n, opening, relay->n_workers,
               atomic_load(&relay->n_asks));
    admin_putf(call, "accepted=%" PRIu64 " throttled=%" PRIu64 " full=%" PRIu64 " logins=%" PRIu64,
               atomic_load(&c->accepted), atomic_load(&c->refused_throttle),
               atomic_load(&c->refused_full), atomic_load(&c->logins));
    admin_putf(call, "published=%" PRIu64 " duplicates=%" PRIu64 " refused=%" PRIu64,
               atomic_load(&c->published), atomic_load(&c->duplicates),
               atomic_load(&c->refused_publish));
    admin_putf(call,
               "delivered=%" PRIu64 " ephemerals=%" PRIu64 " acks_refused=%" PRIu64
               " codes=%" PRIu64,
               atomic_load(&c->delivered), atomic_load(&c->ephemerals),
               atomic_load(&c->ack_refused), atomic_load(&c->codes_sent));
    admin_done(call, RC_OK, NULL);
}

static void
show_config(struct admin_call *call, void *ctx)
{
    const struct relay_console *console = ctx;
    char *text = NULL, *save = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL) {
        admin_done(call, RC_NOMEM, "out of memory");
        return;
    }
    if (console->config != NULL)
        config_show(console->config, out);
    fclose(out);
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        admin_putf(call, "%s", line);
    free(text);
    admin_done(call, RC_OK, NULL);
}

/* ---- the test clock ---- */

/* A new time: written down, then all that it makes due is done, then the answer. */
struct shift {
    struct store_job job;
    struct relay *relay;
    struct admin_call *call;
    int64_t offset_ms;
};

static enum rc
write_offset(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct shift *s = (struct shift *)job;

    return store_run(tx, &relay_part, SQL_NOTE_PUT, NULL, err,
                     ST_ARGS(ST_I(NOTE_CLOCK_OFFSET), ST_I(s->offset_ms)));
}

static void
all_done(void *ctx, enum rc rc)
{
    struct shift *s = ctx;

    if (rc == RC_OK)
        admin_putf(s->call, "unix_ms %" PRId64, relay_now_ms(s->relay));
    admin_done(s->call, rc, rc == RC_OK ? NULL : "what is due could not all be done");
    free(s);
}

static void
offset_written(struct store_job *job, enum rc rc, const struct err *err)
{
    struct shift *s = (struct shift *)job;

    if (rc == RC_OK)
        relay_sweep(s->relay, all_done, s);
    else
        all_done(s, rc);
}

static void
settle(struct admin_call *call, struct relay *relay)
{
    struct shift *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        admin_done(call, RC_NOMEM, "out of memory");
        return;
    }
    s->relay = relay;
    s->call = call;
    s->offset_ms = clock_offset_ms(relay->clock);
    s->job = (struct store_job){.run = write_offset, .done = offset_written, .loop = relay->loop};
    store_submit(relay->store, &s->job);
}

static bool
read_ms(int64_t *out, struct admin_call *call, const struct relay_console *console)
{
    const char *text = admin_arg(call, 0);
    char *end = NULL;

    *out = text == NULL ? 0 : strtoll(text, &end, 10);
    if (!console->has_test_clock)
        admin_done(call, RC_DENIED, "the test clock is off (setting test_clock)");
    else if (text == NULL || end == text || *end != '\0')
        admin_done(call, RC_INVAL, "a number of milliseconds is missing");
    else
        return true;
    return false;
}

static void
clock_set_offset(struct admin_call *call, void *ctx)
{
    struct relay *relay = ((struct relay_console *)ctx)->relay;
    struct err err = {0};
    int64_t ms;

    if (!read_ms(&ms, call, ctx))
        return;
    if (clock_set_offset_ms(relay->clock, ms, &err) != RC_OK)
        admin_done(call, err.rc, err.text);
    else
        settle(call, relay);
}

static void
clock_freeze(struct admin_call *call, void *ctx)
{
    struct relay *relay = ((struct relay_console *)ctx)->relay;
    struct err err = {0};
    int64_t ms;

    if (!read_ms(&ms, call, ctx))
        return;
    if (clock_freeze_at(relay->clock, ms, &err) != RC_OK)
        admin_done(call, err.rc, err.text);
    else
        settle(call, relay);
}

static void
clock_go_on(struct admin_call *call, void *ctx)
{
    struct relay_console *console = ctx;

    if (!console->has_test_clock) {
        admin_done(call, RC_DENIED, "the test clock is off (setting test_clock)");
        return;
    }
    clock_resume(console->relay->clock);
    admin_done(call, RC_OK, NULL);
}

static void
clock_now(struct admin_call *call, void *ctx)
{
    struct relay *relay = ((struct relay_console *)ctx)->relay;

    admin_putf(call, "unix_ms %" PRId64, relay_now_ms(relay));
    admin_putf(call, "offset_ms %" PRId64, clock_offset_ms(relay->clock));
    admin_done(call, RC_OK, NULL);
}

static void
stop(struct admin_call *call, void *ctx)
{
    struct relay_console *console = ctx;

    admin_putf(call, "stopping");
    admin_done(call, RC_OK, NULL);
    if (console->stop != NULL)
        console->stop(console->ctx);
}

const struct admin_row relay_admin_rows[] = {
    {"show links",       "connections, and what they did since the start",        show_links      },
    {"show queues",      "[NUMBER]: conservation of envelopes, and recount",      show_queues     },
    {"show accounts",    "how many accounts and devices there are",               show_accounts   },
    {"show meter",       "[NUMBER]: messages counted by category",                show_meter      },
    {"show store",       "jobs, commits, waiting",                                show_store      },
    {"show config",      "settings and where they come from",                     show_config     },
    {"clock now",        "platform time and its offset",                          clock_now       },
    {"clock set-offset", "MS: shift platform time; answers when all is done",     clock_set_offset},
    {"clock freeze",     "UNIX_MS: hold platform time; answers when all is done", clock_freeze    },
    {"clock resume",     "let platform time pass again",                          clock_go_on     },
    {"stop",             "say goodbye to everybody and end",                      stop            },
};
const size_t relay_admin_rows_n = ARRAY_LEN(relay_admin_rows);

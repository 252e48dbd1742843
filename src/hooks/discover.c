/* discover.c - which rows to read next, and reading them.
 *
 * Owns the accounts and how far each has been read. Wishes are of two kinds: the new rows of an
 * account (the beacon names it, or all are listed: at start, or after a replay), and rows that a
 * target left in the store. Reads run one at a time on the store's reader, a page of rows for a
 * handful of wishes each. What is read twice does no harm: the index knows what is held. */
#include "hooks/parts.h"

#include <stdlib.h>
#include <string.h>

#define ACCOUNT_BUCKETS 4096u

/* One thing to read: new rows of an account, or rows that a target left in the store. */
struct wish {
    struct hook_target *target; /* NULL: new rows */
    uint64_t account;
    int64_t from;     /* first row of this page */
    int64_t from_all; /* targets: first row of all that were left */
    uint32_t limit;
    /* found */
    struct item_list items;
    int64_t last_seq;
    int64_t due_ms; /* targets: when the next is due */
    bool has_more;
};

struct read_job {
    struct store_job job;
    struct hooks_pump *pump;
    int64_t now_ms;
    struct wish wishes[READ_ACCOUNTS_MAX];
    uint32_t n_wishes;
    bool lists_accounts; /* instead of reading: the next page of accounts */
    uint64_t list_after;
    uint32_t round; /* of listing */
    uint64_t accounts[READ_ROWS_MAX];
    uint32_t n_accounts;
};

/* ---- accounts ---- */

static struct hook_account *
account_of(struct hooks_pump *pump, uint64_t account)
{
    uint64_t hash = account * 0x9e3779b97f4a7c15u;
    struct hook_account **slot = &pump->accounts[(hash >> 40) % ACCOUNT_BUCKETS], *a;

    for (a = *slot; a != NULL && a->account != account; a = a->bucket)
        ;
    if (a != NULL || pump->n_accounts >= HOOKS_ACCOUNTS_MAX)
        return a;
    if ((a = calloc(1, sizeof(*a))) == NULL)
        return NULL;
    a->account = account;
    a->bucket = *slot;
    *slot = a;
    pump->n_accounts++;
    return a;
}

static void
line_up(struct hooks_pump *pump, struct hook_account *a)
{
    if (a == NULL || a->is_in_line)
        return;
    a->is_in_line = true;
    a->next_in_line = NULL;
    if (pump->last_in_line == NULL)
        pump->in_line = a;
    else
        pump->last_in_line->next_in_line = a;
    pump->last_in_line = a;
    pump_wake(pump);
}

static struct hook_account *
take_from_line(struct hooks_pump *pump)
{
    struct hook_account *a = pump->in_line;

    if (a == NULL)
        return NULL;
    pump->in_line = a->next_in_line;
    if (pump->in_line == NULL)
        pump->last_in_line = NULL;
    a->is_in_line = false;
    return a;
}

void
discover_account(struct hooks_pump *pump, uint64_t account)
{
    line_up(pump, account_of(pump, account));
}

void
discover_again(struct hooks_pump *pump, uint64_t account)
{
    struct hook_account *a = account_of(pump, account);

    if (a != NULL)
        a->is_anew = true;
    line_up(pump, a);
}

void
discover_all_again(struct hooks_pump *pump)
{
    for (uint32_t i = 0; i < ACCOUNT_BUCKETS; i++)
        for (struct hook_account *a = pump->accounts[i]; a != NULL; a = a->bucket) {
            a->is_anew = true;
            line_up(pump, a);
        }
    if (pump->opt.waits_for_accounts)
        return; /* the others are somebody else's */
    pump->is_scanning = true;
    pump->scan_after = 0;
    pump->scan_round++;
    pump_wake(pump);
}

/* ---- reading, on the store's reader ---- */

static void
drop_items(struct wish *wish)
{
    while (wish->items.first != NULL) {
        struct hook_item *next = wish->items.first->next;

        hook_item_free(wish->items.first);
        wish->items.first = next;
    }
    wish->items = (struct item_list){0};
}

static enum rc
take_rows(struct wish *wish, struct store_rows *rows, struct err *err)
{
    for (; rows->has_row; store_next(rows)) {
        struct hook_item *item = hook_item_read(rows, wish->account);

        if (item == NULL) {
            store_rows_end(rows);
            return err_set(err, RC_NOMEM, "hooks.read", "out of memory");
        }
        if (wish->items.last == NULL)
            wish->items.first = item;
        else
            wish->items.last->next = item;
        wish->items.last = item;
        wish->items.n++;
        wish->last_seq = item->seq;
    }
    wish->has_more = wish->items.n >= wish->limit;
    return rows->rc;
}

static enum rc
read_due_time(struct read_job *read, struct wish *wish, struct store_tx *tx)
{
    struct store_rows rows;

    store_query(&rows, tx, &hooks_part, SQL_NEXT_DUE,
                ST_ARGS(ST_I(wish->account), ST_I(wish->from_all), ST_T(wish->target->url),
                        ST_I(read->now_ms)));
    if (rows.has_row && !store_col_is_null(&rows, 0))
        wish->due_ms = store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

static enum rc
read_wish(struct read_job *read, struct wish *wish, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;
    enum rc rc;

    drop_items(wish);
    wish->has_more = false;
    wish->last_seq = wish->from - 1;
    wish->due_ms = NEVER;
    if (wish->target == NULL)
        store_query(&rows, tx, &hooks_part, SQL_PAGE,
                    ST_ARGS(ST_I(wish->account), ST_I(wish->from), ST_I(wish->limit)));
    else
        store_query(&rows, tx, &hooks_part, SQL_PAGE_DUE,
                    ST_ARGS(ST_I(wish->account), ST_I(wish->from), ST_I(wish->limit),
                            ST_T(wish->target->url), ST_I(read->now_ms)));
    rc = take_rows(wish, &rows, err);
    if (rc == RC_OK && wish->target != NULL && !wish->has_more)
        rc = read_due_time(read, wish, tx);
    return rc;
}

static enum rc
read_accounts(struct read_job *read, struct store_tx *tx)
{
    struct store_rows rows;

    read->n_accounts = 0;
    store_query(&rows, tx, &hooks_part, SQL_ACCOUNT_PAGE,
                ST_ARGS(ST_I(read->list_after), ST_I(READ_ROWS_MAX)));
    for (; rows.has_row && read->n_accounts < READ_ROWS_MAX; store_next(&rows))
        read->accounts[read->n_accounts++] = (uint64_t)store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

static enum rc
read_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct read_job *read = OWNER_OF(job, struct read_job, job);
    enum rc rc = read->lists_accounts ? read_accounts(read, tx) : RC_OK;
    uint32_t n_rows = 0;

    for (uint32_t i = 0; rc == RC_OK && i < read->n_wishes; i++) {
        struct wish *wish = &read->wishes[i];

        if (n_rows < READ_JOB_ROWS_MAX) {
            rc = read_wish(read, wish, tx, err);
            n_rows += wish->items.n;
        } else { /* enough for one job: ask again */
            drop_items(wish);
            wish->last_seq = wish->from - 1;
            wish->has_more = true;
        }
    }
    return rc;
}

/* ---- reading, on the loop ---- */

static void
accept_wish(struct hooks_pump *pump, struct wish *wish)
{
    struct hook_account *a = wish->target == NULL ? account_of(pump, wish->account) : NULL;
    struct hook_item *item;

    if (wish->target != NULL) {
        target_recalled(wish->target, wish->account, wish->last_seq, wish->has_more, wish->due_ms);
    } else if (a != NULL && !a->is_anew) {
        a->seen = wish->last_seq;
        if (wish->has_more)
            line_up(pump, a);
    }
    while ((item = wish->items.first) != NULL) {
        wish->items.first = item->next;
        target_accept(pump, item, wish->target != NULL);
    }
    wish->items = (struct item_list){0};
}

/* Nothing was read: everything is wished for again, a little later. */
static void
take_back(struct hooks_pump *pump, struct read_job *read)
{
    pump->is_paused = true;
    for (uint32_t i = 0; i < read->n_wishes; i++) {
        struct wish *wish = &read->wishes[i];

        drop_items(wish);
        if (wish->target == NULL)
            line_up(pump, account_of(pump, wish->account));
        else
            target_recalled(wish->target, wish->account, wish->from - 1, true, 0);
    }
}

static void
note_accounts(struct hooks_pump *pump, struct read_job *read)
{
    if (read->round != pump->scan_round)
        return; /* it was begun anew meanwhile */
    for (uint32_t i = 0; i < read->n_accounts; i++) {
        line_up(pump, account_of(pump, read->accounts[i]));
        pump->scan_after = read->accounts[i];
    }
    pump->is_scanning = read->n_accounts == READ_ROWS_MAX;
}

static void
read_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct read_job *read = OWNER_OF(job, struct read_job, job);
    struct hooks_pump *pump = read->pump;

    pump->reading = NULL;
    if (pump->is_closing) {
        for (uint32_t i = 0; i < read->n_wishes; i++)
            drop_items(&read->wishes[i]);
    } else if (rc != RC_OK) {
        log_event(pump->opt.log, LOG_WARN, "hooks.read_failed", LOG_RC(err));
        take_back(pump, read);
    } else {
        if (read->lists_accounts)
            note_accounts(pump, read);
        for (uint32_t i = 0; i < read->n_wishes; i++)
            accept_wish(pump, &read->wishes[i]);
    }
    if (!pump->is_closing && pump->is_recall_due) {
        pump->is_recall_due = false;
        pump->next_due_ms = 0; /* targets had to wait for this job to ask */
    }
    free(read);
    pump_wake(pump);
    pump_unref(pump);
}

static struct read_job *
planned_read(struct hooks_pump *pump)
{
    struct read_job *read = pump->planned;

    if (read == NULL && (read = calloc(1, sizeof(*read))) != NULL) {
        read->pump = pump;
        read->job = (struct store_job){.run = read_run, .done = read_done, .loop = pump->opt.loop};
        pump->planned = read;
    }
    return read;
}

static struct wish *
plan_wish(struct hooks_pump *pump)
{
    struct read_job *read = planned_read(pump);

    return read == NULL || read->n_wishes == READ_ACCOUNTS_MAX ? NULL
                                                               : &read->wishes[read->n_wishes++];
}

void
discover_recall(struct hook_target *target, struct hook_overflow *overflow, uint32_t limit)
{
    struct wish *wish = plan_wish(target->pump);

    if (wish == NULL) {
        target->pump->is_recall_due = true;
        return;
    }
    *wish = (struct wish){.target = target,
                          .account = overflow->account,
                          .from = overflow->at,
                          .from_all = overflow->from,
                          .limit = limit};
    overflow->is_asked = true;
    overflow->due_ms = NEVER;
    pump_wake(target->pump);
}

static void
plan_accounts(struct hooks_pump *pump)
{
    while (pump->in_line != NULL) {
        struct wish *wish = plan_wish(pump);
        struct hook_account *a;

        if (wish == NULL)
            return;
        a = take_from_line(pump);
        if (a->is_anew)
            a->seen = 0;
        a->is_anew = false;
        *wish = (struct wish){.account = a->account, .from = a->seen + 1, .limit = READ_ROWS_MAX};
    }
}

void
discover_next(struct hooks_pump *pump)
{
    if (pump->is_closing || pump->is_paused)
        return;
    beacon_send(pump); /* what was noted after the last one ran */
    if (pump->reading != NULL)
        return;
    plan_accounts(pump);
    if (pump->is_scanning && pump->planned == NULL && planned_read(pump) != NULL) {
        pump->planned->lists_accounts = true;
        pump->planned->list_after = pump->scan_after;
        pump->planned->round = pump->scan_round;
    }
    if (pump->planned == NULL)
        return;
    pump->reading = pump->planned;
    pump->planned = NULL;
    pump->reading->now_ms = pump_now(pump);
    pump->refs++;
    store_read(pump->opt.store, &pump->reading->job);
}

bool
discover_is_idle(struct hooks_pump *pump)
{
    return beacon_is_idle(pump) && pump->in_line == NULL && pump->reading == NULL &&
           pump->planned == NULL && !pump->is_scanning;
}

/* ---- life ---- */

enum rc
discover_init(struct hooks_pump *pump, struct err *err)
{
    pump->accounts = calloc(ACCOUNT_BUCKETS, sizeof(struct hook_account *));
    if (pump->accounts == NULL)
        return err_set(err, RC_NOMEM, "hooks.open", "out of memory");
    return RC_OK;
}

void
discover_free(struct hooks_pump *pump)
{
    free(pump->planned);
    for (uint32_t i = 0; pump->accounts != NULL && i < ACCOUNT_BUCKETS; i++)
        while (pump->accounts[i] != NULL) {
            struct hook_account *a = pump->accounts[i];

            pump->accounts[i] = a->bucket;
            free(a);
        }
    free(pump->accounts);
}

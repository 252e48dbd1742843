/* parts.h - what the files of the pump share with each other, and with nobody else.
 *
 *   pump.c      life, turns, timers, draining
 *   target.c    targets, the events they hold in memory, their back-off
 *   attempt.c   one call: address, signature, judgement
 *   held.c      the index of events in memory, and lists of them
 *   beacon.c    hooks_enqueue, and learning what was committed
 *   discover.c  which rows to read next, and reading them
 *   outcome.c   outcomes into the store, replay, the sweep
 *
 * An event in memory is in exactly one place: a target's ready list (to be sent now), its waiting
 * list (to be sent later), or in a call. The index knows all of them by (account, seq), so a row is
 * never held twice, however often it is read. What a target has no room for stays in the store and
 * is remembered as "from this seq on" (struct hook_overflow). */
#ifndef PARLEY_HOOKS_PARTS_H
#define PARLEY_HOOKS_PARTS_H

#include <pthread.h>
#include <stddef.h>

#include "hooks/address_filter.h"
#include "hooks/hooks.h"
#include "hooks/rows.h"

#define HOOKS_TARGETS_MAX 100000u /* more: their events wait in the store */
#define HOOKS_TARGETS_KEPT 1024u  /* idle ones beyond this go */
#define HOOKS_ACCOUNTS_MAX 1000000u
#define DIRTY_MAX 1024u /* accounts noted at once; more: all are looked at */
#define READ_ROWS_MAX 256u
#define READ_ACCOUNTS_MAX 64u
#define READ_JOB_ROWS_MAX 512u
#define INDEX_BUCKETS 16384u
#define TARGET_BUCKETS 1024u
#define NEVER INT64_MAX
#define OWNER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

struct item_list {
    struct hook_item *first, *last;
    uint32_t n;
};

/* Rows of one account for one target that are not in memory: some with seq >= from. They are read
 * page by page: `at` is where the next page begins. */
struct hook_overflow {
    struct hook_overflow *next;
    uint64_t account;
    int64_t from, at;
    int64_t due_ms; /* no use in reading before this platform time; NEVER while a page is asked */
    bool is_asked;  /* a read is under way */
};

struct hook_target {
    struct hook_target *bucket;        /* in the table by URL */
    struct hook_target *prev, *next;   /* all targets */
    struct hook_target *next_runnable; /* in line to send */
    struct hooks_pump *pump;
    char *url;
    struct url parts;                /* borrows url */
    struct item_list ready, waiting; /* waiting: by next_ms */
    struct hook_overflow *overflows;
    uint32_t n_in_memory; /* ready, waiting and in flight */
    uint32_t n_in_flight;
    uint32_t fails;           /* failed calls since the last success */
    int64_t backoff_until_ms; /* platform time */
    bool is_in_line;
    bool is_resolving;
    bool is_url_ok;
    bool has_address;         /* connect_to was judged */
    int64_t address_until_ms; /* monotonic time */
    char connect_to[64];      /* "" with has_address: connect normally */
};

/* What became of an attempt, on its way into the store. */
enum outcome_kind { OUTCOME_TAKEN, OUTCOME_RETRY, OUTCOME_PARK, OUTCOME_DROP };
struct hook_outcome {
    struct hook_outcome *next;
    enum outcome_kind kind;
    uint64_t account;
    int64_t seq;
    uint32_t tries;
    int64_t next_ms;
    struct hook_item *item; /* released once stored; NULL for OUTCOME_RETRY */
};

struct read_job;

struct hook_account {
    struct hook_account *bucket;
    uint64_t account;
    int64_t seen;    /* rows up to here have been read */
    bool is_anew;    /* the next read begins at the first row */
    bool is_in_line; /* to be read */
    struct hook_account *next_in_line;
};

struct drain_wait {
    struct drain_wait *next;
    void (*fn)(void *ctx);
    void *ctx;
};

struct hooks_pump {
    struct hooks_pump_opt opt;
    struct http_client *client;
    struct loop_timer turn;  /* soon */
    struct loop_timer alarm; /* when something becomes due */
    unsigned refs;           /* handles, jobs and look-ups that still point here */
    bool is_closing;
    bool is_in_turn;
    bool is_awake;  /* a turn is asked for */
    bool is_paused; /* the store refused something: wait for the alarm */

    /* events in memory */
    struct hook_item **index;
    uint32_t n_items;
    size_t bytes_held;

    /* targets */
    struct hook_target *targets[TARGET_BUCKETS];
    struct hook_target *all_targets;
    struct hook_target *runnable, *last_runnable;
    uint32_t n_targets, n_failing;
    uint32_t n_in_flight;
    uint32_t n_resolving;
    int64_t next_due_ms; /* nothing waits for an earlier platform time */
    bool has_left_out;   /* rows were dropped because there are too many targets */

    /* discovery: `dirty` is shared with the store's writer thread, under the lock */
    pthread_mutex_t lock;
    uint64_t dirty[DIRTY_MAX];
    uint32_t n_dirty;
    uint32_t n_decided;  /* of them, when the beacon ran */
    bool is_all_dirty;   /* more accounts than there is room to note */
    bool is_all_decided; /* the same when the beacon ran */
    bool is_beacon_out;  /* the beacon is in the store's line */
    struct store_job beacon;
    struct hook_account **accounts;
    uint32_t n_accounts;
    struct hook_account *in_line, *last_in_line;
    struct read_job *reading, *planned;
    bool is_recall_due;  /* a target could not ask: look again after this read */
    uint64_t scan_after; /* accounts up to here have been listed */
    uint32_t scan_round; /* counts beginnings of listing */
    bool is_scanning;    /* accounts are still being listed */

    /* outcomes */
    struct hook_outcome *outcomes, *last_outcome;
    uint32_t n_batches; /* with the store */
    uint32_t n_replays;
    int64_t next_sweep_ms;
    bool is_sweeping;

    struct drain_wait *drains;
    struct hooks_stats stats;
};

/* ---- pump.c ---- */
/* Something changed: have a turn soon. */
void pump_wake(struct hooks_pump *pump);
/* Nothing waits for an earlier time than this any more. */
void pump_due_at(struct hooks_pump *pump, int64_t at_ms);
void pump_unref(struct hooks_pump *pump);
int64_t pump_now(const struct hooks_pump *pump);

/* ---- target.c ---- */
/* Take a row that was read: hold it, or leave it in the store. A row that is held already goes. */
void target_accept(struct hooks_pump *pump, struct hook_item *item, bool is_recalled);
/* Next event to send or NULL; it counts as in flight then. */
struct hook_item *target_next(struct hook_target *target, int64_t now_ms);
void target_succeeded(struct hook_target *target, struct hook_item *item);
/* Back to the waiting list with its new next_ms. */
void target_retry(struct hook_target *target, struct hook_item *item);
/* Out of flight for good; the item stays in the index until its outcome is stored. */
void target_gave_up(struct hook_target *target, struct hook_item *item);
/* Count a failed call: perhaps the target goes on back-off. */
void target_failed(struct hook_target *target);
bool target_can_send(const struct hook_target *target, int64_t now_ms);
void target_line_up(struct hook_target *target);
struct hook_target *targets_take_runnable(struct hooks_pump *pump);
/* What has become due, what should be read on. */
void target_look(struct hook_target *target, int64_t now_ms);
/* A page of rows left in the store has been read (and not accepted yet). last_seq: of the page;
 * has_more: the page was full; else due_ms: when the next of them is due, NEVER for none. */
void target_recalled(struct hook_target *target, uint64_t account, int64_t last_seq, bool has_more,
                     int64_t due_ms);
/* Look at all targets: what has become due, what should be read again; sets next_due_ms. */
void targets_look(struct hooks_pump *pump, int64_t now_ms);
/* End every back-off: somebody says that receivers are well again. */
void targets_try_now(struct hooks_pump *pump);
void targets_free(struct hooks_pump *pump);

/* ---- held.c ---- */
bool item_is_held(struct hooks_pump *pump, uint64_t account, int64_t seq);
void item_hold(struct hooks_pump *pump, struct hook_item *item);
/* Out of the index and released. */
void item_forget(struct hooks_pump *pump, struct hook_item *item);
void items_free(struct hooks_pump *pump); /* all of them, and the index */
void items_push_back(struct item_list *list, struct hook_item *item);
struct hook_item *items_pop_front(struct item_list *list);
void items_insert_by_time(struct item_list *list, struct hook_item *item);

/* ---- attempt.c ---- */
/* Send what the target has next, or begin to look up its address. */
void attempt_send(struct hook_target *target, int64_t now_ms);

/* ---- beacon.c ---- */
void beacon_init(struct hooks_pump *pump);
/* Submit the beacon unless it is out or nothing was noted. From either thread. */
void beacon_send(struct hooks_pump *pump);
bool beacon_is_idle(struct hooks_pump *pump);
void beacon_close(struct hooks_pump *pump); /* a beacon that is out keeps the pump's memory */

/* ---- discover.c ---- */
NODISCARD enum rc discover_init(struct hooks_pump *pump, struct err *err);
void discover_free(struct hooks_pump *pump);
/* Read an account's new rows, soon. */
void discover_account(struct hooks_pump *pump, uint64_t account);
/* Read an account again from its first row. */
void discover_again(struct hooks_pump *pump, uint64_t account);
void discover_all_again(struct hooks_pump *pump);
/* A read of rows that a target left in the store. */
void discover_recall(struct hook_target *target, struct hook_overflow *overflow, uint32_t limit);
/* Start the next read if none is under way. */
void discover_next(struct hooks_pump *pump);
bool discover_is_idle(struct hooks_pump *pump);

/* ---- outcome.c ---- */
void outcome_add(struct hooks_pump *pump, enum outcome_kind kind, struct hook_item *item);
void outcomes_store(struct hooks_pump *pump, bool even_if_busy);
void outcomes_free(struct hooks_pump *pump);
bool outcomes_are_idle(const struct hooks_pump *pump);
void sweep_if_due(struct hooks_pump *pump, int64_t now_ms);

#endif

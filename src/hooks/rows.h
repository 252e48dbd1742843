/* rows.h - the store's side of webhooks: statements, and rows as they are read. Internal.
 *
 * hook_seq numbers an account's events in the order of their commits; hook_account lists the
 * accounts that ever had one, for the scan at start; hook holds the events. Thread rule: inside
 * transactions. */
#ifndef PARLEY_HOOKS_ROWS_H
#define PARLEY_HOOKS_ROWS_H

#include "hooks/hooks.h"

enum hooks_sql {
    SQL_SEQ_NEXT,     /* account -> seq */
    SQL_ACCOUNT_ADD,  /* account */
    SQL_ACCOUNT_PAGE, /* after account, limit -> account */
    SQL_ADD,          /* a whole row */
    SQL_PAGE,         /* account, from seq, limit -> rows */
    SQL_PAGE_DUE,     /* account, from seq, limit, url, now -> rows */
    SQL_NEXT_DUE,     /* account, from seq, url, now -> the earliest time after now */
    SQL_TAKEN,        /* account, seq */
    SQL_RETRY,        /* account, seq, tries, next_ms */
    SQL_PARK,         /* account, seq, tries */
    SQL_REPLAY,       /* account, now */
    SQL_FORGET,       /* account, created before */
    SQL_PARK_OLD,     /* account, profile, since before (tried), since before (never tried) */
    SQL_N
};

/* One event as the pump holds it: one allocation, url and sealed body behind the struct. */
struct hook_item {
    struct hook_item *next;   /* in the list that holds it */
    struct hook_item *bucket; /* in the index */
    struct hook_target *target;
    uint64_t account;
    int64_t seq;
    uint8_t event_id[16];
    uint64_t app;
    enum hooks_profile profile;
    uint32_t tries;
    int64_t next_ms;  /* not before */
    int64_t since_ms; /* its window began */
    const char *url;
    struct bytes sealed;
};

/* Read the row under the cursor of SQL_PAGE or SQL_PAGE_DUE. NULL: out of memory. */
struct hook_item *hook_item_read(const struct store_rows *rows, uint64_t account);
void hook_item_free(struct hook_item *item);
/* Append the body in clear to *out. RC_NOTFOUND: its key was destroyed. */
NODISCARD enum rc hook_item_open(const struct hook_item *item, struct keyring *ring,
                                 struct buf *out, struct err *err);
/* The row that hooks_enqueue writes. */
NODISCARD enum rc hook_row_add(struct store_tx *tx, struct keyring *ring, struct rng rng,
                               const struct hooks_event *event, uint8_t event_id[16],
                               struct err *err);

#endif

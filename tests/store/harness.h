/* harness.h - what the store's tests share: a part with one table, a folder to throw away, and jobs
 * that put, fetch and count rows and remember their answers. */
#ifndef PARLEY_TESTS_STORE_HARNESS_H
#define PARLEY_TESTS_STORE_HARNESS_H

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
/* after those four */
#include <cmocka.h>

#include "store/backend.h"
#include "store/store.h"

enum {
    ITEM_PUT,      /* shard, id, body */
    ITEM_PUT_ONCE, /* the same, nothing if it is there */
    ITEM_BODY,     /* shard, id → body */
    ITEM_COUNT,    /* shard → count */
    ITEM_LIST,     /* shard → id, body in order */
    ITEM_DROP,     /* shard, id */
    ITEM_TAKE,     /* shard → id of the first, removed */
    ITEM_WRONG,    /* does not parse */
    ITEM_STATEMENTS
};
extern const struct store_part item_part;
extern const struct store_part *const item_parts[1];

/* A new folder under $TMPDIR (or /tmp); *path is a file name in it, not made yet. */
struct scratch {
    char dir[200], path[220];
};
void scratch_init(struct scratch *scratch);
void scratch_wipe(struct scratch *scratch);

struct store *item_store(const char *path);

/* A job that adds one row; done() counts itself in `tally` when given. */
struct put {
    struct store_job job;
    int64_t shard, id;
    enum rc answer_instead; /* RC_OK: none; otherwise returned after the row was put */
    unsigned runs;
    atomic_bool is_done;
    enum rc got;
    unsigned done_at; /* place in the order of done() calls of this tally */
    struct tally *tally;
};
struct tally {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    unsigned n, n_ok;
};
void tally_init(struct tally *tally);
/* Wait until n jobs have answered; fails the test after ten seconds. */
void tally_wait(struct tally *tally, unsigned n);
void tally_count(struct tally *tally);
void put_init(struct put *put, struct tally *tally, int64_t shard, int64_t id);

/* A job that holds the writer until told, so that what is submitted meanwhile is one batch. */
struct gate {
    struct store_job job; /* first */
    sem_t opened, entered;
};

void gate_shut(struct gate *gate, struct store *store);

/* Through store_do. */
enum rc put_now(struct store *store, int64_t shard, int64_t id);
int64_t count_now(struct store *store, int64_t shard);
bool has_now(struct store *store, int64_t shard, int64_t id);

#endif

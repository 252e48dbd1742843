/* harness.c - see harness.h. */
#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const migrations[] = {
    "CREATE TABLE item (shard BIGINT NOT NULL, id BIGINT NOT NULL, body BLOB,"
    " PRIMARY KEY (shard, id));",
};
static const char *const statements[ITEM_STATEMENTS] = {
    [ITEM_PUT] = "INSERT INTO item (shard, id, body) VALUES (?1, ?2, ?3)",
    [ITEM_PUT_ONCE] = "INSERT INTO item (shard, id, body) VALUES (?1, ?2, ?3)"
                      " ON CONFLICT DO NOTHING",
    [ITEM_BODY] = "SELECT body FROM item WHERE shard = ?1 AND id = ?2",
    [ITEM_COUNT] = "SELECT COUNT(*) FROM item WHERE shard = ?1",
    [ITEM_LIST] = "SELECT id, body FROM item WHERE shard = ?1 ORDER BY id",
    [ITEM_DROP] = "DELETE FROM item WHERE shard = ?1 AND id = ?2",
    [ITEM_TAKE] = "DELETE FROM item WHERE shard = ?1 AND id ="
                  " (SELECT MIN(id) FROM item WHERE shard = ?1) RETURNING id",
    [ITEM_WRONG] = "SELECT nothing FROM nowhere WHERE shard = ?1",
};
const struct store_part item_part = {
    .name = "test.item",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ITEM_STATEMENTS,
};
const struct store_part *const item_parts[1] = {&item_part};

void
scratch_init(struct scratch *scratch)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(scratch->dir, sizeof(scratch->dir), "%s/parley-store-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(scratch->dir));
    snprintf(scratch->path, sizeof(scratch->path), "%s/db", scratch->dir);
}

void
scratch_wipe(struct scratch *scratch)
{
    DIR *dir = opendir(scratch->dir);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(scratch->dir);
}

struct store *
item_store(const char *path)
{
    struct store_opt opt = {.path = path, .parts = item_parts, .n_parts = 1};
    struct err err = {.rc = RC_OK};
    struct store *store;

    if (store_open(&store, &opt, &err) != RC_OK)
        fail_msg("open: %s", err.text);
    return store;
}

void
tally_init(struct tally *tally)
{
    *tally = (struct tally){.n = 0};
    pthread_mutex_init(&tally->lock, NULL);
    pthread_cond_init(&tally->cond, NULL);
}

void
tally_wait(struct tally *tally, unsigned n)
{
    struct timespec until;
    int failed = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&tally->lock);
    while (tally->n < n && failed == 0)
        failed = pthread_cond_timedwait(&tally->cond, &tally->lock, &until);
    pthread_mutex_unlock(&tally->lock);
    assert_int_equal(failed, 0);
}

void
tally_count(struct tally *tally)
{
    pthread_mutex_lock(&tally->lock);
    tally->n++;
    pthread_cond_broadcast(&tally->cond);
    pthread_mutex_unlock(&tally->lock);
}

static enum rc
put_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct put *put = (struct put *)job;
    enum rc rc;

    put->runs++;
    rc = store_run(tx, &item_part, ITEM_PUT, NULL, err,
                   ST_ARGS(ST_I(put->shard), ST_I(put->id), ST_B(bytes_of("body", 4))));
    return rc == RC_OK ? put->answer_instead : rc;
}

static void
put_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct put *put = (struct put *)job;
    struct tally *tally = put->tally;

    put->got = rc;
    if (tally == NULL) {
        put->is_done = true;
        return;
    }
    pthread_mutex_lock(&tally->lock);
    put->done_at = tally->n++;
    tally->n_ok += rc == RC_OK;
    put->is_done = true;
    pthread_cond_broadcast(&tally->cond);
    pthread_mutex_unlock(&tally->lock);
}

void
put_init(struct put *put, struct tally *tally, int64_t shard, int64_t id)
{
    *put = (struct put){
        .job = {.run = put_run, .done = put_done},
        .shard = shard,
        .id = id,
        .got = RC_COUNT,
        .tally = tally
    };
}

static enum rc
gate_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct gate *gate = (struct gate *)job;

    sem_post(&gate->entered);
    sem_wait(&gate->opened);
    return RC_OK;
}

static void
gate_done(struct store_job *job, enum rc rc, const struct err *err)
{
}

void
gate_shut(struct gate *gate, struct store *store)
{
    *gate = (struct gate){
        .job = {.run = gate_run, .done = gate_done}
    };
    sem_init(&gate->opened, 0, 0);
    sem_init(&gate->entered, 0, 0);
    store_submit(store, &gate->job);
    sem_wait(&gate->entered);
}

struct ask {
    int64_t shard, id, n;
};

static enum rc
ask_put(void *ctx, struct store_tx *tx, struct err *err)
{
    struct ask *ask = ctx;

    return store_run(tx, &item_part, ITEM_PUT, NULL, err,
                     ST_ARGS(ST_I(ask->shard), ST_I(ask->id), ST_NULL));
}

static enum rc
ask_count(void *ctx, struct store_tx *tx, struct err *err)
{
    struct ask *ask = ctx;
    struct store_rows rows;

    store_query(&rows, tx, &item_part, ITEM_COUNT, ST_ARGS(ST_I(ask->shard)));
    if (rows.has_row)
        ask->n = store_col_int(&rows, 0);
    store_rows_end(&rows);
    return rows.rc;
}

static enum rc
ask_has(void *ctx, struct store_tx *tx, struct err *err)
{
    struct ask *ask = ctx;
    struct store_rows rows;

    store_query(&rows, tx, &item_part, ITEM_BODY, ST_ARGS(ST_I(ask->shard), ST_I(ask->id)));
    ask->n = rows.has_row;
    store_rows_end(&rows);
    return rows.rc;
}

enum rc
put_now(struct store *store, int64_t shard, int64_t id)
{
    return store_do(store, ask_put, &(struct ask){.shard = shard, .id = id}, NULL);
}

int64_t
count_now(struct store *store, int64_t shard)
{
    struct ask ask = {.shard = shard};

    assert_int_equal(store_do(store, ask_count, &ask, NULL), RC_OK);
    return ask.n;
}

bool
has_now(struct store *store, int64_t shard, int64_t id)
{
    struct ask ask = {.shard = shard, .id = id};

    assert_int_equal(store_do(store, ask_has, &ask, NULL), RC_OK);
    return ask.n != 0;
}

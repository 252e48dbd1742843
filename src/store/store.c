/* store.c - a store's life: open, the doors for jobs, the word when the disk has failed, close.
 *
 * Owns the memory of a store and its threads' beginning and end. The work is elsewhere: writer.c
 * gathers and commits, reader.c reads, tx.c is what a job sees, migrate.c makes the tables, and a
 * back end (backend.h) does what an engine does. Never knows an engine's types. Source:
 * docs/protocol/store.md. */
#include "store/internal.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void
deliver(struct loop_post *post)
{
    struct store_job *job =
        (struct store_job *)(void *)((char *)post - offsetof(struct store_job, post));

    job->done(job, job->rc, &job->err);
}

void
job_finish(struct store_job *job, enum rc rc, const struct err *err)
{
    job->rc = rc;
    if (err != NULL)
        job->err = *err;
    job->post = (struct loop_post){.fn = deliver};
    if (job->loop != NULL)
        loop_post(job->loop, &job->post);
    else
        deliver(&job->post);
}

void
store_fail(struct store *store, const struct err *err)
{
    bool is_first;

    pthread_mutex_lock(&store->lock);
    is_first = store->fatal.rc == RC_OK;
    if (is_first)
        store->fatal = *err;
    pthread_mutex_unlock(&store->lock);
    if (!is_first)
        return;
    log_event(store->opt.log, LOG_ERROR, "store.failed", LOG_RC(err));
    if (store->opt.on_fatal == NULL)
        abort();
    store->opt.on_fatal(store->opt.ctx, err);
}

bool
store_has_failed(struct store *store, struct err *why)
{
    bool has_failed;

    pthread_mutex_lock(&store->lock);
    has_failed = store->fatal.rc != RC_OK;
    if (has_failed)
        *why = store->fatal;
    pthread_mutex_unlock(&store->lock);
    return has_failed;
}

/* ---- opening ---- */

/* Could the statement change anything? A text that starts with WITH may be either; then any of the
 * three verbs makes it a writer. */
static bool
cannot_write(const char *sql)
{
    while (isspace((unsigned char)*sql))
        sql++;
    if (strncasecmp(sql, "WITH", 4) == 0)
        return strcasestr(sql, "INSERT ") == NULL && strcasestr(sql, "UPDATE ") == NULL &&
               strcasestr(sql, "DELETE ") == NULL;
    return strncasecmp(sql, "SELECT", 6) == 0;
}

/* Lay the parts' statements behind the store's own in one flat list. */
static enum rc
list_statements(struct store *store, struct err *err)
{
    const struct store_opt *opt = &store->opt;
    size_t n = SQL_OWN_COUNT;

    for (size_t i = 0; i < opt->n_parts; i++)
        n += opt->parts[i]->n_statements;
    store->sql = calloc(n, sizeof(*store->sql));
    store->is_select = calloc(n, sizeof(*store->is_select));
    store->first_stmt = calloc(opt->n_parts + 1, sizeof(*store->first_stmt));
    if (store->sql == NULL || store->is_select == NULL || store->first_stmt == NULL)
        return err_set(err, RC_NOMEM, "store.open", "%zu statements", n);
    for (size_t i = 0; i < SQL_OWN_COUNT; i++)
        store->sql[store->n_sql++] = store_own_sql[i];
    for (size_t i = 0; i < opt->n_parts; i++) {
        store->first_stmt[i] = store->n_sql;
        for (size_t k = 0; k < opt->parts[i]->n_statements; k++)
            store->sql[store->n_sql++] = opt->parts[i]->statements[k];
    }
    for (size_t i = 0; i < n; i++)
        store->is_select[i] = cannot_write(store->sql[i]);
    return RC_OK;
}

static enum rc
connect_tx(struct store *store, struct store_tx *tx, bool is_reader, void *ctx, struct err *err)
{
    struct backend_opt opt = {.path = store->path,
                              .sql = store->sql,
                              .n_sql = store->n_sql,
                              .is_reader = is_reader,
                              .ctx = ctx};

    tx->store = store;
    tx->cursors = calloc(store->n_sql, sizeof(*tx->cursors));
    if (tx->cursors == NULL)
        return err_set(err, RC_NOMEM, "store.open", "%zu cursors", store->n_sql);
    for (size_t i = 0; i < store->n_sql; i++)
        tx->cursors[i] = (struct store_cursor){.tx = tx, .stmt = i};
    return store->ops->open(&tx->conn, &opt, err);
}

static void
disconnect_tx(struct store_tx *tx, bool is_clean)
{
    if (tx->conn != NULL)
        tx->store->ops->close(tx->conn, is_clean);
    tx->conn = NULL;
    free(tx->cursors);
}

static enum rc
start(struct store *store, void *ctx, struct err *err)
{
    enum rc rc;

    if ((rc = list_statements(store, err)) != RC_OK)
        return rc;
    if ((rc = connect_tx(store, &store->writer, false, ctx, err)) != RC_OK)
        return rc;
    if ((rc = store_migrate(store, err)) != RC_OK)
        return rc;
    if (!store->ops->is_private(store->writer.conn)) {
        if ((rc = connect_tx(store, &store->reader, true, ctx, err)) != RC_OK)
            return rc;
        if ((rc = line_start(&store->reads, reader_main, store, "store-read", err)) != RC_OK)
            return rc;
    }
    return line_start(&store->writes, writer_main, store, "store-write", err);
}

enum rc
store_open_with(struct store **out, const struct store_opt *opt, const struct backend_ops *ops,
                void *ctx, struct err *err)
{
    struct store *store;
    enum rc rc;

    *out = NULL;
    if ((store = calloc(1, sizeof(*store))) == NULL)
        return err_set(err, RC_NOMEM, "store.open", "no memory");
    store->ops = ops;
    store->opt = *opt;
    store->has_room = true;
    if (store->opt.log == NULL)
        store->opt.log = log_none();
    if (opt->batch_max == 0 || opt->batch_max > STORE_BATCH_MAX)
        store->opt.batch_max = STORE_BATCH_MAX;
    if (opt->commit_delay_us == 0)
        store->opt.commit_delay_us = STORE_COMMIT_DELAY_US;
    pthread_mutex_init(&store->lock, NULL);
    if ((store->path = strdup(opt->path)) == NULL)
        rc = err_set(err, RC_NOMEM, "store.open", "no memory");
    else
        rc = start(store, ctx, err);
    if (rc != RC_OK)
        store_free(&store);
    *out = store;
    return rc;
}

enum rc
store_open(struct store **out, const struct store_opt *opt, struct err *err)
{
    static const struct backend_ops *const backends[] = {[STORE_SQLITE] = &backend_sqlite};

    assert((size_t)opt->backend < ARRAY_LEN(backends));
    return store_open_with(out, opt, backends[opt->backend], NULL, err);
}

void
store_free(struct store **store_ptr)
{
    struct store *store = *store_ptr;
    bool is_clean;

    if (store == NULL)
        return;
    pthread_mutex_lock(&store->lock);
    store->is_closing = true;
    pthread_mutex_unlock(&store->lock);
    line_stop(&store->reads);
    line_stop(&store->writes);
    is_clean = store->fatal.rc == RC_OK;
    disconnect_tx(&store->reader, is_clean);
    disconnect_tx(&store->writer, is_clean);
    pthread_mutex_destroy(&store->lock);
    free(store->first_stmt);
    free(store->is_select);
    free(store->sql);
    free(store->path);
    free(store);
    *store_ptr = NULL;
}

/* ---- the doors ---- */

static void
submit(struct store *store, struct job_line *line, struct store_job *job)
{
    bool is_closing;

    pthread_mutex_lock(&store->lock);
    is_closing = store->is_closing;
    if (!is_closing)
        line_push(line, job);
    pthread_mutex_unlock(&store->lock);
    if (is_closing)
        job_finish(job, RC_CLOSED,
                   &(struct err){.rc = RC_CLOSED, .site = "store", .text = "the store is closing"});
}

void
store_submit(struct store *store, struct store_job *job)
{
    job->is_read = false;
    submit(store, &store->writes, job);
}

void
store_read(struct store *store, struct store_job *job)
{
    job->is_read = true;
    submit(store, store->reader.conn == NULL ? &store->writes : &store->reads, job);
}

/* A job that somebody stands and waits for. */
struct awaited {
    struct store_job job; /* first: the job's address is ours */
    enum rc (*run)(void *ctx, struct store_tx *tx, struct err *err);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done;
};

static enum rc
awaited_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct awaited *awaited = (struct awaited *)job;

    return awaited->run(awaited->ctx, tx, err);
}

static void
awaited_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct awaited *awaited = (struct awaited *)job;

    pthread_mutex_lock(&awaited->lock);
    awaited->is_done = true;
    pthread_cond_signal(&awaited->cond);
    pthread_mutex_unlock(&awaited->lock);
}

enum rc
store_do(struct store *store, enum rc (*run)(void *ctx, struct store_tx *tx, struct err *err),
         void *ctx, struct err *err)
{
    struct awaited awaited = {
        .job = {.run = awaited_run, .done = awaited_done},
          .run = run, .ctx = ctx
    };

    assert(!pthread_equal(pthread_self(), store->writes.thread) && "store_do inside a job");
    pthread_mutex_init(&awaited.lock, NULL);
    pthread_cond_init(&awaited.cond, NULL);
    store_submit(store, &awaited.job);
    pthread_mutex_lock(&awaited.lock);
    while (!awaited.is_done)
        pthread_cond_wait(&awaited.cond, &awaited.lock);
    pthread_mutex_unlock(&awaited.lock);
    pthread_cond_destroy(&awaited.cond);
    pthread_mutex_destroy(&awaited.lock);
    if (awaited.job.rc != RC_OK && err != NULL)
        *err = awaited.job.err;
    return awaited.job.rc;
}

void
store_stats(const struct store *store, struct store_stats *out)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&store->lock; /* looking changes nothing we tell */
    const struct store_job *oldest;

    pthread_mutex_lock(lock);
    *out = store->stats;
    out->waiting = store->writes.queue.n + store->reads.queue.n;
    oldest = store->writes.queue.first;
    out->oldest_wait_us = oldest == NULL ? 0 : store_now_us() - oldest->submitted_us;
    pthread_mutex_unlock(lock);
}

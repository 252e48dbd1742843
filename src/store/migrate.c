/* migrate.c - bring each part's tables up to what the program expects, once, in order, all or
 * nothing.
 *
 * Owns the table store_migration: which of a part's scripts have been applied. All that is missing
 * runs in one transaction, so a kill in the middle leaves the old schema, and two processes that
 * start on one file at the same time do it once. A file made by a newer program is refused, not
 * guessed at. Source: docs/protocol/store.md, "Giving a module its tables". */
#include "store/internal.h"

/* No shard column: it describes the schema itself, and a sharded engine keeps it on every node. */
static const char own_schema[] = "CREATE TABLE IF NOT EXISTS store_migration ("
                                 " part TEXT NOT NULL,"
                                 " n INTEGER NOT NULL,"
                                 " PRIMARY KEY (part, n))";

const char *const store_own_sql[SQL_OWN_COUNT] = {
    [SQL_MIGRATION_LAST] = "SELECT MAX(n) FROM store_migration WHERE part = ?1",
    [SQL_MIGRATION_ADD] = "INSERT INTO store_migration (part, n) VALUES (?1, ?2)",
};

static enum rc
count_applied(struct store *store, const struct store_part *part, size_t *applied, struct err *err)
{
    const struct backend_ops *ops = store->ops;
    void *conn = store->writer.conn;
    bool has_row;
    enum rc rc;

    *applied = 0;
    rc = ops->query(conn, SQL_MIGRATION_LAST, ST_ARGS(ST_T(part->name)), &has_row, err);
    if (rc != RC_OK)
        return rc;
    if (!has_row)
        return RC_OK;
    *applied = (size_t)ops->col_int(conn, SQL_MIGRATION_LAST, 0);
    ops->end(conn, SQL_MIGRATION_LAST);
    return RC_OK;
}

static enum rc
migrate_part(struct store *store, const struct store_part *part, struct err *err)
{
    size_t applied;
    enum rc rc;

    if ((rc = count_applied(store, part, &applied, err)) != RC_OK)
        return rc;
    if (applied > part->n_migrations)
        return err_set(err, RC_STALE, "store.migrate",
                       "%s has schema %zu, this program knows %zu: a newer version made it",
                       part->name, applied, part->n_migrations);
    for (size_t i = applied; i < part->n_migrations; i++) {
        rc = store->ops->script(store->writer.conn, part->migrations[i], err);
        if (rc != RC_OK)
            return rc;
        rc = store->ops->run(store->writer.conn, SQL_MIGRATION_ADD,
                             ST_ARGS(ST_T(part->name), ST_I(i + 1)), NULL, err);
        if (rc != RC_OK)
            return rc;
        log_event(store->opt.log, LOG_INFO, "store.migrated", LOG_STR("part", part->name),
                  LOG_UINT("n", i + 1));
    }
    return RC_OK;
}

enum rc
store_migrate(struct store *store, struct err *err)
{
    void *conn = store->writer.conn;
    enum rc rc;

    if ((rc = store->ops->begin(conn, true, err)) != RC_OK)
        return rc;
    rc = store->ops->script(conn, own_schema, err);
    for (size_t i = 0; i < store->opt.n_parts && rc == RC_OK; i++)
        rc = migrate_part(store, store->opt.parts[i], err);
    if (rc == RC_OK)
        return store->ops->commit(conn, err);
    (void)store->ops->rollback(conn, NULL); /* the first failure is the one to tell */
    return rc;
}

/* rawdb.c - see rawdb.h. */
#include "rawdb.h"

#include <sqlite3.h>
#include <stdlib.h>

struct rawdb {
    sqlite3 *db;
    sqlite3_stmt *insert;
    int64_t next_id;
};

static enum rc
check(struct rawdb *db, int code, int want, struct err *err)
{
    return code == want ? RC_OK : err_set(err, RC_IO, "bench.rawdb", "%s", sqlite3_errmsg(db->db));
}

static enum rc
run_sql(struct rawdb *db, const char *sql, struct err *err)
{
    return check(db, sqlite3_exec(db->db, sql, NULL, NULL, NULL), SQLITE_OK, err);
}

enum rc
rawdb_open(struct rawdb **out, const char *path, struct err *err)
{
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
        "CREATE TABLE item (shard BIGINT NOT NULL, id BIGINT NOT NULL, body BLOB,"
        " PRIMARY KEY (shard, id))";
    static const char insert[] = "INSERT INTO item (shard, id, body) VALUES (1, ?1, ?2)";
    struct rawdb *db = calloc(1, sizeof(*db));
    enum rc rc;

    *out = NULL;
    if (db == NULL)
        return err_set(err, RC_NOMEM, "bench.rawdb", "no memory");
    rc = check(db, sqlite3_open(path, &db->db), SQLITE_OK, err);
    if (rc == RC_OK)
        rc = run_sql(db, schema, err);
    if (rc == RC_OK)
        rc = check(db, sqlite3_prepare_v2(db->db, insert, -1, &db->insert, NULL), SQLITE_OK, err);
    if (rc == RC_OK)
        *out = db;
    else
        rawdb_free(&db);
    return rc;
}

void
rawdb_free(struct rawdb **db)
{
    if (*db == NULL)
        return;
    sqlite3_finalize((*db)->insert);
    sqlite3_close((*db)->db);
    free(*db);
    *db = NULL;
}

static enum rc
insert_rows(struct rawdb *db, unsigned n, struct err *err)
{
    static const uint8_t body[RAWDB_ROW_BYTES];
    enum rc rc = run_sql(db, "BEGIN IMMEDIATE", err);

    for (unsigned i = 0; rc == RC_OK && i < n; i++) {
        sqlite3_bind_int64(db->insert, 1, db->next_id++);
        sqlite3_bind_blob(db->insert, 2, body, sizeof(body), SQLITE_STATIC);
        rc = check(db, sqlite3_step(db->insert), SQLITE_DONE, err);
        sqlite3_reset(db->insert);
    }
    return rc == RC_OK ? run_sql(db, "COMMIT", err) : rc;
}

enum rc
rawdb_run(struct rawdb *db, struct rawdb_figures *out, double seconds, struct err *err)
{
    int64_t start_us = now_us(), until_us = start_us + (int64_t)(seconds * 1e6);
    int64_t first_id = db->next_id;
    double cpu = own_cpu_s(), n;
    enum rc rc = RC_OK;

    while (rc == RC_OK && now_us() < until_us)
        rc = insert_rows(db, RAWDB_ROWS_PER_COMMIT, err);
    n = (double)(db->next_id - first_id);
    out->rows_per_s = n * 1e6 / (double)(now_us() - start_us);
    out->cpu_us_per_row = (own_cpu_s() - cpu) * 1e6 / n;
    return rc;
}

enum rc
rawdb_commit_each(struct rawdb *db, struct waits *out, unsigned times, struct err *err)
{
    enum rc rc = RC_OK;

    for (unsigned i = 0; rc == RC_OK && i < times; i++) {
        int64_t start_us = now_us();

        rc = insert_rows(db, 1, err);
        waits_add(out, now_us() - start_us);
    }
    return rc;
}

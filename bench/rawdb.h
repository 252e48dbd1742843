/* rawdb.h - the reference for everything durable: SQLite alone, 100 rows a commit, on the same
 * disk.
 *
 * The same settings as our store (WAL, synchronous FULL, secure_delete), one prepared insert of one
 * row of 300 bytes, nothing else. Thread rule: one thread. */
#ifndef PARLEY_BENCH_RAWDB_H
#define PARLEY_BENCH_RAWDB_H

#include <stdint.h>

#include "base/err.h"
#include "measure.h"

#define RAWDB_ROW_BYTES 300u
#define RAWDB_ROWS_PER_COMMIT 100u

struct rawdb;

/* A fresh file at path. */
NODISCARD enum rc rawdb_open(struct rawdb **out, const char *path, struct err *err);
void rawdb_free(struct rawdb **db);

struct rawdb_figures {
    double rows_per_s, cpu_us_per_row;
};
/* Insert for so long. */
NODISCARD enum rc rawdb_run(struct rawdb *db, struct rawdb_figures *out, double seconds,
                            struct err *err);
/* One row a commit, so many times: how long each takes, the least that anything durable waits. */
NODISCARD enum rc rawdb_commit_each(struct rawdb *db, struct waits *out, unsigned times,
                                    struct err *err);

#endif

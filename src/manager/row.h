/* row.h - copying columns into fixed fields. Internal to src/manager. */
#ifndef PARLEY_MANAGER_ROW_H
#define PARLEY_MANAGER_ROW_H

#include "store/store.h"

/* The column's text into out (size bytes, always ended with NUL); NULL reads as "". */
void row_text(char *out, size_t size, const struct store_rows *rows, int col);

/* After a query that must give a row: RC_OK, RC_NOTFOUND, or the store's own failure. */
NODISCARD enum rc row_end(struct store_rows *rows, bool found, const char *what, struct err *err);

#endif

/* row.c - copying columns into fixed fields; see row.h. */
#include "manager/row.h"

void
row_text(char *out, size_t size, const struct store_rows *rows, int col)
{
    struct bytes text = store_col_bytes(rows, col);
    size_t len = text.len < size ? text.len : size - 1;

    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

enum rc
row_end(struct store_rows *rows, bool found, const char *what, struct err *err)
{
    enum rc rc = rows->rc;

    store_rows_end(rows);
    if (rc != RC_OK)
        return err_set(err, rc, "manager.row", "reading the %s failed", what);
    return found ? RC_OK : err_set(err, RC_NOTFOUND, "manager.row", "no such %s", what);
}

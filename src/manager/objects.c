/* objects.c - what all kinds of objects share: ids and their homes, names, randomness. */
#include "manager/objects.h"

#include "crypto/prim.h"
#include "manager/row.h"
#include "manager/sql.h"

#define ID_TRIES 16u /* 10^13 ids a kind: the second try is already rare */

struct rng
work_rng(const struct work *w, uint64_t *state, const char *what, const char *name, uint64_t parent)
{
    uint8_t digest[SHA256_SIZE];
    struct buf text;

    if (w->dir->seed == NULL)
        return w->dir->rng;
    buf_init(&text, 4096);
    buf_put_str(&text, "parley seed");
    buf_put_char(&text, '\0');
    buf_put_str(&text, w->dir->seed);
    buf_put_char(&text, '\0');
    buf_put_str(&text, what);
    buf_put_char(&text, '\0');
    buf_put_str(&text, name);
    buf_put_char(&text, '\0');
    buf_put_u64be(&text, parent);
    sha256(digest, buf_bytes(&text));
    buf_free(&text);
    memcpy(state, digest, sizeof(*state));
    return rng_seeded(state);
}

enum rc
home_find(uint64_t *business, struct work *w, uint64_t id, struct err *err)
{
    struct store_rows rows;
    bool found;

    store_query(&rows, w->tx, &manager_part, SQL_HOME_GET, ST_ARGS(ST_I(id)));
    found = rows.has_row;
    *business = found ? (uint64_t)store_col_int(&rows, 0) : 0;
    return row_end(&rows, found, object_kind_name(object_id_kind(id)), err);
}

enum rc
home_add(uint64_t *id, struct work *w, enum object_kind kind, uint64_t business, struct rng rng,
         struct err *err)
{
    for (unsigned i = 0; i < ID_TRIES; i++) {
        uint64_t taken_by, candidate = object_id_make(kind, rng);
        enum rc rc = home_find(&taken_by, w, candidate, err);

        if (rc == RC_OK)
            continue;
        if (rc != RC_NOTFOUND)
            return rc;
        *id = candidate;
        return store_run(w->tx, &manager_part, SQL_HOME_ADD, NULL, err,
                         ST_ARGS(ST_I(candidate), ST_I(business == 0 ? candidate : business)));
    }
    *id = 0;
    return err_set(err, RC_EXISTS, "manager.id", "no free id found");
}

enum rc
ceiling_check(struct work *w, unsigned stmt, uint64_t business, unsigned max, const char *what,
              struct err *err)
{
    struct store_rows rows;
    int64_t n = 0;
    enum rc rc;

    store_query(&rows, w->tx, &manager_part, stmt, ST_ARGS(ST_I(business)));
    if (rows.has_row)
        n = store_col_int(&rows, 0);
    if ((rc = row_end(&rows, true, what, err)) != RC_OK)
        return rc;
    return n < (int64_t)max ? RC_OK
                            : err_set(err, RC_LIMIT, "manager.ceiling",
                                      "a business has at most %u %s", max, what);
}

enum rc
name_copy(char out[NAME_SIZE], const char *text, const char *what, struct err *err)
{
    struct bytes in = bytes_of_str(text);

    out[0] = '\0';
    if (in.len == 0)
        return err_set(err, RC_INVAL, "manager.name", "%s is missing", what);
    if (in.len >= NAME_SIZE)
        return err_set(err, RC_INVAL, "manager.name", "%s is longer than %u bytes", what,
                       NAME_SIZE - 1);
    if (!bytes_is_utf8(in))
        return err_set(err, RC_INVAL, "manager.name", "%s is not UTF-8", what);
    for (size_t i = 0; i < in.len; i++) {
        if (in.ptr[i] < 0x20 || in.ptr[i] == 0x7f)
            return err_set(err, RC_INVAL, "manager.name", "%s holds a control character", what);
    }
    memcpy(out, text, in.len + 1);
    return RC_OK;
}

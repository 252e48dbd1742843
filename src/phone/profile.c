/* profile.c - the profiles: loaded at start, found by name, described. How they come and go is
 * registration.c. */
#include "phone/profile.h"

#include <stdlib.h>

struct profile *
phone_profile(struct phone *phone, const char *name)
{
    struct profile *p = NULL;

    if (name != NULL)
        HASH_FIND_STR(phone->profiles, name, p);
    return p;
}

void
phone_each(struct phone *phone, void (*fn)(void *ctx, struct profile *p), void *ctx)
{
    struct profile *p, *next;

    HASH_ITER(hh, phone->profiles, p, next)
    fn(ctx, p);
}

void
profile_info(const struct profile *p, struct profile_info *out)
{
    struct endpoint_stats stats = {0};

    if (p->endpoint != NULL)
        endpoint_stats(p->endpoint, &stats);
    *out = (struct profile_info){.name = p->name,
                                 .display_name = p->display_name,
                                 .account = p->account,
                                 .state = p->state,
                                 .is_up = p->endpoint != NULL && endpoint_is_up(p->endpoint),
                                 .is_offline = p->is_offline,
                                 .published = stats.published,
                                 .received = stats.delivered_in,
                                 .duplicates = stats.duplicates_in,
                                 .undecryptable = stats.undecryptable_in,
                                 .in_flight = stats.in_flight};
}

static struct bytes
name_key(const struct profile *p, uint8_t key[8])
{
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(p->account >> (56 - 8 * i));
    return bytes_of(key, 8);
}

enum rc
profile_name_seal(struct profile *p, struct buf *out, struct err *err)
{
    uint8_t key[8];

    return info_seal(p, out, "phone_profile", name_key(p, key), bytes_of_str(p->display_name), err);
}

enum rc
profile_name_open(const struct profile *p, struct bytes sealed, struct buf *out, struct err *err)
{
    uint8_t key[8];

    return info_open(p, "phone_profile", name_key(p, key), sealed, out, err);
}

static enum rc
profile_read(void *ctx, struct store_tx *tx, struct err *err)
{
    struct profile *p = ctx;
    static const enum phone_stmt stmts[] = {SQL_MSG_LAST, SQL_CONTACT_BLOCKED};
    uint64_t *const values[] = {&p->tx_ord, &p->tx_blocked};

    for (size_t i = 0; i < ARRAY_LEN(stmts); i++) {
        struct store_rows rows;

        store_query(&rows, tx, &phone_part, stmts[i], ST_ARGS(ST_I(p->account)));
        if (rows.has_row)
            *values[i] = (uint64_t)store_col_int(&rows, 0);
        store_rows_end(&rows);
        if (rows.rc != RC_OK)
            return err_set(err, rows.rc, "phone.profile", "cannot read a profile");
    }
    return RC_OK;
}

enum rc
profile_open(struct profile *p, struct err *err)
{
    struct endpoint_opt opt = {.host = &p->phone->host,
                               .policy = &endpoint_policy_person,
                               .ops = &profile_endpoint_ops,
                               .ctx = p,
                               .account = p->account};
    enum rc rc = store_do(p->phone->host.store, profile_read, p, err);

    if (rc == RC_OK)
        rc = endpoint_open(&p->endpoint, &opt, err);
    p->tx_endpoint = p->endpoint;
    if (rc == RC_OK && (p->is_offline || p->state != PROFILE_REGISTERED))
        endpoint_offline(p->endpoint);
    return rc;
}

/* ---- at start ---- */

struct loading {
    struct phone *phone;
    struct profile **list;
    size_t n;
};

static enum rc
profile_take_row(struct loading *l, const struct store_rows *rows, struct err *err)
{
    struct bytes name = store_col_bytes(rows, 1);
    struct profile *p = calloc(1, sizeof *p);
    struct buf plain;
    enum rc rc;

    if (p == NULL)
        return err_set(err, RC_NOMEM, "phone.load", "profile");
    p->phone = l->phone;
    p->account = (uint64_t)store_col_int(rows, 0);
    if (name.len > 0 && name.len <= PHONE_NAME_MAX)
        memcpy(p->name, name.ptr, name.len);
    p->state = (enum profile_state)store_col_int(rows, 2);
    p->is_offline = store_col_int(rows, 3) != 0;
    p->listened = (uint64_t)store_col_int(rows, 4);
    buf_init(&plain, CONTENT_NAME_MAX);
    rc = profile_name_open(p, store_col_bytes(rows, 5), &plain, err);
    if (rc == RC_OK && plain.len > 0)
        memcpy(p->display_name, plain.ptr, plain.len);
    buf_wipe(&plain);
    if (rc != RC_OK) {
        free(p);
        return rc;
    }
    HASH_ADD_STR(l->phone->profiles, name, p);
    l->n++;
    return RC_OK;
}

static enum rc
load_run(void *ctx, struct store_tx *tx, struct err *err)
{
    struct loading *l = ctx;
    struct store_rows rows;
    enum rc rc = RC_OK;

    for (store_query(&rows, tx, &phone_part, SQL_PROFILE_ALL, ST_NONE); rows.has_row && rc == RC_OK;
         store_next(&rows))
        rc = profile_take_row(l, &rows, err);
    store_rows_end(&rows);
    return rc != RC_OK ? rc : rows.rc;
}

enum rc
profiles_load(struct phone *phone, struct err *err)
{
    struct loading l = {.phone = phone};
    struct profile *p, *next;
    enum rc rc = store_do(phone->host.store, load_run, &l, err);

    HASH_ITER(hh, phone->profiles, p, next)
    {
        if (rc == RC_OK)
            rc = profile_open(p, err);
    }
    log_event(phone->host.log, LOG_INFO, "phone.loaded", LOG_UINT("profiles", l.n));
    return rc;
}

/* objects_number.c - phone numbers: their state, and the certificate that says who they are.
 *
 * The certificate is signed with the platform's authority key (docs/protocol/certificates.md) and
 * made anew whenever something that it says changes, and before it ends. */
#include "manager/objects.h"

#include "crypto/cert.h"
#include "manager/events.h"
#include "manager/row.h"
#include "manager/sql.h"

static const char *const hostings[] = {[HOSTING_CLOUD] = "cloud", [HOSTING_ONPREM] = "onprem"};

const char *
hosting_name(enum hosting hosting)
{
    return hosting == HOSTING_ONPREM ? hostings[HOSTING_ONPREM] : hostings[HOSTING_CLOUD];
}

enum rc
hosting_read(enum hosting *out, const char *text, struct err *err)
{
    *out = HOSTING_CLOUD;
    if (text == NULL)
        return RC_OK;
    for (enum hosting h = HOSTING_CLOUD; h <= HOSTING_ONPREM; h++) {
        if (strcmp(text, hostings[h]) == 0) {
            *out = h;
            return RC_OK;
        }
    }
    return err_set(err, RC_INVAL, "number.hosting", "hosting is cloud or onprem");
}

static void
read_number(struct number *n, const struct store_rows *rows)
{
    struct bytes cert = store_col_bytes(rows, 11);

    n->business = (uint64_t)store_col_int(rows, 0);
    n->id = (uint64_t)store_col_int(rows, 1);
    n->waba = (uint64_t)store_col_int(rows, 2);
    n->digits = (uint64_t)store_col_int(rows, 3);
    row_text(n->display_name, sizeof(n->display_name), rows, 4);
    n->hosting = (enum hosting)store_col_int(rows, 5);
    n->is_verified = store_col_int(rows, 6) != 0;
    n->is_registered = store_col_int(rows, 7) != 0;
    n->has_pin = store_col_int(rows, 8) != 0;
    n->onboarded_s = store_col_int(rows, 9);
    row_text(n->override_uri, sizeof(n->override_uri), rows, 10);
    n->cert_len = cert.len <= sizeof(n->cert) ? cert.len : 0;
    if (n->cert_len > 0)
        memcpy(n->cert, cert.ptr, n->cert_len);
    n->cert_until_s = store_col_int(rows, 12);
    n->created_s = store_col_int(rows, 13);
    n->revoked_s = store_col_int(rows, 14);
}

/* Sign what the certificate says of *n into n->cert. */
static enum rc
issue_cert(struct number *n, const struct work *w, uint32_t tier, struct err *err)
{
    struct number_cert cert = {
        .number = n->digits,
        .business_id = n->business,
        .portfolio_id = n->business,
        .tier = tier,
        .hosting = CERT_HOSTED, /* self-hosted only when the business has declared it */
        .issued_s = w->now_s,
        .not_after_s = w->now_s + CERT_VALID_S,
    };
    struct buf out;
    enum rc rc;

    memcpy(cert.display_name, n->display_name, sizeof(n->display_name));
    strncpy(cert.operator_name, w->dir->operator_name, sizeof(cert.operator_name) - 1);
    buf_init(&out, sizeof(n->cert));
    rc = number_cert_issue(&cert, w->dir->authority_seed, &out, err);
    if (rc == RC_OK && buf_failed(&out))
        rc = err_set(err, RC_LIMIT, "number.cert", "the certificate is too long");
    if (rc == RC_OK) {
        memcpy(n->cert, out.ptr, out.len);
        n->cert_len = out.len;
        n->cert_until_s = cert.not_after_s;
    }
    buf_free(&out);
    return rc;
}

enum rc
number_make(struct number *out, struct work *w, const struct waba *waba, uint64_t digits,
            const char *display_name, enum hosting hosting, struct err *err)
{
    struct business business;
    struct store_rows rows;
    uint64_t state;
    bool is_taken;
    enum rc rc;

    *out = (struct number){.business = waba->business,
                           .waba = waba->id,
                           .digits = digits,
                           .hosting = hosting,
                           .created_s = w->now_s};
    if ((rc = name_copy(out->display_name, display_name, "the display name", err)) != RC_OK)
        return rc;
    if ((rc = business_load(&business, w, waba->business, LIVE_ONLY, err)) != RC_OK)
        return rc;
    if ((rc = ceiling_check(w, SQL_NUMBER_COUNT, waba->business, NUMBERS_PER_BUSINESS_MAX,
                            "numbers", err)) != RC_OK)
        return rc;
    store_query(&rows, w->tx, &manager_part, SQL_DIGITS_GET, ST_ARGS(ST_I(digits)));
    is_taken = rows.has_row;
    if ((rc = row_end(&rows, true, "number", err)) != RC_OK)
        return rc;
    if (is_taken)
        return err_set(err, RC_EXISTS, "number.make", "this number is on the platform already");
    rc = home_add(&out->id, w, OBJECT_NUMBER, waba->business,
                  work_rng(w, &state, "number", "", digits), err);
    if (rc != RC_OK || (rc = issue_cert(out, w, business.tier, err)) != RC_OK)
        return rc;
    rc = store_run(w->tx, &manager_part, SQL_NUMBER_ADD, NULL, err,
                   ST_ARGS(ST_I(out->business), ST_I(out->id), ST_I(out->waba), ST_I(digits),
                           ST_T(out->display_name), ST_I(hosting),
                           ST_B(bytes_of(out->cert, out->cert_len)), ST_I(out->cert_until_s),
                           ST_I(out->created_s)));
    if (rc == RC_OK)
        rc = store_run(w->tx, &manager_part, SQL_DIGITS_ADD, NULL, err,
                       ST_ARGS(ST_I(digits), ST_I(out->business), ST_I(out->id)));
    if (rc != RC_OK)
        return rc;
    event_principals_stale(w, out->business);
    event_number(w, out);
    return RC_OK;
}

enum rc
number_load(struct number *out, struct work *w, uint64_t id, enum revoked revoked, struct err *err)
{
    struct store_rows rows;
    uint64_t business;
    bool found;
    enum rc rc;

    memset(out, 0, sizeof(*out));
    if ((rc = home_find(&business, w, id, err)) != RC_OK)
        return rc;
    store_query(&rows, w->tx, &manager_part, SQL_NUMBER_GET, ST_ARGS(ST_I(business), ST_I(id)));
    if (rows.has_row)
        read_number(out, &rows);
    found = rows.has_row && (out->revoked_s == 0 || revoked == REVOKED_TOO);
    return row_end(&rows, found, "phone number", err);
}

enum rc
number_each(struct work *w, uint64_t business, uint64_t after,
            enum rc (*fn)(void *ctx, const struct number *n, struct err *err), void *ctx,
            struct err *err)
{
    struct store_rows rows;
    struct number n;
    enum rc rc = RC_OK;

    if (business == 0)
        store_query(&rows, w->tx, &manager_part, SQL_NUMBER_LIST_ALL,
                    ST_ARGS(ST_I(after), ST_I(LIST_MAX)));
    else
        store_query(&rows, w->tx, &manager_part, SQL_NUMBER_LIST,
                    ST_ARGS(ST_I(business), ST_I(after), ST_I(LIST_MAX)));
    for (; rows.has_row && rc == RC_OK; store_next(&rows)) {
        read_number(&n, &rows);
        rc = fn(ctx, &n, err);
    }
    return rc != RC_OK ? (store_rows_end(&rows), rc) : row_end(&rows, true, "numbers", err);
}

enum rc
number_revoke(struct work *w, uint64_t id, struct err *err)
{
    struct number n;
    enum rc rc;

    if ((rc = number_load(&n, w, id, LIVE_ONLY, err)) != RC_OK)
        return rc;
    rc = store_run(w->tx, &manager_part, SQL_NUMBER_REVOKE, NULL, err,
                   ST_ARGS(ST_I(n.business), ST_I(id), ST_I(w->now_s)));
    if (rc == RC_OK)
        rc = store_run(w->tx, &manager_part, SQL_DIGITS_DROP, NULL, err, ST_ARGS(ST_I(n.digits)));
    if (rc == RC_OK)
        rc =
            store_run(w->tx, &manager_part, SQL_PROVISION_DROP, NULL, err, ST_ARGS(ST_I(n.digits)));
    if (rc != RC_OK)
        return rc;
    event_removed(w, "number_removed", id);
    event_principals_stale(w, n.business);
    return RC_OK;
}

enum rc
number_save_state(struct work *w, struct number *n, struct err *err)
{
    enum rc rc = store_run(w->tx, &manager_part, SQL_NUMBER_STATE, NULL, err,
                           ST_ARGS(ST_I(n->business), ST_I(n->id), ST_I(n->is_verified),
                                   ST_I(n->is_registered), ST_I(n->has_pin), ST_I(n->onboarded_s)));

    if (rc == RC_OK)
        event_number(w, n);
    return rc;
}

enum rc
number_set_override(struct work *w, struct number *n, const char *uri, struct err *err)
{
    enum rc rc;

    if (strlen(uri) >= sizeof(n->override_uri))
        return err_set(err, RC_LIMIT, "number.override", "the URL is too long");
    rc = store_run(w->tx, &manager_part, SQL_NUMBER_OVERRIDE, NULL, err,
                   ST_ARGS(ST_I(n->business), ST_I(n->id), uri[0] == '\0' ? ST_NULL : ST_T(uri)));
    if (rc != RC_OK)
        return rc;
    memcpy(n->override_uri, uri, strlen(uri) + 1);
    event_number(w, n);
    return RC_OK;
}

static enum rc
renew(struct work *w, struct number *n, struct err *err)
{
    struct business business;
    enum rc rc;

    if ((rc = business_load(&business, w, n->business, REVOKED_TOO, err)) != RC_OK ||
        (rc = issue_cert(n, w, business.tier, err)) != RC_OK)
        return rc;
    rc = store_run(w->tx, &manager_part, SQL_NUMBER_CERT, NULL, err,
                   ST_ARGS(ST_I(n->business), ST_I(n->id), ST_B(bytes_of(n->cert, n->cert_len)),
                           ST_I(n->cert_until_s)));
    if (rc == RC_OK)
        event_number(w, n);
    return rc;
}

enum rc
number_renew_due(struct work *w, unsigned *count, struct err *err)
{
    uint64_t due[LIST_MAX];
    struct store_rows rows;
    struct number n;
    unsigned n_due = 0;
    enum rc rc;

    *count = 0;
    for (store_query(&rows, w->tx, &manager_part, SQL_NUMBER_DUE_ALL,
                     ST_ARGS(ST_I(w->now_s + CERT_RENEW_S), ST_I(LIST_MAX)));
         rows.has_row; store_next(&rows))
        due[n_due++] = (uint64_t)store_col_int(&rows, 1);
    rc = row_end(&rows, true, "numbers", err);
    for (unsigned i = 0; rc == RC_OK && i < n_due; i++) {
        if ((rc = number_load(&n, w, due[i], LIVE_ONLY, err)) == RC_OK)
            rc = renew(w, &n, err);
    }
    if (rc == RC_OK)
        *count = n_due;
    return rc;
}

/* devices.c - rows of device and prekey, and what a change of registration does to lanes. */
#include "relay/devices.h"

#include "crypto/prim.h"
#include "relay/core.h"
#include "relay/server.h"

void
signed_key_copy(struct signed_key *out, const Parley__Wire__SignedPrekey *in)
{
    out->id = in->id;
    out->created_ms = in->created_ms;
    memcpy(out->key, in->key.data, sizeof(out->key));
    memcpy(out->signature, in->signature.data, sizeof(out->signature));
}

void
device_keys_copy(struct device_keys *out, struct one_time_key *one_time,
                 const Parley__Wire__DeviceKeys *in)
{
    out->registration_id = in->registration_id;
    memcpy(out->identity, in->identity_key.data, sizeof(out->identity));
    signed_key_copy(&out->signed_prekey, in->signed_prekey);
    out->statement_len = 0;
    if (in->statement != NULL && in->statement->details.len <= sizeof(out->statement)) {
        out->statement_len = in->statement->details.len;
        memcpy(out->statement, in->statement->details.data, out->statement_len);
        memcpy(out->statement_signature, in->statement->signature.data,
               sizeof(out->statement_signature));
    }
    out->n_one_time = in->n_one_time;
    for (size_t i = 0; i < in->n_one_time; i++) {
        one_time[i].id = in->one_time[i]->id;
        memcpy(one_time[i].key, in->one_time[i]->key.data, sizeof(one_time[i].key));
    }
}

bool
device_signed_prekey_holds(const uint8_t identity[33], const struct signed_key *key)
{
    return curve_verify(key->signature, identity + 1, bytes_of(key->key, sizeof(key->key))) ==
           RC_OK;
}

/* ---- one-time prekeys ---- */

/* What remains of a key that was served: enough to know it again. */
static struct bytes
tag_of(const uint8_t key[33])
{
    return bytes_of(key + 1, 16);
}

enum rc
prekey_stock_read(struct prekey_stock *out, struct store_tx *tx, uint64_t account, uint32_t device,
                  struct err *err)
{
    struct store_rows rows;
    bool is_active;

    *out = (struct prekey_stock){.account = account, .device = device};
    store_query(&rows, tx, &relay_part, SQL_DEVICE_GET, ST_ARGS(ST_I(account), ST_I(device)));
    is_active = rows.has_row && store_col_int(&rows, 1) != 0;
    if (is_active) {
        out->generation = (uint64_t)store_col_int(&rows, 0);
        out->left = (uint32_t)store_col_int(&rows, 4);
        out->signed_id = (uint32_t)store_col_int(&rows, 5);
        out->place = (uint64_t)store_col_int(&rows, 6);
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.prekey", "cannot read a device");
    return is_active ? RC_OK : err_set(err, RC_NOTFOUND, "relay.prekey", "no such device");
}

enum rc
prekey_stock_write(const struct prekey_stock *stock, struct store_tx *tx, struct err *err)
{
    return store_run(
        tx, &relay_part, SQL_DEVICE_ONE_TIME, NULL, err,
        ST_ARGS(ST_I(stock->account), ST_I(stock->device), ST_I(stock->left), ST_I(stock->place)));
}

enum rc
prekey_add(struct prekey_stock *stock, struct store_tx *tx, const struct one_time_key *keys,
           size_t n, int64_t now_ms, struct err *err)
{
    if (stock->left + n > DEVICE_PREKEYS_MAX)
        return err_set(err, RC_LIMIT, "relay.prekey", "more than %u", DEVICE_PREKEYS_MAX);
    for (size_t i = 0; i < n; i++) {
        uint64_t changed = 0;
        enum rc rc =
            store_run(tx, &relay_part, SQL_PREKEY_ADD, &changed, err,
                      ST_ARGS(ST_I(stock->account), ST_I(stock->device), ST_B(tag_of(keys[i].key)),
                              ST_I(keys[i].id), ST_I(stock->place + 1),
                              ST_B(bytes_of(keys[i].key, sizeof(keys[i].key))), ST_I(now_ms)));

        if (rc != RC_OK)
            return rc;
        stock->left += changed != 0;
        stock->place += changed != 0;
    }
    return RC_OK;
}

enum rc
prekey_spend(struct one_time_key *out, struct prekey_stock *stock, struct store_tx *tx,
             struct err *err)
{
    struct store_rows rows;
    bool is_found;
    enum rc rc;

    store_query(&rows, tx, &relay_part, SQL_PREKEY_OLDEST,
                ST_ARGS(ST_I(stock->account), ST_I(stock->device)));
    is_found = rows.has_row && store_col_bytes(&rows, 1).len == sizeof(out->key);
    if (is_found) {
        out->id = (uint32_t)store_col_int(&rows, 0);
        memcpy(out->key, store_col_bytes(&rows, 1).ptr, sizeof(out->key));
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.prekey", "cannot read a prekey");
    if (!is_found)
        return RC_NOTFOUND;
    rc = store_run(tx, &relay_part, SQL_PREKEY_SPEND, NULL, err,
                   ST_ARGS(ST_I(stock->account), ST_I(stock->device), ST_B(tag_of(out->key))));
    stock->left -= stock->left > 0;
    return rc;
}

/* ---- lanes under a new generation ---- */

/* Fence every lane the device ever had, and have what waits in them returned. */
static enum rc
fence_lanes(struct store_tx *tx, uint64_t account, uint32_t device, uint64_t generation,
            int64_t now_ms, bool *has_rest, struct err *err)
{
    uint32_t filled = 0, existing = 0;
    struct store_rows rows;
    enum rc rc = RC_OK;

    for (store_query(&rows, tx, &relay_part, SQL_LANES_GET, ST_ARGS(ST_I(account), ST_I(device)));
         rows.has_row; store_next(&rows)) {
        uint32_t bit = 1u << (store_col_int(&rows, 0) & 31);

        existing |= bit;
        filled |= store_col_int(&rows, 5) > 0 ? bit : 0;
    }
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.device", "cannot read lanes");
    for (uint32_t lane = 0; lane < WIRE_BUSINESS_LANES && rc == RC_OK; lane++) {
        if ((existing >> lane & 1) != 0)
            rc = store_run(
                tx, &relay_part, SQL_LANE_CLAIM, NULL, err,
                ST_ARGS(ST_I(account), ST_I(device), ST_I(lane), ST_I(generation), ST_I(0)));
        if (rc == RC_OK && (filled >> lane & 1) != 0)
            rc = store_run(
                tx, &relay_part, SQL_DUE_ADD, NULL, err,
                ST_ARGS(ST_I(now_ms), ST_I(DUE_PURGE), ST_I(account), ST_I(device), ST_I(lane)));
    }
    *has_rest = filled != 0;
    return rc;
}

static enum rc
write_device_row(const struct device_change *c, struct store_tx *tx, struct err *err)
{
    const struct device_keys *k = c->keys;
    const struct signed_key *s = &k->signed_prekey;

    return store_run(tx, &relay_part, SQL_DEVICE_PUT, NULL, err,
                     ST_ARGS(ST_I(c->account), ST_I(c->device), ST_I(c->generation),
                             ST_B(bytes_of(c->noise_key, 32)), ST_I(k->registration_id),
                             ST_B(bytes_of(k->identity, sizeof(k->identity))), ST_I(s->id),
                             ST_B(bytes_of(s->key, sizeof(s->key))),
                             ST_B(bytes_of(s->signature, sizeof(s->signature))),
                             ST_I(s->created_ms), ST_B(bytes_of(k->statement, k->statement_len)),
                             ST_B(bytes_of(k->statement_signature, sizeof(k->statement_signature))),
                             ST_I(c->now_ms)));
}

/* Its dedupe rows are swept from the first registration on. */
static enum rc
plan_forgetting(const struct device_change *c, struct store_tx *tx, struct err *err)
{
    struct store_rows rows;
    bool is_new;

    store_query(&rows, tx, &relay_part, SQL_DEVICE_GET, ST_ARGS(ST_I(c->account), ST_I(c->device)));
    is_new = !rows.has_row;
    store_rows_end(&rows);
    if (rows.rc != RC_OK)
        return err_set(err, rows.rc, "relay.device", "cannot read a device");
    if (!is_new)
        return RC_OK;
    return store_run(tx, &relay_part, SQL_DUE_ADD, NULL, err,
                     ST_ARGS(ST_I(c->now_ms + DEDUPE_LIFE_MS), ST_I(DUE_FORGET), ST_I(c->account),
                             ST_I(c->device), ST_I(0)));
}

enum rc
device_write(struct device_change *c, struct store_tx *tx, struct err *err)
{
    struct prekey_stock stock = {.account = c->account, .device = c->device};
    enum rc rc;

    if ((rc = plan_forgetting(c, tx, err)) != RC_OK ||
        (rc = write_device_row(c, tx, err)) != RC_OK ||
        (rc = store_run(tx, &relay_part, SQL_PREKEY_SPEND_ALL, NULL, err,
                        ST_ARGS(ST_I(c->account), ST_I(c->device)))) != RC_OK)
        return rc;
    for (uint32_t lane = 0; lane < c->n_lanes; lane++) {
        rc = store_run(tx, &relay_part, SQL_LANE_ADD, NULL, err,
                       ST_ARGS(ST_I(c->account), ST_I(c->device), ST_I(lane)));
        if (rc != RC_OK)
            return rc;
    }
    if ((rc = fence_lanes(tx, c->account, c->device, c->generation, c->now_ms, &c->has_rest,
                          err)) != RC_OK ||
        (rc = prekey_add(&stock, tx, c->one_time, c->keys->n_one_time, c->now_ms, err)) != RC_OK)
        return rc;
    return prekey_stock_write(&stock, tx, err);
}

enum rc
device_remove(struct store_tx *tx, uint64_t account, uint32_t device, uint64_t generation,
              int64_t now_ms, struct err *err)
{
    struct prekey_stock now;
    bool has_rest;
    enum rc rc = prekey_stock_read(&now, tx, account, device, err);

    if (rc == RC_NOTFOUND || (rc == RC_OK && now.generation != generation))
        return RC_OK; /* somebody else's by now */
    if (rc != RC_OK ||
        (rc = store_run(tx, &relay_part, SQL_DEVICE_REMOVE, NULL, err,
                        ST_ARGS(ST_I(account), ST_I(device)))) != RC_OK ||
        (rc = store_run(tx, &relay_part, SQL_PREKEY_SPEND_ALL, NULL, err,
                        ST_ARGS(ST_I(account), ST_I(device)))) != RC_OK)
        return rc;
    if ((rc = store_run(tx, &relay_part, SQL_ACCOUNT_GENERATION, NULL, err,
                        ST_ARGS(ST_I(account), ST_I(generation + 1)))) != RC_OK)
        return rc;
    return fence_lanes(tx, account, device, generation + 1, now_ms, &has_rest, err);
}

void
device_close_routes(struct relay *relay, uint64_t account, uint32_t device, uint64_t generation,
                    const char *text)
{
    struct route route;
    uint64_t told = 0;

    for (uint32_t lane = 0; lane < WIRE_BUSINESS_LANES; lane++) {
        if (!registry_find(relay->registry, &route, account, device, lane) ||
            route.generation >= generation || route.login == told)
            continue;
        told = route.login;
        relay_close_route(relay, &route, PARLEY__WIRE__CLOSE_REASON__UNREGISTERED, text);
    }
}

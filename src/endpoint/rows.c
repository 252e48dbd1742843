/* rows.c - sealed columns of the endpoint's tables: where a record lives is part of what is sealed.
 */
#include "endpoint/internal.h"

static void
put_u64(struct row_key *key, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        key->bytes[key->len++] = (uint8_t)(v >> shift);
}

struct row_key
row_key_num(uint64_t account, uint64_t id)
{
    struct row_key key = {.len = 0};

    put_u64(&key, account);
    put_u64(&key, id);
    return key;
}

struct row_key
row_key_peer(uint64_t account, const uint8_t peer[16], uint64_t device)
{
    struct row_key key = {.len = 0};

    put_u64(&key, account);
    memcpy(key.bytes + key.len, peer, 16);
    key.len += 16;
    put_u64(&key, device);
    return key;
}

enum rc
row_seal(struct endpoint *ep, struct buf *out, enum seal_period period, const char *table,
         const char *column, const struct row_key *key, uint64_t version, struct bytes plain,
         struct err *err)
{
    const struct seal_place place = {.table = table,
                                     .column = column,
                                     .key = bytes_of(key->bytes, key->len),
                                     .version = version};
    uint32_t key_id;
    enum rc rc = keyring_current(ep->host->ring, &key_id, ep->account, period,
                                 clock_unix_ms(ep->host->clock), err);

    if (rc != RC_OK)
        return rc;
    return seal_record(ep->host->ring, key_id, &place, plain, out, err);
}

enum rc
row_open(struct endpoint *ep, struct buf *out, const char *table, const char *column,
         const struct row_key *key, uint64_t version, struct bytes record, struct err *err)
{
    const struct seal_place place = {.table = table,
                                     .column = column,
                                     .key = bytes_of(key->bytes, key->len),
                                     .version = version};

    return seal_open(ep->host->ring, &place, record, out, err);
}

/* seal.c - one record: sealed for its place, opened at its place.
 *
 * Record: 01 | key id u32 | nonce 24 | ciphertext | tag 16. The associated data starts with the
 * record's first five bytes and goes on with the place, each part with its length, so that no two
 * places give the same bytes. Source: docs/protocol/at-rest.md. */
#include "crypto/seal.h"

#include <assert.h>
#include <string.h>

#include "base/reader.h"
#include "crypto/keyring.h"
#include "crypto/prim.h"

#define SEAL_FORMAT 1u
#define HEAD_SIZE 5u /* format, key id */
#define NONCE_SIZE 24u

/* Lengths take one byte for names and two for the row's key. */
#define AD_MAX (HEAD_SIZE + 2 * (1 + SEAL_NAME_MAX) + 2 + SEAL_KEY_MAX + 8)

static uint8_t *
put_be(uint8_t *at, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    return at + n;
}

static uint8_t *
put_run(uint8_t *at, struct bytes in, size_t length_size)
{
    at = put_be(at, in.len, length_size);
    if (in.len != 0)
        memcpy(at, in.ptr, in.len);
    return at + in.len;
}

/* False if a part of the place is too long. */
static bool
place_ad(uint8_t room[AD_MAX], struct bytes *ad, const uint8_t head[HEAD_SIZE],
         const struct seal_place *place)
{
    struct bytes table = bytes_of_str(place->table);
    struct bytes column = bytes_of_str(place->column);
    uint8_t *at = room;

    if (table.len > SEAL_NAME_MAX || column.len > SEAL_NAME_MAX || place->key.len > SEAL_KEY_MAX)
        return false;
    memcpy(at, head, HEAD_SIZE);
    at = put_run(at + HEAD_SIZE, table, 1);
    at = put_run(at, column, 1);
    at = put_run(at, place->key, 2);
    at = put_be(at, place->version, 8);
    *ad = bytes_of(room, (size_t)(at - room));
    return true;
}

enum rc
seal_record(struct keyring *ring, uint32_t key_id, const struct seal_place *place,
            struct bytes plain, struct buf *out, struct err *err)
{
    uint8_t room[AD_MAX], head[HEAD_SIZE], key[32];
    uint8_t *record;
    struct bytes ad;
    enum rc rc;

    put_be(put_be(head, SEAL_FORMAT, 1), key_id, 4);
    if (!place_ad(room, &ad, head, place))
        return err_set(err, RC_INVAL, "seal", "the place's names or key are too long");
    if ((rc = keyring_key_copy(ring, key, key_id, err)) != RC_OK)
        return rc;
    if (plain.len > SIZE_MAX - SEAL_OVERHEAD ||
        (record = buf_extend(out, plain.len + SEAL_OVERHEAD)) == NULL) {
        rc = err_set(err, RC_NOMEM, "seal", "no room for %zu bytes", plain.len);
    } else {
        uint8_t *nonce = record + HEAD_SIZE;

        memcpy(record, head, HEAD_SIZE);
        rng_fill(keyring_rng(ring), nonce, NONCE_SIZE);
        xchacha_seal(nonce + NONCE_SIZE, key, nonce, ad, plain);
    }
    bytes_wipe(key, sizeof(key));
    return rc;
}

enum rc
seal_open(struct keyring *ring, const struct seal_place *place, struct bytes record,
          struct buf *out, struct err *err)
{
    struct reader r = reader_over(record);
    uint8_t room[AD_MAX], key[32];
    uint8_t format = reader_u8(&r);
    uint32_t key_id = reader_u32be(&r);
    struct bytes nonce = reader_borrow(&r, NONCE_SIZE);
    struct bytes body = reader_rest(&r);
    struct bytes ad;
    uint8_t *plain;
    enum rc rc;

    if (r.failed || format != SEAL_FORMAT || body.len < AEAD_TAG_SIZE)
        return err_set(err, RC_AUTH, "seal", "not a sealed record (%zu bytes)", record.len);
    if (!place_ad(room, &ad, record.ptr, place))
        return err_set(err, RC_INVAL, "seal", "the place's names or key are too long");
    if ((rc = keyring_key_copy(ring, key, key_id, err)) != RC_OK)
        return rc;
    if ((plain = buf_extend(out, body.len - AEAD_TAG_SIZE)) == NULL) {
        rc = err_set(err, RC_NOMEM, "seal", "no room for %zu bytes", body.len);
    } else if ((rc = xchacha_open(plain, key, nonce.ptr, ad, body)) != RC_OK) {
        out->len -= body.len - AEAD_TAG_SIZE; /* as it was */
        err_set(err, rc, "seal", "%s.%s: tampered with, or moved from elsewhere", place->table,
                place->column);
    }
    bytes_wipe(key, sizeof(key));
    return rc;
}

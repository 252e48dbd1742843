/* ring.c - writes and reads the bytes of a key ring.
 *
 * Header, 64 bytes:  "PLYRING1" | ring id 16 | next id u32 | zero u32 | HMAC-SHA256 of the 32
 * before Record, 96 bytes:  kind u8 | zero 3 | id u32 | scope u64 | index i64 | nonce 24 | wrapped
 * key 32 | tag 16 Integers are big-endian. A record's tag covers its first 24 bytes and the ring's
 * id, so a record cannot be relabelled or moved to another ring. */
#include "crypto/ring.h"

#include <string.h>

#include "base/reader.h"
#include "crypto/prim.h"

#define MAGIC "PLYRING1"
#define HEADER_SIGNED 32u
#define RECORD_LABEL_SIZE 24u /* the part of a record that its tag covers in clear */
#define NONCE_SIZE 24u

static const char record_domain[] = "PLY-ring-key";

/* A 32-byte key from another, apart by its label. */
static void
derive(uint8_t out[32], const uint8_t key[32], struct bytes salt, const char *label)
{
    hkdf_sha256(out, 32, bytes_of(key, 32), salt, bytes_of_str(label));
}

void
ring_master_wrap_key(uint8_t out[32], const uint8_t master[32], const uint8_t ring_id[16])
{
    derive(out, master, bytes_of(ring_id, RING_ID_SIZE), "PLY-ring-wrap-scope");
}

void
ring_scope_wrap_key(uint8_t out[32], const uint8_t scope_key[32])
{
    derive(out, scope_key, bytes_of(NULL, 0), "PLY-ring-wrap-period");
}

static void
header_check(uint8_t out[SHA256_SIZE], struct bytes head, const uint8_t master[32])
{
    uint8_t key[32];

    derive(key, master, bytes_of(NULL, 0), "PLY-ring-check");
    hmac_sha256(out, bytes_of(key, sizeof(key)), head);
    bytes_wipe(key, sizeof(key));
}

void
ring_header_put(struct buf *out, const struct ring_header *header, const uint8_t master[32])
{
    uint8_t check[SHA256_SIZE];

    buf_put_str(out, MAGIC);
    buf_put(out, bytes_of(header->ring_id, RING_ID_SIZE));
    buf_put_u32be(out, header->next_id);
    buf_put_u32be(out, 0);
    if (buf_failed(out))
        return;
    header_check(check, bytes_of(out->ptr + out->len - HEADER_SIGNED, HEADER_SIGNED), master);
    buf_put(out, bytes_of(check, sizeof(check)));
}

enum rc
ring_header_read(struct ring_header *out, struct bytes in, const uint8_t master[32],
                 struct err *err)
{
    struct reader r = reader_over(in);
    struct bytes magic = reader_borrow(&r, strlen(MAGIC));
    struct bytes ring_id = reader_borrow(&r, RING_ID_SIZE);
    uint32_t next_id = reader_u32be(&r);
    uint32_t zero = reader_u32be(&r);
    struct bytes stored = reader_borrow(&r, SHA256_SIZE);
    uint8_t check[SHA256_SIZE];

    *out = (struct ring_header){0};
    if (!reader_finished(&r) || !bytes_equal(magic, bytes_of_str(MAGIC)) || zero != 0)
        return err_set(err, RC_MALFORMED, "keyring", "the file is not a key ring");
    header_check(check, bytes_of(in.ptr, HEADER_SIGNED), master);
    if (!bytes_equal_secret(stored, bytes_of(check, sizeof(check))))
        return err_set(err, RC_AUTH, "keyring",
                       "the master key is not this key ring's: put the right one back");
    memcpy(out->ring_id, ring_id.ptr, RING_ID_SIZE);
    out->next_id = next_id;
    return RC_OK;
}

/* domain || ring id || the record's first 24 bytes */
static struct bytes
record_ad(uint8_t room[sizeof(record_domain) - 1 + RING_ID_SIZE + RECORD_LABEL_SIZE],
          const uint8_t ring_id[16], const uint8_t *record)
{
    uint8_t *at = room;

    memcpy(at, record_domain, sizeof(record_domain) - 1);
    at += sizeof(record_domain) - 1;
    memcpy(at, ring_id, RING_ID_SIZE);
    at += RING_ID_SIZE;
    memcpy(at, record, RECORD_LABEL_SIZE);
    return bytes_of(room, (size_t)(at - room) + RECORD_LABEL_SIZE);
}

void
ring_record_put(struct buf *out, const uint8_t ring_id[16], uint32_t id, const struct key_use *use,
                const uint8_t key[32], const uint8_t wrap_key[32], struct rng rng)
{
    uint8_t ad[sizeof(record_domain) - 1 + RING_ID_SIZE + RECORD_LABEL_SIZE];
    size_t start = out->len;
    uint8_t *rest;

    buf_put_u8(out, (uint8_t)use->kind);
    buf_put_u24be(out, 0);
    buf_put_u32be(out, id);
    buf_put_u64be(out, use->scope);
    buf_put_u64be(out, (uint64_t)use->index);
    if ((rest = buf_extend(out, RING_RECORD_SIZE - RECORD_LABEL_SIZE)) == NULL)
        return;
    rng_fill(rng, rest, NONCE_SIZE);
    xchacha_seal(rest + NONCE_SIZE, wrap_key, rest, record_ad(ad, ring_id, out->ptr + start),
                 bytes_of(key, 32));
}

enum rc
ring_record_peek(uint32_t *id, struct key_use *use, struct bytes in)
{
    struct reader r = reader_over(in);
    uint8_t kind = reader_u8(&r);
    uint32_t zero = reader_u24be(&r);

    *id = reader_u32be(&r);
    use->kind = (enum key_kind)kind;
    use->scope = reader_u64be(&r);
    use->index = (int64_t)reader_u64be(&r);
    (void)reader_borrow(&r, RING_RECORD_SIZE - RECORD_LABEL_SIZE);
    if (!reader_finished(&r) || zero != 0 || *id == 0 || kind < KEY_SCOPE || kind > KEY_YEAR)
        return RC_MALFORMED;
    return RC_OK;
}

enum rc
ring_record_open(uint8_t key[32], struct bytes in, const uint8_t ring_id[16],
                 const uint8_t wrap_key[32])
{
    uint8_t ad[sizeof(record_domain) - 1 + RING_ID_SIZE + RECORD_LABEL_SIZE];
    const uint8_t *nonce = in.ptr + RECORD_LABEL_SIZE;

    return xchacha_open(key, wrap_key, nonce, record_ad(ad, ring_id, in.ptr),
                        bytes_of(nonce + NONCE_SIZE, 32 + AEAD_TAG_SIZE));
}

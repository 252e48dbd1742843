/* fuzz_seal - damaged records to seal_open, and damaged bytes to the ring's reader.
 *
 * Byte 0 chooses: 0 any bytes as a record; 1 the same behind a head with a real key's id; 2 a real
 * record with edits (offset u8, xor u8), which must not open unless they undo each other; 3 any
 * bytes as a ring's header and record. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/prim.h"
#include "crypto/ring.h"
#include "crypto/seal.h"

static const struct seal_place place = {
    .table = "message", .column = "body", .key = {(const uint8_t *)"key", 3},
            .version = 1
};

/* Where nothing was ever sealed: libFuzzer sees the bytes that we compare and learns whole records.
 */
static const struct seal_place empty_place = {
    .table = "message", .column = "body", .key = {(const uint8_t *)"kez", 3},
            .version = 1
};

static char folder[] = "/tmp/parley-fuzz-XXXXXX";
static struct keyring *ring; /* made once: libFuzzer's entry point takes no context */
static uint32_t key_id;

static void
must(bool is_true)
{
    if (!is_true)
        abort();
}

static void
clean_up(void)
{
    static const char *const names[] = {"ring", "ring.lock", "master"};
    char path[64];

    keyring_free(&ring);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char ring_path[64], master_path[64];

    must(crypto_start(NULL) == RC_OK);
    must(mkdtemp(folder) != NULL);
    snprintf(ring_path, sizeof(ring_path), "%s/ring", folder);
    snprintf(master_path, sizeof(master_path), "%s/master", folder);
    const struct keyring_opt opt = {
        .ring_path = ring_path, .master_path = master_path, .rng = rng_system()};
    must(keyring_open(&ring, &opt, NULL) == RC_OK);
    must(keyring_current(ring, &key_id, 7, SEAL_DAY, 0, NULL) == RC_OK);
    atexit(clean_up);
    return 0;
}

static enum rc
try_open(const struct seal_place *at, struct bytes record)
{
    struct buf out;
    enum rc rc;

    buf_init(&out, 1u << 20);
    rc = seal_open(ring, at, record, &out, NULL);
    must(rc == RC_OK || out.len == 0);
    buf_free(&out);
    return rc;
}

static void
open_edited(struct bytes edits)
{
    struct buf record, original;

    buf_init(&record, 4096);
    buf_init(&original, 4096);
    must(seal_record(ring, key_id, &place, bytes_of_str("a record's text"), &record, NULL) ==
         RC_OK);
    buf_put(&original, buf_bytes(&record));
    for (size_t i = 0; i + 2 <= edits.len; i += 2)
        record.ptr[edits.ptr[i] % record.len] ^= edits.ptr[i + 1];
    bool is_same = bytes_equal(buf_bytes(&record), buf_bytes(&original));
    must((try_open(&place, buf_bytes(&record)) == RC_OK) == is_same);
    buf_free(&original);
    buf_free(&record);
}

static void
read_ring(struct bytes in)
{
    static const uint8_t master[32] = {1};
    struct ring_header header;
    struct key_use use;
    uint8_t key[32];
    uint32_t id;

    must(ring_header_read(&header, in, master, NULL) != RC_OK); /* needs an HMAC */
    if (ring_record_peek(&id, &use, in) == RC_OK)
        must(ring_record_open(key, in, header.ring_id, master) == RC_AUTH);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf joined;

    if (size < 1)
        return 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        must(try_open(&empty_place, rest) != RC_OK);
        break;
    case 1:
        buf_init(&joined, 1u << 20);
        buf_put_u8(&joined, 1);
        buf_put_u32be(&joined, key_id);
        buf_put(&joined, rest);
        must(try_open(&empty_place, buf_bytes(&joined)) == RC_AUTH);
        buf_free(&joined);
        break;
    case 2:
        open_edited(rest);
        break;
    default:
        read_ring(rest);
    }
    return 0;
}

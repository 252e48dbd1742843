/* Fuzzer of session/decrypt and session/describe. The first byte chooses what the rest is: an
 * ordinary or a first message against a live session, a first message without one, or a stored
 * record. What does not open must leave nothing behind (I27). Everything is seeded: a corpus file
 * opens for ever. */
#include "session/session.h"

#include "crypto/prim.h"

#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum input_kind { WHISPER_LIVE, PREKEY_LIVE, PREKEY_FRESH, RECORD, INPUT_KINDS };

static struct device {
    uint64_t seed;
    struct session_engine *engine;
    struct session_identity identity;
    struct session_signed_prekey signed_prekey;
    struct session_prekey one_time;
    struct buf record;
} ana = {.seed = 1}, shop = {.seed = 2};

static void
must(bool is_true)
{
    if (!is_true)
        abort();
}

static enum rc
give_one_time(void *ctx, uint32_t id, struct session_prekey *out)
{
    const struct device *d = ctx;

    *out = d->one_time;
    return id == d->one_time.id ? RC_OK : RC_NOTFOUND;
}

static enum rc
give_signed_prekey(void *ctx, uint32_t id, struct session_signed_prekey *out)
{
    const struct device *d = ctx;

    *out = d->signed_prekey;
    return id == d->signed_prekey.pair.id ? RC_OK : RC_NOTFOUND;
}

static void
open_device(struct device *d)
{
    must(session_engine_new(&d->engine, rng_seeded(&d->seed), NULL) == RC_OK);
    must(session_identity_make(d->engine, &d->identity, NULL) == RC_OK);
    must(session_signed_prekey_make(d->engine, &d->signed_prekey, &d->identity, 1, 0, NULL) ==
         RC_OK);
    must(session_prekeys_make(d->engine, &d->one_time, 1, 1, NULL) == RC_OK);
    buf_init(&d->record, SESSION_RECORD_MAX);
}

static struct session_bundle
bundle_of(const struct device *d)
{
    struct session_bundle b = {.registration_id = d->identity.registration_id,
                               .device = 1,
                               .signed_id = d->signed_prekey.pair.id,
                               .has_one_time = true,
                               .one_time_id = d->one_time.id};

    memcpy(b.identity, d->identity.pub, sizeof(b.identity));
    memcpy(b.signed_key, d->signed_prekey.pair.pub, sizeof(b.signed_key));
    memcpy(b.signature, d->signed_prekey.signature, sizeof(b.signature));
    memcpy(b.one_time, d->one_time.pub, sizeof(b.one_time));
    return b;
}

/* Open against a record; what fails must have appended nothing. */
static void
open_message(struct device *d, struct bytes record, enum session_type type, struct bytes cipher,
             struct buf *next)
{
    const struct session_prekey_source source = {give_one_time, give_signed_prekey, d};
    struct session_opened opened;
    struct buf plain;
    enum rc rc;

    buf_init(&plain, SESSION_PLAIN_MAX);
    rc = session_decrypt(d->engine, &plain, next, &opened, &d->identity, record, type, cipher, NULL,
                         &source, NULL);
    must(rc == RC_OK || plain.len + next->len == 0);
    must(rc != RC_OK || next->len > 0);
    buf_wipe(&plain);
}

/* A message from one to the other, opened there; both records move on. */
static void
carry(struct device *from, struct device *to)
{
    struct buf cipher, next;
    enum session_type type;

    buf_init(&cipher, SESSION_MESSAGE_MAX);
    buf_init(&next, SESSION_RECORD_MAX);
    must(session_encrypt(from->engine, &cipher, &type, &next, &from->identity,
                         buf_bytes(&from->record), bytes_of_str("hello"), NULL) == RC_OK);
    buf_wipe(&from->record);
    from->record = next;
    buf_init(&next, SESSION_RECORD_MAX);
    open_message(to, buf_bytes(&to->record), type, buf_bytes(&cipher), &next);
    must(next.len > 0);
    buf_wipe(&to->record);
    to->record = next;
    buf_free(&cipher);
}

/* With PARLEY_SEED_CORPUS naming a folder, write messages that open, for the corpus. */
static void
save(const char *name, enum input_kind kind, struct bytes in)
{
    const char *folder = getenv("PARLEY_SEED_CORPUS");
    char path[512];
    FILE *file;

    if (folder == NULL)
        return;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if ((file = fopen(path, "w")) == NULL)
        return;
    fputc(kind, file);
    fwrite(in.ptr, 1, in.len, file);
    fclose(file);
}

/* Seal one message of ana's without moving her record on, and save it. */
static void
save_next(const char *name, enum input_kind kind)
{
    struct buf cipher, next;
    enum session_type type;

    buf_init(&cipher, SESSION_MESSAGE_MAX);
    buf_init(&next, SESSION_RECORD_MAX);
    must(session_encrypt(ana.engine, &cipher, &type, &next, &ana.identity, buf_bytes(&ana.record),
                         bytes_of_str("seed"), NULL) == RC_OK);
    must((type == SESSION_WHISPER) == (kind == WHISPER_LIVE));
    save(name, kind, buf_bytes(&cipher));
    buf_free(&cipher);
    buf_wipe(&next);
}

int
LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    struct session_bundle bundle;

    must(crypto_start(NULL) == RC_OK);
    open_device(&ana);
    open_device(&shop);
    bundle = bundle_of(&shop);
    must(session_start(ana.engine, &ana.record, &ana.identity, bytes_of(NULL, 0), &bundle, NULL) ==
         RC_OK);
    save_next("first", PREKEY_FRESH);
    carry(&ana, &shop);
    save_next("second", PREKEY_LIVE);
    carry(&shop, &ana);
    save_next("ordinary", WHISPER_LIVE);
    save("record", RECORD, buf_bytes(&shop.record));
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_description described;
    struct bytes in;
    struct buf next;

    if (size == 0)
        return 0;
    in = bytes_of(data + 1, size - 1);
    buf_init(&next, SESSION_RECORD_MAX);
    switch ((enum input_kind)(data[0] % INPUT_KINDS)) {
    case WHISPER_LIVE:
        open_message(&shop, buf_bytes(&shop.record), SESSION_WHISPER, in, &next);
        break;
    case PREKEY_LIVE:
        open_message(&shop, buf_bytes(&shop.record), SESSION_PREKEY, in, &next);
        break;
    case PREKEY_FRESH:
        open_message(&shop, bytes_of(NULL, 0), SESSION_PREKEY, in, &next);
        break;
    default:
        /* The library leaks parts of a record that it gives up on. Records are our own, sealed. */
        __lsan_disable();
        if (session_describe(shop.engine, &described, in, NULL) != RC_OK)
            must(!described.has_session);
        __lsan_enable();
    }
    buf_wipe(&next);
    return 0;
}

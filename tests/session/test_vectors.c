/* Known answers of the version 3 key schedule, made by an independent program.
 *
 * Where it can be, the answer is taken out of a real session: the engine's randomness is scripted,
 * so that it "makes" the keys of the vector. What a session does not keep (the X3DH input, the
 * message key's seed) is computed with our primitives in the same way. Sender keys and media keys
 * are not made by this module. The file is $PARLEY_VECTORS/signal-v3-known-answers.json; absent:
 * skipped. */
#include "session/engine.h"

#include "tap.h"

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "crypto/prim.h"

#include <session_record.h>
#include <session_state.h>
#include <stdlib.h>

#define FILE_MAX (256u * 1024)

static json_t *vectors;

/* Randomness that gives the named keys, one after the other, then zeros. */
struct script {
    const uint8_t *keys[2];
    size_t next;
};

static void
fill_scripted(void *self, void *out, size_t len)
{
    struct script *script = self;

    memset(out, 0, len);
    if (len == 32 && script->next < ARRAY_LEN(script->keys))
        memcpy(out, script->keys[script->next++], len);
}

/* "11*32" is the byte 0x11, 32 times; anything else is plain hex. */
static size_t
field(uint8_t *out, size_t max, const char *part, const char *name)
{
    const char *text = json_str(json_object_get(vectors, part), name);
    const char *star;
    size_t len;

    assert_non_null(text);
    star = strchr(text, '*');
    len = star == NULL ? strlen(text) / 2 : strtoul(star + 1, NULL, 10);
    assert_true(len <= max);
    if (star == NULL)
        assert_int_equal(hex_read(out, len, bytes_of_str(text), NULL), RC_OK);
    else
        memset(out, (int)strtoul(text, NULL, 16), len);
    return len;
}

static void
assert_field(const char *part, const char *name, const void *got, size_t len)
{
    uint8_t want[512];

    assert_int_equal(field(want, sizeof(want), part, name), len);
    assert_memory_equal(got, want, len);
}

static struct bytes
all(const signal_buffer *buffer)
{
    return bytes_of(signal_buffer_const_data(buffer), signal_buffer_len(buffer));
}

struct parties {
    struct session_identity initiator, responder;
    uint8_t base_priv[32], ratchet_priv[32];
    struct session_signed_prekey signed_prekey;
    struct session_prekey one_time;
};

static void
load_pair(uint8_t pub[SESSION_PUBLIC_SIZE], uint8_t priv[32], const char *part, const char *name)
{
    assert_int_equal(field(priv, 32, part, name), 32);
    pub[0] = 5;
    x25519_public(pub + 1, priv);
}

static void
load_parties(struct parties *p)
{
    *p = (struct parties){.signed_prekey.pair.id = 1, .one_time.id = 2};
    load_pair(p->initiator.pub, p->initiator.priv, "x3dh", "initiator_identity_priv");
    load_pair(p->responder.pub, p->responder.priv, "x3dh", "responder_identity_priv");
    load_pair(p->signed_prekey.pair.pub, p->signed_prekey.pair.priv, "x3dh",
              "responder_signed_prekey_priv");
    load_pair(p->one_time.pub, p->one_time.priv, "x3dh", "responder_one_time_prekey_priv");
    field(p->base_priv, 32, "x3dh", "initiator_base_priv");
    field(p->ratchet_priv, 32, "sending_ratchet", "ratchet_priv");
    p->initiator.registration_id = 1;
    p->responder.registration_id = 2;
}

static void
make_bundle(struct session_bundle *out, struct session_engine *engine, const struct parties *p)
{
    *out = (struct session_bundle){.registration_id = 2,
                                   .device = 1,
                                   .signed_id = p->signed_prekey.pair.id,
                                   .has_one_time = true,
                                   .one_time_id = p->one_time.id};
    memcpy(out->identity, p->responder.pub, SESSION_PUBLIC_SIZE);
    memcpy(out->signed_key, p->signed_prekey.pair.pub, SESSION_PUBLIC_SIZE);
    memcpy(out->one_time, p->one_time.pub, SESSION_PUBLIC_SIZE);
    assert_int_equal(session_sign(engine, out->signature, &p->responder,
                                  bytes_of(out->signed_key, SESSION_PUBLIC_SIZE), NULL),
                     RC_OK);
}

static void
assert_chain(const ratchet_chain_key *chain, uint32_t index, const char *part, const char *name)
{
    signal_buffer *key = NULL;

    assert_non_null(chain);
    assert_int_equal(ratchet_chain_key_get_index(chain), index);
    assert_int_equal(ratchet_chain_key_get_key(chain, &key), 0);
    assert_field(part, name, signal_buffer_data(key), signal_buffer_len(key));
    signal_buffer_free(key);
}

/* The state inside a stored record. The caller unrefs the record. */
static session_state *
state_of(session_record **record, struct session_engine *engine, const struct buf *stored)
{
    assert_int_equal(session_record_deserialize(record, stored->ptr + RECORD_HEADER_SIZE,
                                                stored->len - RECORD_HEADER_SIZE, engine->context),
                     0);
    return session_record_get_state(*record);
}

static void
assert_started(struct session_engine *engine, const struct buf *stored, const struct parties *p)
{
    session_record *record = NULL;
    session_state *s = state_of(&record, engine, stored);
    ec_public_key *signed_key = NULL;
    signal_buffer *buffer = NULL;

    assert_int_equal(ratchet_root_key_get_key(session_state_get_root_key(s), &buffer), 0);
    assert_field("sending_ratchet", "new_root_key", all(buffer).ptr, all(buffer).len);
    signal_buffer_free(buffer);
    assert_int_equal(ec_public_key_serialize(&buffer, session_state_get_sender_ratchet_key(s)), 0);
    assert_field("sending_ratchet", "ratchet_pub", all(buffer).ptr + 1, all(buffer).len - 1);
    signal_buffer_free(buffer);
    assert_chain(session_state_get_sender_chain_key(s), 0, "sending_ratchet", "chain_key_0");
    assert_int_equal(curve_decode_point(&signed_key, p->signed_prekey.pair.pub, SESSION_PUBLIC_SIZE,
                                        engine->context),
                     0);
    assert_chain(session_state_get_receiver_chain_key(s, signed_key), 0, "x3dh", "first_chain_key");
    SIGNAL_UNREF(signed_key);
    SIGNAL_UNREF(record);
}

/* SHA-256 over the whole message key, as the trace hook tells it. */
static void
note_key(void *ctx, const uint8_t key_hash[32], const uint8_t plain_hash[32])
{
    (void)plain_hash;
    memcpy(ctx, key_hash, 32);
}

static void
assert_message_key(const uint8_t got[32])
{
    uint8_t joined[80], want[32];

    field(joined, 32, "message_0", "cipher_key");
    field(joined + 32, 32, "message_0", "mac_key");
    field(joined + 64, 16, "message_0", "iv");
    sha256(want, bytes_of(joined, sizeof(joined)));
    assert_memory_equal(got, want, sizeof(want));
}

static enum rc
give_one_time(void *ctx, uint32_t id, struct session_prekey *out)
{
    const struct parties *p = ctx;

    *out = p->one_time;
    return id == p->one_time.id ? RC_OK : RC_NOTFOUND;
}
static enum rc
give_signed(void *ctx, uint32_t id, struct session_signed_prekey *out)
{
    const struct parties *p = ctx;

    *out = p->signed_prekey;
    return id == p->signed_prekey.pair.id ? RC_OK : RC_NOTFOUND;
}

static void
assert_opens(struct session_engine *engine, struct parties *p, struct bytes cipher,
             const char *text)
{
    const struct session_prekey_source source = {give_one_time, give_signed, p};
    struct session_opened opened;
    struct buf plain, next;

    buf_init(&plain, 1024);
    buf_init(&next, SESSION_RECORD_MAX);
    assert_int_equal(session_decrypt(engine, &plain, &next, &opened, &p->responder,
                                     bytes_of(NULL, 0), SESSION_PREKEY, cipher, p->initiator.pub,
                                     &source, NULL),
                     RC_OK);
    assert_true(bytes_equal(buf_bytes(&plain), bytes_of_str(text)));
    assert_true(opened.used_one_time);
    buf_wipe(&plain);
    buf_wipe(&next);
}

static void
test_session_makes_the_known_keys_and_message(void **state)
{
    const char *text;
    struct parties p;
    struct script script = {
        .keys = {p.base_priv, p.ratchet_priv},
          .next = 2
    };
    struct session_engine *engine;
    struct session_bundle bundle;
    struct buf started, moved, cipher;
    uint8_t key_hash[32], whisper[256];
    size_t whisper_len;
    enum session_type type;
    session_record *record = NULL;

    (void)state;
    if (vectors == NULL)
        skip();
    load_parties(&p);
    text = json_str(json_object_get(vectors, "message_0"), "plaintext_utf8");
    assert_int_equal(
        session_engine_new(&engine, (struct rng){.fill = fill_scripted, .self = &script}, NULL),
        RC_OK);
    make_bundle(&bundle, engine, &p);
    script.next = 0;
    buf_init(&started, SESSION_RECORD_MAX);
    buf_init(&moved, SESSION_RECORD_MAX);
    buf_init(&cipher, SESSION_MESSAGE_MAX);
    assert_int_equal(
        session_start(engine, &started, &p.initiator, bytes_of(NULL, 0), &bundle, NULL), RC_OK);
    assert_started(engine, &started, &p);

    session_engine_trace_keys(engine, note_key, key_hash);
    assert_int_equal(session_encrypt(engine, &cipher, &type, &moved, &p.initiator,
                                     buf_bytes(&started), bytes_of_str(text), NULL),
                     RC_OK);
    assert_message_key(key_hash);
    assert_chain(session_state_get_sender_chain_key(state_of(&record, engine, &moved)), 1,
                 "message_0", "chain_key_1");
    SIGNAL_UNREF(record);
    whisper_len = field(whisper, sizeof(whisper), "message_0", "signal_message");
    assert_non_null(memmem(cipher.ptr, cipher.len, whisper, whisper_len));
    assert_opens(engine, &p, buf_bytes(&cipher), text);
    buf_wipe(&started);
    buf_wipe(&moved);
    buf_free(&cipher);
    session_engine_free(&engine);
}

static void
test_x3dh_by_the_primitives(void **state)
{
    uint8_t input[32 * 5], root_and_chain[64], seed[32], next[32], chain[32], okm[80];
    static const uint8_t one = 1, two = 2;
    struct parties p;

    (void)state;
    if (vectors == NULL)
        skip();
    load_parties(&p);
    memset(input, 0xff, 32);
    assert_int_equal(x25519_dh(input + 32, p.initiator.priv, p.signed_prekey.pair.pub + 1), RC_OK);
    assert_int_equal(x25519_dh(input + 64, p.base_priv, p.responder.pub + 1), RC_OK);
    assert_int_equal(x25519_dh(input + 96, p.base_priv, p.signed_prekey.pair.pub + 1), RC_OK);
    assert_int_equal(x25519_dh(input + 128, p.base_priv, p.one_time.pub + 1), RC_OK);
    assert_field("x3dh", "secret_input", input, sizeof(input));
    hkdf_sha256(root_and_chain, 64, bytes_of(input, sizeof(input)), bytes_of(NULL, 0),
                bytes_of_str("WhisperText"));
    assert_field("x3dh", "root_key", root_and_chain, 32);
    assert_field("x3dh", "first_chain_key", root_and_chain + 32, 32);

    field(chain, 32, "sending_ratchet", "chain_key_0");
    hmac_sha256(seed, bytes_of(chain, 32), bytes_of(&one, 1));
    assert_field("message_0", "seed", seed, 32);
    hmac_sha256(next, bytes_of(chain, 32), bytes_of(&two, 1));
    assert_field("message_0", "chain_key_1", next, 32);
    hkdf_sha256(okm, sizeof(okm), bytes_of(seed, 32), bytes_of(NULL, 0),
                bytes_of_str("WhisperMessageKeys"));
    assert_field("message_0", "cipher_key", okm, 32);
    assert_field("message_0", "mac_key", okm + 32, 32);
    assert_field("message_0", "iv", okm + 64, 16);
}

static void
test_safety_number(void **state)
{
    const json_t *part = json_object_get(vectors, "fingerprint");
    uint8_t a[SESSION_PUBLIC_SIZE], b[SESSION_PUBLIC_SIZE];
    struct session_engine *engine;
    char got[61];

    (void)state;
    if (vectors == NULL)
        skip();
    field(a, sizeof(a), "fingerprint", "a_key");
    field(b, sizeof(b), "fingerprint", "b_key");
    assert_int_equal(session_engine_new(&engine, rng_system(), NULL), RC_OK);
    assert_int_equal(session_safety_number(engine, got, a, json_str(part, "a_id"), b,
                                           json_str(part, "b_id"), NULL),
                     RC_OK);
    assert_string_equal(got, json_str(part, "displayable"));
    assert_memory_equal(got, json_str(part, "a_30"), 30);
    assert_memory_equal(got + 30, json_str(part, "b_30"), 30);
    session_engine_free(&engine);
}

static int
load(void **state)
{
    const char *dir = getenv("PARLEY_VECTORS");
    char path[512];
    struct buf text;

    (void)state;
    assert_int_equal(crypto_start(NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/signal-v3-known-answers.json",
             dir == NULL ? SOURCE_ROOT "/../shared/vectors" : dir);
    buf_init(&text, FILE_MAX);
    if (file_read(&text, path, FILE_MAX, NULL) == RC_OK)
        assert_int_equal(json_read(&vectors, buf_bytes(&text), FILE_MAX, NULL), RC_OK);
    else
        printf("# skipped: no known answers at %s (set PARLEY_VECTORS)\n", path);
    buf_free(&text);
    return 0;
}

static int
unload(void **state)
{
    (void)state;
    json_decref(vectors);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_makes_the_known_keys_and_message),
        cmocka_unit_test(test_x3dh_by_the_primitives),
        cmocka_unit_test(test_safety_number),
    };

    return cmocka_run_group_tests_name("session/vectors", tests, load, unload);
}

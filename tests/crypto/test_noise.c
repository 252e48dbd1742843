/* Tests of crypto/noise: public vectors byte for byte, wrong order, wrong keys, every bit of every
 * message, the counted rekey. */
#include "crypto/noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "crypto/prim.h"

struct side {
    struct noise_keypair s, e;
    struct noise_handshake *hs;
    struct noise_cipher send, recv;
    uint8_t hash[32];
};

/* ---- vectors ---- */

static void
hex_into(uint8_t out[32], const json_t *vector, const char *key)
{
    assert_int_equal(hex_read(out, 32, bytes_of_str(json_str(vector, key)), NULL), RC_OK);
}

static void
hex_buf(struct buf *out, const json_t *object, const char *key)
{
    const char *text = json_str(object, key);
    size_t len = strlen(text) / 2;

    buf_init(out, NOISE_MESSAGE_MAX);
    assert_int_equal(hex_read(buf_extend(out, len), len, bytes_of_str(text), NULL), RC_OK);
}

static void
load_pair(struct noise_keypair *pair, const json_t *vector, const char *key)
{
    hex_into(pair->priv, vector, key);
    x25519_public(pair->pub, pair->priv);
}

/* The file, or NULL where it is not: it is kept beside the repository, not in it. */
static json_t *
load_vectors(void)
{
    const char *folder = getenv("PARLEY_VECTORS");
    json_t *root = NULL;
    char path[4096];
    struct buf text;

    snprintf(path, sizeof(path), "%s/noise-25519-aesgcm-sha256.json",
             folder != NULL ? folder : PARLEY_SOURCE_ROOT "/../shared/vectors");
    buf_init(&text, 1u << 20);
    if (file_read(&text, path, 1u << 20, NULL) == RC_OK)
        assert_int_equal(json_read(&root, buf_bytes(&text), 1u << 20, NULL), RC_OK);
    else
        print_message("skipped: no Noise vectors at %s (set PARLEY_VECTORS)\n", path);
    buf_free(&text);
    return root;
}

static struct bytes
prologue_of(struct buf *room, const json_t *vector)
{
    hex_buf(room, vector, "init_prologue");
    return buf_bytes(room);
}

static void
new_side(struct side *side, enum noise_role role, enum noise_pattern pattern, struct bytes prologue,
         const uint8_t *remote_static, const uint8_t *remote_ephemeral)
{
    const struct noise_handshake_opt opt = {
        .pattern = pattern,
        .role = role,
        .local_static = &side->s,
        .remote_static = remote_static,
        .prologue = prologue,
        .rng = rng_system(),
        .local_ephemeral = &side->e,
        .remote_ephemeral = remote_ephemeral,
    };

    assert_int_equal(noise_handshake_new(&side->hs, &opt, NULL), RC_OK);
}

/* One handshake message of the vectors, written by one side and read by the other. */
static void
pass_vector(const json_t *message, struct side *from, struct side *to, enum rc want)
{
    struct buf payload, cipher, out, back;

    hex_buf(&payload, message, "payload");
    hex_buf(&cipher, message, "ciphertext");
    buf_init(&out, NOISE_MESSAGE_MAX);
    buf_init(&back, NOISE_MESSAGE_MAX);
    assert_true(noise_handshake_must_write(from->hs));
    assert_false(noise_handshake_must_write(to->hs));
    assert_int_equal(noise_handshake_write(from->hs, buf_bytes(&payload), &out, NULL), RC_OK);
    assert_int_equal(out.len, cipher.len);
    assert_memory_equal(out.ptr, cipher.ptr, out.len);
    assert_int_equal(noise_handshake_read(to->hs, buf_bytes(&out), &back, NULL), want);
    assert_true(
        bytes_equal(buf_bytes(&back), want == RC_OK ? buf_bytes(&payload) : bytes_of(NULL, 0)));
    buf_free(&back);
    buf_free(&out);
    buf_free(&cipher);
    buf_free(&payload);
}

static void
pass_transport_vector(const json_t *message, struct side *from, struct side *to)
{
    struct buf payload, cipher;
    uint8_t room[256];

    hex_buf(&payload, message, "payload");
    hex_buf(&cipher, message, "ciphertext");
    assert_int_equal(noise_encrypt(&from->send, room, buf_bytes(&payload)), RC_OK);
    assert_memory_equal(room, cipher.ptr, cipher.len);
    assert_int_equal(noise_decrypt(&to->recv, room, bytes_of(room, cipher.len)), RC_OK);
    assert_memory_equal(room, payload.ptr, payload.len);
    buf_free(&cipher);
    buf_free(&payload);
}

static void
split_side(struct side *side, const uint8_t *want_hash)
{
    assert_true(noise_handshake_is_complete(side->hs));
    assert_int_equal(noise_handshake_split(side->hs, &side->send, &side->recv, side->hash, NULL),
                     RC_OK);
    if (want_hash != NULL)
        assert_memory_equal(side->hash, want_hash, 32);
    noise_handshake_free(&side->hs);
}

/* The fallback's opening: an IK message for another server's key fails, its ephemeral lives on. */
static void
fall_back(const json_t *vector, const json_t *message, struct side *client, struct side *server,
          struct bytes prologue)
{
    uint8_t ephemeral[32];

    memcpy(ephemeral, client->e.pub, sizeof(ephemeral));
    pass_vector(message, client, server, RC_AUTH);
    noise_handshake_free(&client->hs);
    noise_handshake_free(&server->hs);
    new_side(client, NOISE_CLIENT, NOISE_XXFALLBACK, prologue, NULL, NULL);
    new_side(server, NOISE_SERVER, NOISE_XXFALLBACK, prologue, NULL, ephemeral);
}

static void
run_vector(const json_t *vector)
{
    const char *name = json_str(vector, "protocol_name");
    bool is_xx = strcmp(name, "Noise_XX_25519_AESGCM_SHA256") == 0;
    bool is_fallback = json_truthy(json_object_get(vector, "fallback"));
    const json_t *messages = json_object_get(vector, "messages");
    size_t handshake_count = is_xx || is_fallback ? 3 : 2;
    struct side client = {0}, server = {0};
    uint8_t known[32], hash[32];
    struct buf room;
    struct bytes prologue = prologue_of(&room, vector);

    load_pair(&client.s, vector, "init_static");
    load_pair(&client.e, vector, "init_ephemeral");
    load_pair(&server.s, vector, "resp_static");
    load_pair(&server.e, vector, "resp_ephemeral");
    hex_into(hash, vector, "handshake_hash");
    if (!is_xx)
        hex_into(known, vector, "init_remote_static");
    new_side(&client, NOISE_CLIENT, is_xx ? NOISE_XX : NOISE_IK, prologue, is_xx ? NULL : known,
             NULL);
    new_side(&server, NOISE_SERVER, is_xx ? NOISE_XX : NOISE_IK, prologue, NULL, NULL);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        bool is_by_client = i % 2 == 0;
        struct side *from = is_by_client ? &client : &server;
        struct side *to = is_by_client ? &server : &client;

        if (i == 0 && is_fallback)
            fall_back(vector, message, &client, &server, prologue);
        else if (i < handshake_count)
            pass_vector(message, from, to, RC_OK);
        else
            pass_transport_vector(message, from, to);
        if (i + 1 == handshake_count) {
            assert_memory_equal(noise_handshake_remote_static(client.hs), server.s.pub, 32);
            assert_memory_equal(noise_handshake_remote_static(server.hs), client.s.pub, 32);
            split_side(&client, hash);
            split_side(&server, hash);
        }
    }
    buf_free(&room);
}

static void
test_noise_public_vectors(void **state)
{
    json_t *root = load_vectors();

    if (root == NULL)
        skip();
    const json_t *vectors = json_object_get(root, "vectors");
    assert_int_equal(json_array_size(vectors), 3);
    for (size_t i = 0; i < json_array_size(vectors); i++)
        run_vector(json_array_get(vectors, i));
    json_decref(root);
}

/* ---- our own handshakes ---- */

static void
make_pair(struct noise_keypair *pair)
{
    x25519_keypair(pair->priv, pair->pub, rng_system());
}

/* Both sides of a pattern, fresh keys; for XXfallback the client's ephemeral is known already. */
static void
start_both(struct side *client, struct side *server, enum noise_pattern pattern)
{
    struct bytes prologue = bytes_of_str("prologue");
    bool is_fallback = pattern == NOISE_XXFALLBACK;

    *client = (struct side){0};
    *server = (struct side){0};
    make_pair(&client->s);
    make_pair(&client->e);
    make_pair(&server->s);
    make_pair(&server->e);
    new_side(client, NOISE_CLIENT, pattern, prologue, pattern == NOISE_IK ? server->s.pub : NULL,
             NULL);
    new_side(server, NOISE_SERVER, pattern, prologue, NULL, is_fallback ? client->e.pub : NULL);
}

static void
stop_both(struct side *client, struct side *server)
{
    noise_handshake_free(&client->hs);
    noise_handshake_free(&server->hs);
}

static enum rc
pass(struct side *from, struct side *to, ssize_t flip_bit, size_t cut, size_t *size)
{
    struct buf out, back;
    enum rc rc;

    buf_init(&out, 4096);
    buf_init(&back, 4096);
    assert_int_equal(noise_handshake_write(from->hs, bytes_of_str("hint"), &out, NULL), RC_OK);
    *size = out.len;
    if (flip_bit >= 0)
        out.ptr[flip_bit / 8] ^= (uint8_t)(1 << flip_bit % 8);
    rc = noise_handshake_read(to->hs, bytes_of(out.ptr, out.len - cut), &back, NULL);
    if (rc != RC_OK)
        assert_int_equal(back.len, 0);
    buf_free(&back);
    buf_free(&out);
    return rc;
}

/* The whole handshake; damages one message. RC_OK if both ends think that it worked and agree. */
static enum rc
run_handshake(enum noise_pattern pattern, size_t victim, ssize_t flip_bit, size_t cut, size_t *size)
{
    struct side client, server;
    enum rc rc = RC_OK;
    size_t n;

    start_both(&client, &server, pattern);
    for (size_t i = 0; rc == RC_OK && !noise_handshake_is_complete(client.hs); i++) {
        bool is_client = noise_handshake_must_write(client.hs);

        rc = pass(is_client ? &client : &server, is_client ? &server : &client,
                  i == victim ? flip_bit : -1, i == victim ? cut : 0, &n);
        if (i == victim)
            *size = n;
    }
    if (rc == RC_OK) {
        split_side(&client, NULL);
        split_side(&server, NULL);
        rc = memcmp(client.hash, server.hash, 32) == 0 ? RC_OK : RC_AUTH;
    } else {
        assert_false(noise_handshake_is_complete(client.hs) &&
                     noise_handshake_is_complete(server.hs));
    }
    stop_both(&client, &server);
    return rc;
}

static const enum noise_pattern all_patterns[] = {NOISE_XX, NOISE_IK, NOISE_XXFALLBACK};

static void
test_noise_patterns_complete(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(all_patterns); i++)
        assert_int_equal(run_handshake(all_patterns[i], SIZE_MAX, -1, 0, NULL), RC_OK);
}

static void
test_noise_i38_every_bit_counts(void **state)
{
    for (size_t p = 0; p < ARRAY_LEN(all_patterns); p++) {
        size_t messages = all_patterns[p] == NOISE_XX ? 3 : 2;

        for (size_t victim = 0; victim < messages; victim++) {
            size_t size = 0;

            assert_int_equal(run_handshake(all_patterns[p], victim, -1, 0, &size), RC_OK);
            /* one bit of each byte, another one from byte to byte */
            for (size_t byte = 0; byte < size; byte++) {
                size_t ignored;
                /* X25519 ignores the top bit of a key: it still counts, by the hash */
                ssize_t bit = (ssize_t)(byte * 8 + (byte % 32 == 31 ? 7 : byte % 8));

                if (run_handshake(all_patterns[p], victim, bit, 0, &ignored) == RC_OK)
                    fail_msg("pattern %d, message %zu, bit %zd passed", (int)all_patterns[p],
                             victim, bit);
            }
        }
    }
}

static void
test_noise_short_messages(void **state)
{
    for (size_t p = 0; p < ARRAY_LEN(all_patterns); p++) {
        size_t messages = all_patterns[p] == NOISE_XX ? 3 : 2;

        for (size_t victim = 0; victim < messages; victim++) {
            size_t size = 0, ignored;

            assert_int_equal(run_handshake(all_patterns[p], victim, -1, 0, &size), RC_OK);
            for (size_t cut = 1; cut <= size; cut++) {
                enum rc rc = run_handshake(all_patterns[p], victim, -1, cut, &ignored);

                if (rc != RC_MALFORMED && rc != RC_AUTH)
                    fail_msg("pattern %d, message %zu less %zu: %s", (int)all_patterns[p], victim,
                             cut, rc_name(rc));
            }
        }
    }
}

static void
test_noise_out_of_turn(void **state)
{
    struct noise_cipher send, recv;
    struct side client, server;
    uint8_t hash[32];
    struct buf out;

    start_both(&client, &server, NOISE_XX);
    buf_init(&out, 4096);
    assert_int_equal(noise_handshake_write(server.hs, bytes_of(NULL, 0), &out, NULL), RC_PROTO);
    assert_int_equal(noise_handshake_read(client.hs, bytes_of_str("x"), &out, NULL), RC_PROTO);
    assert_int_equal(noise_handshake_split(client.hs, &send, &recv, hash, NULL), RC_PROTO);
    assert_int_equal(noise_handshake_write(client.hs, bytes_of(NULL, 0), &out, NULL), RC_OK);
    assert_int_equal(noise_handshake_write(client.hs, bytes_of(NULL, 0), &out, NULL), RC_PROTO);
    assert_null(noise_handshake_remote_static(client.hs));
    /* a failed handshake stays failed */
    assert_int_equal(noise_handshake_read(server.hs, bytes_of_str("x"), &out, NULL), RC_MALFORMED);
    assert_int_equal(noise_handshake_read(server.hs, buf_bytes(&out), &out, NULL), RC_PROTO);
    buf_free(&out);
    stop_both(&client, &server);
}

static void
test_noise_small_order_keys_refused(void **state)
{
    static const uint8_t zeros[64], one[64] = {1};
    const uint8_t *bad[] = {zeros, one};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct side client, server;
        struct buf out;

        /* XX: the server reads the key and fails where it first computes with it */
        start_both(&client, &server, NOISE_XX);
        buf_init(&out, 4096);
        assert_int_equal(noise_handshake_read(server.hs, bytes_of(bad[i], 32), &out, NULL), RC_OK);
        assert_int_equal(noise_handshake_write(server.hs, bytes_of(NULL, 0), &out, NULL), RC_AUTH);
        buf_free(&out);
        stop_both(&client, &server);
    }
}

static void
test_noise_keys_must_fit_the_pattern(void **state)
{
    uint8_t key[32] = {9};
    struct noise_keypair pair;
    struct noise_handshake *hs;
    const struct noise_handshake_opt bad[] = {
        {.pattern = NOISE_XX,    .role = NOISE_CLIENT, .local_static = NULL            },
        {.pattern = NOISE_XX,    .role = NOISE_CLIENT, .local_static = &pair,            .remote_static = key},
        {.pattern = NOISE_IK,                      .role = NOISE_CLIENT,                        .local_static = &pair              },
        {.pattern = NOISE_IK,                      .role = NOISE_SERVER,                        .local_static = &pair, .remote_static = key},
        {.pattern = NOISE_XXFALLBACK,  .role = NOISE_CLIENT,                      .local_static = &pair                           },
        {.pattern = NOISE_XXFALLBACK, .role = NOISE_SERVER,.local_static = &pair},
        {.pattern = (enum noise_pattern)0, .role = NOISE_SERVER,                      .local_static = &pair                                            },
        {.pattern = (enum noise_pattern)4, .role = NOISE_SERVER,.local_static = &pair},
    };

    make_pair(&pair);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        hs = (struct noise_handshake *)1;
        assert_int_equal(noise_handshake_new(&hs, &bad[i], NULL), RC_INVAL);
        assert_null(hs);
    }
}

/* ---- transport ---- */

static void
test_noise_wrong_tag_does_not_move_the_counter(void **state)
{
    struct noise_cipher a = {.key = {7}}, b = a;
    uint8_t sealed[21], broken[21], plain[5];

    assert_int_equal(noise_encrypt(&a, sealed, bytes_of_str("hello")), RC_OK);
    memcpy(broken, sealed, sizeof(broken));
    broken[3] ^= 1;
    assert_int_equal(noise_decrypt(&b, plain, bytes_of(broken, sizeof(broken))), RC_AUTH);
    assert_int_equal(b.n, 0);
    assert_int_equal(noise_decrypt(&b, plain, bytes_of(sealed, 15)), RC_AUTH);
    assert_int_equal(noise_decrypt(&b, plain, bytes_of(sealed, sizeof(sealed))), RC_OK);
    assert_memory_equal(plain, "hello", 5);
    /* a replay has the wrong counter */
    assert_int_equal(noise_decrypt(&b, plain, bytes_of(sealed, sizeof(sealed))), RC_AUTH);
    noise_cipher_wipe(&a);
    assert_int_equal(a.key[0], 0);
}

static void
test_noise_rekeys_by_count(void **state)
{
    struct noise_cipher a = {.key = {7}, .n = NOISE_REKEY_EVERY - 1}, b = a, late;
    uint8_t room[17], old_key[32], want[48];
    static const uint8_t zeros[32];
    uint8_t nonce[12] = {0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};

    memcpy(old_key, a.key, sizeof(old_key));
    aes256gcm_seal(want, old_key, nonce, bytes_of(NULL, 0), bytes_of(zeros, sizeof(zeros)));
    for (int i = 0; i < 3; i++) {
        late = b;
        assert_int_equal(noise_encrypt(&a, room, bytes_of_str("x")), RC_OK);
        assert_int_equal(noise_decrypt(&b, room, bytes_of(room, sizeof(room))), RC_OK);
        assert_int_equal(room[0], 'x');
    }
    assert_int_equal(a.n, NOISE_REKEY_EVERY + 2); /* the counter is not reset */
    assert_memory_equal(a.key, want, 32);
    assert_memory_equal(b.key, want, 32);
    /* the negative control: without the rekey the peer does not follow */
    memcpy(late.key, old_key, sizeof(old_key));
    late.n = a.n;
    assert_int_equal(noise_encrypt(&a, room, bytes_of_str("x")), RC_OK);
    assert_int_equal(noise_decrypt(&late, room, bytes_of(room, sizeof(room))), RC_AUTH);
}

static void
test_noise_limits(void **state)
{
    struct noise_cipher last = {.n = UINT64_MAX - 1}, other = {0};
    uint8_t *room = calloc(1, NOISE_MESSAGE_MAX + 1);

    assert_non_null(room);
    assert_int_equal(noise_encrypt(&last, room, bytes_of(room, 1)), RC_OK);
    assert_int_equal(noise_encrypt(&last, room, bytes_of(room, 1)), RC_LIMIT);
    assert_int_equal(noise_decrypt(&last, room, bytes_of(room, 17)), RC_AUTH);
    assert_int_equal(noise_encrypt(&other, room, bytes_of(room, NOISE_PLAINTEXT_MAX)), RC_OK);
    assert_int_equal(noise_encrypt(&other, room, bytes_of(room, NOISE_PLAINTEXT_MAX + 1)),
                     RC_LIMIT);
    other.n = 0;
    assert_int_equal(noise_decrypt(&other, room, bytes_of(room, NOISE_MESSAGE_MAX)), RC_OK);
    assert_int_equal(noise_decrypt(&other, room, bytes_of(room, NOISE_MESSAGE_MAX + 1)), RC_AUTH);
    free(room);
}

static int
start(void **state)
{
    return crypto_start(NULL) == RC_OK ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_public_vectors),
        cmocka_unit_test(test_noise_patterns_complete),
        cmocka_unit_test(test_noise_i38_every_bit_counts),
        cmocka_unit_test(test_noise_short_messages),
        cmocka_unit_test(test_noise_out_of_turn),
        cmocka_unit_test(test_noise_small_order_keys_refused),
        cmocka_unit_test(test_noise_keys_must_fit_the_pattern),
        cmocka_unit_test(test_noise_wrong_tag_does_not_move_the_counter),
        cmocka_unit_test(test_noise_rekeys_by_count),
        cmocka_unit_test(test_noise_limits),
    };

    return cmocka_run_group_tests_name("crypto/noise", tests, start, NULL);
}

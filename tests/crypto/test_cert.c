/* Tests of crypto/cert: both statements there and back, other keys, other kinds, every bit, time,
 * and details that a holder of the key would never sign. */
#include "crypto/cert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/attr.h"
#include "cert.pb-c.h"
#include "crypto/prim.h"

#define NOW INT64_C(1800000000)

static const uint8_t seed[32] = {1, 2, 3}, other_seed[32] = {4};
static uint8_t pub[32], other_pub[32]; /* filled once, by start() */

static const struct relay_cert relay = {
    .static_key = {9, 8, 7},
    .host = "relay.example",
    .not_before_s = NOW - 100,
    .not_after_s = NOW + 100,
};

static const struct number_cert number = {
    .number = 15550123400,
    .display_name = "Brot & S\xc3\xb6hne",
    .business_id = 11,
    .portfolio_id = 12,
    .tier = 250,
    .hosting = CERT_HOSTED,
    .operator_name = "Parley",
    .issued_s = NOW - 100,
    .not_after_s = NOW + 100,
};

static void
test_cert_relay_there_and_back(void **state)
{
    struct relay_cert back;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(relay_cert_issue(&relay, seed, &out, NULL), RC_OK);
    assert_int_equal(relay_cert_read(&back, buf_bytes(&out), pub, NOW, NULL), RC_OK);
    assert_memory_equal(back.static_key, relay.static_key, 32);
    assert_string_equal(back.host, relay.host);
    assert_int_equal(back.not_before_s, relay.not_before_s);
    assert_int_equal(back.not_after_s, relay.not_after_s);
    assert_int_equal(relay_cert_read(&back, buf_bytes(&out), other_pub, NOW, NULL), RC_AUTH);
    assert_int_equal(back.not_after_s, 0); /* nothing of what is not believed is left */
    buf_free(&out);
}

static void
test_cert_number_there_and_back(void **state)
{
    struct number_cert back;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(number_cert_issue(&number, seed, &out, NULL), RC_OK);
    assert_int_equal(number_cert_read(&back, buf_bytes(&out), pub, NOW, NULL), RC_OK);
    assert_int_equal(back.number, number.number);
    assert_string_equal(back.display_name, number.display_name);
    assert_int_equal(back.business_id, number.business_id);
    assert_int_equal(back.portfolio_id, number.portfolio_id);
    assert_int_equal(back.tier, number.tier);
    assert_int_equal(back.hosting, number.hosting);
    assert_string_equal(back.operator_name, number.operator_name);
    assert_int_equal(back.issued_s, number.issued_s);
    assert_int_equal(back.not_after_s, number.not_after_s);
    assert_int_equal(number_cert_read(&back, buf_bytes(&out), other_pub, NOW, NULL), RC_AUTH);
    assert_int_equal(back.number, 0);
    buf_free(&out);
}

/* One kind never passes for the other, though the same key signed both. */
static void
test_cert_kinds_are_apart(void **state)
{
    struct relay_cert relay_back;
    struct number_cert number_back;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(relay_cert_issue(&relay, seed, &out, NULL), RC_OK);
    assert_int_equal(number_cert_read(&number_back, buf_bytes(&out), pub, NOW, NULL), RC_AUTH);
    buf_reset(&out);
    assert_int_equal(number_cert_issue(&number, seed, &out, NULL), RC_OK);
    assert_int_equal(relay_cert_read(&relay_back, buf_bytes(&out), pub, NOW, NULL), RC_AUTH);
    buf_free(&out);
}

static const struct {
    int64_t now_s;
    enum rc want;
} times[] = {
    {0,                           RC_OK     }, /* not asked */
    {NOW - 100 - CERT_SKEW_S - 1, RC_TIMEOUT},
    {NOW - 100 - CERT_SKEW_S,     RC_OK     },
    {NOW + 99,                    RC_OK     },
    {NOW + 100,                   RC_TIMEOUT},
    {NOW + 100 + CERT_SKEW_S,     RC_TIMEOUT},
};

static void
test_cert_time(void **state)
{
    struct buf r, n;

    buf_init(&r, 4096);
    buf_init(&n, 4096);
    assert_int_equal(relay_cert_issue(&relay, seed, &r, NULL), RC_OK);
    assert_int_equal(number_cert_issue(&number, seed, &n, NULL), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct relay_cert relay_back;
        struct number_cert number_back;

        assert_int_equal(relay_cert_read(&relay_back, buf_bytes(&r), pub, times[i].now_s, NULL),
                         times[i].want);
        assert_int_equal(number_cert_read(&number_back, buf_bytes(&n), pub, times[i].now_s, NULL),
                         times[i].want);
    }
    buf_free(&n);
    buf_free(&r);
}

static void
test_cert_every_bit_and_every_length(void **state)
{
    struct relay_cert back;
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(relay_cert_issue(&relay, seed, &out, NULL), RC_OK);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum rc rc = relay_cert_read(&back, buf_bytes(&out), pub, NOW, NULL);
        if (rc != RC_AUTH && rc != RC_MALFORMED)
            fail_msg("bit %zu: %s", bit, rc_name(rc));
        out.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < out.len; n++)
        assert_int_not_equal(relay_cert_read(&back, bytes_of(out.ptr, n), pub, NOW, NULL), RC_OK);
    buf_free(&out);
}

static void
test_cert_too_long_is_not_parsed(void **state)
{
    struct relay_cert back;
    uint8_t *zeros = calloc(1, CERT_SIZE_MAX + 1);

    assert_non_null(zeros);
    assert_int_equal(relay_cert_read(&back, bytes_of(zeros, CERT_SIZE_MAX + 1), pub, NOW, NULL),
                     RC_MALFORMED);
    free(zeros);
}

static void
test_cert_issue_refuses(void **state)
{
    struct number_cert bad[7];
    struct relay_cert bad_relay[3];
    struct buf out;

    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = number;
    bad[0].number = 0;
    bad[1].display_name[0] = 0;
    memset(bad[2].display_name, 'x', sizeof(bad[2].display_name)); /* no end */
    bad[3].operator_name[0] = (char)0xff;
    bad[4].hosting = (enum cert_hosting)0;
    bad[5].hosting = (enum cert_hosting)3;
    bad[6].not_after_s = bad[6].issued_s;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(number_cert_issue(&bad[i], seed, &out, NULL), RC_INVAL);
    for (size_t i = 0; i < ARRAY_LEN(bad_relay); i++)
        bad_relay[i] = relay;
    bad_relay[0].host[0] = 0;
    memset(bad_relay[1].host, 'x', sizeof(bad_relay[1].host));
    bad_relay[2].not_before_s = bad_relay[2].not_after_s;
    for (size_t i = 0; i < ARRAY_LEN(bad_relay); i++)
        assert_int_equal(relay_cert_issue(&bad_relay[i], seed, &out, NULL), RC_INVAL);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

/* ---- rightly signed, wrong inside ---- */

static void
sign_details(struct buf *out, const ProtobufCMessage *details, const char *label)
{
    Parley__Cert__Signed envelope = PARLEY__CERT__SIGNED__INIT;
    uint8_t signature[64];
    struct buf joined;
    size_t label_len = strlen(label), size = protobuf_c_message_get_packed_size(details);

    buf_init(&joined, 4096);
    buf_put_str(&joined, label);
    protobuf_c_message_pack(details, buf_extend(&joined, size));
    ed25519_sign(signature, seed, buf_bytes(&joined));
    envelope.details.data = joined.ptr + label_len;
    envelope.details.len = size;
    envelope.signature.data = signature;
    envelope.signature.len = sizeof(signature);
    buf_reset(out);
    parley__cert__signed__pack(&envelope,
                               buf_extend(out, parley__cert__signed__get_packed_size(&envelope)));
    buf_free(&joined);
}

static void
test_cert_signed_but_wrong_inside(void **state)
{
    char long_name[CERT_NAME_MAX + 1];
    uint8_t key[33] = {1};
    struct {
        uint32_t version;
        size_t key_len;
        char *host;
        enum rc want;
    } cases[] = {
        {1, 32, (char[]){"h"},    RC_OK       },
        {2, 32, (char[]){"h"},    RC_PROTO    },
        {0, 32, (char[]){"h"},    RC_PROTO    },
        {1, 31, (char[]){"h"},    RC_MALFORMED},
        {1, 33, (char[]){"h"},    RC_MALFORMED},
        {1, 32, (char[]){""},     RC_MALFORMED},
        {1, 32, (char[]){"\xff"}, RC_MALFORMED},
        {1, 32, long_name,        RC_MALFORMED},
    };
    struct buf out;

    memset(long_name, 'x', CERT_NAME_MAX);
    long_name[CERT_NAME_MAX] = 0;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Parley__Cert__RelayDetails details = PARLEY__CERT__RELAY_DETAILS__INIT;
        struct relay_cert back;

        details.version = cases[i].version;
        details.static_key.data = key;
        details.static_key.len = cases[i].key_len;
        details.host = cases[i].host;
        details.not_before_s = NOW - 1;
        details.not_after_s = NOW + 1;
        sign_details(&out, &details.base, "PLY-relay-cert");
        assert_int_equal(relay_cert_read(&back, buf_bytes(&out), pub, NOW, NULL), cases[i].want);
    }
    buf_free(&out);
}

static int
start(void **state)
{
    if (crypto_start(NULL) != RC_OK)
        return -1;
    ed25519_public(pub, seed);
    ed25519_public(other_pub, other_seed);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cert_relay_there_and_back),
        cmocka_unit_test(test_cert_number_there_and_back),
        cmocka_unit_test(test_cert_kinds_are_apart),
        cmocka_unit_test(test_cert_time),
        cmocka_unit_test(test_cert_every_bit_and_every_length),
        cmocka_unit_test(test_cert_too_long_is_not_parsed),
        cmocka_unit_test(test_cert_issue_refuses),
        cmocka_unit_test(test_cert_signed_but_wrong_inside),
    };

    return cmocka_run_group_tests_name("crypto/cert", tests, start, NULL);
}

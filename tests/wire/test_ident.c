/* test_ident.c - message ids, lanes and the device list's hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/ident.h"
#include "wire/wire.h"

static void
test_message_id_holds_the_time_and_80_random_bits(void **state)
{
    static const int64_t times[] = {0, 1, 1767225600123, ((int64_t)1 << 48) - 1};
    uint64_t seed = 1;
    uint8_t a[MESSAGE_ID_BYTES], b[MESSAGE_ID_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        message_id_make(a, times[i], rng_seeded(&seed));
        message_id_make(b, times[i], rng_seeded(&seed));
        assert_int_equal(message_id_unix_ms(a), times[i]);
        assert_memory_equal(a, b, 6);
        assert_memory_not_equal(a + 6, b + 6, 10);
    }
    message_id_make(a, 0x010203040506, rng_seeded(&seed));
    assert_memory_equal(a, "\x01\x02\x03\x04\x05\x06", 6);
}

/* Part of the protocol: a change moves queued envelopes to lanes where nobody looks. */
static void
test_lane_is_fixed(void **state)
{
    static const struct {
        uint64_t account;
        uint32_t lane;
    } cases[] = {
        {0,               15},
        {1,               1 },
        {15557654321,     25},
        {15550123400,     1 },
        {999999999999999, 3 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(lane_of_peer(cases[i].account), cases[i].lane);
}

static void
test_lanes_are_even_for_neighbouring_numbers(void **state)
{
    unsigned count[WIRE_BUSINESS_LANES] = {0};

    for (uint64_t account = 15550000000; account < 15550000000 + 32000; account++)
        count[lane_of_peer(account)]++;
    for (size_t i = 0; i < WIRE_BUSINESS_LANES; i++)
        assert_in_range(count[i], 850, 1150); /* 1000 expected, five standard deviations */
}

static const struct device_entry two[] = {
    {.device = 1, .registration_id = 100, .identity_key = {5, 1}},
    {.device = 2, .registration_id = 200, .identity_key = {5, 2}},
};

static void
test_list_hash_ignores_order_and_sees_every_field(void **state)
{
    struct device_entry swapped[] = {two[1], two[0]}, changed[2];
    uint8_t want[DEVICE_LIST_HASH_SIZE], got[DEVICE_LIST_HASH_SIZE];

    device_list_hash(want, two, 2);
    device_list_hash(got, swapped, 2);
    assert_memory_equal(got, want, sizeof(want));
    for (unsigned i = 0; i < 4; i++) {
        memcpy(changed, two, sizeof(two));
        changed[1].device += i == 0;
        changed[1].registration_id += i == 1;
        changed[1].identity_key[32] += i == 2;
        device_list_hash(got, changed, i == 3 ? 1 : 2);
        assert_memory_not_equal(got, want, sizeof(want));
    }
}

/* Part of the protocol, too: both ends compute it. */
static void
test_list_hash_is_fixed(void **state)
{
    static const uint8_t want[DEVICE_LIST_HASH_SIZE] = {0xa5, 0x6f, 0x72, 0x49,
                                                        0x7d, 0xac, 0x8f, 0xfe};
    uint8_t got[DEVICE_LIST_HASH_SIZE];

    device_list_hash(got, two, 2);
    assert_memory_equal(got, want, sizeof(want));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_id_holds_the_time_and_80_random_bits),
        cmocka_unit_test(test_lane_is_fixed),
        cmocka_unit_test(test_lanes_are_even_for_neighbouring_numbers),
        cmocka_unit_test(test_list_hash_ignores_order_and_sees_every_field),
        cmocka_unit_test(test_list_hash_is_fixed),
    };

    return cmocka_run_group_tests_name("wire/ident", tests, NULL, NULL);
}

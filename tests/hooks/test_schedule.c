/* test_schedule.c - pauses, windows and what counts as taken, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hooks/schedule.h"

static const struct delay_case {
    enum hooks_profile profile;
    uint32_t tries;
    int64_t nominal_ms;
} delays[] = {
    {HOOKS_CLOUD,  1,          0      },
    {HOOKS_CLOUD,  2,          15000  },
    {HOOKS_CLOUD,  3,          60000  },
    {HOOKS_CLOUD,  4,          300000 },
    {HOOKS_CLOUD,  5,          900000 },
    {HOOKS_CLOUD,  6,          3600000},
    {HOOKS_CLOUD,  7,          7200000},
    {HOOKS_CLOUD,  1000,       7200000},
    {HOOKS_CLOUD,  UINT32_MAX, 7200000},
    {HOOKS_D360,   2,          15000  },
    {HOOKS_D360,   9,          7200000},
    {HOOKS_ONPREM, 1,          3000   },
    {HOOKS_ONPREM, 2,          6000   },
    {HOOKS_ONPREM, 299,        897000 },
    {HOOKS_ONPREM, 300,        900000 },
    {HOOKS_ONPREM, 301,        900000 },
    {HOOKS_ONPREM, UINT32_MAX, 900000 },
};

static void
test_pauses_lose_at_most_a_tenth(void **state)
{
    uint64_t seed = 1;

    for (size_t i = 0; i < ARRAY_LEN(delays); i++)
        for (unsigned round = 0; round < 200; round++) {
            int64_t ms = schedule_delay_ms(delays[i].profile, delays[i].tries, rng_seeded(&seed));

            assert_true(ms <= delays[i].nominal_ms);
            assert_true(ms >= delays[i].nominal_ms - delays[i].nominal_ms / 10);
        }
}

static void
test_windows(void **state)
{
    assert_int_equal(schedule_window_ms(HOOKS_CLOUD), 7ll * 24 * 3600 * 1000);
    assert_int_equal(schedule_window_ms(HOOKS_D360), 7ll * 24 * 3600 * 1000);
    assert_int_equal(schedule_window_ms(HOOKS_ONPREM), 24ll * 3600 * 1000);
}

static const struct taken_case {
    int status;
    bool cloud, others;
} taken[] = {
    {0,   false, false},
    {100, false, false},
    {199, false, false},
    {200, true,  true },
    {201, true,  false},
    {204, true,  false},
    {299, true,  false},
    {300, false, false},
    {302, false, false},
    {404, false, false},
    {500, false, false},
};

static void
test_what_counts_as_taken(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        assert_int_equal(schedule_is_taken(HOOKS_CLOUD, taken[i].status), taken[i].cloud);
        assert_int_equal(schedule_is_taken(HOOKS_ONPREM, taken[i].status), taken[i].others);
        assert_int_equal(schedule_is_taken(HOOKS_D360, taken[i].status), taken[i].others);
    }
}

static void
test_targets_back_off_and_never_for_long(void **state)
{
    static const int64_t want_ms[] = {0, 0, 0, 0, 5000, 15000, 60000, 300000, 300000};

    for (uint32_t fails = 0; fails < ARRAY_LEN(want_ms); fails++)
        assert_int_equal(schedule_backoff_ms(fails), want_ms[fails]);
    assert_int_equal(schedule_backoff_ms(UINT32_MAX), 300000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_lose_at_most_a_tenth),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_what_counts_as_taken),
        cmocka_unit_test(test_targets_back_off_and_never_for_long),
    };

    return cmocka_run_group_tests_name("hooks/schedule", tests, NULL, NULL);
}

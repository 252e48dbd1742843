/* test_backoff.c - doubling, cap and jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "link/backoff.h"

static void
test_waits_double_up_to_the_cap_and_are_jittered(void **state)
{
    static const struct {
        unsigned failures;
        uint32_t low, high;
    } cases[] = {
        {0,           100,   200  },
        {1,           200,   400  },
        {2,           400,   800  },
        {7,           12800, 25600},
        {8,           15000, 30000},
        {9,           15000, 30000},
        {4000000000u, 15000, 30000},
    };
    uint64_t seed = 7;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t least = UINT32_MAX, most = 0;

        for (unsigned n = 0; n < 500; n++) {
            uint32_t ms = backoff_ms(200, 30000, cases[i].failures, rng_seeded(&seed));

            assert_in_range(ms, cases[i].low, cases[i].high);
            least = ms < least ? ms : least;
            most = ms > most ? ms : most;
        }
        assert_true(most - least > (cases[i].high - cases[i].low) * 9 / 10);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_double_up_to_the_cap_and_are_jittered),
    };

    return cmocka_run_group_tests_name("link/backoff", tests, NULL, NULL);
}

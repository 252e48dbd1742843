/* Tests of base/clock: never backwards, shifts only forwards, monotonic time stays apart. */
#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static void
test_fake_stands_still_until_told(void **state)
{
    struct clock *clock;

    assert_int_equal(clock_new_fake(&clock, 1000, 50, NULL), RC_OK);
    assert_int_equal(clock_unix_ms(clock), 1000);
    assert_int_equal(clock_unix_ms(clock), 1000);
    clock_fake_advance(clock, 25);
    assert_int_equal(clock_unix_ms(clock), 1025);
    assert_int_equal(clock_mono_ms(clock), 75);
    clock_free(&clock);
    assert_null(clock);
    clock_free(&clock);
}

static void
test_offset_moves_platform_time_only_and_only_forwards(void **state)
{
    struct clock *clock;
    struct err err;

    assert_int_equal(clock_new_fake(&clock, 1000, 50, NULL), RC_OK);
    assert_int_equal(clock_set_offset_ms(clock, 86400000, NULL), RC_OK);
    assert_int_equal(clock_unix_ms(clock), 86401000);
    assert_int_equal(clock_mono_ms(clock), 50);
    assert_int_equal(clock_set_offset_ms(clock, 86399999, &err), RC_INVAL);
    assert_int_equal(clock_set_offset_ms(clock, 86400000, NULL), RC_OK);
    assert_int_equal(clock_offset_ms(clock), 86400000);
    assert_int_equal(clock_unix_ms(clock), 86401000);
    clock_free(&clock);
}

static void
test_freeze_and_resume(void **state)
{
    struct clock *clock;

    assert_int_equal(clock_new_fake(&clock, 1000, 0, NULL), RC_OK);
    assert_int_equal(clock_freeze_at(clock, 999, NULL), RC_INVAL);
    assert_int_equal(clock_freeze_at(clock, 5000, NULL), RC_OK);
    clock_fake_advance(clock, 100);
    assert_int_equal(clock_unix_ms(clock), 5000);
    assert_int_equal(clock_mono_ms(clock), 100); /* leases do not freeze */
    assert_int_equal(clock_set_offset_ms(clock, 10, NULL), RC_OK);
    assert_int_equal(clock_unix_ms(clock), 5010); /* a frozen clock can be moved */
    assert_int_equal(clock_freeze_at(clock, 5009, NULL), RC_INVAL);
    clock_resume(clock);
    assert_int_equal(clock_unix_ms(clock), 5010); /* goes on from there */
    clock_fake_advance(clock, 7);
    assert_int_equal(clock_unix_ms(clock), 5017);
    clock_resume(clock); /* not frozen: nothing */
    assert_int_equal(clock_unix_ms(clock), 5017);
    clock_free(&clock);
}

static void
test_resume_after_the_held_time_catches_up(void **state)
{
    struct clock *clock;

    assert_int_equal(clock_new_fake(&clock, 1000, 0, NULL), RC_OK);
    assert_int_equal(clock_freeze_at(clock, 1000, NULL), RC_OK);
    clock_fake_advance(clock, 500);
    assert_int_equal(clock_unix_ms(clock), 1000);
    clock_resume(clock);
    assert_int_equal(clock_unix_ms(clock), 1500);
    assert_int_equal(clock_offset_ms(clock), 0);
    clock_free(&clock);
}

#define HOUR_MS ((int64_t)3600 * 1000)
#define YEAR_MS (365 * 24 * HOUR_MS)
#define START_MS ((int64_t)1767225600000) /* 2026 */

static const struct {
    const char *name;
    int64_t jump_ms;          /* of the wall clock alone, after a minute */
    int64_t after_ms;         /* platform time passed since the start, right after the jump */
    int64_t after_2_hours_ms; /* and two hours later */
} jumps[] = {
    {"none",            0,           60000,               60000 + 2 * HOUR_MS    },
    {"half an hour on", HOUR_MS / 2, 60000 + HOUR_MS / 2, 60000 + 5 * HOUR_MS / 2},
    {"an hour on",      HOUR_MS,     60000 + HOUR_MS,     60000 + 3 * HOUR_MS    },
    {"a year on",       YEAR_MS,     60000 + HOUR_MS,     60000 + 3 * HOUR_MS    },
    {"an hour back",    -HOUR_MS,    60000,               60000 + HOUR_MS        },
    {"back to 1970",    -START_MS,   60000,               60000 + HOUR_MS        },
};

static void
test_i40_jumps_of_the_wall_clock_are_bounded(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        struct clock *clock;

        assert_int_equal(clock_new_fake(&clock, START_MS, 0, NULL), RC_OK);
        clock_fake_advance(clock, 60000);
        assert_int_equal(clock_unix_ms(clock) - START_MS, 60000);
        clock_fake_set_wall(clock, clock_wall_ms(clock) + jumps[i].jump_ms);
        if (clock_unix_ms(clock) - START_MS != jumps[i].after_ms)
            fail_msg("%s: %lld", jumps[i].name, (long long)(clock_unix_ms(clock) - START_MS));
        clock_fake_advance(clock, 2 * HOUR_MS);
        if (clock_unix_ms(clock) - START_MS != jumps[i].after_2_hours_ms)
            fail_msg("%s: %lld", jumps[i].name, (long long)(clock_unix_ms(clock) - START_MS));
        assert_int_equal(clock_mono_ms(clock), 60000 + 2 * HOUR_MS);
        clock_free(&clock);
    }
}

static void *
read_and_check(void *arg)
{
    int64_t last = 0;

    for (int i = 0; i < 20000; i++) {
        int64_t now = clock_unix_ms(arg);

        if (now < last)
            return arg;
        last = now;
    }
    return NULL;
}

static void
test_i40_never_runs_backwards_under_shifts(void **state)
{
    struct clock *clock;
    pthread_t readers[3];

    assert_int_equal(clock_new_system(&clock, NULL), RC_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_and_check, clock), 0);
    for (int i = 1; i < 2000; i++) {
        assert_int_equal(clock_set_offset_ms(clock, clock_offset_ms(clock) + i, NULL), RC_OK);
        if (i % 10 == 0) {
            assert_int_equal(clock_freeze_at(clock, clock_unix_ms(clock) + 1000, NULL), RC_OK);
            clock_resume(clock);
        }
    }
    for (int i = 0; i < 3; i++) {
        void *failed;

        pthread_join(readers[i], &failed);
        assert_null(failed);
    }
    clock_free(&clock);
}

static void
test_system_clock_is_the_systems(void **state)
{
    struct clock *clock;
    struct timespec now;
    int64_t mono_ms;

    assert_int_equal(clock_new_system(&clock, NULL), RC_OK);
    mono_ms = clock_mono_ms(clock);
    clock_gettime(CLOCK_REALTIME, &now);
    assert_in_range(clock_unix_ms(clock) - (int64_t)now.tv_sec * 1000, 0, 5000);
    clock_gettime(CLOCK_BOOTTIME, &now);
    assert_in_range((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - mono_ms, 0, 5000);
    clock_free(&clock);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fake_stands_still_until_told),
        cmocka_unit_test(test_offset_moves_platform_time_only_and_only_forwards),
        cmocka_unit_test(test_freeze_and_resume),
        cmocka_unit_test(test_resume_after_the_held_time_catches_up),
        cmocka_unit_test(test_i40_jumps_of_the_wall_clock_are_bounded),
        cmocka_unit_test(test_i40_never_runs_backwards_under_shifts),
        cmocka_unit_test(test_system_clock_is_the_systems),
    };

    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}

/* Tests of base/rng: no bytes twice (also after fork and between threads), bounds, seeds. */
#include "base/rng.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static void
test_system_fills_every_length(void **state)
{
    for (size_t len = 0; len <= 700; len += 7) {
        uint8_t a[708] = {0}, b[708] = {0};

        rng_fill(rng_system(), a, len);
        rng_fill(rng_system(), b, len);
        if (len >= 14) /* a chance of 2^-112 to fail by accident */
            assert_memory_not_equal(a, b, len);
        for (size_t i = len; i < sizeof(a); i++)
            assert_int_equal(a[i], 0);
        for (size_t from = 0; from + 16 <= len; from += 16) {
            static const uint8_t zero[16];

            assert_memory_not_equal(a + from, zero, 16);
        }
    }
}

/* A child that went on reading the parent's buffer would hand out the same bytes. */
static void
test_fork_shares_no_bytes(void **state)
{
    uint8_t ours[16], childs[16];
    int ends[2];
    pid_t pid;

    rng_u32(rng_system()); /* the buffer is filled */
    assert_int_equal(pipe(ends), 0);
    if ((pid = fork()) == 0) {
        rng_fill(rng_system(), childs, sizeof(childs));
        _exit(write(ends[1], childs, sizeof(childs)) == sizeof(childs) ? 0 : 1);
    }
    rng_fill(rng_system(), ours, sizeof(ours));
    assert_int_equal(read(ends[0], childs, sizeof(childs)), sizeof(childs));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_memory_not_equal(ours, childs, sizeof(ours));
    close(ends[0]);
    close(ends[1]);
}

static void *
draw(void *out)
{
    rng_fill(rng_system(), out, 16);
    return NULL;
}

static void
test_threads_share_no_bytes(void **state)
{
    uint8_t drawn[4][16];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, drawn[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(drawn[i], drawn[k], 16);
    }
}

static void
test_seed_repeats(void **state)
{
    uint64_t s1 = 42, s2 = 42, s3 = 43;
    uint8_t a[37], b[37], c[37];

    rng_fill(rng_seeded(&s1), a, sizeof(a));
    rng_fill(rng_seeded(&s2), b, sizeof(b));
    rng_fill(rng_seeded(&s3), c, sizeof(c));
    assert_memory_equal(a, b, sizeof(a));
    assert_memory_not_equal(a, c, sizeof(a));
    assert_true(rng_u64(rng_seeded(&s1)) == rng_u64(rng_seeded(&s2)));
    assert_true(rng_u64(rng_seeded(&s1)) != rng_u64(rng_seeded(&s1)));
}

static void
test_below_is_even(void **state)
{
    uint64_t seed = 1;
    unsigned seen[6] = {0};

    for (int i = 0; i < 60000; i++) {
        uint32_t v = rng_below(rng_seeded(&seed), 6);

        assert_in_range(v, 0, 5);
        seen[v]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(seen[i], 9500, 10500);
    assert_int_equal(rng_below(rng_seeded(&seed), 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(rng_seeded(&seed), 0xffffffffu) < 0xffffffffu);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_fills_every_length),
        cmocka_unit_test(test_fork_shares_no_bytes),
        cmocka_unit_test(test_threads_share_no_bytes),
        cmocka_unit_test(test_seed_repeats),
        cmocka_unit_test(test_below_is_even),
    };

    return cmocka_run_group_tests_name("base/rng", tests, NULL, NULL);
}

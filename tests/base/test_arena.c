/* Tests of base/arena: alignment, zeroes, the ceiling, copies. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
test_pieces_are_aligned_zeroed_and_apart(void **state)
{
    struct arena *arena;
    uint8_t *pieces[200];

    assert_int_equal(arena_new(&arena, 1 << 20, NULL), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t n = 1 + i * 13 % 3000;

        pieces[i] = arena_alloc(arena, n);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)i + 1, n);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        assert_int_equal(pieces[i][i * 13 % 3000], (uint8_t)(i + 1));
    arena_wipe(&arena);
    assert_null(arena);
    arena_free(&arena);
    arena_wipe(&arena);
}

static void
test_ceiling(void **state)
{
    struct arena *arena;

    assert_int_equal(arena_new(&arena, 64, NULL), RC_OK);
    assert_non_null(arena_alloc(arena, 0)); /* a piece of its own all the same */
    assert_non_null(arena_alloc(arena, 48));
    assert_int_equal(arena_used(arena), 64);
    assert_null(arena_alloc(arena, 1));
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, SIZE_MAX - 8));
    assert_null(arena_copy(arena, bytes_of_str("x")).ptr);
    assert_null(arena_copy_str(arena, "x"));
    assert_null(arena_printf(arena, "%d", 1));
    assert_int_equal(arena_used(arena), 64);
    arena_free(&arena);
}

static void
test_copies(void **state)
{
    struct arena *arena;
    struct bytes copy;

    assert_int_equal(arena_new(&arena, 4096, NULL), RC_OK);
    copy = arena_copy(arena, bytes_of("a\0b", 3));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4); /* and a NUL behind it */
    copy = arena_copy(arena, bytes_of(NULL, 0));
    assert_non_null(copy.ptr);
    assert_int_equal(copy.len, 0);
    assert_string_equal(arena_copy_str(arena, "text"), "text");
    assert_string_equal(arena_printf(arena, "%s-%d", "n", 5), "n-5");
    arena_free(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_copies),
    };

    return cmocka_run_group_tests_name("base/arena", tests, NULL, NULL);
}

/* Object ids: kind from the leading digits, below 2^53, anything up to 2^63-1 read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/object_id.h"

static void
test_made_ids_keep_their_kind(void **state)
{
    uint64_t seed = 7;
    struct rng rng = rng_seeded(&seed);
    char text[OBJECT_ID_TEXT_SIZE];
    uint64_t back;

    for (int kind = OBJECT_BUSINESS; kind < OBJECT_KIND_END; kind++) {
        for (unsigned i = 0; i < 100; i++) {
            uint64_t id = object_id_make((enum object_kind)kind, rng);

            assert_int_equal(object_id_kind(id), kind);
            assert_true(id < (UINT64_C(1) << 53));
            assert_int_equal(strlen(object_id_write(text, id)), OBJECT_ID_DIGITS);
            assert_int_equal(object_id_read(&back, bytes_of_str(text), NULL), RC_OK);
            assert_int_equal(back, id);
        }
    }
}

static void
test_reading(void **state)
{
    static const struct {
        const char *text;
        enum rc rc;
        uint64_t id;
        enum object_kind kind;
    } cases[] = {
        {"1",                    RC_OK,        1,                          OBJECT_NONE    },
        {"120000000000000",      RC_OK,        UINT64_C(120000000000000),  OBJECT_NUMBER  },
        {"099999999999999",      RC_MALFORMED, 0,                          OBJECT_NONE    },
        {"99999999999999",       RC_OK,        UINT64_C(99999999999999),   OBJECT_NONE    },
        {"100000000000000",      RC_OK,        UINT64_C(100000000000000),  OBJECT_BUSINESS},
        {"220000000000000",      RC_OK,        UINT64_C(220000000000000),  OBJECT_NONE    },
        {"1200000000000000",     RC_OK,        UINT64_C(1200000000000000), OBJECT_NONE    },
        {"9223372036854775807",  RC_OK,        INT64_MAX,                  OBJECT_NONE    },
        {"9223372036854775808",  RC_MALFORMED, 0,                          OBJECT_NONE    },
        {"18446744073709551616", RC_MALFORMED, 0,                          OBJECT_NONE    },
        {"",                     RC_MALFORMED, 0,                          OBJECT_NONE    },
        {"0",                    RC_MALFORMED, 0,                          OBJECT_NONE    },
        {"-1",                   RC_MALFORMED, 0,                          OBJECT_NONE    },
        {"12a",                  RC_MALFORMED, 0,                          OBJECT_NONE    },
        {" 12",                  RC_MALFORMED, 0,                          OBJECT_NONE    },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t id = 77;

        assert_int_equal(object_id_read(&id, bytes_of_str(cases[i].text), NULL), cases[i].rc);
        assert_int_equal(id, cases[i].id);
        assert_int_equal(object_id_kind(id), cases[i].kind);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_ids_keep_their_kind),
        cmocka_unit_test(test_reading),
    };

    return cmocka_run_group_tests_name("base/object_id", tests, NULL, NULL);
}

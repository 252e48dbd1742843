/* The Cloud dialect's message ids: there and back, and nothing else accepted. */
#include "content/wamid.h"

#include "samples.h"

#include "base/attr.h"

static const struct wamid sample = {
    .user = 15557654321, .is_from_business = true, .message_id = {0x01, 0x9a, 0xff, 15, 14}
};

static void
test_there_and_back(void **state)
{
    (void)state;
    for (int by_business = 0; by_business < 2; by_business++) {
        struct wamid in = sample, out;
        char text[WAMID_SIZE];

        in.is_from_business = by_business;
        assert_ptr_equal(wamid_write(text, &in), text);
        assert_memory_equal(text, "wamid.", 6);
        assert_int_equal(wamid_read(&out, bytes_of_str(text), NULL), RC_OK);
        assert_int_equal(out.user, in.user);
        assert_int_equal(out.is_from_business, by_business);
        assert_memory_equal(out.message_id, in.message_id, sizeof(in.message_id));
    }
}

static void
test_longest_number_fits(void **state)
{
    struct wamid in = sample, out;
    char text[WAMID_SIZE];

    (void)state;
    in.user = 999999999999999;
    wamid_write(text, &in);
    assert_int_equal(wamid_read(&out, bytes_of_str(text), NULL), RC_OK);
    assert_int_equal(out.user, in.user);
}

/* Cut short anywhere, or with any one character changed: refused, or another id, never a crash. */
static void
test_cut_and_changed(void **state)
{
    char text[WAMID_SIZE];
    struct wamid out;
    size_t len;

    (void)state;
    wamid_write(text, &sample);
    len = strlen(text);
    for (size_t n = 0; n < len - 2; n++)
        assert_int_equal(wamid_read(&out, bytes_of(text, n), NULL), RC_MALFORMED);
    for (size_t i = 0; i < len; i++) {
        char kept = text[i];

        text[i] = kept == '!' ? '?' : '!';
        assert_int_equal(wamid_read(&out, bytes_of(text, len), NULL), RC_MALFORMED);
        text[i] = kept;
    }
}

static void
test_foreign_texts(void **state)
{
    static const char *const foreign[] = {
        "",
        "wamid.",
        "wamid.AAAA",
        "gBGGFlA5FpafAgkOuJbRq54qwbM",
        "WAMID.HBgL",
        "wamid.HBgLMTU1NTc2NTQzMjEVAgARGCAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAA",
    };
    struct wamid out;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        assert_int_equal(wamid_read(&out, bytes_of_str(foreign[i]), NULL), RC_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_longest_number_fits),
        cmocka_unit_test(test_cut_and_changed),
        cmocka_unit_test(test_foreign_texts),
    };

    return cmocka_run_group_tests_name("content/wamid", tests, NULL, NULL);
}

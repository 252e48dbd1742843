/* What a record says about itself, and records that are not ours or not whole. */
#include "session/session.h"

#include "peers.h"
#include "tap.h"

static struct session_description
describe(struct peer *p, struct bytes record, enum rc want)
{
    struct session_description out;

    memset(&out, 0xff, sizeof(out));
    assert_int_equal(session_describe(p->engine, &out, record, NULL), want);
    if (want != RC_OK)
        assert_false(out.has_session);
    return out;
}

static void
test_life_of_a_session(void **state)
{
    struct session_description d;
    struct session_bundle bundle;
    struct peer a, b;

    (void)state;
    peer_open(&a, 1);
    peer_open(&b, 2);
    assert_false(describe(&a, buf_bytes(&a.record), RC_OK).has_session);
    bundle = peer_bundle(&b, 0);
    assert_int_equal(peer_start(&a, &bundle), RC_OK);
    d = describe(&a, buf_bytes(&a.record), RC_OK);
    assert_true(d.has_session && d.is_unanswered);
    assert_int_equal(d.version, 3);
    assert_int_equal(d.remote_registration_id, b.identity.registration_id);
    peer_talk(&a, &b, "hello");
    d = describe(&b, buf_bytes(&b.record), RC_OK);
    assert_true(d.has_session && !d.is_unanswered);
    assert_int_equal(d.remote_registration_id, a.identity.registration_id);
    peer_talk(&b, &a, "hello");
    assert_false(describe(&a, buf_bytes(&a.record), RC_OK).is_unanswered);
    peer_close(&a);
    peer_close(&b);
}

static void
test_foreign_records(void **state)
{
    static uint8_t large[SESSION_RECORD_MAX + 1];
    static const struct {
        const char *bytes;
        size_t len;
    } foreign[] = {
        {"\x01",         1},
        {"\x01\x01",     2},
        {"\x02\x01\x0a", 3},
        {"\x01\x02\x0a", 3},
        {"\x01\x01\xff", 3},
    };
    struct peer a;

    (void)state;
    peer_open(&a, 1);
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        describe(&a, bytes_of(foreign[i].bytes, foreign[i].len), RC_MALFORMED);
    describe(&a, bytes_of(large, sizeof(large)), RC_LIMIT);
    peer_close(&a);
}

/* A record cut short anywhere is refused or tells nothing false; it never ends the process. */
static void
test_cut_records(void **state)
{
    struct session_description d;
    struct peer a, b;

    (void)state;
    peers_meet(&a, &b);
    for (size_t n = 1; n < a.record.len; n++)
        (void)!session_describe(a.engine, &d, bytes_of(a.record.ptr, n), NULL);
    peer_close(&a);
    peer_close(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_of_a_session),
        cmocka_unit_test(test_foreign_records),
        cmocka_unit_test(test_cut_records),
    };

    return cmocka_run_group_tests_name("session/describe", tests, NULL, NULL);
}

/* test_crashes.c - crashes, undone transactions and restored stores: I24, I26, I27, I28. */
#include <stdio.h>

#include "../store/flaky.h"
#include "keytrace.h"
#include "pair.h"

struct trap {
    struct flaky flaky;
    enum rc with;
    bool does_it_first;
};

static struct trap trap; /* the store looks at it until the tear-down, also of a test that failed */

/* In the transaction that takes a message, on the store's thread: its commit shall fail. */
static void
spring(void *ctx)
{
    flaky_arm(&trap.flaky, FLAKY_COMMIT, 1, trap.with);
    trap.flaky.does_it_first = trap.does_it_first;
}

static bool
has_failed(void *ctx)
{
    return __atomic_load_n(&((struct place *)ctx)->has_failed, __ATOMIC_SEQ_CST);
}

/* A crash in U1 of a first message: before the commit it opens again, once; after it, the seen row
 * answers. The one-time key goes with the commit that keeps the session. */
static void
kill_in_u1(struct pair *p, bool does_it_first)
{
    struct endpoint_stats stats;
    uint8_t id[16];

    trap = (struct trap){
        .flaky = {.real = &backend_sqlite}, .with = RC_IO, .does_it_first = does_it_first};
    p->anna.place.backend = &backend_flaky;
    p->anna.place.backend_ctx = &trap.flaky;
    pair_start(p);
    p->anna.in_message = spring;
    assert_int_equal(biz_say(&p->biz, ANNA, "first", id), RC_OK);
    assert_true(net_wait(&p->net, has_failed, &p->anna.place));
    p->anna.in_message = NULL;
    person_stop(&p->anna);
    assert_int_equal(sql_int(p->anna.place.db, "SELECT COUNT(*) FROM end_prekey"),
                     does_it_first ? 99 : 100);
    p->anna.place.backend = NULL;
    person_start(&p->anna);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    endpoint_stats(p->anna.endpoint, &stats);
    assert_int_equal(stats.undecryptable_in, 0);
    assert_int_equal(stats.duplicates_in, does_it_first ? 1 : 0);
    assert_shown(&p->anna, "first\n");
    assert_int_equal(sql_int(p->anna.place.db, "SELECT COUNT(*) FROM end_prekey"), 99);
}

static void
test_i26_i19_killed_before_the_commit_of_u1(void **state)
{
    kill_in_u1(*state, false);
}

static void
test_i26_i19_killed_after_the_commit_of_u1(void **state)
{
    kill_in_u1(*state, true);
}

/* ---- I24 ---- */

/* The n-th statement or commit of the business fails for a moment; what was refused is said again
 * in other words. Whatever was published, no key met two plaintexts. */
static void
test_i24_undone_transactions_never_reuse_a_key(void **state)
{
    struct pair *p = *state;
    struct flaky *flaky = &trap.flaky;
    unsigned shown = 1, failed = 0;

    trap = (struct trap){.flaky = {.real = &backend_sqlite}};
    keytrace_begin(&p->net);
    p->anna.place.backend = &backend_flaky;
    p->anna.place.backend_ctx = flaky;
    pair_start(p);
    pair_acquaint(p);
    for (unsigned n = 1; n <= 24; n++) {
        static const enum rc moments[] = {RC_FULL, RC_NOMEM, RC_FULL};
        unsigned ops = n % 3 == 0 ? FLAKY_COMMIT : FLAKY_STATEMENT;
        char text[64];

        flaky_arm(flaky, ops, n % 3 == 0 ? 1 : 1 + n / 2, moments[n % 3]);
        snprintf(text, sizeof text, "said %u", n);
        for (unsigned again = 0; person_say(&p->anna, BAKERY, text, NULL) != RC_OK; again++) {
            failed++;
            assert_in_range(again, 0, 5);
            snprintf(text, sizeof text, "said %u again %u", n, again);
        }
        shown++;
    }
    flaky->fail_at = 0;
    biz_wait_events(&p->biz, EVENT_MESSAGE, shown);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_MESSAGE, NULL), shown);
    assert_in_range(failed, 5, 100);
    assert_in_range(keytrace_check(&p->net), 24, 1000);
}

/* ---- I28 ---- */

static int64_t
is_new_session(struct person *person, const char *text)
{
    struct event *events;
    size_t n = events_load(person->place.store, person->number, &events);
    int64_t value = -1;

    for (size_t i = 0; i < n; i++)
        if (events[i].kind == EVENT_MESSAGE && strcmp(events[i].text, text) == 0)
            value = events[i].value;
    free(events);
    return value;
}

/* A copy of the store, life goes on, the copy comes back. What is accepted before the first login
 * waits; the old chains are never used again; the identity stays. */
static void
test_i28_a_restored_store_starts_new_sessions(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];

    keytrace_begin(&p->net);
    pair_start(p);
    pair_acquaint(p);
    biz_stop(&p->biz);
    place_save(p->biz.place);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(biz_say(&p->biz, ANNA, "life goes on", id), RC_OK);
        biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    }
    biz_stop(&p->biz);
    place_restore(p->biz.place);
    p->biz_wire.is_shut = true;
    biz_start(&p->biz);
    while (biz_say(&p->biz, ANNA, "before the login", id) != RC_OK) /* until the lease is there */
        net_pass_ms(&p->net, 5);
    for (int i = 0; i < 9; i++) /* more than the relay has counted */
        assert_int_equal(biz_say(&p->biz, ANNA, "more", id), RC_OK);
    p->biz_wire.is_shut = false;
    biz_wait_up(&p->biz);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    assert_int_equal(is_new_session(&p->anna, "before the login"), 1);
    assert_int_equal(events_count(p->anna.place.store, ANNA, EVENT_IDENTITY, NULL), 0);
    assert_int_equal(person_say(&p->anna, BAKERY, "answer", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 2);
    assert_in_range(keytrace_check(&p->net), 14, 1000);
}

static void
wire_open(struct proxy *wire, bool is_open)
{
    wire->is_shut = !is_open;
    if (!is_open)
        proxy_cut(wire);
}

/* Anna has sealed a message on a receiving chain that the restored store knows, too: it opens
 * without a step of the ratchet, and must not make that session the sending one again. */
static void
test_i28_a_late_message_does_not_revive_an_old_chain(void **state)
{
    struct pair *p = *state;
    uint8_t id[16];

    keytrace_begin(&p->net);
    pair_start(p);
    pair_acquaint(p);
    wire_open(&p->biz_wire, false);
    assert_int_equal(person_say(&p->anna, BAKERY, "again", id), RC_OK);
    person_wait_events(&p->anna, EVENT_SENT, 2);
    wire_open(&p->anna_wire, false);
    wire_open(&p->biz_wire, true);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 2);
    biz_stop(&p->biz);
    place_save(p->biz.place);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    assert_int_equal(biz_say(&p->biz, ANNA, "used", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    biz_stop(&p->biz);
    place_restore(p->biz.place);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    assert_int_equal(biz_say(&p->biz, ANNA, "restored", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    p->anna.sends_receipts = false;
    assert_int_equal(person_say(&p->anna, BAKERY, "late", NULL), RC_OK);
    wire_open(&p->anna_wire, true);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(biz_say(&p->biz, ANNA, "on we go", id), RC_OK);
        biz_wait_status(&p->biz, id, GATEWAY_SENT);
    }
    person_wait_events(&p->anna, EVENT_MESSAGE, 6);
    assert_int_equal(events_count(p->biz.place->store, BAKERY, EVENT_MESSAGE, NULL), 3);
    assert_in_range(keytrace_check(&p->net), 8, 1000);
}

/* One-time keys of before the copy are gone, here and at the relay: a stranger's first message
 * opens. */
static void
test_i28_prekeys_of_a_restored_store_are_replaced(void **state)
{
    struct pair *p = *state;
    struct person eve;
    uint8_t id[16];

    person_init(&eve, &p->net, ANNA + 1);
    pair_start(p);
    person_start(&eve);
    person_register(&eve);
    biz_stop(&p->biz);
    place_save(p->biz.place);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    assert_int_equal(biz_say(&p->biz, ANNA, "life goes on", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    biz_stop(&p->biz);
    place_restore(p->biz.place);
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
    net_pass_ms(&p->net, 500);
    assert_int_equal(person_say(&eve, BAKERY, "hello from eve", NULL), RC_OK);
    biz_wait_events(&p->biz, EVENT_MESSAGE, 1);
    assert_int_equal(sql_int(p->biz.place->db, "SELECT COUNT(*) FROM end_prekey"), 999);
    assert_int_equal(sql_int(p->biz.place->db, "SELECT COUNT(*) FROM end_failure"), 0);
    person_wipe(&eve);
}

/* ---- I27 ---- */

/* The relay's disk turns a bit: nothing of ours changes but that it is asked for again; the message
 * comes under a new id and is shown once, and the next ones do not wait. */
static void
test_i27_i11_undecryptable_is_asked_for_again(void **state)
{
    struct pair *p = *state;
    char relay_db[128];
    uint8_t id[16], next[16];
    char told[16];
    struct endpoint_stats stats;

    pair_start(p);
    pair_acquaint(p);
    endpoint_offline(p->anna.endpoint);
    assert_int_equal(biz_say(&p->biz, ANNA, "spoiled", id), RC_OK);
    assert_int_equal(biz_say(&p->biz, ANNA, "next", next), RC_OK);
    biz_wait_status(&p->biz, next, GATEWAY_SENT);
    net_stop_relay(&p->net);
    snprintf(relay_db, sizeof relay_db, "%s/relay.db", p->net.dir);
    sql_exec(relay_db, "UPDATE envelope SET body = substr(body, 1, 40) || x'00' || substr(body, 42)"
                       " WHERE account = 4915222222 AND body IS NOT NULL AND seq = (SELECT"
                       " MIN(seq) FROM envelope WHERE account = 4915222222 AND body IS NOT NULL)");
    net_start_relay(&p->net);
    endpoint_online(p->anna.endpoint);
    biz_wait_status(&p->biz, next, GATEWAY_DELIVERED);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
    endpoint_stats(p->anna.endpoint, &stats);
    assert_int_equal(stats.undecryptable_in, 1);
    assert_string_equal(biz_told(&p->biz, id, told), "sd");
    assert_shown(&p->anna, "hello\nnext\nspoiled\n");
    assert_int_equal(biz_say(&p->biz, ANNA, "as before", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_DELIVERED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PREPARED_TEST(test_i26_i19_killed_before_the_commit_of_u1),
        PREPARED_TEST(test_i26_i19_killed_after_the_commit_of_u1),
        PREPARED_TEST(test_i24_undone_transactions_never_reuse_a_key),
        PREPARED_TEST(test_i28_a_restored_store_starts_new_sessions),
        PREPARED_TEST(test_i28_a_late_message_does_not_revive_an_old_chain),
        PREPARED_TEST(test_i28_prekeys_of_a_restored_store_are_replaced),
        PREPARED_TEST(test_i27_i11_undecryptable_is_asked_for_again),
    };

    return cmocka_run_group_tests_name("gateway/crashes", tests, NULL, NULL);
}

/* test_liar.c - what a relay can and cannot make a business believe: I16, I25. */
#include "pair.h"
#include "stub.h"

#define MANY 20u

/* Let the bakery meet the stub instead of the relay. */
static void
go_to_stub(struct pair *p, struct stub *stub)
{
    biz_stop(&p->biz);
    p->biz.port = stub->port;
    biz_start(&p->biz);
    biz_wait_up(&p->biz);
}

static void
test_i16_a_relay_that_acks_and_discards_never_delivers(void **state)
{
    struct pair *p = *state;
    struct stub stub;
    uint8_t id[16], noise[200];
    char told[16];

    pair_acquaint(p);
    stub_start(&stub, &p->net);
    go_to_stub(p, &stub);
    assert_int_equal(biz_say(&p->biz, ANNA, "lost", id), RC_OK);
    biz_wait_status(&p->biz, id, GATEWAY_SENT);
    for (int i = 0; i < 5; i++) { /* receipts of its own making */
        rng_fill(rng_system(), noise, sizeof noise);
        noise[0] = 0x33;
        stub_forge(&stub, ANNA, bytes_of(noise, sizeof noise));
        stub_forge(&stub, ANNA, buf_bytes(&stub.frames[0].packed));
    }
    net_pass_ms(&p->net, 300);
    assert_string_equal(biz_told(&p->biz, id, told), "s");
    assert_int_equal(biz_state(&p->biz, id), MESSAGE_SENT);
    biz_stop(&p->biz);
    stub_stop(&stub);
}

struct frames_wait {
    struct stub *stub;
    size_t n;
};

static bool
has_frames(void *ctx)
{
    struct frames_wait *w = ctx;

    return w->stub->n_frames >= w->n;
}

static void
wait_frames(struct stub *stub, size_t n)
{
    struct frames_wait w = {.stub = stub, .n = n};

    assert_true(net_wait(stub->net, has_frames, &w));
    assert_int_equal(stub->n_frames, n);
}

static void
assert_same_frames(struct stub *stub, size_t first, size_t again, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct bytes a = buf_bytes(&stub->frames[first + i].packed);
        struct bytes b = buf_bytes(&stub->frames[again + i].packed);

        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.ptr, b.ptr, a.len);
    }
}

/* Unanswered publishes come again, in order and byte for byte: over a lost connection, and over a
 * crash of the business. */
static void
test_i25_retries_send_the_stored_bytes(void **state)
{
    struct pair *p = *state;
    struct stub stub;

    pair_acquaint(p);
    stub_start(&stub, &p->net);
    stub.is_mute = true;
    go_to_stub(p, &stub);
    stub.n_frames = 0;
    biz_say_many(&p->biz, ANNA, "roll", MANY);
    wait_frames(&stub, MANY);
    stub_cut(&stub);
    wait_frames(&stub, 2 * MANY);
    assert_same_frames(&stub, 0, MANY, MANY);
    biz_stop(&p->biz);
    biz_start(&p->biz);
    wait_frames(&stub, 3 * MANY);
    assert_same_frames(&stub, 0, 2 * MANY, MANY);
    /* "try again" is answered by the same bytes, too */
    stub.is_mute = false;
    stub.reason = PARLEY__WIRE__REASON__UNAVAILABLE;
    stub_cut(&stub);
    wait_frames(&stub, 4 * MANY);
    assert_same_frames(&stub, 0, 3 * MANY, MANY);
    stub.reason = PARLEY__WIRE__REASON__REASON_UNSPECIFIED;
    biz_wait_events(&p->biz, EVENT_STATUS, 2 + MANY);
    assert_same_frames(&stub, 0, 4 * MANY, MANY);
    biz_stop(&p->biz);
    stub_stop(&stub);
}

/* Refused for good: one terminal state with its reason, nothing is tried again. */
static void
test_i17_a_refusal_is_told_once(void **state)
{
    static const struct {
        Parley__Wire__Reason reason;
        enum gateway_reason want;
    } cases[] = {
        {PARLEY__WIRE__REASON__OVERFLOW,    GATEWAY_OVERFLOW  },
        {PARLEY__WIRE__REASON__NO_ACCOUNT,  GATEWAY_NO_ACCOUNT},
        {PARLEY__WIRE__REASON__NOT_ALLOWED, GATEWAY_REJECTED  },
        {PARLEY__WIRE__REASON__TOO_LARGE,   GATEWAY_REJECTED  },
        {PARLEY__WIRE__REASON__EXPIRED,     GATEWAY_EXPIRED   },
    };
    struct pair *p = *state;
    struct stub stub;

    pair_acquaint(p);
    stub_start(&stub, &p->net);
    go_to_stub(p, &stub);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct event *events;
        uint8_t id[16];
        char told[16];
        size_t n;

        stub.reason = cases[i].reason;
        assert_int_equal(biz_say(&p->biz, ANNA, "refused", id), RC_OK);
        biz_wait_status(&p->biz, id, GATEWAY_FAILED);
        assert_string_equal(biz_told(&p->biz, id, told), "f");
        n = events_load(p->biz.place->store, BAKERY, &events);
        assert_int_equal(events[n - 1].extra, cases[i].want);
        free(events);
    }
    biz_stop(&p->biz);
    assert_int_equal(sql_int(p->biz.place->db, "SELECT COUNT(*) FROM end_out WHERE state < 2"), 0);
    stub_stop(&stub);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_i16_a_relay_that_acks_and_discards_never_delivers),
        PAIR_TEST(test_i25_retries_send_the_stored_bytes),
        PAIR_TEST(test_i17_a_refusal_is_told_once),
    };

    return cmocka_run_group_tests_name("gateway/liar", tests, NULL, NULL);
}

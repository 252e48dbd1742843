/* test_receive.c - what a phone makes of payloads that it did not expect, and of typing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "phone/internal.h"
#include "town.h"

struct town {
    struct rig rig;
    struct person ana, ben;
};

static int
set_up(void **state)
{
    struct town *t = calloc(1, sizeof *t);

    rig_init(&t->rig);
    rig_start(&t->rig);
    person_init(&t->ana, &t->rig, "ana", 15557654321);
    person_init(&t->ben, &t->rig, "ben", 15550123400);
    person_register(&t->ana);
    person_register(&t->ben);
    person_send(&t->ana, &t->ben, "hello");
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 1);
    *state = t;
    return 0;
}

static int
tear_down(void **state)
{
    struct town *t = *state;

    person_wipe(&t->ana);
    person_wipe(&t->ben);
    rig_wipe(&t->rig);
    free(t);
    return 0;
}

/* Anything that the endpoint would seal, under the sender's identity. */
struct crafted {
    struct profile_job base;
    struct endpoint_message message;
    bool is_done;
    enum rc rc;
};

static enum rc
crafted_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct crafted *c = (struct crafted *)job;

    endpoint_outputs_reset(c->base.out);
    return endpoint_enqueue(c->base.p->tx_endpoint, tx, &c->message, c->base.out, err);
}

static void
crafted_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct crafted *c = (struct crafted *)job;

    c->rc = rc;
    profile_job_end(&c->base, rc);
    c->is_done = true;
}

static bool
is_set(void *ctx)
{
    return *(bool *)ctx;
}

static void
send_payload(struct person *from, const struct person *to, uint32_t class,
             Parley__Content__Payload *payload)
{
    struct crafted c = {
        .message = {.to = to->number, .class = class, .payload = payload}
    };
    int64_t now_ms = clock_unix_ms(from->rig->clock);

    message_id_make(c.message.message_id, now_ms, rng_system());
    c.message.expires_at_ms = now_ms + 3600 * 1000;
    assert_true(profile_job_init(&c.base, from->profile, true));
    c.base.job =
        (struct store_job){.run = crafted_run, .done = crafted_done, .loop = from->rig->loop};
    store_submit(from->store, &c.base.job);
    assert_true(rig_wait(from->rig, is_set, &c.is_done));
    assert_int_equal(c.rc, RC_OK);
}

static void
test_i18_receipts_for_what_can_be_shown_only(void **state)
{
    struct town *t = *state;
    static uint8_t some_id[16] = {1};
    ProtobufCBinaryData ids[] = {
        {.len = 16, .data = some_id}
    };
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    Parley__Content__Receipt receipt = PARLEY__CONTENT__RECEIPT__INIT;
    Parley__Content__Typing typing = PARLEY__CONTENT__TYPING__INIT;
    const uint32_t message = PARLEY__WIRE__CLASS__MESSAGE, receipts = PARLEY__WIRE__CLASS__RECEIPT;
    const struct {
        const char *name;
        uint32_t class;
        Parley__Content__Payload__BodyCase body;
        unsigned shown, receipted;
    } cases[] = {
        {"a text",                  message,  PARLEY__CONTENT__PAYLOAD__BODY_TEXT,     1, 1},
        {"a kind nobody knows",     message,  PARLEY__CONTENT__PAYLOAD__BODY__NOT_SET, 1, 0},
        {"a receipt as a message",  message,  PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT,  0, 0},
        {"typing as a message",     message,  PARLEY__CONTENT__PAYLOAD__BODY_TYPING,   0, 0},
        {"a text as a receipt",     receipts, PARLEY__CONTENT__PAYLOAD__BODY_TEXT,     0, 0},
        {"a receipt for a message", receipts, PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT,  0, 0},
        {"of nobody",               receipts, PARLEY__CONTENT__PAYLOAD__BODY__NOT_SET, 0, 0},
    };

    text.body = (char *)(uintptr_t) "hi";
    receipt.kind = PARLEY__CONTENT__RECEIPT_KIND__READ;
    receipt.n_message_ids = 1;
    receipt.message_ids = ids;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
        struct profile_info before, after;
        unsigned shown = person_count(&t->ben, "\"direction\":\"in\"");

        profile_info(t->ben.profile, &before);
        payload.body_case = cases[i].body;
        if (cases[i].body == PARLEY__CONTENT__PAYLOAD__BODY_TEXT)
            payload.text = &text;
        else if (cases[i].body == PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT)
            payload.receipt = &receipt;
        else
            payload.typing = &typing;
        send_payload(&t->ana, &t->ben, cases[i].class, &payload);
        for (int k = 0; k < 2000; k++) {
            profile_info(t->ben.profile, &after);
            if (after.received > before.received && relay_waiting(&t->rig, t->ben.number) == 0)
                break;
            rig_pass_ms(&t->rig, 5);
        }
        assert_int_equal(after.received, before.received + 1);
        profile_info(t->ben.profile, &after);
        if (after.published != before.published + cases[i].receipted ||
            person_count(&t->ben, "\"direction\":\"in\"") != shown + cases[i].shown)
            fail_msg("%s: %u receipts, %u shown", cases[i].name,
                     (unsigned)(after.published - before.published),
                     person_count(&t->ben, "\"direction\":\"in\"") - shown);
    }
    person_wait_count(&t->ben, "\"type\":\"unsupported\"", 1);
}

/* What comes together is told of together. */
static void
test_i18_a_burst_costs_few_receipts(void **state)
{
    struct town *t = *state;
    struct profile_info before, after;
    unsigned pending = 0;

    person_offline(&t->ben, true);
    person_send_many(&t->ana, &t->ben, 0, 100, &pending);
    person_wait_zero(&t->ana, &pending);
    person_wait_count(&t->ana, "\"status\":\"sent\"", 100);
    profile_info(t->ben.profile, &before);
    person_offline(&t->ben, false);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 101);
    profile_info(t->ben.profile, &after);
    assert_in_range(after.published - before.published, 1, 50);
}

/* A receipt moves only what went to the one who gives it. */
static void
test_i16_receipts_of_a_stranger_move_nothing(void **state)
{
    struct town *t = *state;
    struct person eve;
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Receipt receipt = PARLEY__CONTENT__RECEIPT__INIT;
    struct profile_info info;
    struct wamid id;
    const char *text;

    person_init(&eve, &t->rig, "eve", 15550000066);
    person_register(&eve);
    person_offline(&t->ben, true);
    text = person_send(&t->ana, &t->ben, "for ben alone");
    person_wait_count(&t->ana, "\"status\":\"sent\"", 1);
    assert_int_equal(wamid_read(&id, bytes_of_str(text), NULL), RC_OK);
    ProtobufCBinaryData ids[] = {
        {.len = 16, .data = id.message_id}
    };
    receipt.kind = PARLEY__CONTENT__RECEIPT_KIND__READ;
    receipt.n_message_ids = 1;
    receipt.message_ids = ids;
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_RECEIPT;
    payload.receipt = &receipt;
    profile_info(t->ana.profile, &info);
    uint64_t received = info.received;
    send_payload(&eve, &t->ana, PARLEY__WIRE__CLASS__RECEIPT, &payload);
    for (int k = 0; k < 2000 && info.received == received; k++) {
        rig_pass_ms(&t->rig, 5);
        profile_info(t->ana.profile, &info);
    }
    assert_int_equal(info.received, received + 1);
    assert_int_equal(person_count(&t->ana, "\"status\":\"sent\""), 1);
    assert_int_equal(person_count(&t->ana, "\"status\":\"read\""), 0);
    person_wipe(&eve);
}

struct ear {
    struct phone_watch watch;
    unsigned news, typing;
    uint64_t peer;
    bool is_typing;
};

static void
on_news(struct phone_watch *watch)
{
    ((struct ear *)watch)->news++;
}

static void
on_typing(struct phone_watch *watch, uint64_t peer, bool is_typing)
{
    struct ear *ear = (struct ear *)watch;

    ear->typing++;
    ear->peer = peer;
    ear->is_typing = is_typing;
}

static bool
has_heard(void *ctx)
{
    return ((struct ear *)ctx)->typing > 0;
}

static void
test_typing_is_told_and_kept_nowhere(void **state)
{
    struct town *t = *state;
    struct ear ear = {
        .watch = {.on_news = on_news, .on_typing = on_typing}
    };

    phone_watch_begin(&ear.watch, t->ben.profile);
    phone_typing(t->ana.profile, t->ben.number, true);
    assert_true(rig_wait(&t->rig, has_heard, &ear));
    assert_int_equal(ear.peer, t->ana.number);
    assert_true(ear.is_typing);
    phone_watch_end(&ear.watch);
    assert_int_equal(person_sql(&t->ben, "SELECT COUNT(*) FROM phone_msg"), 1);
    /* the session goes on behind it */
    person_send(&t->ana, &t->ben, "typed");
    person_wait_count(&t->ben, "typed", 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_i18_receipts_for_what_can_be_shown_only),
        CASE(test_i18_a_burst_costs_few_receipts),
        CASE(test_i16_receipts_of_a_stranger_move_nothing),
        CASE(test_typing_is_told_and_kept_nowhere),
    };

    return cmocka_run_group_tests_name("phone/receive", tests, NULL, NULL);
}

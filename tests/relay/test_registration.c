/* test_registration.c - codes, tickets, keys, PINs: the way in, and every way to be kept out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "rig.h"

#define NUMBER 15557654321u

struct one {
    struct rig rig;
    struct device d;
};

static int
set_up(void **state)
{
    struct one *o = calloc(1, sizeof(*o));

    rig_init(&o->rig);
    rig_start(&o->rig);
    device_init(&o->d, &o->rig, NUMBER);
    *state = o;
    return 0;
}

static int
tear_down(void **state)
{
    struct one *o = *state;

    device_wipe(&o->d);
    rig_wipe(&o->rig);
    free(o);
    return 0;
}

/* Connect, ask for a code, type it back. */
static void
get_ticket(struct device *d, uint8_t ticket[32], bool *pin_required)
{
    char code[8];

    device_connect(d);
    assert_int_equal(device_ask_code(d), OK);
    rig_code(d->rig, d->number, code);
    assert_int_equal(device_verify(d, code, ticket, pin_required), OK);
}

static void
test_code_goes_to_the_outbox(void **state)
{
    struct one *o = *state;
    char code[8], path[96];
    struct stat st;

    device_connect(&o->d);
    assert_int_equal(device_ask_code(&o->d), OK);
    rig_code(&o->rig, NUMBER, code);
    assert_int_equal(strlen(code), 6);
    assert_int_equal(strspn(code, "0123456789"), 6);
    snprintf(path, sizeof(path), "%s/outbox", o->rig.data);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* what is stored is a hash */
    assert_int_equal(rig_sql(&o->rig, "SELECT length(hash) FROM code"), 32);
}

static void
test_code_command(void **state)
{
    struct one *o = *state;
    char command[160];

    rig_stop(&o->rig);
    snprintf(command, sizeof(command), "cat > %s/outbox", o->rig.data);
    o->rig.opt.code_command = command;
    rig_start(&o->rig);
    device_register(&o->d, 1); /* reads the code out of the file that the command wrote */
    rig_stop(&o->rig);
    o->rig.opt.code_command = "exit 3";
    rig_start(&o->rig);
    device_connect(&o->d);
    assert_int_equal(device_ask_code(&o->d), REASON(CODE_NOT_SENT));
    rig_stop(&o->rig);
    o->rig.opt.code_command = NULL; /* command is ours and goes now */
    rig_start(&o->rig);
}

static void
test_wrong_code_and_tries(void **state)
{
    struct one *o = *state;
    uint8_t ticket[32];
    char code[8], wrong[8];

    device_connect(&o->d);
    assert_int_equal(device_verify(&o->d, "000000", ticket, NULL), REASON(CODE_EXPIRED));
    assert_int_equal(device_ask_code(&o->d), OK);
    rig_code(&o->rig, NUMBER, code);
    snprintf(wrong, sizeof(wrong), "%06d", (atoi(code) + 1) % 1000000);
    for (uint32_t i = 0; i < o->rig.limits.code_tries; i++)
        assert_int_equal(device_verify(&o->d, wrong, ticket, NULL), REASON(WRONG_CODE));
    /* burnt: the right one does not help any more */
    assert_int_equal(device_verify(&o->d, code, ticket, NULL), REASON(CODE_EXPIRED));
}

static void
test_code_expires(void **state)
{
    struct one *o = *state;
    uint8_t ticket[32];
    char code[8];

    device_connect(&o->d);
    assert_int_equal(device_ask_code(&o->d), OK);
    rig_code(&o->rig, NUMBER, code);
    rig_advance(&o->rig, 10 * 60 * 1000);
    assert_int_equal(device_verify(&o->d, code, ticket, NULL), REASON(CODE_EXPIRED));
    rig_advance(&o->rig, 3 * 3600 * 1000);
    assert_int_equal(rig_sql(&o->rig, "SELECT COUNT(*) FROM code"), 0);
}

static void
test_code_is_good_once(void **state)
{
    struct one *o = *state;
    uint8_t ticket[32];
    char code[8];

    get_ticket(&o->d, ticket, NULL);
    rig_code(&o->rig, NUMBER, code);
    assert_int_equal(device_verify(&o->d, code, ticket, NULL), REASON(CODE_EXPIRED));
}

static void
test_code_requests_are_limited(void **state)
{
    struct one *o = *state;

    device_connect(&o->d);
    for (uint32_t i = 0; i < o->rig.limits.codes_per_number; i++)
        assert_int_equal(device_ask_code(&o->d), OK);
    assert_int_equal(device_ask_code(&o->d), REASON(RATE_LIMITED));
    assert_true(o->d.reply->refusal->retry_after_s > 3000);
    rig_restart(&o->rig); /* a restart does not forget */
    device_connect(&o->d);
    assert_int_equal(device_ask_code(&o->d), REASON(RATE_LIMITED));
    rig_advance(&o->rig, 3600 * 1000);
    assert_int_equal(device_ask_code(&o->d), OK);
}

static void
test_code_requests_by_address(void **state)
{
    struct one *o = *state;

    rig_stop(&o->rig);
    o->rig.limits.count_loopback = true;
    o->rig.limits.codes_per_address = 3;
    rig_start(&o->rig);
    device_connect(&o->d);
    for (unsigned i = 0; i < 4; i++) {
        o->d.number = NUMBER + i;
        assert_int_equal(device_ask_code(&o->d), i < 3 ? OK : REASON(RATE_LIMITED));
    }
}

static void
test_bad_requests(void **state)
{
    struct one *o = *state;

    device_connect(&o->d);
    o->d.number = 99; /* no number has two digits */
    assert_int_equal(device_ask_code(&o->d), REASON(MALFORMED));
}

static void
test_registers_and_logs_in(void **state)
{
    struct one *o = *state;

    device_register(&o->d, 100);
    assert_int_equal(o->d.generation, 1);
    assert_int_equal(device_login(&o->d, NULL, 0), OK); /* on the same connection */
    assert_int_equal(o->d.reply->login_ok->one_time_left, 100);
    assert_int_equal(o->d.reply->login_ok->signed_prekey_id, 7);
    assert_int_equal(o->d.reply->login_ok->generation, 1);
    assert_int_equal(rig_sql(&o->rig, "SELECT COUNT(*) FROM lane"), 1);
}

/* ---- refusals of a registration ---- */

static const struct refusal_case {
    const char *name;
    struct registration_opt opt;
    bool spoil_ticket, other_key;
    Parley__Wire__Reason want;
} refusals[] = {
    {"ticket of nobody",              {.n_one_time = 1}, .spoil_ticket = true, .want = REASON(TICKET_INVALID)},
    {"somebody else's key",                               {.n_one_time = 1},                            .other_key = true, .want = REASON(TICKET_INVALID)},
    {"channel signature", {.n_one_time = 1, .spoil_channel = true},                  .want = REASON(BAD_SIGNATURE)                   },
    {"signed prekey",  {.n_one_time = 1, .spoil_signed = true},  .want = REASON(BAD_SIGNATURE)},
    {"statement's signature",  {.spoil_statement = true},                  .want = REASON(BAD_SIGNATURE)                           },
    {"statement of another",  {.statement_number = 15550000000},  .want = REASON(BAD_SIGNATURE)},
    {"PIN of letters",  {.pin = "12345x"},                  .want = REASON(MALFORMED)                                                 },
};

static void
test_refusals(void **state)
{
    struct one *o = *state;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct registration_opt opt = refusals[i].opt;
        uint8_t ticket[32];
        struct device d;
        Parley__Wire__Reason got;

        device_init(&d, &o->rig, NUMBER + 1 + i);
        get_ticket(&d, ticket, NULL);
        opt.ticket = ticket;
        if (refusals[i].spoil_ticket)
            ticket[31] ^= 1;
        if (refusals[i].other_key) {
            x25519_keypair(d.noise.priv, d.noise.pub, rng_system());
            device_connect(&d);
        }
        got = device_register_with(&d, &opt);
        if (got != refusals[i].want)
            fail_msg("%s: %d", refusals[i].name, got);
        device_wipe(&d);
    }
    assert_int_equal(rig_sql(&o->rig, "SELECT COUNT(*) FROM device"), 0);
}

static void
test_ticket_is_good_once(void **state)
{
    struct one *o = *state;
    uint8_t ticket[32];
    struct registration_opt opt = {.n_one_time = 1, .ticket = ticket};

    get_ticket(&o->d, ticket, NULL);
    assert_int_equal(device_register_with(&o->d, &opt), OK);
    assert_int_equal(device_register_with(&o->d, &opt), REASON(TICKET_INVALID));
    get_ticket(&o->d, ticket, NULL);
    rig_advance(&o->rig, 10 * 60 * 1000);
    assert_int_equal(device_register_with(&o->d, &opt), REASON(TICKET_INVALID));
}

static void
test_business_certificates(void **state)
{
    static const struct cert_case {
        const char *name;
        uint64_t number;
        int64_t not_after_s;
        bool spoil;
        Parley__Wire__Reason want;
    } cases[] = {
        {"another number's", NUMBER + 1, 4000000000, false, REASON(BAD_CERTIFICATE)},
        {"expired",          NUMBER,     1000000000, false, REASON(BAD_CERTIFICATE)},
        {"forged",           NUMBER,     4000000000, true,  REASON(BAD_CERTIFICATE)},
        {"good",             NUMBER,     4000000000, false, OK                     },
    };
    struct one *o = *state;
    uint8_t ticket[32];
    struct registration_opt opt = {.ticket = ticket};

    get_ticket(&o->d, ticket, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf cert;

        device_certificate(&o->d, cases[i].number, cases[i].not_after_s, &cert);
        cert.ptr[cert.len - 1] ^= cases[i].spoil ? 1 : 0;
        opt.certificate = buf_bytes(&cert);
        assert_int_equal(device_register_with(&o->d, &opt), cases[i].want);
        buf_free(&cert);
    }
    assert_int_equal(rig_sql(&o->rig, "SELECT COUNT(*) FROM lane"), 32);
    /* and at each login */
    assert_int_equal(device_login(&o->d, NULL, 0), REASON(BAD_CERTIFICATE));
    o->d.is_business = true;
    assert_int_equal(device_login(&o->d, NULL, 0), OK);
}

static void
test_pin(void **state)
{
    struct one *o = *state;
    uint8_t ticket[32];
    struct registration_opt opt = {.ticket = ticket, .new_pin = "123456"};
    bool pin_required = true;

    get_ticket(&o->d, ticket, &pin_required);
    assert_false(pin_required);
    assert_int_equal(device_register_with(&o->d, &opt), OK);
    get_ticket(&o->d, ticket, &pin_required);
    assert_true(pin_required);
    opt.new_pin = NULL;
    assert_int_equal(device_register_with(&o->d, &opt), REASON(PIN_MISMATCH));
    opt.pin = "123457";
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(device_register_with(&o->d, &opt), REASON(PIN_MISMATCH));
    opt.pin = "123456"; /* right, but guessing has to wait */
    assert_int_equal(device_register_with(&o->d, &opt), REASON(RATE_LIMITED));
    rig_advance(&o->rig, 16 * 60 * 1000);
    get_ticket(&o->d, ticket, NULL);
    opt.new_pin = "654321";
    assert_int_equal(device_register_with(&o->d, &opt), OK);
    assert_int_equal(o->d.generation, 2);
    /* nothing of it in clear */
    assert_int_equal(rig_sql(&o->rig, "SELECT COUNT(*) FROM account WHERE pin LIKE '$argon2id$%'"),
                     1);
}

static void
test_states_of_a_connection(void **state)
{
    struct one *o = *state;
    uint32_t id;

    device_register(&o->d, 1);
    assert_int_equal(device_fetch(&o->d, NUMBER, true, &id), REASON(NOT_LOGGED_IN));
    assert_int_equal(device_login(&o->d, NULL, 0), OK);
    assert_int_equal(device_login(&o->d, NULL, 0), REASON(NOT_ALLOWED));
    assert_int_equal(device_ask_code(&o->d), REASON(NOT_ALLOWED));
}

static void
test_unregister(void **state)
{
    struct one *o = *state;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Unregister body = PARLEY__WIRE__UNREGISTER__INIT;
    const Parley__Wire__Frame *reply;

    device_register(&o->d, 5);
    device_come(&o->d);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_UNREGISTER;
    frame.unregister = &body;
    reply = device_ask(&o->d, &frame);
    assert_non_null(reply);
    assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_DONE);
    device_wait_end(&o->d);
    assert_int_equal(o->d.reason, CLOSED(UNREGISTERED));
    device_connect(&o->d);
    assert_int_equal(device_login(&o->d, NULL, 0), REASON(UNKNOWN_DEVICE));
    device_register(&o->d, 5);
    assert_int_equal(o->d.generation, 3); /* leaving raised it, coming back again */
}

static void
test_second_registration_ends_the_first(void **state)
{
    struct one *o = *state;
    struct device again;

    device_register(&o->d, 5);
    device_come(&o->d);
    device_init(&again, &o->rig, NUMBER);
    device_register(&again, 5);
    assert_int_equal(again.generation, 2);
    device_wait_end(&o->d);
    assert_int_equal(o->d.reason, CLOSED(UNREGISTERED));
    device_connect(&o->d);
    assert_int_equal(device_login(&o->d, NULL, 0), REASON(UNKNOWN_DEVICE));
    assert_int_equal(device_login(&again, NULL, 0), OK);
    assert_int_equal(again.reply->login_ok->one_time_left, 5);
    device_wipe(&again);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_code_goes_to_the_outbox),
        TEST(test_code_command),
        TEST(test_wrong_code_and_tries),
        TEST(test_code_expires),
        TEST(test_code_is_good_once),
        TEST(test_code_requests_are_limited),
        TEST(test_code_requests_by_address),
        TEST(test_bad_requests),
        TEST(test_registers_and_logs_in),
        TEST(test_refusals),
        TEST(test_ticket_is_good_once),
        TEST(test_business_certificates),
        TEST(test_pin),
        TEST(test_states_of_a_connection),
        TEST(test_unregister),
        TEST(test_second_registration_ends_the_first),
    };

    return cmocka_run_group_tests_name("relay/registration", tests, NULL, NULL);
}

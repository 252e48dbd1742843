/* test_client_talk.c - what the relay tells: its key and certificate, the login's answer, its
 * Close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <time.h>

#include "rig.h"

/* ---- first contact and return ---- */

static void
test_first_contact_is_xx_and_the_return_is_ik(void **state)
{
    struct rig *f = *state;

    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    assert_int_equal(f->keys, 1); /* learnt by XX, from the certificate */
    assert_memory_equal(f->key, f->relay.key.pub, 32);
    assert_true(f->key_not_after_s > (int64_t)time(NULL));
    assert_memory_equal(f->relay.last_static, f->opt.noise.pub, 32);
    assert_memory_equal(f->relay.last_hash, link_hash(f->link), 32);
    assert_int_equal(f->relay.last_generation, 12);
    assert_int_equal(f->window, 64);

    fake_relay_cut(&f->relay);
    rig_wait(f, rig_is_up, 2);
    assert_int_equal(f->keys, 1); /* IK: nothing new was learnt */
    assert_int_equal(f->relay.fell_back, 0);
    assert_int_equal(f->states[LINK_DOWN], 1);
}

static void
test_a_kept_server_key_is_used_at_the_first_contact(void **state)
{
    struct rig *f = *state;

    f->opt.has_server_key = true;
    memcpy(f->opt.server_key, f->relay.key.pub, 32);
    f->opt.server_key_not_after_s = (int64_t)time(NULL) + 60;
    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    assert_int_equal(f->keys, 0);
}

static void
test_a_server_key_past_its_certificate_is_not_used(void **state)
{
    struct rig *f = *state;

    f->opt.has_server_key = true;
    memcpy(f->opt.server_key, f->relay.key.pub, 32);
    f->opt.server_key_not_after_s = (int64_t)time(NULL) - 1;
    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    assert_int_equal(f->keys, 1); /* XX, and the certificate was looked at */
}

static void
test_a_changed_server_key_falls_back_and_replaces_the_kept_one(void **state)
{
    struct rig *f = *state;

    rig_open(f);
    rig_wait(f, rig_is_up, 1);
    fake_relay_cut(&f->relay);
    fake_relay_change_key(&f->relay, 0);
    rig_wait(f, rig_is_up, 2);
    assert_int_equal(f->relay.fell_back, 1);
    assert_int_equal(f->keys, 2);
    assert_memory_equal(f->key, f->relay.key.pub, 32);

    fake_relay_cut(&f->relay);
    rig_wait(f, rig_is_up, 3);
    assert_int_equal(f->relay.fell_back, 1); /* IK with the new key */
    assert_int_equal(f->keys, 2);
}

/* The first try is IK with a wrong key, falls back and finds no valid certificate. */
static void
test_after_a_failed_ik_the_next_try_is_xx(void **state)
{
    struct rig *f = *state;

    fake_relay_change_key(&f->relay, (int64_t)time(NULL) - 1);
    f->opt.has_server_key = true;
    memcpy(f->opt.server_key, f->opt.noise.pub, 32);
    f->opt.server_key_not_after_s = (int64_t)time(NULL) + 60;
    rig_open(f);
    rig_wait(f, rig_is_down, 1);
    fake_relay_change_key(&f->relay, 0);
    rig_wait(f, rig_is_up, 1);
    assert_int_equal(f->relay.fell_back, 0);
    assert_int_equal(f->keys, 1);
}

/* ---- a relay that is not ours ---- */

enum impostor {
    WRONG_ROOT,
    EXPIRED_CERTIFICATE,
    CERTIFICATE_OF_ANOTHER_KEY,
    WRONG_ROOT_AFTER_FALLBACK,
    IMPOSTORS
};

static bool
has_failed_often(void *ctx)
{
    struct rig *f = ctx;

    return f->relay.accepted >= 2 && f->states[LINK_DOWN] >= 2;
}

static void
test_i38_no_login_to_a_relay_that_the_root_does_not_vouch_for(void **state)
{
    for (enum impostor who = WRONG_ROOT; who < IMPOSTORS; who++) {
        struct rig *f;

        rig_set_up(state);
        f = *state;
        if (who == EXPIRED_CERTIFICATE)
            fake_relay_change_key(&f->relay, (int64_t)time(NULL) - 1);
        else if (who == CERTIFICATE_OF_ANOTHER_KEY)
            x25519_keypair(f->relay.key.priv, f->relay.key.pub, rng_system());
        else
            f->opt.root_pub[0] ^= 1;
        if (who == WRONG_ROOT_AFTER_FALLBACK) {
            f->opt.has_server_key = true;
            memcpy(f->opt.server_key, f->opt.noise.pub, 32); /* any key but the relay's */
            f->opt.server_key_not_after_s = (int64_t)time(NULL) + 60;
        }
        rig_open(f);
        assert_true(loop_wait(f->loop, has_failed_often, f));
        assert_int_equal(f->relay.logins, 0);
        assert_int_equal(f->relay.up, 0); /* the device's own key was never shown */
        assert_int_equal(f->keys, 0);
        assert_int_equal(f->states[LINK_UP], 0);
        assert_int_equal(link_why(f->link)->rc, who == EXPIRED_CERTIFICATE ? RC_TIMEOUT : RC_AUTH);
        rig_tear_down(state);
    }
}

static void
test_closes_and_what_they_mean(void **state)
{
    static const struct {
        Parley__Wire__CloseReason reason;
        bool is_final;
    } cases[] = {
        {PARLEY__WIRE__CLOSE_REASON__BYE,                 false},
        {PARLEY__WIRE__CLOSE_REASON__CONNECTED_ELSEWHERE, true },
        {PARLEY__WIRE__CLOSE_REASON__CLOSE_FENCED,        true },
        {PARLEY__WIRE__CLOSE_REASON__DRAINING,            false},
        {PARLEY__WIRE__CLOSE_REASON__SLOW,                false},
        {PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR,      false},
        {PARLEY__WIRE__CLOSE_REASON__UNREGISTERED,        true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *f;

        rig_set_up(state);
        f = *state;
        rig_open(f);
        rig_wait(f, rig_is_up, 1);
        fake_relay_close_all(&f->relay, cases[i].reason);
        if (cases[i].is_final) {
            rig_wait(f, rig_is_refused, 1);
            assert_int_equal(f->close, cases[i].reason);
            loop_pass_ms(f->loop, 2 * LINK_BACKOFF_FIRST_MS);
            assert_int_equal(f->relay.accepted, 1); /* it stays down ... */
            assert_int_equal(link_state(f->link), LINK_DOWN);
            link_retry(f->link); /* ... until told */
        }
        rig_wait(f, rig_is_up, 2);
        assert_int_equal(f->refused, cases[i].is_final);
        rig_tear_down(state);
    }
}

static void
test_refused_logins_and_what_they_mean(void **state)
{
    static const struct {
        Parley__Wire__Reason reason;
        bool is_final;
    } cases[] = {
        {PARLEY__WIRE__REASON__FENCED,          true },
        {PARLEY__WIRE__REASON__UNKNOWN_DEVICE,  true },
        {PARLEY__WIRE__REASON__BAD_CERTIFICATE, true },
        {PARLEY__WIRE__REASON__UNAVAILABLE,     false},
        {PARLEY__WIRE__REASON__RATE_LIMITED,    false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig *f;

        rig_set_up(state);
        f = *state;
        f->relay.refuse_login = cases[i].reason;
        rig_open(f);
        if (cases[i].is_final) {
            rig_wait(f, rig_is_refused, 1);
            assert_int_equal(f->reason, cases[i].reason);
            loop_pass_ms(f->loop, 2 * LINK_BACKOFF_FIRST_MS);
            assert_int_equal(f->relay.logins, 1);
        } else {
            rig_wait(f, rig_has_logins, 2);
            assert_int_equal(f->refused, 0);
        }
        assert_int_equal(f->states[LINK_UP], 0);
        rig_tear_down(state);
    }
}

static void
test_a_login_without_an_answer_is_given_up(void **state)
{
    struct rig *f = *state;

    f->relay.is_mute = true;
    rig_open(f);
    rig_wait(f, rig_has_logins, 1);
    fake_relay_push(&f->relay, 1); /* nothing is for us before the LoginOk */
    loop_pass_ms(f->loop, 20);
    assert_int_equal(f->pushes, 0);
    fake_relay_cut(&f->relay);
    f->relay.is_mute = false;
    rig_wait(f, rig_is_up, 1);
    assert_int_equal(f->answers[RC_CLOSED], 0); /* the login is nobody else's request */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_first_contact_is_xx_and_the_return_is_ik),
        RIG_TEST(test_a_kept_server_key_is_used_at_the_first_contact),
        RIG_TEST(test_a_server_key_past_its_certificate_is_not_used),
        RIG_TEST(test_a_changed_server_key_falls_back_and_replaces_the_kept_one),
        RIG_TEST(test_after_a_failed_ik_the_next_try_is_xx),
        cmocka_unit_test(test_i38_no_login_to_a_relay_that_the_root_does_not_vouch_for),
        cmocka_unit_test(test_closes_and_what_they_mean),
        cmocka_unit_test(test_refused_logins_and_what_they_mean),
        RIG_TEST(test_a_login_without_an_answer_is_given_up),
    };

    return cmocka_run_group_tests_name("link/client_talk", tests, NULL, NULL);
}

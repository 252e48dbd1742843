/* test_prekeys.c - bundles: each one-time key once, limits, topping up, the low-water notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

#include "rig.h"

#define ANA 15557654321u
#define SHOP 15550123400u

struct pair {
    struct rig rig;
    struct device ana, shop;
};

static int
set_up(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    rig_init(&p->rig);
    rig_start(&p->rig);
    device_init(&p->ana, &p->rig, ANA);
    device_init(&p->shop, &p->rig, SHOP);
    p->shop.is_business = true;
    *state = p;
    return 0;
}

static int
tear_down(void **state)
{
    struct pair *p = *state;

    device_wipe(&p->ana);
    device_wipe(&p->shop);
    rig_wipe(&p->rig);
    free(p);
    return 0;
}

static void
test_bundle_says_it_all(void **state)
{
    struct pair *p = *state;
    const Parley__Wire__Bundle *b;
    uint32_t id;

    device_register(&p->ana, 10);
    device_register(&p->shop, 10);
    device_come(&p->ana);
    assert_int_equal(device_fetch(&p->ana, SHOP, false, &id), OK);
    b = p->ana.reply->bundles->bundles[0];
    assert_int_equal(b->device, 1);
    assert_int_equal(b->registration_id, p->shop.registration_id);
    assert_memory_equal(b->identity_key.data, p->shop.identity, 33);
    assert_non_null(b->signed_prekey);
    assert_int_equal(curve_verify(b->signed_prekey->signature.data, p->shop.identity + 1,
                                  wire_bytes(b->signed_prekey->key)),
                     RC_OK);
    assert_int_equal(b->statement->signature.len, 64);
    assert_true(p->ana.reply->bundles->number_certificate.len > 0);
    assert_int_equal(id, 1); /* oldest first */
    assert_int_equal(device_fetch(&p->ana, SHOP, false, &id), OK);
    assert_int_equal(id, 2);
    assert_int_equal(device_fetch(&p->ana, SHOP, true, &id), OK);
    assert_int_equal(id, 0); /* keys only: nothing spent */
    assert_null(p->ana.reply->bundles->bundles[0]->signed_prekey);
    assert_int_equal(device_fetch(&p->ana, 15550000001u, false, &id), REASON(NO_ACCOUNT));
    assert_int_equal(
        rig_sql(&p->rig, "SELECT one_time_left FROM device WHERE account = 15550123400"), 8);
}

static void
test_fetch_limits(void **state)
{
    struct pair *p = *state;
    uint32_t id, last = 0;

    device_register(&p->ana, 100);
    device_register(&p->shop, 1);
    device_come(&p->shop);
    for (uint32_t hour = 0, n = 0; hour < 6; hour++) {
        for (unsigned i = 0; i < 7; i++) {
            bool is_due = i < p->rig.limits.fetches_per_hour && n < p->rig.limits.fetches_per_day;

            assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
            assert_int_equal(id != 0, is_due); /* over the limit: a bundle without one */
            assert_non_null(p->shop.reply->bundles->bundles[0]->signed_prekey);
            n += is_due;
            last = id != 0 ? id : last;
        }
        rig_advance(&p->rig, 3600 * 1000);
    }
    assert_int_equal(last, 20);
}

/* ---- I26 ---- */

#define FETCHERS 20u
#define EACH 50u

struct parallel {
    struct device devices[FETCHERS];
    unsigned n_left;
    uint8_t seen[FETCHERS * EACH + 1];
    unsigned n_keys, n_twice, n_none;
};

static struct parallel *parallel;

/* The rig's devices keep one reply; these count every bundle themselves. */
static void
count_bundle(const Parley__Wire__Frame *frame)
{
    const Parley__Wire__Bundle *b = frame->bundles->bundles[0];

    parallel->n_left--;
    if (b->one_time == NULL) {
        parallel->n_none++;
        return;
    }
    parallel->n_keys++;
    if (b->one_time->id > FETCHERS * EACH || parallel->seen[b->one_time->id]++ != 0)
        parallel->n_twice++;
}

static bool
all_answered(void *ctx)
{
    return ((struct parallel *)ctx)->n_left == 0;
}

static void
test_i26_prekey_served_once(void **state)
{
    struct pair *p = *state;
    const uint32_t stock =
        FETCHERS * EACH - 100; /* fewer than are asked for: the end is seen too */

    rig_stop(&p->rig);
    p->rig.limits.fetches_per_hour = p->rig.limits.fetches_per_day = 1000000;
    rig_start(&p->rig);
    device_register(&p->ana, stock);
    parallel = calloc(1, sizeof(*parallel));
    for (unsigned i = 0; i < FETCHERS; i++) {
        device_init(&parallel->devices[i], &p->rig, SHOP + i);
        device_register(&parallel->devices[i], 0);
        device_come(&parallel->devices[i]);
        parallel->devices[i].on_bundles = count_bundle;
    }
    parallel->n_left = FETCHERS * EACH;
    for (unsigned k = 0; k < EACH; k++) {
        for (unsigned i = 0; i < FETCHERS; i++)
            device_fetch_later(&parallel->devices[i], ANA);
    }
    assert_true(rig_wait(&p->rig, all_answered, parallel));
    assert_int_equal(parallel->n_twice, 0);
    assert_int_equal(parallel->n_keys, stock);
    assert_int_equal(parallel->n_none, 100);
    assert_int_equal(
        rig_sql(&p->rig,
                "SELECT COUNT(*) FROM prekey WHERE account = 15557654321 AND key IS NOT NULL"),
        0);
    for (unsigned i = 0; i < FETCHERS; i++)
        device_wipe(&parallel->devices[i]);
    free(parallel);
}

/* A client that did not hear the answer sends the same upload, or registers with the same keys:
 * keys that were served meanwhile stay served. */
static void
test_i26_same_upload_twice_brings_nothing_back(void **state)
{
    struct pair *p = *state;
    uint32_t id;

    device_register(&p->ana, 0);
    device_register(&p->shop, 1);
    device_come(&p->ana);
    device_come(&p->shop);
    device_keep_prekeys(&p->ana);
    device_upload(&p->ana, 3, false);
    assert_int_equal(p->ana.last_left, 3);
    assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
    assert_int_equal(id, 1);
    device_upload(&p->ana, 3, false); /* the very same three */
    assert_int_equal(p->ana.last_left, 2);
    assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
    assert_int_equal(id, 2);
    device_register(&p->ana, 3); /* and with a new registration */
    assert_int_equal(device_login(&p->ana, NULL, 0), OK);
    assert_int_equal(p->ana.reply->login_ok->one_time_left, 0);
    assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
    assert_int_equal(id, 0);
}

static bool
was_told(void *ctx)
{
    return ((struct device *)ctx)->n_status > 0;
}

static void
test_low_water_is_told(void **state)
{
    struct pair *p = *state;
    uint32_t id;

    device_register(&p->ana, 21);
    device_register(&p->shop, 1);
    device_come(&p->ana);
    device_come(&p->shop);
    assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
    rig_pass_ms(&p->rig, 50);
    assert_int_equal(p->ana.n_status, 0); /* 20 are enough */
    assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
    assert_true(rig_wait(&p->rig, was_told, &p->ana));
    assert_int_equal(p->ana.last_left, 19);
    device_upload(&p->ana, 80, false);
    assert_int_equal(p->ana.last_left, 99);
}

static void
test_replace_forgets_the_old(void **state)
{
    struct pair *p = *state;
    uint32_t id;

    device_register(&p->ana, 10);
    device_register(&p->shop, 1);
    device_come(&p->ana);
    device_come(&p->shop);
    device_upload(&p->ana, 5, true);
    assert_int_equal(p->ana.last_left, 5);
    assert_int_equal(device_fetch(&p->shop, ANA, false, &id), OK);
    assert_int_equal(id, 11);
}

static void
test_too_many_are_refused(void **state)
{
    struct pair *p = *state;

    device_register(&p->ana, 1000);
    device_come(&p->ana);
    device_upload(&p->ana, 1000, false);
    assert_int_equal(p->ana.last_left, 2000);
    assert_int_equal(device_try_upload(&p->ana, 1, false), REASON(TOO_LARGE));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bundle_says_it_all),     TEST(test_fetch_limits),
        TEST(test_i26_prekey_served_once), TEST(test_i26_same_upload_twice_brings_nothing_back),
        TEST(test_low_water_is_told),      TEST(test_replace_forgets_the_old),
        TEST(test_too_many_are_refused),
    };

    return cmocka_run_group_tests_name("relay/prekeys", tests, NULL, NULL);
}

/* The push stream: a whole snapshot first, then each change after its commit, removals included. */
#include "harness.h"

#include <string.h>

#include "base/hex.h"
#include "crypto/cert.h"
#include "crypto/prim.h"

static struct harness h;
static struct tenant t;

static int
setup(void **state)
{
    harness_start(&h, NULL);
    tenant_make(&t, &h, "Harbour Tea", "447700900123");
    return 0;
}

static int
teardown(void **state)
{
    tenant_free(&t);
    harness_stop(&h);
    return 0;
}

/* The line, given up by the stream, whose event and id are these. */
static void
expect(struct listener *l, const char *event, const char *key, const char *value)
{
    json_t *line = listener_find(l, event);

    if (json_str(line, key) == NULL || strcmp(json_str(line, key), value) != 0)
        fail_msg("%s: %s is %s, not %s", event, key, json_str(line, key), value);
    json_decref(line);
}

static void
read_snapshot(struct listener *l)
{
    json_decref(listener_find(l, "snapshot_end"));
}

static void
test_snapshot_is_whole(void **state)
{
    struct number_cert cert;
    struct buf authority, raw;
    struct listener l;
    json_t *line;

    listener_open(&l, &h, "parley-cloud");
    line = listener_next(&l);
    assert_string_equal(json_str(line, "event"), "snapshot_begin");
    buf_init(&authority, 64);
    assert_int_equal(base64_read(&authority, bytes_of_str(json_str(line, "authority")), NULL),
                     RC_OK);
    assert_int_equal(authority.len, 32);
    json_decref(line);

    line = listener_next(&l);
    assert_string_equal(json_str(line, "event"), "app");
    assert_string_equal(json_str(line, "id"), t.app);
    assert_string_equal(json_str(line, "secret"), t.secret);
    assert_true(json_is_null(json_object_get(line, "subscription")));
    json_decref(line);

    line = listener_next(&l);
    assert_string_equal(json_str(line, "event"), "waba");
    assert_string_equal(json_str(line, "id"), t.waba);
    assert_string_equal(json_str(json_array_get(json_object_get(line, "apps"), 0), "app_id"),
                        t.app);
    json_decref(line);

    line = listener_next(&l);
    assert_string_equal(json_str(line, "event"), "number");
    assert_string_equal(json_str(line, "digits"), "447700900123");
    assert_string_equal(json_str(line, "hosting"), "cloud");
    assert_false(json_is_true(json_object_get(line, "is_registered")));
    buf_init(&raw, 2048);
    assert_int_equal(base64_read(&raw, bytes_of_str(json_str(line, "certificate")), NULL), RC_OK);
    assert_int_equal(
        number_cert_read(&cert, buf_bytes(&raw), authority.ptr, HARNESS_NOW_MS / 1000, NULL),
        RC_OK);
    assert_int_equal(cert.number, 447700900123);
    assert_string_equal(cert.display_name, "Harbour Tea");
    json_decref(line);
    buf_free(&raw);
    buf_free(&authority);

    line = listener_next(&l);
    assert_string_equal(json_str(line, "event"), "snapshot_end");
    json_decref(line);
    listener_close(&l);
}

static void
test_revocation_is_pushed(void **state)
{
    struct listener l;
    uint8_t hash[32];
    struct buf hex;

    listener_open(&l, &h, "parley-cloud");
    read_snapshot(&l);
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_DELETE,
                                 fmt("/internal/v1/tokens/%s", t.token_id), NULL),
                     200);
    sha256(hash, bytes_of_str(t.token));
    buf_init(&hex, 128);
    hex_put(&hex, bytes_of(hash, 32));
    expect(&l, "token_revoked", "token_hash", buf_cstr(&hex));
    buf_free(&hex);
    listener_close(&l);
}

static void
test_changes_are_pushed(void **state)
{
    struct listener l;
    json_t *line, *subscription;

    listener_open(&l, &h, "parley-cloud");
    read_snapshot(&l);
    assert_int_equal(harness_graph(&h, NULL, t.app_token, "POST", fmt("/%s/subscriptions", t.app),
                                   "{\"object\":\"whatsapp_business_account\",\"callback_url\":"
                                   "\"https://hooks.example/wa\",\"verify_token\":\"v\","
                                   "\"fields\":[\"messages\",\"account_update\"]}"),
                     200);
    line = listener_find(&l, "app");
    subscription = json_object_get(line, "subscription");
    assert_string_equal(json_str(subscription, "callback_url"), "https://hooks.example/wa");
    assert_int_equal(json_array_size(json_object_get(subscription, "fields")), 2);
    json_decref(line);

    harness_graph(&h, NULL, t.token, "DELETE", fmt("/%s/subscribed_apps", t.waba), NULL);
    line = listener_find(&l, "waba");
    assert_int_equal(json_array_size(json_object_get(line, "apps")), 0);
    json_decref(line);

    json_decref(harness_post(&h, "parley-cloud",
                             fmt("/internal/v1/numbers/%s/registered", t.number),
                             "{\"registered\":true,\"pin_set\":true}"));
    line = listener_find(&l, "number");
    assert_true(json_is_true(json_object_get(line, "is_registered")));
    json_decref(line);
    listener_close(&l);
}

static void
test_business_revocation_cascades(void **state)
{
    struct listener l;
    json_t *line;

    listener_open(&l, &h, "parley-cloud");
    read_snapshot(&l);
    assert_int_equal(harness_ask(&h, NULL, "parley-cli", HTTP_DELETE,
                                 fmt("/internal/v1/businesses/%s", t.business), NULL),
                     200);
    expect(&l, "number_removed", "id", t.number);
    expect(&l, "waba_removed", "id", t.waba);
    json_decref(listener_find(&l, "token_revoked"));
    expect(&l, "app_removed", "id", t.app);
    listener_close(&l);

    listener_open(&l, &h, "parley-cloud"); /* and a new receiver never hears of them */
    line = listener_next(&l);
    json_decref(line);
    line = listener_next(&l);
    assert_string_equal(json_str(line, "event"), "snapshot_end");
    json_decref(line);
    listener_close(&l);

    /* the digits are free again, the ids are not reused */
    line = harness_post(&h, "parley-cli", "/internal/v1/provision",
                        "{\"name\":\"Other\",\"number\":\"447700900123\"}");
    assert_string_not_equal(json_str(line, "phone_number_id"), t.number);
    json_decref(line);
}

/* More than a stream usually lets wait: the snapshot must still arrive whole. */
static void
test_large_snapshot(void **state)
{
    char name[256] = "";
    struct listener l;
    unsigned numbers = 0;

    for (unsigned i = 0; i < 125; i++)
        strcat(name, "\u00e9"); /* six bytes each on the wire */
    for (unsigned i = 0; i < 900; i++)
        json_decref(harness_post(&h, "parley-cli", "/internal/v1/numbers",
                                 fmt("{\"waba_id\":\"%s\",\"number\":\"15550%06u\","
                                     "\"display_name\":\"%s\"}",
                                     t.waba, i, name)));
    listener_open(&l, &h, "parley-cloud");
    for (;;) {
        json_t *line = listener_next(&l);
        bool is_end = strcmp(json_str(line, "event"), "snapshot_end") == 0;

        numbers += strcmp(json_str(line, "event"), "number") == 0;
        json_decref(line);
        if (is_end)
            break;
    }
    assert_int_equal(numbers, 901);
    assert_true(l.text.len > 1u << 20);
    listener_close(&l);
}

static void
finished(void *ctx)
{
    *(bool *)ctx = true;
}

static void
test_certificates_are_renewed_before_they_end(void **state)
{
    bool is_done = false;
    struct listener l;
    json_t *before, *after;

    before = harness_get(&h, "parley-cli", fmt("/internal/v1/numbers/%s", t.number));
    listener_open(&l, &h, "parley-cloud");
    read_snapshot(&l);
    clock_fake_advance(h.clock, INT64_C(340) * 86400 * 1000);
    manager_renew(h.manager, finished, &is_done);
    after = listener_find(&l, "number");
    assert_true(is_done);
    assert_string_not_equal(json_str(before, "certificate"), json_str(after, "certificate"));
    json_decref(before);
    json_decref(after);
    listener_close(&l);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_snapshot_is_whole),  CASE(test_revocation_is_pushed),
        CASE(test_changes_are_pushed), CASE(test_business_revocation_cascades),
        CASE(test_large_snapshot),     CASE(test_certificates_are_renewed_before_they_end),
    };

    return cmocka_run_group_tests_name("manager/events", tests, NULL, NULL);
}

/* test_webhooks.c - the bodies of events, byte for byte. Putting them into the queue is replaced
 * (linked with --wrap): the test looks at what would be kept and sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cloud/call.h"
#include "content/wamid.h"

#define ACCOUNT UINT64_C(4930111111)
#define ANNA UINT64_C(4915222222)
#define AT_MS INT64_C(1767270000123)

struct kept {
    uint64_t account, app;
    char url[128], body[8192];
};
static struct kept kept[8];
static size_t n_kept;

enum rc __wrap_hooks_enqueue(struct hooks_pump *pump, struct store_tx *tx,
                             const struct hooks_event *event, uint8_t event_id[16],
                             struct err *err);

enum rc
__wrap_hooks_enqueue(struct hooks_pump *pump, struct store_tx *tx, const struct hooks_event *event,
                     uint8_t event_id[16], struct err *err)
{
    struct kept *k = &kept[n_kept++];

    assert_in_range(n_kept, 1, sizeof kept / sizeof kept[0]);
    assert_int_equal(event->profile, HOOKS_CLOUD);
    k->account = event->account;
    k->app = event->app;
    snprintf(k->url, sizeof k->url, "%s", event->url);
    snprintf(k->body, sizeof k->body, "%.*s", (int)event->body.len, (const char *)event->body.ptr);
    memset(event_id, 1, 16);
    return RC_OK;
}

static void
on_number(void *ctx, uint64_t account, bool is_cloud_hosted)
{
}

static void
on_number_removed(void *ctx, uint64_t account)
{
}

#define APP(id, version, url)                                                                      \
    "{\"event\":\"app\",\"id\":\"" id                                                              \
    "\",\"secret\":\"s\",\"subscription\":{\"callback_url\":\"" url "\",\"version\":\"" version    \
    "\",\"fields\":[\"messages\"]}}"

static int
set_up(void **state)
{
    static const char *const lines[] = {
        "{\"event\":\"snapshot_begin\"}",
        APP("130000000000001", "v24.0", "https://new.test/"),
        APP("130000000000002", "v23.0", "https://old.test/"),
        "{\"event\":\"waba\",\"id\":\"110000000000001\",\"apps\":[{\"app_id\":\"130000000000001\"},"
        "{\"app_id\":\"130000000000002\"}]}",
        "{\"event\":\"number\",\"id\":\"120000000000001\",\"digits\":\"4930111111\",\"waba_id\":"
        "\"110000000000001\",\"hosting\":\"cloud\"}",
        "{\"event\":\"snapshot_end\"}",
    };
    static const struct directory_events events = {.on_number = on_number,
                                                   .on_number_removed = on_number_removed};
    static struct cloud cloud;

    n_kept = 0;
    memset(&cloud, 0, sizeof cloud);
    assert_int_equal(clock_new_fake(&cloud.opt.clock, AT_MS, 0, NULL), RC_OK);
    assert_int_equal(directory_new(&cloud.directory, &events, NULL), RC_OK);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        json_t *line;

        assert_int_equal(json_read(&line, bytes_of_str(lines[i]), 1 << 16, NULL), RC_OK);
        assert_int_equal(directory_apply(cloud.directory, line, NULL), RC_OK);
        json_decref(line);
    }
    *state = &cloud;
    return 0;
}

static int
tear_down(void **state)
{
    struct cloud *cloud = *state;

    directory_free(&cloud->directory);
    clock_free(&cloud->opt.clock);
    return 0;
}

#define HEAD                                                                                       \
    "{\"object\":\"whatsapp_business_account\",\"entry\":[{\"id\":\"110000000000001\","            \
    "\"changes\":[{\"value\":{\"messaging_product\":\"whatsapp\",\"metadata\":{"                   \
    "\"display_phone_number\":\"4930111111\",\"phone_number_id\":\"120000000000001\"},"
#define TAIL "},\"field\":\"messages\"}]}]}"

static const uint8_t message_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static const char *
wamid(bool is_from_business)
{
    static char texts[2][WAMID_SIZE];
    struct wamid id = {.user = ANNA, .is_from_business = is_from_business};

    memcpy(id.message_id, message_id, 16);
    return wamid_write(texts[is_from_business], &id);
}

static void
test_a_text_escaped_as_receivers_hash_it(void **state)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    struct gateway_inbound in = {.account = ACCOUNT,
                                 .peer = ANNA,
                                 .payload = &payload,
                                 .accepted_at_ms = AT_MS - 5000,
                                 .now_ms = AT_MS};
    char want[2048];

    memcpy(in.message_id, message_id, 16);
    text.body = (char *)(uintptr_t) "caf\xc3\xa9 \xf0\x9f\x8d\x9e </a> @50% \"\\\n";
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    payload.text = &text;
    payload.profile_name = (char *)(uintptr_t) "Zo\xc3\xab";
    assert_int_equal(webhook_inbound(*state, NULL, &in, NULL), RC_OK);
    snprintf(want, sizeof want,
             HEAD "\"contacts\":[{\"profile\":{\"name\":\"Zo\\u00eb\"},\"wa_id\":\"4915222222\"}],"
                  "\"messages\":[{\"from\":\"4915222222\",\"id\":\"%s\",\"timestamp\":"
                  "\"1767269995\",\"type\":\"text\",\"text\":{\"body\":\"caf\\u00e9 \\ud83c\\udf5e "
                  "</a> @50%% \\\"\\\\\\n\"}}]" TAIL,
             wamid(false));
    assert_int_equal(n_kept, 2); /* each app its own copy */
    assert_string_equal(kept[0].body, want);
    assert_string_equal(kept[1].body, want);
    assert_int_equal(kept[0].account, ACCOUNT);
    assert_int_equal(kept[0].app, 130000000000001);
    assert_string_equal(kept[0].url, "https://new.test/");
    assert_int_equal(kept[1].app, 130000000000002);
}

static void
test_a_quote_names_its_author(void **state)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    Parley__Content__Text text = PARLEY__CONTENT__TEXT__INIT;
    Parley__Content__Context context = PARLEY__CONTENT__CONTEXT__INIT;
    struct gateway_inbound in = {
        .account = ACCOUNT, .peer = ANNA, .payload = &payload, .now_ms = AT_MS};

    text.body = (char *)(uintptr_t) "yes";
    payload.body_case = PARLEY__CONTENT__PAYLOAD__BODY_TEXT;
    payload.text = &text;
    payload.context = &context;
    context.message_id = (ProtobufCBinaryData){.len = 16, .data = (uint8_t *)(uintptr_t)message_id};
    for (int by_us = 0; by_us < 2; by_us++) {
        char want[256];

        n_kept = 0;
        context.author = by_us ? ACCOUNT : ANNA;
        assert_int_equal(webhook_inbound(*state, NULL, &in, NULL), RC_OK);
        snprintf(want, sizeof want, "\"messages\":[{\"context\":{\"from\":\"%s\",\"id\":\"%s\"},",
                 by_us ? "4930111111" : "4915222222", wamid(by_us));
        assert_non_null(strstr(kept[0].body, want));
    }
}

static void
test_what_we_do_not_know_is_unsupported(void **state)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    struct gateway_inbound in = {
        .account = ACCOUNT, .peer = ANNA, .payload = &payload, .now_ms = AT_MS};

    assert_int_equal(webhook_inbound(*state, NULL, &in, NULL), RC_OK);
    assert_non_null(strstr(kept[0].body, "\"code\":131051"));
    assert_non_null(strstr(kept[0].body, "\"type\":\"unsupported\""));
}

#define STATUS(name)                                                                               \
    "\"status\":\"" name "\",\"timestamp\":\"1767270000\",\"recipient_id\":\"4915222222\""
#define ORIGIN "\"origin\":{\"type\":\"service\"}"
#define PRICING                                                                                    \
    ",\"pricing\":{\"billable\":false,\"pricing_model\":\"PMP\",\"category\":\"service\","         \
    "\"type\":\"free_customer_service\"}"
#define HREF "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"

static const struct status_case {
    enum gateway_status_kind kind;
    enum gateway_reason reason;
    const char *opaque;
    const char *now, *v23; /* behind "id":"…", up to the end of the status */
} status_cases[] = {
    {GATEWAY_SENT,      GATEWAY_NO_REASON,  "tag",
     STATUS("sent") ",\"biz_opaque_callback_data\":\"tag\"" PRICING,
     STATUS("sent") ",\"biz_opaque_callback_data\":\"tag\",\"conversation\":{\"id\":"
                    "\"0102030405060708090a0b0c0d0e0f10\",\"expiration_timestamp\":"
                    "\"1767356400\"," ORIGIN "}" PRICING                                      },
    {GATEWAY_DELIVERED, GATEWAY_NO_REASON,  "",    STATUS("delivered") PRICING,
     STATUS("delivered") ",\"conversation\":{\"id\":\"0102030405060708090a0b0c0d0e0f10\"," ORIGIN
                         "}" PRICING                                                          },
    {GATEWAY_READ,      GATEWAY_NO_REASON,  "",    STATUS("read"),              STATUS("read")},
    {GATEWAY_FAILED,    GATEWAY_NO_ACCOUNT, "",
     STATUS("failed") ",\"errors\":[{\"code\":131026,\"title\":\"Message undeliverable\","
                      "\"message\":\"Message undeliverable\",\"error_data\":{\"details\":\"The "
                      "recipient is not on "
                      "this network.\"},\"href\":\"" HREF "\"}]",
     NULL                                                                                     },
    {GATEWAY_FAILED,    GATEWAY_EXPIRED,    "",
     STATUS("failed") ",\"errors\":[{\"code\":131026,\"title\":\"Message undeliverable\","
                      "\"message\":\"Message "
                      "undeliverable\",\"error_data\":{\"details\":\"expired\"},\"href\":\"" HREF
                      "\"}]",                                                   NULL          },
};

static void
test_statuses_in_both_shapes(void **state)
{
    for (size_t i = 0; i < sizeof status_cases / sizeof status_cases[0]; i++) {
        const struct status_case *c = &status_cases[i];
        struct gateway_status status = {.account = ACCOUNT,
                                        .peer = ANNA,
                                        .kind = c->kind,
                                        .reason = c->reason,
                                        .opaque = bytes_of_str(c->opaque),
                                        .at_ms = AT_MS};

        n_kept = 0;
        memcpy(status.message_id, message_id, 16);
        assert_int_equal(webhook_status(*state, NULL, &status, NULL), RC_OK);
        assert_int_equal(n_kept, 2);
        for (int old = 0; old < 2; old++) {
            char want[4096];

            snprintf(want, sizeof want, HEAD "\"statuses\":[{\"id\":\"%s\",%s}]" TAIL, wamid(true),
                     old && c->v23 != NULL ? c->v23 : c->now);
            assert_string_equal(kept[old].body, want);
        }
    }
}

static void
test_every_reason_has_its_code(void **state)
{
    static const struct {
        enum gateway_reason reason;
        const char *code;
    } reasons[] = {
        {GATEWAY_NO_ACCOUNT, "\"code\":131026"},
        {GATEWAY_OVERFLOW,   "\"code\":131000"},
        {GATEWAY_EXPIRED,    "\"code\":131026"},
        {GATEWAY_REJECTED,   "\"code\":131000"},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct gateway_status status = {.account = ACCOUNT,
                                        .peer = ANNA,
                                        .kind = GATEWAY_FAILED,
                                        .reason = reasons[i].reason,
                                        .at_ms = AT_MS};

        n_kept = 0;
        assert_int_equal(webhook_status(*state, NULL, &status, NULL), RC_OK);
        assert_non_null(strstr(kept[0].body, reasons[i].code));
    }
}

static void
test_nobody_subscribed_nothing_kept(void **state)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    struct gateway_inbound in = {
        .account = ACCOUNT + 1, .peer = ANNA, .payload = &payload, .now_ms = AT_MS};
    struct gateway_status status = {.account = ACCOUNT + 1, .peer = ANNA, .kind = GATEWAY_SENT};

    assert_int_equal(webhook_inbound(*state, NULL, &in, NULL), RC_OK);
    assert_int_equal(webhook_status(*state, NULL, &status, NULL), RC_OK);
    assert_int_equal(n_kept, 0);
}

#define HOOK_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        HOOK_TEST(test_a_text_escaped_as_receivers_hash_it),
        HOOK_TEST(test_a_quote_names_its_author),
        HOOK_TEST(test_what_we_do_not_know_is_unsupported),
        HOOK_TEST(test_statuses_in_both_shapes),
        HOOK_TEST(test_every_reason_has_its_code),
        HOOK_TEST(test_nobody_subscribed_nothing_kept),
    };

    return cmocka_run_group_tests_name("cloud/webhooks", tests, NULL, NULL);
}

/* test_message_request.c - the body of a send, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/json.h"
#include "cloud/message_request.h"
#include "content/wamid.h"

#define ACCOUNT UINT64_C(4930111111)
#define ANNA UINT64_C(4915222222)
#define SENT GRAPH_CODES /* no refusal */

#define BODY(rest) "{\"messaging_product\":\"whatsapp\",\"to\":\"4915222222\"" rest "}"
#define TEXT(rest) BODY(",\"text\":{\"body\":\"hi\"}" rest)

static const struct request_case {
    const char *name, *json;
    enum graph_code want;
    const char *says; /* in the refusal's text; NULL: anything */
} cases[] = {
    {"smallest",                   TEXT(""),                                                                      SENT,          NULL               },
    {"type text",                  TEXT(",\"type\":\"text\""),                                                    SENT,          NULL               },
    {"type in capitals",           TEXT(",\"type\":\"TEXT\""),                                                    SENT,          NULL               },
    {"text as JSON text",          BODY(",\"text\":\"{\\\"body\\\":\\\"hi\\\"}\""),                               SENT,          NULL               },
    {"recipient type",             TEXT(",\"recipient_type\":\"individual\""),                                    SENT,          NULL               },
    {"a group",                    TEXT(",\"recipient_type\":\"group\""),                                         G_BAD_PARAM,   "recipient_type"   },
    {"opaque",                     TEXT(",\"biz_opaque_callback_data\":\"tag\""),                                 SENT,          NULL               },
    {"opaque null",                TEXT(",\"biz_opaque_callback_data\":null"),                                    SENT,          NULL               },
    {"opaque a number",            TEXT(",\"biz_opaque_callback_data\":7"),                                       G_BAD_PARAM,
     "biz_opaque_callback_data"                                                                                                                     },
    {"unknown members",            TEXT(",\"later\":[1,2,{}]"),                                                   SENT,          NULL               },
    {"no product",                 "{\"to\":\"4915222222\",\"text\":{\"body\":\"hi\"}}",                          G_BAD_PARAM,
     "messaging_product"                                                                                                                            },
    {"another product",
     "{\"messaging_product\":\"sms\",\"to\":\"4915222222\",\"text\":{\"body\":\"hi\"}}",                          G_BAD_PARAM,   "messaging_product"},
    {"no to",                      "{\"messaging_product\":\"whatsapp\",\"text\":{\"body\":\"hi\"}}",             G_BAD_PARAM,
     "parameter to"                                                                                                                                 },
    {"to empty",                   "{\"messaging_product\":\"whatsapp\",\"to\":\"\",\"text\":{\"body\":\"hi\"}}",
     G_BAD_PARAM,                                                                                                                "parameter to"     },
    {"to with plus and spaces",
     "{\"messaging_product\":\"whatsapp\",\"to\":\"+49 152 22222\",\"text\":{\"body\":\"hi\"}}",                  SENT,          NULL               },
    {"to as a number",
     "{\"messaging_product\":\"whatsapp\",\"to\":4915222222,\"text\":{\"body\":\"hi\"}}",                         SENT,
     NULL                                                                                                                                           },
    {"to with 00",
     "{\"messaging_product\":\"whatsapp\",\"to\":\"004915222222\",\"text\":{\"body\":\"hi\"}}",                   G_BAD_VALUE,   NULL               },
    {"to with letters",
     "{\"messaging_product\":\"whatsapp\",\"to\":\"49abc\",\"text\":{\"body\":\"hi\"}}",                          G_BAD_VALUE,   NULL               },
    {"to itself",
     "{\"messaging_product\":\"whatsapp\",\"to\":\"4930111111\",\"text\":{\"body\":\"hi\"}}",                     G_SELF,        NULL               },
    {"no text",                    BODY(""),                                                                      G_BAD_PARAM,   "text"             },
    {"text no object",             BODY(",\"text\":[]"),                                                          G_BAD_PARAM,   "text"             },
    {"no body",                    BODY(",\"text\":{}"),                                                          G_BAD_PARAM,   "body"             },
    {"body no string",             BODY(",\"text\":{\"body\":7}"),                                                G_BAD_PARAM,   "body"             },
    {"body empty",                 BODY(",\"text\":{\"body\":\"\"}"),                                             G_BAD_PARAM,   "body"             },
    {"a type for later",           TEXT(",\"type\":\"image\""),                                                   G_UNSUPPORTED, NULL               },
    {"no such type",               TEXT(",\"type\":\"poem\""),                                                    G_BAD_PARAM,   "poem"             },
    {"type no string",             TEXT(",\"type\":{}"),                                                          G_BAD_PARAM,   "type"             },
    {"a quote of nothing we know", TEXT(",\"context\":{\"message_id\":\"wamid.x\"}"),                             SENT,          NULL               },
    {"a quote without id",         TEXT(",\"context\":{}"),                                                       G_BAD_PARAM,   "context"          },
    {"a quote no object",          TEXT(",\"context\":7"),                                                        G_BAD_PARAM,   "context"          },
    {"another status",             BODY(",\"status\":\"seen\",\"message_id\":\"wamid.x\""),                       G_BAD_PARAM,
     "status"                                                                                                                                       },
    {"read what",                  BODY(",\"status\":\"read\""),                                                  G_BAD_PARAM,   "message_id"       },
    {"read a strange id",          BODY(",\"status\":\"read\",\"message_id\":\"x\""),                             G_BAD_VALUE,
     "message_id"                                                                                                                                   },
};

struct reading {
    json_t *params;
    struct arena *arena;
    struct message_request request;
    struct refusal refusal;
};

static bool
read_text(struct reading *r, const char *json)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(json_read(&r->params, bytes_of_str(json), 1 << 20, NULL), RC_OK);
    assert_int_equal(arena_new(&r->arena, 1 << 20, NULL), RC_OK);
    return message_request_read(&r->request, r->params, ACCOUNT, r->arena, &r->refusal);
}

static void
wipe(struct reading *r)
{
    json_decref(r->params);
    arena_free(&r->arena);
}

static void
test_every_case(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct request_case *c = &cases[i];
        struct reading r;
        bool is_taken = read_text(&r, c->json);

        if (is_taken != (c->want == SENT) ||
            (!is_taken && (r.refusal.code != c->want ||
                           (c->says != NULL && strstr(r.refusal.text, c->says) == NULL))))
            fail_msg("%s: %s", c->name, is_taken ? "taken" : r.refusal.text);
        if (is_taken) {
            assert_int_equal(r.request.to, strstr(c->json, "+49 152") ? 4915222222 : ANNA);
            assert_string_equal(r.request.payload.text->body, "hi");
        }
        wipe(&r);
    }
}

/* Characters are counted, not bytes. */
static void
test_the_longest_text(void **state)
{
    static const struct {
        const char *character;
        size_t n;
        bool is_taken;
    } lengths[] = {
        {"a",                4096, true },
        {"a",                4097, false},
        {"\xf0\x9f\x8d\x9e", 4096, true }, /* bread, four bytes each */
        {"\xf0\x9f\x8d\x9e", 4097, false},
    };

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct reading r;
        struct buf json;

        buf_init(&json, 1 << 16);
        buf_put_str(&json, "{\"messaging_product\":\"whatsapp\",\"to\":\"4915222222\",\"text\":{"
                           "\"body\":\"");
        for (size_t k = 0; k < lengths[i].n; k++)
            buf_put_str(&json, lengths[i].character);
        buf_put_str(&json, "\"}}");
        assert_int_equal(read_text(&r, buf_cstr(&json)), lengths[i].is_taken);
        if (lengths[i].is_taken) { /* and the payload takes it */
            struct buf packed;

            buf_init(&packed, CONTENT_MAX);
            r.request.payload.version = CONTENT_VERSION;
            assert_int_not_equal(content_pack(&packed, &r.request.payload, NULL), RC_LIMIT);
            buf_free(&packed);
        }
        wipe(&r);
        buf_free(&json);
    }
}

static void
test_a_quote_of_this_chat_travels(void **state)
{
    static const struct {
        uint64_t user;
        bool is_from_business;
        uint64_t author; /* 0: no quote */
    } quotes[] = {
        {ANNA,     false, ANNA   },
        {ANNA,     true,  ACCOUNT},
        {ANNA + 1, false, 0      }, /* of another chat: the message goes without it */
    };

    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        struct wamid id = {
            .user = quotes[i].user,
            .is_from_business = quotes[i].is_from_business,
            .message_id = {1, 2, 3}
        };
        char wamid[WAMID_SIZE];
        struct reading r;
        struct buf json;

        buf_init(&json, 4096);
        buf_put_str(&json, "{\"messaging_product\":\"whatsapp\",\"to\":\"4915222222\",\"text\":{"
                           "\"body\":\"hi\"},\"context\":{\"message_id\":\"");
        buf_put_str(&json, wamid_write(wamid, &id));
        buf_put_str(&json, "\"}}");
        assert_true(read_text(&r, buf_cstr(&json)));
        if (quotes[i].author == 0) {
            assert_null(r.request.payload.context);
        } else {
            assert_int_equal(r.request.payload.context->author, quotes[i].author);
            assert_memory_equal(r.request.payload.context->message_id.data, id.message_id, 16);
        }
        wipe(&r);
        buf_free(&json);
    }
}

static void
test_mark_as_read(void **state)
{
    struct wamid id = {
        .user = ANNA, .message_id = {9, 8, 7}
    };
    char wamid[WAMID_SIZE];

    for (int typing = 0; typing < 2; typing++) {
        struct reading r;
        struct buf json;

        buf_init(&json, 4096);
        buf_put_str(&json, "{\"messaging_product\":\"whatsapp\",\"status\":\"read\","
                           "\"message_id\":\"");
        buf_put_str(&json, wamid_write(wamid, &id));
        buf_put_str(&json, typing ? "\",\"typing_indicator\":{\"type\":\"text\"}}" : "\"}");
        assert_true(read_text(&r, buf_cstr(&json)));
        assert_int_equal(r.request.action, MESSAGE_MARK_READ);
        assert_int_equal(r.request.with_typing, typing);
        assert_memory_equal(r.request.read_id, id.message_id, 16);
        wipe(&r);
        buf_free(&json);
    }
    { /* our own message cannot be read by us */
        struct reading r;
        struct buf json;

        id.is_from_business = true;
        buf_init(&json, 4096);
        buf_put_str(&json, "{\"messaging_product\":\"whatsapp\",\"status\":\"read\","
                           "\"message_id\":\"");
        buf_put_str(&json, wamid_write(wamid, &id));
        buf_put_str(&json, "\"}");
        assert_false(read_text(&r, buf_cstr(&json)));
        assert_int_equal(r.refusal.code, G_BAD_VALUE);
        wipe(&r);
        buf_free(&json);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case),
        cmocka_unit_test(test_the_longest_text),
        cmocka_unit_test(test_a_quote_of_this_chat_travels),
        cmocka_unit_test(test_mark_as_read),
    };

    return cmocka_run_group_tests_name("cloud/message_request", tests, NULL, NULL);
}

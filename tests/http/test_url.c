/* test_url.c - what is a URL, what is refused, escaping, forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "http/url.h"

static const struct url_case {
    const char *text;
    bool is_https, is_v6;
    const char *host;
    uint16_t port;
    const char *target;
} good[] = {
    {"https://example.org",                   true,  false, "example.org",           443,   "/"       },
    {"http://example.org/",                   false, false, "example.org",           80,    "/"       },
    {"HTTPS://EXAMPLE.Org:8443/Path/",        true,  false, "example.org",           8443,  "/Path/"  },
    {"https://example.org?x=1&y=2",           true,  false, "example.org",           443,   "?x=1&y=2"},
    {"https://example.org/a#frag?x",          true,  false, "example.org",           443,   "/a"      },
    {"https://example.org#f",                 true,  false, "example.org",           443,   "/"       },
    {"https://a_b.example.org./x",            true,  false, "a_b.example.org.",      443,   "/x"      },
    {"https://127.0.0.1:65535/x@y",           true,  false, "127.0.0.1",             65535, "/x@y"    },
    {"https://2130706433/",                   true,  false, "2130706433",            443,   "/"       },
    {"https://[2001:DB8::1]:444/",            true,  true,  "2001:db8::1",           444,   "/"       },
    {"https://[::ffff:10.0.0.1]",             true,  true,  "::ffff:10.0.0.1",       443,   "/"       },
    {"https://xn--bcher-kva.example/%2e%2e/", true,  false, "xn--bcher-kva.example", 443,
     "/%2e%2e/"                                                                                       },
    {"https://h:00443/",                      true,  false, "h",                     443,   "/"       },
};

static const char *const bad[] = {
    "",
    "example.org",
    "ftp://example.org/",
    "file:///etc/passwd",
    "https:/example.org",
    "https://",
    "https:///path",
    "https://?x",
    "https://user@example.org/",
    "https://user:pw@example.org/",
    "https://example.org:80@127.0.0.1/",
    "https://example.org:0/",
    "https://example.org:65536/",
    "https://example.org:/",
    "https://example.org:8a/",
    "https://example.org:123456/",
    "https://exa mple.org/",
    "https://example.org/a b",
    "https://example.org/\n",
    "https://example.org\\@127.0.0.1/",
    "https://ex%61mple.org/",
    "https://b\xc3\xbc"
    "cher.example/",
    "https://a..b/",
    "https://.a/",
    "https://[::1",
    "https://[]/",
    "https://[::1%25eth0]/",
    "https://[127.0.0.1]/",
    "https://[::1]x/",
    "https://a:b:c/",
};

static void
test_urls_are_cut_into_parts(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const struct url_case *c = &good[i];
        struct url url;

        if (url_read(&url, bytes_of_str(c->text), NULL) != RC_OK)
            fail_msg("refused: %s", c->text);
        assert_int_equal(url.is_https, c->is_https);
        assert_int_equal(url.is_ipv6_literal, c->is_v6);
        assert_string_equal(url.host, c->host);
        assert_int_equal(url.port, c->port);
        assert_int_equal(url.target.len, strlen(c->target));
        assert_memory_equal(url.target.ptr, c->target, url.target.len);
    }
}

static void
test_what_is_no_url_is_refused(void **state)
{
    struct url url;
    struct err err;
    char text[URL_MAX + 2] = "https://";

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (url_read(&url, bytes_of_str(bad[i]), &err) != RC_MALFORMED || err.text[0] == '\0')
            fail_msg("taken: %s", bad[i]);
    memset(text + 8, 'a', 300); /* a host that is too long */
    assert_int_equal(url_read(&url, bytes_of_str(text), NULL), RC_MALFORMED);
    memset(text + 8, 'a', sizeof(text) - 9);
    memcpy(text, "https://a/", 10);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(url_read(&url, bytes_of_str(text), NULL), RC_MALFORMED);
    text[URL_MAX] = '\0';
    assert_int_equal(url_read(&url, bytes_of_str(text), NULL), RC_OK);
    assert_int_equal(url_read(&url, bytes_of("https://a\0b/", 12), NULL), RC_MALFORMED);
}

static void
test_escaping_leaves_only_unreserved_characters(void **state)
{
    struct buf out;

    buf_init(&out, 100);
    url_put_escaped(&out, bytes_of("aZ09-._~ &=+%\0\xff", 15));
    assert_string_equal(buf_cstr(&out), "aZ09-._~%20%26%3D%2B%25%00%FF");
    buf_free(&out);
}

/* ---- forms ---- */

static void
collect(void *ctx, const char *name, struct bytes value)
{
    buf_put_str(ctx, name);
    buf_put_str(ctx, "=");
    buf_put(ctx, value);
    buf_put_str(ctx, ";");
}

static const struct form_case {
    const char *body, *want; /* want NULL: malformed */
} forms[] = {
    {"",                    ""            },
    {"a=1&b=2",             "a=1;b=2;"    },
    {"a=1&&b=2&",           "a=1;b=2;"    },
    {"a",                   "a=;"         },
    {"=v",                  "=v;"         },
    {"a=b=c",               "a=b=c;"      },
    {"a%5Bb%5D=x+y%2B",     "a[b]=x y+;"  },
    {"t=%7B%22a%22%3A1%7D", "t={\"a\":1};"},
    {"a=%",                 NULL          },
    {"a=%4",                NULL          },
    {"a=%zz",               NULL          },
    {"a%00b=1",             NULL          },
    {"a=1&b=%g0",           NULL          },
};

static void
test_forms_are_decoded_pair_by_pair(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf out;
        enum rc rc;

        buf_init(&out, 1000);
        rc = url_form_read(bytes_of_str(forms[i].body), 8, collect, &out, NULL);
        assert_int_equal(rc, forms[i].want == NULL ? RC_MALFORMED : RC_OK);
        if (forms[i].want != NULL)
            assert_string_equal(buf_cstr(&out), forms[i].want);
        buf_free(&out);
    }
}

static void
test_forms_are_bounded(void **state)
{
    struct buf out;
    char name[400];

    buf_init(&out, 1000);
    assert_int_equal(url_form_read(bytes_of_str("a&b&c"), 3, collect, &out, NULL), RC_OK);
    assert_int_equal(url_form_read(bytes_of_str("a&b&c&d"), 3, collect, &out, NULL), RC_LIMIT);
    memset(name, 'n', sizeof(name));
    assert_int_equal(url_form_read(bytes_of(name, sizeof(name)), 3, collect, &out, NULL),
                     RC_MALFORMED);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_are_cut_into_parts),
        cmocka_unit_test(test_what_is_no_url_is_refused),
        cmocka_unit_test(test_escaping_leaves_only_unreserved_characters),
        cmocka_unit_test(test_forms_are_decoded_pair_by_pair),
        cmocka_unit_test(test_forms_are_bounded),
    };

    return cmocka_run_group_tests_name("http/url", tests, NULL, NULL);
}

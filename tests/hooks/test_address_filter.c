/* test_address_filter.c - every special-purpose block, its edges, and the ways to write an address.
 */
#include "net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "hooks/address_filter.h"

static const struct address_case {
    const char *text;
    bool is_public;
} addresses[] = {
    {"0.0.0.0",                                false},
    {"0.255.255.255",                          false},
    {"1.0.0.0",                                true },
    {"1.1.1.1",                                true },
    {"8.8.8.8",                                true },
    {"9.255.255.255",                          true },
    {"10.0.0.0",                               false},
    {"10.255.255.255",                         false},
    {"11.0.0.0",                               true },
    {"100.63.255.255",                         true },
    {"100.64.0.0",                             false},
    {"100.127.255.255",                        false},
    {"100.128.0.0",                            true },
    {"126.255.255.255",                        true },
    {"127.0.0.1",                              false},
    {"127.255.255.254",                        false},
    {"128.0.0.1",                              true },
    {"169.253.255.255",                        true },
    {"169.254.0.1",                            false},
    {"169.254.169.254",                        false},
    {"169.255.0.0",                            true },
    {"172.15.255.255",                         true },
    {"172.16.0.0",                             false},
    {"172.31.255.255",                         false},
    {"172.32.0.0",                             true },
    {"191.255.255.255",                        true },
    {"192.0.0.1",                              false},
    {"192.0.0.255",                            false},
    {"192.0.1.0",                              true },
    {"192.0.2.1",                              false},
    {"192.0.3.0",                              true },
    {"192.88.98.255",                          true },
    {"192.88.99.1",                            false},
    {"192.88.100.0",                           true },
    {"192.167.255.255",                        true },
    {"192.168.0.1",                            false},
    {"192.168.255.255",                        false},
    {"192.169.0.0",                            true },
    {"198.17.255.255",                         true },
    {"198.18.0.0",                             false},
    {"198.19.255.255",                         false},
    {"198.20.0.0",                             true },
    {"198.51.100.7",                           false},
    {"198.51.101.0",                           true },
    {"203.0.112.255",                          true },
    {"203.0.113.9",                            false},
    {"203.0.114.0",                            true },
    {"223.255.255.255",                        true },
    {"224.0.0.1",                              false},
    {"239.255.255.250",                        false},
    {"240.0.0.1",                              false},
    {"255.255.255.255",                        false},
    {"::",                                     false},
    {"::1",                                    false},
    {"::ffff:10.0.0.1",                        false},
    {"::ffff:8.8.8.8",                         false},
    {"::8.8.8.8",                              false},
    {"64:ff9b::8.8.8.8",                       false},
    {"64:ff9b:1::1",                           false},
    {"100::1",                                 false},
    {"1fff:ffff::1",                           false},
    {"2000::1",                                true },
    {"2001::1",                                false},
    {"2001:0:4136:e378:8000:63bf:3fff:fdd2",   false},
    {"2001:10::1",                             false},
    {"2001:1ff:ffff::1",                       false},
    {"2001:200::1",                            true },
    {"2001:db7:ffff::1",                       true },
    {"2001:db8::1",                            false},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false},
    {"2001:db9::1",                            true },
    {"2001:4860:4860::8888",                   true },
    {"2002:7f00:1::1",                         false},
    {"2003::1",                                true },
    {"2606:4700:4700::1111",                   true },
    {"3ffe:ffff::1",                           true },
    {"3fff::1",                                false},
    {"3fff:fff:ffff::1",                       false},
    {"3fff:1000::1",                           true },
    {"4000::1",                                false},
    {"5f00::1",                                false},
    {"fc00::1",                                false},
    {"fdff::1",                                false},
    {"fe80::1",                                false},
    {"febf::1",                                false},
    {"fec0::1",                                false},
    {"ff02::1",                                false},
    {"ff0e::1",                                false},
};

static void
test_i23_every_special_block_is_refused(void **state)
{
    assert_true(ARRAY_LEN(addresses) >= 60);
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
        struct sockaddr_in in = {.sin_family = AF_INET};
        bool is_v4 = inet_pton(AF_INET, addresses[i].text, &in.sin_addr) == 1;

        if (!is_v4)
            assert_int_equal(inet_pton(AF_INET6, addresses[i].text, &in6.sin6_addr), 1);
        if (address_is_public(is_v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6) !=
            addresses[i].is_public)
            fail_msg("%s", addresses[i].text);
    }
    assert_false(address_is_public(&(struct sockaddr){.sa_family = AF_UNIX}));
}

static const struct url_case {
    const char *url;
    bool by_default, with_http;
} urls[] = {
    {"https://a.example/",       true,  true },
    {"https://a.example:443/",   true,  true },
    {"https://a.example:8443/",  true,  true },
    {"https://a.example:1024/",  true,  true },
    {"https://a.example:65535/", true,  true },
    {"https://a.example:80/",    false, false},
    {"https://a.example:22/",    false, false},
    {"https://a.example:1023/",  false, false},
    {"http://a.example/",        false, true },
    {"http://a.example:80/",     false, true },
    {"http://a.example:8080/",   false, false},
    {"http://a.example:443/",    false, false},
};

static void
test_i23_schemes_and_ports(void **state)
{
    const struct address_rule plain = {0}, media = {.allow_http = true},
                              test = {.allow_private = true};

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct url url;
        struct err err;

        assert_int_equal(url_read(&url, bytes_of_str(urls[i].url), NULL), RC_OK);
        if ((address_check_url(&url, &plain, &err) == RC_OK) != urls[i].by_default ||
            (address_check_url(&url, &media, &err) == RC_OK) != urls[i].with_http ||
            address_check_url(&url, &test, &err) != RC_OK)
            fail_msg("%s", urls[i].url);
    }
}

/* ---- resolving ---- */

struct answer {
    bool is_here;
    enum rc rc;
    char connect_to[64];
};

static void
on_answer(void *ctx, enum rc rc, const char *connect_to, const char *text)
{
    struct answer *a = ctx;

    a->is_here = true;
    a->rc = rc;
    snprintf(a->connect_to, sizeof(a->connect_to), "%s", connect_to == NULL ? "" : connect_to);
    assert_non_null(text);
    assert_int_equal(connect_to == NULL, rc != RC_OK || text == NULL);
}

/* Literals of every kind go through the resolver and are judged as what they mean. */
static const struct literal {
    const char *url;
    enum rc want;
    const char *connect_to;
} literals[] = {
    {"https://127.0.0.1/",              RC_DENIED,   ""                      },
    {"https://2130706433/",             RC_DENIED,   ""                      },
    {"https://0x7f000001/",             RC_DENIED,   ""                      },
    {"https://0x7f.0.0.1/",             RC_DENIED,   ""                      },
    {"https://0177.0.0.1/",             RC_DENIED,   ""                      },
    {"https://017700000001/",           RC_DENIED,   ""                      },
    {"https://127.1/",                  RC_DENIED,   ""                      },
    {"https://10.1/",                   RC_DENIED,   ""                      },
    {"https://0/",                      RC_DENIED,   ""                      },
    {"https://localhost/",              RC_DENIED,   ""                      },
    {"https://[::1]/",                  RC_DENIED,   ""                      },
    {"https://[::ffff:10.0.0.1]/",      RC_DENIED,   ""                      },
    {"https://[::ffff:7f00:1]/",        RC_DENIED,   ""                      },
    {"https://[64:ff9b::a00:1]/",       RC_DENIED,   ""                      },
    {"https://[fe80::1]/",              RC_DENIED,   ""                      },
    {"https://169.254.169.254/",        RC_DENIED,   ""                      },
    {"https://8.8.4.4/",                RC_OK,       "8.8.4.4"               },
    {"https://134744072/",              RC_OK,       "8.8.8.8"               },
    {"https://[2001:4860:4860::8888]/", RC_OK,       "[2001:4860:4860::8888]"},
    {"https://256.256.256.256/",        RC_NOTFOUND, ""                      },
    {"https://name.invalid/",           RC_NOTFOUND, ""                      },
};

static void
test_i23_names_are_judged_by_what_they_resolve_to(void **state)
{
    const struct address_rule rule = {0};
    struct loop *loop;

    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        struct answer answer = {0};
        struct url url;

        assert_int_equal(url_read(&url, bytes_of_str(literals[i].url), NULL), RC_OK);
        address_resolve(loop, &url, &rule, on_answer, &answer);
        assert_false(answer.is_here); /* never from inside */
        net_wait(loop, &answer.is_here);
        if (answer.rc != literals[i].want || strcmp(answer.connect_to, literals[i].connect_to) != 0)
            fail_msg("%s: %s %s", literals[i].url, rc_name(answer.rc), answer.connect_to);
    }
    loop_free(&loop);
}

static void
on_anywhere(void *ctx, enum rc rc, const char *connect_to, const char *text)
{
    assert_int_equal(rc, RC_OK);
    assert_null(connect_to);
    *(bool *)ctx = true;
}

static void
test_a_test_platform_connects_as_the_name_says(void **state)
{
    const struct address_rule rule = {.allow_private = true};
    struct loop *loop;
    struct url url;
    bool is_here = false;

    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    assert_int_equal(url_read(&url, bytes_of_str("http://127.0.0.1:1/"), NULL), RC_OK);
    address_resolve(loop, &url, &rule, on_anywhere, &is_here);
    assert_false(is_here);
    net_wait(loop, &is_here);
    loop_free(&loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i23_every_special_block_is_refused),
        cmocka_unit_test(test_i23_schemes_and_ports),
        cmocka_unit_test(test_i23_names_are_judged_by_what_they_resolve_to),
        cmocka_unit_test(test_a_test_platform_connects_as_the_name_says),
    };

    return cmocka_run_group_tests_name("hooks/address_filter", tests, NULL, NULL);
}

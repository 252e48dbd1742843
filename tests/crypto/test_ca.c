/* The platform's own CA: what a leaf is good for, what is refused, when it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/ca.h"

#define NOW_S INT64_C(1767270000)
#define DAY_S 86400

static struct buf root_cert, root_key;

static int
make_root(void **state)
{
    buf_init(&root_cert, CA_PEM_MAX);
    buf_init(&root_key, CA_PEM_MAX);
    return ca_make(&root_cert, &root_key, "Parley CA", NOW_S, NULL) == RC_OK ? 0 : -1;
}

static int
drop_root(void **state)
{
    buf_wipe(&root_cert);
    buf_wipe(&root_key);
    return 0;
}

static X509 *
parse(struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

/* OpenSSL's own verdict on a leaf: for a purpose, at a time. */
static bool
verifies(struct bytes leaf_pem, struct bytes root_pem, int purpose, int64_t at_s)
{
    X509 *leaf = parse(leaf_pem), *root = parse(root_pem);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool is_good;

    X509_STORE_add_cert(store, root);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
    X509_STORE_CTX_set_purpose(ctx, purpose);
    X509_STORE_CTX_set_time(ctx, 0, (time_t)at_s);
    is_good = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(root);
    return is_good;
}

static enum rc
issue(struct buf *cert, struct buf *key, const struct ca_leaf *leaf)
{
    buf_init(cert, CA_PEM_MAX);
    buf_init(key, CA_PEM_MAX);
    return ca_issue(cert, key, buf_bytes(&root_cert), buf_bytes(&root_key), leaf, NULL);
}

static void
test_purposes(void **state)
{
    static const struct {
        bool is_server, is_client;
    } cases[] = {
        {true,  false},
        {false, true },
        {true,  true }
    };
    struct buf cert, key;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct ca_leaf leaf = {.common_name = "parley-cloud",
                                     .is_server = cases[i].is_server,
                                     .is_client = cases[i].is_client,
                                     .now_unix_s = NOW_S};

        assert_int_equal(issue(&cert, &key, &leaf), RC_OK);
        assert_int_equal(
            verifies(buf_bytes(&cert), buf_bytes(&root_cert), X509_PURPOSE_SSL_SERVER, NOW_S),
            cases[i].is_server);
        assert_int_equal(
            verifies(buf_bytes(&cert), buf_bytes(&root_cert), X509_PURPOSE_SSL_CLIENT, NOW_S),
            cases[i].is_client);
        buf_wipe(&cert);
        buf_wipe(&key);
    }
}

static void
test_names(void **state)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1", "graph.example"};
    const struct ca_leaf leaf = {.common_name = "parley-cloud",
                                 .names = names,
                                 .n_names = ARRAY_LEN(names),
                                 .is_server = true,
                                 .now_unix_s = NOW_S};
    struct buf cert, key;
    char cn[64];
    X509 *x;

    assert_int_equal(issue(&cert, &key, &leaf), RC_OK);
    x = parse(buf_bytes(&cert));
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));
    assert_string_equal(cn, "parley-cloud");
    assert_int_equal(X509_check_host(x, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "graph.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x, "other.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x, "127.0.0.2", 0), 0);
    X509_free(x);
    buf_wipe(&cert);
    buf_wipe(&key);
}

static void
test_ends(void **state)
{
    struct ca_leaf leaf = {.common_name = "x", .is_server = true, .now_unix_s = NOW_S};
    struct buf cert, key;
    int64_t end_s;

    assert_int_equal(issue(&cert, &key, &leaf), RC_OK);
    assert_int_equal(ca_expiry(&end_s, buf_bytes(&cert), NULL), RC_OK);
    assert_int_equal(end_s, NOW_S + CA_LEAF_DAYS * DAY_S);
    assert_false(
        verifies(buf_bytes(&cert), buf_bytes(&root_cert), X509_PURPOSE_SSL_SERVER, end_s + 1));
    buf_wipe(&cert);
    buf_wipe(&key);
    leaf.days = CA_ROOT_DAYS * 2; /* no leaf outlives the root */
    assert_int_equal(issue(&cert, &key, &leaf), RC_OK);
    assert_int_equal(ca_expiry(&end_s, buf_bytes(&cert), NULL), RC_OK);
    assert_int_equal(end_s, NOW_S + (int64_t)CA_ROOT_DAYS * DAY_S);
    buf_wipe(&cert);
    buf_wipe(&key);
}

static void
test_refusals(void **state)
{
    static const char *const bad_names[] = {"", "a b", "x,DNS:evil.example", "a\nb", "1:2:3"};
    struct ca_leaf leaf = {.common_name = "x", .now_unix_s = NOW_S};
    struct buf cert, key, other_cert, other_key;
    int64_t end_s;

    assert_int_equal(issue(&cert, &key, &leaf), RC_INVAL); /* for nothing */
    leaf.is_server = true;
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++) {
        leaf.names = &bad_names[i];
        leaf.n_names = 1;
        assert_int_equal(issue(&cert, &key, &leaf), RC_INVAL);
    }
    leaf.n_names = 0;
    buf_init(&other_cert, CA_PEM_MAX);
    buf_init(&other_key, CA_PEM_MAX);
    assert_int_equal(ca_make(&other_cert, &other_key, "Other", NOW_S, NULL), RC_OK);
    assert_int_equal(
        ca_issue(&cert, &key, buf_bytes(&root_cert), buf_bytes(&other_key), &leaf, NULL), RC_AUTH);
    assert_int_equal(
        ca_issue(&cert, &key, bytes_of_str("nonsense"), buf_bytes(&root_key), &leaf, NULL),
        RC_MALFORMED);
    assert_int_equal(ca_expiry(&end_s, bytes_of_str(""), NULL), RC_MALFORMED);
    assert_int_equal(end_s, 0);
    assert_int_equal(issue(&cert, &key, &leaf), RC_OK);
    assert_false(
        verifies(buf_bytes(&cert), buf_bytes(&other_cert), X509_PURPOSE_SSL_SERVER, NOW_S));
    buf_wipe(&cert);
    buf_wipe(&key);
    buf_wipe(&other_cert);
    buf_wipe(&other_key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_purposes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests_name("crypto/ca", tests, make_root, drop_root);
}

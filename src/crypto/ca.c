/* ca.c - making the root and issuing leaves with OpenSSL's X.509 calls; see ca.h. */
#include "crypto/ca.h"

#include <arpa/inet.h>
#include <assert.h>
#include <time.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define DAY_S 86400
#define LEAF_BACKDATE_S 3600 /* clocks of one platform may differ by this much */

static enum rc
openssl_failed(struct err *err, const char *what)
{
    ERR_clear_error(); /* its texts name library internals: of no use to a person */
    return err_set(err, RC_NOMEM, "ca", "OpenSSL failed at %s", what);
}

static bool
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    bool added;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (ext == NULL)
        return false;
    added = X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return added;
}

static bool
set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool set = n != NULL && BN_rand(n, 126, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;

    BN_free(n);
    return set;
}

/* What root and leaf share: version, serial, subject, validity, key. */
static bool
fill_cert(X509 *cert, EVP_PKEY *key, const char *common_name, int64_t from_s, int64_t to_s)
{
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s) != NULL &&
           X509_set_pubkey(cert, key) == 1;
}

static bool
put_bio(struct buf *out, BIO *bio)
{
    char *at = NULL;
    long len = BIO_get_mem_data(bio, &at);

    if (len <= 0)
        return false;
    buf_put(out, bytes_of(at, (size_t)len));
    return !buf_failed(out);
}

static enum rc
put_pems(struct buf *cert_pem, struct buf *key_pem, X509 *cert, EVP_PKEY *key, struct err *err)
{
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_secmem());
    bool put = cert_bio != NULL && key_bio != NULL && PEM_write_bio_X509(cert_bio, cert) == 1 &&
               PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
               put_bio(cert_pem, cert_bio) && put_bio(key_pem, key_bio);

    BIO_free(cert_bio);
    BIO_free(key_bio);
    return put ? RC_OK : openssl_failed(err, "writing PEM");
}

enum rc
ca_make(struct buf *cert_pem, struct buf *key_pem, const char *common_name, int64_t now_unix_s,
        struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    enum rc rc;

    if (key == NULL || cert == NULL ||
        !fill_cert(cert, key, common_name, now_unix_s - DAY_S,
                   now_unix_s + (int64_t)CA_ROOT_DAYS * DAY_S) ||
        X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
        !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
        X509_sign(cert, key, EVP_sha256()) <= 0)
        rc = openssl_failed(err, "making the root");
    else
        rc = put_pems(cert_pem, key_pem, cert, key, err);
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}

static X509 *
read_cert(struct bytes pem)
{
    BIO *bio = pem.len > CA_PEM_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

static EVP_PKEY *
read_key(struct bytes pem)
{
    BIO *bio = pem.len > CA_PEM_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    ERR_clear_error();
    return key;
}

static bool
is_host_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < 254 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*") ==
               len;
}

/* One subjectAltName entry: an IP address if it reads as one, a host name otherwise. */
static GENERAL_NAME *
alt_name(const char *name)
{
    unsigned char ip[16];
    bool is_ip4 = inet_pton(AF_INET, name, ip) == 1;
    bool is_ip = is_ip4 || inet_pton(AF_INET6, name, ip) == 1;
    GENERAL_NAME *entry = GENERAL_NAME_new();
    ASN1_STRING *text = is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

    if (entry == NULL || text == NULL ||
        ASN1_STRING_set(text, is_ip ? (const void *)ip : name,
                        is_ip ? (is_ip4 ? 4 : 16) : (int)strlen(name)) != 1) {
        GENERAL_NAME_free(entry);
        ASN1_STRING_free(text);
        return NULL;
    }
    GENERAL_NAME_set0_value(entry, is_ip ? GEN_IPADD : GEN_DNS, text);
    return entry;
}

static bool
add_names(X509 *cert, const struct ca_leaf *leaf)
{
    GENERAL_NAMES *names;
    bool added = true;

    if (leaf->n_names == 0)
        return true;
    if ((names = GENERAL_NAMES_new()) == NULL)
        return false;
    for (size_t i = 0; added && i < leaf->n_names; i++) {
        GENERAL_NAME *entry = alt_name(leaf->names[i]);

        added = entry != NULL && sk_GENERAL_NAME_push(names, entry) > 0;
        if (!added)
            GENERAL_NAME_free(entry);
    }
    added = added && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return added;
}

static enum rc
check_leaf(const struct ca_leaf *leaf, struct err *err)
{
    if (!leaf->is_server && !leaf->is_client)
        return err_set(err, RC_INVAL, "ca.issue", "a leaf is for a server, a client or both");
    if (leaf->n_names > CA_NAMES_MAX)
        return err_set(err, RC_INVAL, "ca.issue", "at most %u names", CA_NAMES_MAX);
    for (size_t i = 0; i < leaf->n_names; i++) {
        unsigned char ip[16];

        if (!is_host_name(leaf->names[i]) && inet_pton(AF_INET6, leaf->names[i], ip) != 1)
            return err_set(err, RC_INVAL, "ca.issue", "\"%.60s\" is no host name and no address",
                           leaf->names[i]);
    }
    return RC_OK;
}

static int64_t
not_after_of(const X509 *cert)
{
    struct tm tm = {0};

    return ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static const char *
usage_of(const struct ca_leaf *leaf)
{
    if (leaf->is_server && leaf->is_client)
        return "serverAuth,clientAuth";
    return leaf->is_server ? "serverAuth" : "clientAuth";
}

static enum rc
sign_leaf(X509 *cert, EVP_PKEY *key, X509 *root, EVP_PKEY *root_key, const struct ca_leaf *leaf,
          struct err *err)
{
    int64_t days = leaf->days == 0 ? CA_LEAF_DAYS : leaf->days;
    int64_t to_s = leaf->now_unix_s + days * DAY_S;
    int64_t root_to_s = not_after_of(root);

    if (to_s > root_to_s)
        to_s = root_to_s;
    if (!fill_cert(cert, key, leaf->common_name, leaf->now_unix_s - LEAF_BACKDATE_S, to_s) ||
        X509_set_issuer_name(cert, X509_get_subject_name(root)) != 1 ||
        !add_extension(cert, root, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(cert, root, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(cert, root, NID_ext_key_usage, usage_of(leaf)) ||
        !add_extension(cert, root, NID_subject_key_identifier, "hash") ||
        !add_extension(cert, root, NID_authority_key_identifier, "keyid:always") ||
        !add_names(cert, leaf) || X509_sign(cert, root_key, EVP_sha256()) <= 0)
        return openssl_failed(err, "signing a leaf");
    return RC_OK;
}

enum rc
ca_issue(struct buf *cert_pem, struct buf *key_pem, struct bytes root_cert_pem,
         struct bytes root_key_pem, const struct ca_leaf *leaf, struct err *err)
{
    X509 *root = NULL, *cert = NULL;
    EVP_PKEY *root_key = NULL, *key = NULL;
    enum rc rc;

    if ((rc = check_leaf(leaf, err)) != RC_OK)
        return rc;
    root = read_cert(root_cert_pem);
    root_key = read_key(root_key_pem);
    if (root == NULL || root_key == NULL) {
        rc = err_set(err, RC_MALFORMED, "ca.issue", "the CA's %s does not parse",
                     root == NULL ? "certificate" : "key");
        goto out;
    }
    if (X509_check_private_key(root, root_key) != 1) {
        ERR_clear_error();
        rc = err_set(err, RC_AUTH, "ca.issue", "the CA's key does not belong to its certificate");
        goto out;
    }
    key = EVP_EC_gen("P-256");
    cert = X509_new();
    if (key == NULL || cert == NULL) {
        rc = openssl_failed(err, "making a key");
        goto out;
    }
    if ((rc = sign_leaf(cert, key, root, root_key, leaf, err)) != RC_OK)
        goto out;
    rc = put_pems(cert_pem, key_pem, cert, key, err);
out:
    X509_free(cert);
    X509_free(root);
    EVP_PKEY_free(key);
    EVP_PKEY_free(root_key);
    return rc;
}

enum rc
ca_expiry(int64_t *not_after_unix_s, struct bytes cert_pem, struct err *err)
{
    X509 *cert = read_cert(cert_pem);

    *not_after_unix_s = 0;
    if (cert == NULL)
        return err_set(err, RC_MALFORMED, "ca.expiry", "no PEM certificate");
    *not_after_unix_s = not_after_of(cert);
    X509_free(cert);
    return RC_OK;
}

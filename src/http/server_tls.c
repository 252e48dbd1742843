/* server_tls.c - which certificate a connection is shown, and who the peer proved to be.
 *
 * Owns the server's identities. A swap puts a new one in front; those before stay until the
 * handshakes that began with them must be over. Must never let a connection without a verified
 * client certificate finish its handshake where one is required. Source: RFC 8446; GnuTLS manual,
 * "Using a callback to select the certificate". */
#include "http/server_parts.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 8u
#define IDENTITY_LINGER_MS (2 * HTTP_HEAD_TIMEOUT_S * 1000u)

struct http_identity {
    struct http_identity *next;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned n_chain;
    gnutls_privkey_t key;
    uint64_t replaced_ms; /* loop time; 0: in use */
};

static gnutls_datum_t
datum(const char *text)
{
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text,
                            .size = (unsigned)strlen(text)};
}

static void
identity_free(struct http_identity *id)
{
    if (id == NULL)
        return;
    for (unsigned i = 0; i < id->n_chain; i++)
        gnutls_pcert_deinit(&id->chain[i]);
    if (id->key != NULL)
        gnutls_privkey_deinit(id->key);
    free(id);
}

static int
identity_read(struct http_identity *id, const char *cert_pem, const char *key_pem)
{
    gnutls_datum_t cert = datum(cert_pem), key = datum(key_pem);
    unsigned n = CHAIN_MAX;
    int status;

    status = gnutls_pcert_list_import_x509_raw(id->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
    if (status != 0)
        return status;
    id->n_chain = n;
    if ((status = gnutls_privkey_init(&id->key)) != 0)
        return status;
    return gnutls_privkey_import_x509_raw(id->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
}

/* A certificate with somebody else's key would fail every handshake: say so now. */
static bool
identity_fits(const struct http_identity *id)
{
    unsigned char a[64], b[64];
    size_t a_len = sizeof(a), b_len = sizeof(b);
    gnutls_pubkey_t pub = NULL;
    bool fits =
        gnutls_pubkey_init(&pub) == 0 && gnutls_pubkey_import_privkey(pub, id->key, 0, 0) == 0 &&
        gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, a, &a_len) == 0 &&
        gnutls_pubkey_get_key_id(id->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &b_len) == 0 &&
        a_len == b_len && memcmp(a, b, a_len) == 0;

    if (pub != NULL)
        gnutls_pubkey_deinit(pub);
    return fits;
}

static void
drop_old(struct http_server *server, uint64_t now_ms)
{
    struct http_identity **link = &server->identity;

    while (*link != NULL) {
        struct http_identity *id = *link;

        if (id->replaced_ms != 0 && now_ms - id->replaced_ms > IDENTITY_LINGER_MS) {
            *link = id->next;
            identity_free(id);
        } else {
            link = &id->next;
        }
    }
}

enum rc
http_identity_set(struct http_server *server, const char *cert_pem, const char *key_pem,
                  struct err *err)
{
    struct http_identity *id = calloc(1, sizeof(*id));
    uint64_t now_ms = uv_now(loop_uv(server->loop));
    int status;

    if (id == NULL)
        return err_set(err, RC_NOMEM, "http.cert", "out of memory");
    if ((status = identity_read(id, cert_pem, key_pem)) != 0) {
        identity_free(id);
        return err_set(err, RC_MALFORMED, "http.cert", "%s", gnutls_strerror(status));
    }
    if (!identity_fits(id)) {
        identity_free(id);
        return err_set(err, RC_AUTH, "http.cert", "the key does not belong to the certificate");
    }
    if (server->ticket_key.data == NULL && !server->needs_client_cert)
        (void)gnutls_session_ticket_key_generate(&server->ticket_key);
    if (server->identity != NULL)
        server->identity->replaced_ms = now_ms == 0 ? 1 : now_ms;
    id->next = server->identity;
    server->identity = id;
    drop_old(server, now_ms);
    return RC_OK;
}

void
http_identities_free(struct http_server *server)
{
    struct http_identity *next;

    for (struct http_identity *id = server->identity; id != NULL; id = next) {
        next = id->next;
        identity_free(id);
    }
    server->identity = NULL;
    if (server->ticket_key.data != NULL) {
        bytes_wipe(server->ticket_key.data, server->ticket_key.size);
        gnutls_free(server->ticket_key.data);
        server->ticket_key.data = NULL;
    }
}

/* Called by the library in the handshake when the client's certificate has come. */
static int
verify_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned faults = ~0u;

    if (gnutls_certificate_verify_peers(session, &purpose, 1, &faults) != 0 || faults != 0)
        return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
    return 0;
}

void
http_tls_arm(struct http_server *server, struct MHD_Connection *mhd, struct http_conn *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = (gnutls_session_t)info->tls_session;

    gnutls_session_set_ptr(session,
                           conn); /* without one, http_on_certificate fails the handshake */
    if (server->needs_client_cert) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_function(session, verify_client);
    } else if (server->ticket_key.data != NULL) {
        (void)gnutls_session_ticket_enable_server(session, &server->ticket_key);
    }
}

int
http_on_certificate(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
                    const gnutls_pk_algorithm_t *algos, int n_algos, gnutls_pcert_st **certs,
                    unsigned *n_certs, gnutls_privkey_t *key)
{
    struct http_conn *conn = gnutls_session_get_ptr(session);
    struct http_identity *id;

    if (conn == NULL || (id = conn->server->identity) == NULL)
        return -1;
    *certs = id->chain;
    *n_certs = id->n_chain;
    *key = id->key;
    return 0;
}

char *
http_tls_peer_name(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const gnutls_datum_t *chain;
    gnutls_x509_crt_t cert = NULL;
    unsigned n = 0;
    char name[256];
    size_t len = sizeof(name);
    char *copy = NULL;

    if (info == NULL || info->tls_session == NULL)
        return NULL;
    chain = gnutls_certificate_get_peers((gnutls_session_t)info->tls_session, &n);
    if (chain == NULL || n == 0 || gnutls_x509_crt_init(&cert) != 0)
        return NULL;
    if (gnutls_x509_crt_import(cert, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
        gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) == 0 &&
        strlen(name) == len) /* no NUL inside */
        copy = strdup(name);
    gnutls_x509_crt_deinit(cert);
    return copy;
}

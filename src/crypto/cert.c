/* cert.c - issues and reads the platform's two signed statements.
 *
 * Signs and verifies label || details, so a statement of one kind never passes for the other.
 * Nothing inside the details is looked at before the signature holds. Source:
 * docs/protocol/certificates.md. */
#include "crypto/cert.h"

#include <assert.h>
#include <string.h>

#include "cert.pb-c.h"
#include "crypto/prim.h"

#define CERT_VERSION 1u

static const char relay_label[] = "PLY-relay-cert";
static const char number_label[] = "PLY-number-cert";

/* label || details, ready to be signed or checked. */
static enum rc
join_label(struct buf *joined, const char *label, struct bytes details, struct err *err)
{
    buf_init(joined, CERT_SIZE_MAX + 64);
    buf_put_str(joined, label);
    buf_put(joined, details);
    if (buf_failed(joined))
        return err_set(err, RC_LIMIT, "cert", "more than %u bytes", CERT_SIZE_MAX);
    return RC_OK;
}

/* Pack any message into a buffer of its own. */
static enum rc
pack(struct buf *out, const ProtobufCMessage *message, struct err *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room = buf_extend(out, size);

    if (room == NULL && size != 0)
        return err_set(err, RC_NOMEM, "cert", "no room for %zu bytes", size);
    if (size != 0)
        protobuf_c_message_pack(message, room);
    return RC_OK;
}

static enum rc
issue(const char *label, const ProtobufCMessage *details, const uint8_t seed[32], struct buf *out,
      struct err *err)
{
    struct buf packed, joined;
    Parley__Cert__Signed envelope = PARLEY__CERT__SIGNED__INIT;
    uint8_t signature[SIGNATURE_SIZE];
    enum rc rc;

    buf_init(&packed, CERT_SIZE_MAX);
    buf_init(&joined, 0);
    if ((rc = pack(&packed, details, err)) != RC_OK)
        goto out;
    if ((rc = join_label(&joined, label, buf_bytes(&packed), err)) != RC_OK)
        goto out;
    ed25519_sign(signature, seed, buf_bytes(&joined));
    envelope.details.data = packed.ptr;
    envelope.details.len = packed.len;
    envelope.signature.data = signature;
    envelope.signature.len = sizeof(signature);
    rc = pack(out, &envelope.base, err);
out:
    buf_free(&joined);
    buf_free(&packed);
    return rc;
}

/* The signed details, borrowed from *envelope, once the signature over them holds. */
static enum rc
check_signature(Parley__Cert__Signed **envelope, const char *label, struct bytes in,
                const uint8_t pub[32], struct err *err)
{
    struct buf joined;
    enum rc rc;

    *envelope = NULL;
    buf_init(&joined, 0);
    if (in.len == 0 || in.len > CERT_SIZE_MAX) {
        rc = err_set(err, RC_MALFORMED, "cert", "%zu bytes", in.len);
        goto out;
    }
    *envelope = parley__cert__signed__unpack(NULL, in.len, in.ptr);
    if (*envelope == NULL || (*envelope)->signature.len != SIGNATURE_SIZE) {
        rc = err_set(err, RC_MALFORMED, "cert", "not a signed statement");
        goto out;
    }
    struct bytes details = bytes_of((*envelope)->details.data, (*envelope)->details.len);
    if ((rc = join_label(&joined, label, details, err)) != RC_OK)
        goto out;
    rc = ed25519_verify((*envelope)->signature.data, pub, buf_bytes(&joined));
    if (rc != RC_OK)
        rc = err_set(err, rc, "cert", "%s: the signature is not by the expected key", label);
out:
    buf_free(&joined);
    return rc;
}

/* Names are non-empty UTF-8 that fits with its NUL. */
static bool
copy_name(char out[CERT_NAME_MAX], const char *name)
{
    struct bytes text = bytes_of_str(name);

    if (text.len == 0 || text.len >= CERT_NAME_MAX || !bytes_is_utf8(text))
        return false;
    memcpy(out, name, text.len + 1);
    return true;
}

/* The name inside a caller's struct, or NULL if it would not read back. */
static char *
checked_name(const char name[CERT_NAME_MAX])
{
    char copy[CERT_NAME_MAX];

    if (memchr(name, 0, CERT_NAME_MAX) == NULL || !copy_name(copy, name))
        return NULL;
    return (char *)(uintptr_t)name; /* protobuf-c wants it writable and does not write */
}

static enum rc
check_time(int64_t from_s, int64_t until_s, int64_t now_s, struct err *err)
{
    if (now_s == 0)
        return RC_OK;
    if (now_s < from_s - CERT_SKEW_S)
        return err_set(err, RC_TIMEOUT, "cert", "not valid yet");
    if (now_s >= until_s)
        return err_set(err, RC_TIMEOUT, "cert", "expired");
    return RC_OK;
}

enum rc
relay_cert_issue(const struct relay_cert *cert, const uint8_t root_seed[32], struct buf *out,
                 struct err *err)
{
    Parley__Cert__RelayDetails details = PARLEY__CERT__RELAY_DETAILS__INIT;
    uint8_t key[X25519_SIZE];

    memcpy(key, cert->static_key, sizeof(key));
    details.version = CERT_VERSION;
    details.static_key.data = key;
    details.static_key.len = sizeof(key);
    details.host = checked_name(cert->host);
    details.not_before_s = cert->not_before_s;
    details.not_after_s = cert->not_after_s;
    if (details.host == NULL || cert->not_before_s >= cert->not_after_s)
        return err_set(err, RC_INVAL, "cert.relay", "host name or validity is wrong");
    return issue(relay_label, &details.base, root_seed, out, err);
}

static enum rc
relay_details_read(struct relay_cert *out, const Parley__Cert__Signed *envelope, struct err *err)
{
    Parley__Cert__RelayDetails *details =
        parley__cert__relay_details__unpack(NULL, envelope->details.len, envelope->details.data);
    enum rc rc = RC_OK;

    if (details == NULL || details->static_key.len != X25519_SIZE ||
        !copy_name(out->host, details->host)) {
        rc = err_set(err, RC_MALFORMED, "cert.relay", "details do not parse");
    } else if (details->version != CERT_VERSION) {
        rc = err_set(err, RC_PROTO, "cert.relay", "version %u", details->version);
    } else {
        memcpy(out->static_key, details->static_key.data, X25519_SIZE);
        out->not_before_s = details->not_before_s;
        out->not_after_s = details->not_after_s;
    }
    parley__cert__relay_details__free_unpacked(details, NULL);
    return rc;
}

enum rc
relay_cert_read(struct relay_cert *out, struct bytes in, const uint8_t root_pub[32], int64_t now_s,
                struct err *err)
{
    Parley__Cert__Signed *envelope;
    enum rc rc;

    memset(out, 0, sizeof(*out));
    if ((rc = check_signature(&envelope, relay_label, in, root_pub, err)) != RC_OK)
        goto out;
    if ((rc = relay_details_read(out, envelope, err)) != RC_OK)
        goto out;
    rc = check_time(out->not_before_s, out->not_after_s, now_s, err);
out:
    parley__cert__signed__free_unpacked(envelope, NULL);
    if (rc != RC_OK)
        memset(out, 0, sizeof(*out));
    return rc;
}

static bool
is_hosting(int64_t value)
{
    return value == CERT_HOSTED || value == CERT_SELF_HOSTED;
}

enum rc
number_cert_issue(const struct number_cert *cert, const uint8_t seed[32], struct buf *out,
                  struct err *err)
{
    Parley__Cert__NumberDetails details = PARLEY__CERT__NUMBER_DETAILS__INIT;

    details.version = CERT_VERSION;
    details.number = cert->number;
    details.display_name = checked_name(cert->display_name);
    details.business_id = cert->business_id;
    details.portfolio_id = cert->portfolio_id;
    details.tier = cert->tier;
    details.hosting = (Parley__Cert__Hosting)cert->hosting;
    details.operator_name = checked_name(cert->operator_name);
    details.issued_s = cert->issued_s;
    details.not_after_s = cert->not_after_s;
    if (details.display_name == NULL || details.operator_name == NULL || cert->number == 0 ||
        !is_hosting(cert->hosting) || cert->issued_s >= cert->not_after_s)
        return err_set(err, RC_INVAL, "cert.number", "number, names, hosting or validity is wrong");
    return issue(number_label, &details.base, seed, out, err);
}

static enum rc
number_details_read(struct number_cert *out, const Parley__Cert__Signed *envelope, struct err *err)
{
    Parley__Cert__NumberDetails *details =
        parley__cert__number_details__unpack(NULL, envelope->details.len, envelope->details.data);
    enum rc rc = RC_OK;

    if (details == NULL || details->number == 0 || !is_hosting(details->hosting) ||
        !copy_name(out->display_name, details->display_name) ||
        !copy_name(out->operator_name, details->operator_name)) {
        rc = err_set(err, RC_MALFORMED, "cert.number", "details do not parse");
    } else if (details->version != CERT_VERSION) {
        rc = err_set(err, RC_PROTO, "cert.number", "version %u", details->version);
    } else {
        out->number = details->number;
        out->business_id = details->business_id;
        out->portfolio_id = details->portfolio_id;
        out->tier = details->tier;
        out->hosting = (enum cert_hosting)details->hosting;
        out->issued_s = details->issued_s;
        out->not_after_s = details->not_after_s;
    }
    parley__cert__number_details__free_unpacked(details, NULL);
    return rc;
}

enum rc
number_cert_read(struct number_cert *out, struct bytes in, const uint8_t authority_pub[32],
                 int64_t now_s, struct err *err)
{
    Parley__Cert__Signed *envelope;
    enum rc rc;

    memset(out, 0, sizeof(*out));
    if ((rc = check_signature(&envelope, number_label, in, authority_pub, err)) != RC_OK)
        goto out;
    if ((rc = number_details_read(out, envelope, err)) != RC_OK)
        goto out;
    rc = check_time(out->issued_s, out->not_after_s, now_s, err);
out:
    parley__cert__signed__free_unpacked(envelope, NULL);
    if (rc != RC_OK)
        memset(out, 0, sizeof(*out));
    return rc;
}

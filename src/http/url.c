/* url.c - cut a URL into parts, escape, and read form bodies.
 *
 * Owns no state and allocates nothing. Must never guess: what a strict reader would refuse is
 * refused here, because the address filter judges the host that comes out. Source: RFC 3986; WHATWG
 * URL, section 5.1, for forms. */
#include "http/url.h"

#include <arpa/inet.h>
#include <string.h>

#define FORM_NAME_MAX 256u

static bool
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool
is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_host_char(uint8_t c)
{
    return is_digit(c) || is_alpha(c) || c == '-' || c == '.' || c == '_';
}

static bool
has_prefix(struct bytes text, const char *lower)
{
    size_t n = strlen(lower);

    if (text.len < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((text.ptr[i] | 0x20) != (uint8_t)lower[i] && text.ptr[i] != (uint8_t)lower[i])
            return false;
    return true;
}

static struct bytes
after(struct bytes text, size_t n)
{
    return bytes_of(text.ptr + n, text.len - n);
}

static enum rc
read_scheme(struct url *out, struct bytes *rest, struct err *err)
{
    if (has_prefix(*rest, "https://")) {
        out->is_https = true;
        *rest = after(*rest, 8);
    } else if (has_prefix(*rest, "http://")) {
        out->is_https = false;
        *rest = after(*rest, 7);
    } else {
        return err_set(err, RC_MALFORMED, "url.read", "it must begin with https:// or http://");
    }
    return RC_OK;
}

/* "[2001:db8::1]" - the literal must parse; zone names are refused. */
static enum rc
read_bracketed(struct url *out, struct bytes *rest, struct err *err)
{
    const uint8_t *end = memchr(rest->ptr, ']', rest->len);
    size_t len = end == NULL ? 0 : (size_t)(end - rest->ptr) - 1;
    struct in6_addr addr;

    if (end == NULL || len == 0 || len >= INET6_ADDRSTRLEN)
        return err_set(err, RC_MALFORMED, "url.read", "the address in brackets is malformed");
    for (size_t i = 0; i < len; i++) {
        uint8_t c = rest->ptr[1 + i];
        out->host[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    out->host[len] = '\0';
    if (inet_pton(AF_INET6, out->host, &addr) != 1)
        return err_set(err, RC_MALFORMED, "url.read", "the address in brackets is malformed");
    out->is_ipv6_literal = true;
    *rest = after(*rest, len + 2);
    return RC_OK;
}

static enum rc
read_name(struct url *out, struct bytes *rest, struct err *err)
{
    size_t len = 0;

    while (len < rest->len && is_host_char(rest->ptr[len]))
        len++;
    if (len == 0)
        return err_set(err, RC_MALFORMED, "url.read", "the host is missing or malformed");
    if (len >= sizeof(out->host))
        return err_set(err, RC_MALFORMED, "url.read", "the host is too long");
    for (size_t i = 0; i < len; i++) {
        uint8_t c = rest->ptr[i];
        out->host[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        if (c == '.' && (i == 0 || rest->ptr[i - 1] == '.'))
            return err_set(err, RC_MALFORMED, "url.read", "the host has an empty label");
    }
    out->host[len] = '\0';
    *rest = after(*rest, len);
    return RC_OK;
}

static enum rc
read_port(struct url *out, struct bytes *rest, struct err *err)
{
    uint32_t port = 0;
    size_t i = 1;

    out->port = out->is_https ? 443 : 80;
    if (rest->len == 0 || rest->ptr[0] != ':')
        return RC_OK;
    for (; i < rest->len && is_digit(rest->ptr[i]) && i <= 5; i++)
        port = port * 10 + (uint32_t)(rest->ptr[i] - '0');
    if (i == 1 || port == 0 || port > UINT16_MAX)
        return err_set(err, RC_MALFORMED, "url.read", "the port must be 1 to 65535");
    out->port = (uint16_t)port;
    out->has_port = true;
    *rest = after(*rest, i);
    return RC_OK;
}

/* What may follow the host and port: nothing, a path, a query. A fragment is dropped, since it is
 * never sent. */
static enum rc
read_target(struct url *out, struct bytes rest, struct err *err)
{
    const uint8_t *hash;

    if (rest.len > 0 && rest.ptr[0] != '/' && rest.ptr[0] != '?' && rest.ptr[0] != '#')
        return err_set(err, RC_MALFORMED, "url.read",
                       memchr(rest.ptr, '@', rest.len) != NULL
                           ? "a user name or password in a URL is not allowed"
                           : "the host or port has a character that is not allowed");
    hash = rest.len == 0 ? NULL : memchr(rest.ptr, '#', rest.len);
    if (hash != NULL)
        rest.len = (size_t)(hash - rest.ptr);
    out->target = rest.len == 0 ? bytes_of_str("/") : rest;
    return RC_OK;
}

enum rc
url_read(struct url *out, struct bytes text, struct err *err)
{
    struct bytes rest = text;
    enum rc rc;

    memset(out, 0, sizeof(*out));
    if (text.len == 0 || text.len > URL_MAX)
        return err_set(err, RC_MALFORMED, "url.read", "a URL has 1 to %u characters", URL_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || text.ptr[i] == '\\')
            return err_set(err, RC_MALFORMED, "url.read",
                           "spaces, control characters, backslashes and characters beyond ASCII "
                           "must be percent-encoded");
    if ((rc = read_scheme(out, &rest, err)) != RC_OK)
        return rc;
    rc = rest.len > 0 && rest.ptr[0] == '[' ? read_bracketed(out, &rest, err)
                                            : read_name(out, &rest, err);
    if (rc != RC_OK || (rc = read_port(out, &rest, err)) != RC_OK)
        return rc;
    return read_target(out, rest, err);
}

void
url_put_escaped(struct buf *out, struct bytes in)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];

        if (is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            buf_put_u8(out, c);
        } else {
            buf_put_char(out, '%');
            buf_put_char(out, digits[c >> 4]);
            buf_put_char(out, digits[c & 15]);
        }
    }
}

static int
hex_digit(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode one half of a pair. False: a broken escape. */
static bool
form_decode(struct buf *out, struct bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < in.len ? hex_digit(in.ptr[i + 1]) : -1;
            int low = i + 2 < in.len ? hex_digit(in.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        buf_put_u8(out, c);
    }
    return true;
}

/* One "name=value" run; an empty run is skipped. */
static enum rc
form_pair(struct bytes pair, struct buf *name, struct buf *value,
          void (*fn)(void *ctx, const char *name, struct bytes value), void *ctx, struct err *err)
{
    const uint8_t *eq = memchr(pair.ptr, '=', pair.len);
    size_t name_len = eq == NULL ? pair.len : (size_t)(eq - pair.ptr);
    struct bytes rest = eq == NULL ? bytes_of(NULL, 0) : after(pair, name_len + 1);

    buf_reset(name);
    buf_reset(value);
    if (!form_decode(name, bytes_of(pair.ptr, name_len)) || !form_decode(value, rest))
        return err_set(err, RC_MALFORMED, "url.form", "a %% is not followed by two hex digits");
    if (buf_failed(name))
        return err_set(err, RC_MALFORMED, "url.form", "a name is too long");
    if (buf_failed(value))
        return err_set(err, RC_NOMEM, "url.form", "out of memory");
    if (name->len > 0 && memchr(name->ptr, 0, name->len) != NULL)
        return err_set(err, RC_MALFORMED, "url.form", "a name has a NUL in it");
    fn(ctx, buf_cstr(name), buf_bytes(value));
    return RC_OK;
}

enum rc
url_form_read(struct bytes body, unsigned max_pairs,
              void (*fn)(void *ctx, const char *name, struct bytes value), void *ctx,
              struct err *err)
{
    struct buf name, value;
    unsigned n_pairs = 0;
    enum rc rc = RC_OK;

    buf_init(&name, FORM_NAME_MAX);
    buf_init(&value, body.len);
    for (size_t at = 0, len; rc == RC_OK && at < body.len; at += len + 1) {
        const uint8_t *amp = memchr(body.ptr + at, '&', body.len - at);

        len = amp == NULL ? body.len - at : (size_t)(amp - body.ptr) - at;
        if (len == 0)
            continue;
        if (++n_pairs > max_pairs)
            rc = err_set(err, RC_LIMIT, "url.form", "more than %u fields", max_pairs);
        else
            rc = form_pair(bytes_of(body.ptr + at, len), &name, &value, fn, ctx, err);
    }
    buf_wipe(&value); /* tokens travel in forms too */
    buf_free(&name);
    return rc;
}

/* handshake.c - is the owner of this URL willing? Asked once when a subscription is made.
 *
 * A GET with a random number, answered 200 with exactly that number. Unsigned; through the same
 * address filter as every call. Source: docs/protocol/webhook.md, "Handshake". */
#include "hooks/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX 4096u

struct handshake {
    struct hooks_pump *pump;
    struct url parts; /* borrows url */
    char *url;
    struct buf full; /* with the question */
    char challenge[12];
    void (*fn)(void *ctx, enum rc rc, const char *text);
    void *ctx;
};

static void
finish(struct handshake *h, enum rc rc, const char *text)
{
    struct hooks_pump *pump = h->pump;

    if (!pump->is_closing)
        h->fn(h->ctx, rc, text);
    buf_wipe(&h->full); /* holds the verify token */
    free(h->url);
    free(h);
    pump_unref(pump);
}

static void
on_answer(void *ctx, enum rc rc, int status, struct bytes body, const char *error_text)
{
    struct handshake *h = ctx;
    char text[80];

    if (rc == RC_OK && status != 200) {
        snprintf(text, sizeof(text), "the callback answered with status %d", status);
        finish(h, RC_DENIED, text);
    } else if (rc == RC_OK && !bytes_equal(body, bytes_of_str(h->challenge))) {
        finish(h, RC_DENIED, "the callback's answer is not the challenge");
    } else {
        finish(h, rc, rc == RC_OK ? "" : error_text);
    }
}

static void
put_question(struct handshake *h, const char *verify_token)
{
    bool has_query = memchr(h->parts.target.ptr, '?', h->parts.target.len) != NULL;
    size_t len = strcspn(h->url, "#");

    buf_put(&h->full, bytes_of(h->url, len));
    buf_put_str(&h->full, has_query ? "&" : "?");
    buf_put_str(&h->full, "hub.mode=subscribe&hub.challenge=");
    buf_put_str(&h->full, h->challenge);
    buf_put_str(&h->full, "&hub.verify_token=");
    url_put_escaped(&h->full, bytes_of_str(verify_token));
}

static void
on_address(void *ctx, enum rc rc, const char *connect_to, const char *text)
{
    struct handshake *h = ctx;
    struct err err = {0};
    const struct http_call_opt opt = {.method = HTTP_GET,
                                      .url = buf_cstr(&h->full),
                                      .connect_to = connect_to,
                                      .connect_timeout_ms = h->pump->opt.connect_timeout_ms,
                                      .total_timeout_ms = h->pump->opt.total_timeout_ms,
                                      .response_max = ANSWER_MAX,
                                      .on_done = on_answer,
                                      .ctx = h};

    if (rc != RC_OK || h->pump->is_closing) {
        finish(h, rc, text);
        return;
    }
    rc = buf_failed(&h->full) ? err_set(&err, RC_LIMIT, "hooks.handshake", "the URL is too long")
                              : http_client_call(NULL, h->pump->client, &opt, &err);
    if (rc != RC_OK)
        finish(h, rc, err.text);
}

/* Say no, but not from inside the call. */
static void
on_refused(void *ctx, enum rc rc, const char *connect_to, const char *text)
{
    struct handshake *h = ctx;
    struct address_rule rule = {.allow_private = h->pump->opt.allow_private_hosts};
    struct err err;

    rc = url_read(&h->parts, bytes_of_str(h->url), &err);
    if (rc == RC_OK)
        rc = address_check_url(&h->parts, &rule, &err);
    finish(h, rc, err.text);
}

void
hooks_handshake(struct hooks_pump *pump, const char *url, const char *verify_token,
                void (*fn)(void *ctx, enum rc rc, const char *text), void *ctx)
{
    struct handshake *h = calloc(1, sizeof(*h));
    struct address_rule rule = {.allow_private = pump->opt.allow_private_hosts};
    const struct address_rule none = {.allow_private = true};

    if (h == NULL || (h->url = strdup(url)) == NULL)
        abort(); /* the caller would wait for ever */
    h->pump = pump;
    h->fn = fn;
    h->ctx = ctx;
    pump->refs++;
    buf_init(&h->full, URL_MAX);
    snprintf(h->challenge, sizeof(h->challenge), "%u",
             (unsigned)(1 + rng_below(pump->opt.rng, INT32_MAX - 1)));
    if (url_read(&h->parts, bytes_of_str(h->url), NULL) != RC_OK ||
        address_check_url(&h->parts, &rule, NULL) != RC_OK) {
        address_resolve(pump->opt.loop, &h->parts, &none, on_refused, h);
        return;
    }
    put_question(h, verify_token);
    address_resolve(pump->opt.loop, &h->parts, &rule, on_address, h);
}

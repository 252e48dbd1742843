/* client_call.c - one call out: its options set on a curl handle, its answer collected within
 * bounds.
 *
 * Owns the pool of finished calls, each with a handle that keeps the options that never change.
 * Must never follow a redirect, use a proxy of the environment, speak anything but HTTP, or keep
 * more of a response than the caller allowed. Source: docs/threat-model.md, "Calls out". */
#include "http/client_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/url.h"

#define CONNECT_TIMEOUT_MS 5000u
#define TOTAL_TIMEOUT_MS 10000u
#define SYSTEM_CA_DIR "/etc/ssl/certs"
#define SPARE_BODY_MAX 4096u /* a finished call keeps a buffer of at most this size */

/* ---- what curl calls ---- */

static size_t
on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * n;

    if (call->is_cancelled)
        return CURL_WRITEFUNC_ERROR;
    if (call->on_data != NULL) {
        call->on_data(call->ctx, bytes_of(data, len));
        return call->is_cancelled ? CURL_WRITEFUNC_ERROR : len;
    }
    buf_put(&call->response, bytes_of(data, len));
    call->is_too_long = buf_failed(&call->response);
    return call->is_too_long ? CURL_WRITEFUNC_ERROR : len;
}

static size_t
on_head(char *data, size_t size, size_t n, void *ctx)
{
    struct http_call *call = ctx;

    call->head_bytes += size * n;
    call->is_too_long = call->head_bytes > HTTP_RESPONSE_HEADERS_MAX;
    return call->is_too_long ? CURL_WRITEFUNC_ERROR : size * n;
}

/* ---- calls and their handles ---- */

void
http_call_free(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    buf_wipe(&call->response);
    free(call);
}

/* Forget the request: headers carry tokens and signatures, bodies carry content. */
static void
drop_request(struct http_call *call)
{
    free(call->lines);
    free(call->connect);
    if (call->body_copy != NULL)
        bytes_wipe(call->body_copy, call->body_len);
    free(call->body_copy);
    call->lines = call->connect = NULL;
    call->body_copy = NULL;
}

static void
set_trust(CURL *easy, const struct http_client_opt *opt)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (opt->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, opt->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, opt->with_system_ca ? SYSTEM_CA_DIR : NULL);
    }
    if (opt->cert_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, opt->cert_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, opt->key_file);
    }
}

static struct http_call *
call_new(struct http_client *client)
{
    struct http_call *call = calloc(1, sizeof(*call));
    CURL *easy = call == NULL ? NULL : curl_easy_init();

    if (easy == NULL) {
        free(call);
        return NULL;
    }
    call->easy = easy;
    call->client = client;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error_text);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_on_curl_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, client);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, http_on_curl_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    set_trust(easy, &client->opt);
    return call;
}

static struct http_call *
call_take(struct http_client *client)
{
    struct http_call *call = client->spare;

    if (call == NULL)
        return call_new(client);
    client->spare = call->next;
    client->n_spare--;
    call->is_too_long = call->is_cancelled = false;
    call->head_bytes = 0;
    call->error_text[0] = '\0';
    return call;
}

void
http_call_give_back(struct http_call *call)
{
    struct http_client *client = call->client;

    drop_request(call);
    if (client->is_closing || client->n_spare >= client->n_spare_max) {
        http_call_free(call);
        return;
    }
    if (call->response.cap > SPARE_BODY_MAX)
        buf_wipe(&call->response);
    call->next = client->spare;
    client->spare = call;
    client->n_spare++;
}

/* ---- setting up ---- */

/* "Name: value", or "Name;" where the value is empty (curl's way to send one). */
static size_t
line_size(const struct http_header *h)
{
    return strlen(h->name) + strlen(h->value) + 3;
}

static bool
header_is_clean(const struct http_header *h)
{
    return strpbrk(h->name, "\r\n:") == NULL && strpbrk(h->value, "\r\n") == NULL;
}

/* All lines in one allocation, with an empty "Expect:" so that bodies go out at once. */
static enum rc
make_lines(struct http_call *call, const struct http_call_opt *opt, struct err *err)
{
    size_t n = opt->n_headers + 1, size = n * sizeof(struct curl_slist) + sizeof("Expect:");
    struct curl_slist *lines;
    char *text;

    for (size_t i = 0; i < opt->n_headers; i++) {
        if (!header_is_clean(&opt->headers[i]))
            return err_set(err, RC_INVAL, "http.call", "a header has a line break");
        size += line_size(&opt->headers[i]);
    }
    if ((lines = malloc(size)) == NULL)
        return err_set(err, RC_NOMEM, "http.call", "out of memory");
    text = (char *)(lines + n);
    for (size_t i = 0; i < n; i++) {
        const struct http_header *h = i + 1 < n ? &opt->headers[i] : NULL;

        lines[i] = (struct curl_slist){.data = text, .next = i + 1 < n ? &lines[i + 1] : NULL};
        text = stpcpy(text, h == NULL ? "Expect:" : h->name);
        if (h != NULL && h->value[0] == '\0')
            text = stpcpy(text, ";");
        else if (h != NULL)
            text = stpcpy(stpcpy(text, ": "), h->value);
        text++;
    }
    call->lines = lines;
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, lines);
    return RC_OK;
}

/* "::ADDRESS:" - whatever host and port are asked for, connect to that address. */
static enum rc
set_connect_to(struct http_call *call, const char *address, struct err *err)
{
    char *text;

    if (address != NULL) {
        call->connect = malloc(sizeof(*call->connect) + strlen(address) + sizeof(":::"));
        if (call->connect == NULL)
            return err_set(err, RC_NOMEM, "http.call", "out of memory");
        text = (char *)(call->connect + 1);
        *call->connect = (struct curl_slist){.data = text};
        stpcpy(stpcpy(stpcpy(text, "::"), address), ":");
    }
    curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect);
    return RC_OK;
}

static enum rc
set_body(struct http_call *call, const struct http_call_opt *opt, struct err *err)
{
    bool has_body = opt->body.len > 0 || opt->method == HTTP_POST || opt->method == HTTP_PUT ||
                    opt->method == HTTP_PATCH;
    const void *body = opt->body.len > 0 ? opt->body.ptr : (const void *)"";
    bool is_plain = opt->method == HTTP_GET || opt->method == HTTP_HEAD || opt->method == HTTP_POST;

    if (opt->body.len > 0 && !opt->body_is_kept) {
        if ((call->body_copy = malloc(opt->body.len)) == NULL)
            return err_set(err, RC_NOMEM, "http.call", "out of memory");
        memcpy(call->body_copy, opt->body.ptr, opt->body.len);
        call->body_len = opt->body.len;
        body = call->body_copy;
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L); /* also undoes an earlier HEAD */
    if (has_body) {
        curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)opt->body.len);
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, body);
    } else if (opt->method == HTTP_HEAD) {
        curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
    }
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST,
                     is_plain ? NULL : http_method_name(opt->method));
    return RC_OK;
}

static uint32_t
or_default(uint32_t value, uint32_t fallback)
{
    return value == 0 ? fallback : value;
}

static void
set_limits(struct http_call *call, const struct http_call_opt *opt)
{
    uint32_t total_ms = or_default(opt->total_timeout_ms, TOTAL_TIMEOUT_MS);
    bool is_stream = opt->on_data != NULL;

    curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)or_default(opt->connect_timeout_ms, CONNECT_TIMEOUT_MS));
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, total_ms == UINT32_MAX ? 0L : (long)total_ms);
    curl_easy_setopt(call->easy, CURLOPT_SSL_VERIFYPEER, opt->allow_any_cert ? 0L : 1L);
    curl_easy_setopt(call->easy, CURLOPT_SSL_VERIFYHOST, opt->allow_any_cert ? 0L : 2L);
    curl_easy_setopt(call->easy, CURLOPT_MAXFILESIZE_LARGE,
                     is_stream ? (curl_off_t)0 : (curl_off_t)opt->response_max);
    if (call->response.max != opt->response_max || is_stream) {
        buf_wipe(&call->response);
        buf_init(&call->response, is_stream ? 0 : opt->response_max);
    } else {
        buf_reset(&call->response);
    }
    call->on_data = opt->on_data;
    call->on_done = opt->on_done;
    call->ctx = opt->ctx;
}

static void
list_add(struct http_client *client, struct http_call *call)
{
    call->prev = NULL;
    call->next = client->active;
    if (call->next != NULL)
        call->next->prev = call;
    client->active = call;
    client->n_active++;
}

enum rc
http_client_call(struct http_call **out, struct http_client *client,
                 const struct http_call_opt *opt, struct err *err)
{
    struct http_call *call;
    struct url url;
    enum rc rc = RC_OK;

    if (out != NULL)
        *out = NULL;
    if (url_read(&url, bytes_of_str(opt->url), err) != RC_OK)
        return RC_INVAL;
    if (client->is_closing || client->n_active >= HTTP_CLIENT_CALLS_MAX)
        return err_set(err, RC_BUSY, "http.call", "too many calls at once");
    if ((call = call_take(client)) == NULL)
        return err_set(err, RC_NOMEM, "http.call", "out of memory");
    set_limits(call, opt);
    if (curl_easy_setopt(call->easy, CURLOPT_URL, opt->url) != CURLE_OK)
        rc = err_set(err, RC_NOMEM, "http.call", "out of memory");
    if (rc != RC_OK || (rc = make_lines(call, opt, err)) != RC_OK ||
        (rc = set_connect_to(call, opt->connect_to, err)) != RC_OK ||
        (rc = set_body(call, opt, err)) != RC_OK) {
        http_call_give_back(call);
        return rc;
    }
    if (curl_multi_add_handle(client->multi, call->easy) != CURLM_OK) {
        http_call_give_back(call);
        return err_set(err, RC_NOMEM, "http.call", "the call could not be started");
    }
    list_add(client, call);
    if (out != NULL)
        *out = call;
    return RC_OK;
}

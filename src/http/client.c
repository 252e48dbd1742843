/* client.c - the client's life, and the end of each call, exactly once.
 *
 * Owns curl's multi handle and the list of calls in flight (client_call.c sets them up,
 * client_socket.c connects them to the loop). on_done is never called from inside http_client_call,
 * and always after the call has left the list. */
#include "http/client_parts.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 256u
#define CONNECTIONS_PER_HOST 16u

static void
list_remove(struct http_client *client, struct http_call *call)
{
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        client->active = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    client->n_active--;
}

/* ---- ending ---- */

static const struct ending {
    CURLcode code;
    enum rc rc;
} endings[] = {
    {CURLE_OK,                       RC_OK     },
    {CURLE_OPERATION_TIMEDOUT,       RC_TIMEOUT},
    {CURLE_PEER_FAILED_VERIFICATION, RC_AUTH   },
    {CURLE_SSL_CONNECT_ERROR,        RC_AUTH   },
    {CURLE_SSL_CERTPROBLEM,          RC_AUTH   },
    {CURLE_SSL_CIPHER,               RC_AUTH   },
    {CURLE_SSL_ISSUER_ERROR,         RC_AUTH   },
    {CURLE_SSL_INVALIDCERTSTATUS,    RC_AUTH   },
    {CURLE_SSL_CLIENTCERT,           RC_AUTH   },
    {CURLE_FILESIZE_EXCEEDED,        RC_LIMIT  },
    {CURLE_OUT_OF_MEMORY,            RC_NOMEM  },
};

static enum rc
rc_of(CURLcode code)
{
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (endings[i].code == code)
            return endings[i].rc;
    return RC_IO;
}

static void
finish(struct http_call *call, enum rc rc, const char *text)
{
    struct http_client *client = call->client;
    long status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(client->multi, call->easy);
    list_remove(client, call);
    if (call->is_too_long) {
        rc = RC_LIMIT;
        text = "the response is too long";
    }
    if (call->is_cancelled) {
        rc = RC_CLOSED;
        text = "given up";
    }
    call->on_done(call->ctx, rc, (int)status, buf_bytes(&call->response), text);
    http_call_give_back(call);
}

void
http_client_reap(struct http_client *client)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_call *call = NULL;
        CURLcode code = msg->data.result;

        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);
        finish(call, rc_of(code),
               call->error_text[0] != '\0' ? call->error_text : curl_easy_strerror(code));
    }
}

static void
on_reaper(struct loop_timer *timer)
{
    struct http_client *client = (void *)((char *)timer - offsetof(struct http_client, reaper));
    struct http_call *call = client->active;

    while (call != NULL) {
        if (!call->is_cancelled) {
            call = call->next;
            continue;
        }
        finish(call, RC_CLOSED, "given up");
        call = client->active; /* on_done may have changed the list */
    }
}

void
http_call_cancel(struct http_call *call)
{
    call->is_cancelled = true;
    loop_timer_start(&call->client->reaper, 0, 0);
}

uint32_t
http_client_active(const struct http_client *client)
{
    return client->n_active;
}

/* ---- opening and closing ---- */

static uint32_t
or_default(uint32_t value, uint32_t fallback)
{
    return value == 0 ? fallback : value;
}

static char *
copy_or_null(const char *text, bool *failed)
{
    char *copy = text == NULL ? NULL : strdup(text);

    *failed |= text != NULL && copy == NULL;
    return copy;
}

enum rc
http_client_open(struct http_client **out, const struct http_client_opt *opt, struct err *err)
{
    struct http_client *client = calloc(1, sizeof(*client));
    long total = (long)or_default(opt->connections_max, CONNECTIONS_MAX);
    bool failed = false;

    *out = NULL;
    if (client == NULL)
        return err_set(err, RC_NOMEM, "http.client", "out of memory");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        return err_set(err, RC_IO, "http.client", "curl refused to start");
    }
    client->loop = opt->loop;
    client->log = opt->log;
    client->opt.with_system_ca = opt->with_system_ca;
    client->opt.ca_file = copy_or_null(opt->ca_file, &failed);
    client->opt.cert_file = copy_or_null(opt->cert_file, &failed);
    client->opt.key_file = copy_or_null(opt->key_file, &failed);
    client->n_spare_max = (uint32_t)total;
    client->multi = curl_multi_init();
    loop_timer_init(client->loop, &client->timer, http_on_timer);
    loop_timer_init(client->loop, &client->reaper, on_reaper);
    client->open_handles = 2;
    if (client->multi == NULL || failed) {
        http_client_free(&client);
        return err_set(err, RC_NOMEM, "http.client", "out of memory");
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, http_on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, http_on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, total);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, total);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)or_default(opt->connections_per_host, CONNECTIONS_PER_HOST));
    *out = client;
    return RC_OK;
}

static void
on_timer_closed(struct loop_timer *timer)
{
    http_client_release((void *)((char *)timer - offsetof(struct http_client, timer)));
}

static void
on_reaper_closed(struct loop_timer *timer)
{
    http_client_release((void *)((char *)timer - offsetof(struct http_client, reaper)));
}

void
http_client_free(struct http_client **client)
{
    struct http_client *c = *client;

    if (c == NULL)
        return;
    *client = NULL;
    c->is_closing = true;
    while (c->active != NULL) {
        c->active->is_cancelled = true;
        finish(c->active, RC_CLOSED, "the client is closing");
    }
    for (struct http_call *call = c->spare, *next; call != NULL; call = next) {
        next = call->next;
        http_call_free(call);
    }
    if (c->multi != NULL)
        curl_multi_cleanup(c->multi); /* closes the connections through http_on_curl_close */
    http_client_unwatch(c);
    curl_global_cleanup();
    loop_timer_close(&c->timer, on_timer_closed);
    loop_timer_close(&c->reaper, on_reaper_closed);
}

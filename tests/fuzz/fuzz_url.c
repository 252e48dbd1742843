/* Fuzzer of http/url: a URL that is taken has a clean host and can be put together and taken again;
 * what is escaped reads back as itself; forms call back within their bounds. */
#include "http/url.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
demand(bool fact)
{
    if (!fact)
        abort();
}

static void
fuzz_read(struct bytes in)
{
    struct url url, again;
    struct buf text;

    if (url_read(&url, in, NULL) != RC_OK)
        return;
    demand(url.host[0] != '\0' && memchr(url.host, '\0', sizeof(url.host)) != NULL);
    demand(strpbrk(url.host, "@/\\?# %") == NULL);
    demand(url.port != 0 && url.target.len > 0);
    buf_init(&text, 2 * URL_MAX);
    buf_put_str(&text, url.is_https ? "https://" : "http://");
    buf_printf(&text, url.is_ipv6_literal ? "[%s]:%u" : "%s:%u", url.host, (unsigned)url.port);
    buf_put(&text, url.target);
    if (text.len <= URL_MAX) {
        demand(url_read(&again, buf_bytes(&text), NULL) == RC_OK);
        demand(strcmp(url.host, again.host) == 0 && url.port == again.port);
        demand(bytes_equal(url.target, again.target));
    }
    buf_free(&text);
}

struct pairs {
    struct bytes want; /* the value of the last pair, when it was escaped by us */
    unsigned n;
};

static void
count_pair(void *ctx, const char *name, struct bytes value)
{
    struct pairs *pairs = ctx;

    pairs->n++;
    demand(strlen(name) < 1024);
    if (pairs->want.ptr != NULL)
        demand(bytes_equal(pairs->want, value));
}

static void
fuzz_form(struct bytes in)
{
    struct pairs free_form = {0}, escaped = {.want = in};
    struct buf text;

    if (url_form_read(in, PAIRS_MAX, count_pair, &free_form, NULL) == RC_OK)
        demand(free_form.n <= PAIRS_MAX);
    if (in.len == 0)
        return;
    buf_init(&text, 3 * in.len + 2);
    buf_put_str(&text, "v=");
    url_put_escaped(&text, in);
    demand(url_form_read(buf_bytes(&text), 1, count_pair, &escaped, NULL) == RC_OK);
    demand(escaped.n == 1);
    buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_read(bytes_of(data, size));
    fuzz_form(bytes_of(data, size));
    return 0;
}

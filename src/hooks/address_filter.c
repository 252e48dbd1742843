/* address_filter.c - the list of addresses that nobody outside may make us call.
 *
 * Must never let a name be resolved a second time between the judgement and the connection: the
 * judged address itself is handed out. Sources: IANA's special-purpose address registries (RFC 6890
 * and its updates); docs/threat-model.md, "Calls out". */
#include "hooks/address_filter.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- judging one address ---- */

struct block {
    const char *prefix;
    unsigned bits;
};

static const struct block blocks_v4[] = {
    {"0.0.0.0",      8 }, /* this network */
    {"10.0.0.0",     8 }, /* private */
    {"100.64.0.0",   10}, /* carrier-grade NAT */
    {"127.0.0.0",    8 }, /* loopback */
    {"169.254.0.0",  16}, /* link-local, cloud metadata */
    {"172.16.0.0",   12}, /* private */
    {"192.0.0.0",    24}, /* protocol assignments */
    {"192.0.2.0",    24}, /* documentation */
    {"192.88.99.0",  24}, /* 6to4 relays */
    {"192.168.0.0",  16}, /* private */
    {"198.18.0.0",   15}, /* benchmarking */
    {"198.51.100.0", 24}, /* documentation */
    {"203.0.113.0",  24}, /* documentation */
    {"224.0.0.0",    4 }, /* multicast */
    {"240.0.0.0",    4 }, /* reserved, broadcast */
};

/* Only 2000::/3 is global unicast at all; these are the exceptions inside it. Mapped
 * (::ffff:0:0/96), NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard (100::/64), segment routing
 * (5f00::/16), unique local, link-local and multicast lie outside. */
static const struct block blocks_v6[] = {
    {"2001::",     23}, /* protocol assignments: Teredo, ORCHID and others */
    {"2001:db8::", 32}, /* documentation */
    {"2002::",     16}, /* 6to4 */
    {"3fff::",     20}, /* documentation */
};

static bool
in_block(const uint8_t *addr, int family, const struct block *block)
{
    uint8_t prefix[16];
    unsigned whole = block->bits / 8, rest = block->bits % 8;

    if (inet_pton(family, block->prefix, prefix) != 1)
        return true; /* the table is broken: refuse */
    if (memcmp(addr, prefix, whole) != 0)
        return false;
    return rest == 0 || (addr[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

bool
address_is_public(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)addr;

        for (size_t i = 0; i < ARRAY_LEN(blocks_v4); i++)
            if (in_block((const uint8_t *)&in->sin_addr, AF_INET, &blocks_v4[i]))
                return false;
        return true;
    }
    if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)addr;

        if (in6->sin6_addr.s6_addr[0] >> 5 != 1)
            return false;
        for (size_t i = 0; i < ARRAY_LEN(blocks_v6); i++)
            if (in_block(in6->sin6_addr.s6_addr, AF_INET6, &blocks_v6[i]))
                return false;
        return true;
    }
    return false;
}

/* ---- judging a URL ---- */

enum rc
address_check_url(const struct url *url, const struct address_rule *rule, struct err *err)
{
    if (rule->allow_private)
        return RC_OK;
    if (!url->is_https) {
        if (rule->allow_http && url->port == 80)
            return RC_OK;
        return err_set(err, RC_DENIED, "address.url", "the URL must begin with https://");
    }
    if (url->port != 443 && url->port < 1024)
        return err_set(err, RC_DENIED, "address.url", "the port must be 443, or 1024 and above");
    return RC_OK;
}

/* ---- resolving ---- */

struct look_up {
    uv_getaddrinfo_t req;
    struct loop_timer timer; /* where nothing is to be looked up */
    void (*fn)(void *ctx, enum rc rc, const char *connect_to, const char *text);
    void *ctx;
};

/* One of this machine's own addresses: a call there would come back to us. */
static bool
is_own(const struct sockaddr *addr)
{
    uv_interface_address_t *own = NULL;
    int n = 0;
    bool found = false;

    if (uv_interface_addresses(&own, &n) != 0)
        return true; /* cannot tell: refuse */
    for (int i = 0; i < n && !found; i++) {
        const struct sockaddr *mine = (const void *)&own[i].address;

        if (mine->sa_family != addr->sa_family)
            continue;
        found = addr->sa_family == AF_INET
                    ? memcmp(&((const struct sockaddr_in *)(const void *)addr)->sin_addr,
                             &own[i].address.address4.sin_addr, 4) == 0
                    : memcmp(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr,
                             &own[i].address.address6.sin6_addr, 16) == 0;
    }
    uv_free_interface_addresses(own, n);
    return found;
}

static enum rc
judge_all(char out[INET6_ADDRSTRLEN + 2], const struct addrinfo *list)
{
    char text[INET6_ADDRSTRLEN];

    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
        if (!address_is_public(ai->ai_addr) || is_own(ai->ai_addr))
            return RC_DENIED;
    if (list == NULL)
        return RC_NOTFOUND;
    getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
    snprintf(out, INET6_ADDRSTRLEN + 2, list->ai_family == AF_INET6 ? "[%s]" : "%s", text);
    return RC_OK;
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct look_up *look_up = req->data;
    char address[INET6_ADDRSTRLEN + 2] = "";
    enum rc rc = status != 0 ? RC_NOTFOUND : judge_all(address, list);

    uv_freeaddrinfo(list);
    look_up->fn(look_up->ctx, rc, rc == RC_OK ? address : NULL,
                rc == RC_OK       ? ""
                : rc == RC_DENIED ? "the host is not at a public address"
                                  : "the host name cannot be resolved");
    free(look_up);
}

static void
on_timer_closed(struct loop_timer *timer)
{
    free((char *)timer - offsetof(struct look_up, timer));
}

static void
on_unfiltered(struct loop_timer *timer)
{
    struct look_up *look_up = (void *)((char *)timer - offsetof(struct look_up, timer));

    look_up->fn(look_up->ctx, RC_OK, NULL, "");
    loop_timer_close(timer, on_timer_closed);
}

static void
on_unresolvable(struct loop_timer *timer)
{
    struct look_up *look_up = (void *)((char *)timer - offsetof(struct look_up, timer));

    look_up->fn(look_up->ctx, RC_NOTFOUND, NULL, "the host name cannot be resolved");
    loop_timer_close(timer, on_timer_closed);
}

void
address_resolve(struct loop *loop, const struct url *url, const struct address_rule *rule,
                void (*fn)(void *ctx, enum rc rc, const char *connect_to, const char *text),
                void *ctx)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct look_up *look_up = calloc(1, sizeof(*look_up));

    if (look_up == NULL)
        abort(); /* the caller would wait for ever */
    look_up->fn = fn;
    look_up->ctx = ctx;
    look_up->req.data = look_up;
    /* a name that cannot be handed to the resolver at all fails like one that does not exist */
    if (!rule->allow_private &&
        uv_getaddrinfo(loop_uv(loop), &look_up->req, on_resolved, url->host, NULL, &hints) == 0)
        return;
    loop_timer_init(loop, &look_up->timer, rule->allow_private ? on_unfiltered : on_unresolvable);
    loop_timer_start(&look_up->timer, 0, 0);
}

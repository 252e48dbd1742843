/* proxy.h - a piece of wire between a party and the relay that a test can cut or stop up. */
#ifndef PARLEY_TESTS_GATEWAY_PROXY_H
#define PARLEY_TESTS_GATEWAY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

#define PROXY_PAIRS_MAX 64u

struct proxy_pair;
struct proxy {
    struct loop *loop;
    uv_tcp_t listener;
    uint16_t port, to_port;
    bool is_swallowing; /* bytes of the party are taken and lost; atomic: set from any thread */
    bool is_shut;       /* new connections end at once */
    unsigned accepted;
    struct proxy_pair *pairs[PROXY_PAIRS_MAX];
};

void proxy_start(struct proxy *proxy, struct loop *loop, uint16_t to_port);
/* End every connection without a word. */
void proxy_cut(struct proxy *proxy);
void proxy_swallow(struct proxy *proxy, bool on);
void proxy_stop(struct proxy *proxy);

#endif

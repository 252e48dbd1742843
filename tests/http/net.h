/* net.h - the other side of a socket for tests: raw bytes to a server, and waiting without
 * sleeping.
 *
 * Everything runs on the test's one loop; each wait has a limit and fails the test when it is over.
 */
#ifndef PARLEY_TESTS_HTTP_NET_H
#define PARLEY_TESTS_HTTP_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/loop.h"

#define NET_LIMIT_MS 10000

/* Run the loop until *flag; fails the test after NET_LIMIT_MS. */
void net_wait(struct loop *loop, const bool *flag);
/* Run the loop until fn(ctx); the same limit. */
void net_wait_for(struct loop *loop, bool (*fn)(void *ctx), void *ctx);

/* A raw connection to 127.0.0.1; what arrives is kept in `in`. */
struct net_peer {
    struct loop *loop;
    int fd;
    struct buf in;
    bool is_closed; /* the other side ended */
};
void net_open(struct net_peer *peer, struct loop *loop, uint16_t port);
void net_send(struct net_peer *peer, const char *text);
void net_send_bytes(struct net_peer *peer, struct bytes data);
/* Until `text` has arrived n times. */
void net_expect(struct net_peer *peer, const char *text, unsigned n);
void net_expect_close(struct net_peer *peer);
unsigned net_count(struct net_peer *peer, const char *text);
void net_close(struct net_peer *peer);

#endif

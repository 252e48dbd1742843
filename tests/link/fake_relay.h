/* fake_relay.h - the relay's side of a link, for tests: a listener, channels, answers by rule.
 *
 * Listens on a port that the kernel picks, runs on the test's own loop, and keeps count of what it
 * saw. Frames other than the login are answered by rule or kept for the test. */
#ifndef PARLEY_TESTS_LINK_FAKE_RELAY_H
#define PARLEY_TESTS_LINK_FAKE_RELAY_H

#include "crypto/cert.h"
#include "crypto/noise.h"
#include "crypto/prim.h"
#include "link/channel.h"

#define FAKE_CHANNELS_MAX 64u

struct fake_relay {
    struct loop *loop; /* borrowed */
    struct channel_hub *hub;
    uv_tcp_t listener;
    uint16_t port;
    uint8_t root_seed[32], root_pub[32];
    struct noise_keypair key;
    struct buf certificate;
    struct channel *channels[FAKE_CHANNELS_MAX]; /* those that have not ended */
    /* rules */
    bool is_mute;                      /* logins get no answer */
    Parley__Wire__Reason refuse_login; /* not UNSPECIFIED: the answer to a login */
    uint32_t retry_after_s;            /* in that refusal */
    bool answers_requests;             /* BundleFetch and Unregister are answered */
    /* what was seen */
    unsigned accepted, up, fell_back, logins, frames, ended;
    uint64_t last_generation;
    uint8_t last_static[32], last_hash[32];
    enum channel_end last_how;
    Parley__Wire__CloseReason last_reason;
    enum rc last_rc;
    unsigned drained;
    size_t bytes_in_publish; /* of the last publish seen */
};

struct fake_relay_opt {
    struct loop *loop;
    uint32_t handshake_ms, ping_ms, dead_ms; /* 0: as in the product */
    int64_t not_after_s;                     /* of the certificate; 0: far away */
};

void fake_relay_start(struct fake_relay *r, const struct fake_relay_opt *opt);
/* Listen on the socket that the test has bound; fake_relay_start does it by itself. */
void fake_relay_listen(struct fake_relay *r);
/* A new transport key, and a certificate for it under the same root, for connections from now on.
 */
void fake_relay_change_key(struct fake_relay *r, int64_t not_after_s);
/* End every channel without a Close: what a killed relay looks like. */
void fake_relay_cut(struct fake_relay *r);
/* End every channel with a Close. */
void fake_relay_close_all(struct fake_relay *r, Parley__Wire__CloseReason reason);
/* One of the channels that are up, or NULL. */
struct channel *fake_relay_any(struct fake_relay *r);
/* Push a Deliver with this seq to every channel. */
void fake_relay_push(struct fake_relay *r, uint64_t seq);
/* Before loop_free(). */
void fake_relay_stop(struct fake_relay *r);

#endif

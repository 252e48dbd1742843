/* pair.h - a channel of ours and a relay of our own at its other end, on one loop. */
#ifndef PARLEY_TESTS_LINK_PAIR_H
#define PARLEY_TESTS_LINK_PAIR_H

#include "fake_relay.h"
#include "link/inner.h"
#include "loop_wait.h"

struct pair {
    struct loop *loop;
    struct channel_hub *hub;
    struct fake_relay relay;
    struct noise_keypair key;
    struct channel *channel; /* NULL after its end */
    bool is_up, is_drained;
    unsigned frames, ended;
    enum channel_end how;
    Parley__Wire__CloseReason reason;
    enum rc rc;
    unsigned wanted;
};

/* Limits of the relay's side and of ours; 0: the product's. */
struct pair_limits {
    uint32_t handshake_ms, ping_ms, dead_ms, our_ping_ms, our_dead_ms, our_handshake_ms;
};

void pair_start(struct pair *f, struct pair_limits limits);
void pair_connect(struct pair *f, const char *host, uint16_t port);
/* Start, connect, and wait until both sides are up. */
void pair_start_up(struct pair *f, struct pair_limits limits);
void pair_stop(struct pair *f);

/* Run until this is true of the pair; the test fails when it does not become true. */
void pair_wait(struct pair *f, bool (*what)(void *ctx));
bool pair_is_up(void *ctx);
bool pair_has_ended(void *ctx);
bool pair_relay_has_ended(void *ctx);
/* At least `wanted` frames have arrived, on our side or on the relay's. */
bool pair_has_frames(void *ctx);
bool pair_relay_has_frames(void *ctx);

/* A frame whose packed size is exactly this: an empty Done and a field that nobody knows. */
struct sized_frame {
    Parley__Wire__Done done;
    ProtobufCMessageUnknownField unknown;
    Parley__Wire__Frame frame;
    uint8_t *bytes;
};

/* The caller frees s->bytes. */
void sized_frame(struct sized_frame *s, size_t size);

#endif

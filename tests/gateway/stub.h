/* stub.h - a relay that lies: it has the real one's key, takes every login and acknowledges every
 * message, and stores nothing. It keeps the frames it saw. */
#ifndef PARLEY_TESTS_GATEWAY_STUB_H
#define PARLEY_TESTS_GATEWAY_STUB_H

#include "link/channel.h"
#include "net.h"

#define STUB_FRAMES_MAX 256u

struct stub_frame {
    uint8_t message_id[16];
    struct buf packed; /* the Publish as it came */
};

struct stub {
    struct net *net;
    struct channel_hub *hub;
    uv_tcp_t listener;
    uint16_t port;
    bool is_mute; /* publishes get no answer */
    Parley__Wire__Reason reason;
    unsigned logins;
    struct stub_frame frames[STUB_FRAMES_MAX];
    size_t n_frames;
    struct channel *channel; /* the last that logged in */
    uint64_t seq;
};

void stub_start(struct stub *stub, struct net *net);
/* End the connections without a word. */
void stub_cut(struct stub *stub);
/* Push an envelope that claims to be a receipt of `sender`, with a body of our own making. */
void stub_forge(struct stub *stub, uint64_t sender, struct bytes body);
void stub_stop(struct stub *stub);

#endif

/* device.h - a registered device at a relay, as small as the wire allows: for loading the relay.
 *
 * Real channel, real registration and login, but bodies are noise and keys are never used: what the
 * device side of encryption costs is another job's. Replies that are waited for turn the loop.
 * Source: docs/protocol/wire.md. Thread rule: the loop's. */
#ifndef PARLEY_BENCH_DEVICE_H
#define PARLEY_BENCH_DEVICE_H

#include <stdbool.h>

#include "crypto/noise.h"
#include "link/channel.h"
#include "wire/ident.h"

/* A running relay, as its devices see it. */
struct device_net {
    struct loop *loop;
    struct channel_hub *hub;
    uint16_t port;
    uint8_t root[32];           /* Ed25519: whom the relay's certificate is from */
    uint8_t authority_seed[32]; /* signs the certificates of businesses */
    const char *outbox;         /* file with the verification codes */
};

struct device {
    struct device_net *net;
    uint64_t number;
    bool is_business;
    struct noise_keypair noise;
    uint8_t identity_priv[32], identity[33];
    uint32_t registration_id;
    uint64_t generation, counter;
    struct channel *channel; /* NULL: not connected */
    bool is_up;
    uint32_t waits_for; /* request id; 0: the answer is here */
    bool is_refused;
    uint8_t ticket[32];
    uint64_t n_sent, n_answered, n_refused, n_delivered;
    /* Called for each publish answered and each envelope delivered. May be NULL. */
    void (*on_progress)(struct device *device);
};

/* Register a fresh device for the number, connect it, log it in. */
NODISCARD enum rc device_open(struct device *device, struct device_net *net, uint64_t number,
                              bool is_business, struct err *err);
/* Publish one body to the one device of a recipient; answered later. */
void device_publish(struct device *from, const struct device *to, struct bytes body);
/* End the connection; no call comes any more. */
void device_close(struct device *device);

#endif

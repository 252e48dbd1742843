/* peers.h - one device for tests: keys, one-time prekeys and the record of its one conversation.
 *
 * A peer commits like a real caller: the record is replaced and a one-time prekey is forgotten only
 * when a call succeeded. Everything comes from a seed, so a failing run can be repeated. */
#ifndef PARLEY_TESTS_SESSION_PEERS_H
#define PARLEY_TESTS_SESSION_PEERS_H

#include "session/session.h"

#define PEER_ONE_TIMES 4u
#define PEER_FIRST_ID 11u /* id of the first one-time prekey */
#define PEER_SIGNED_ID 7u

struct peer {
    uint64_t seed;
    struct session_engine *engine;
    struct session_identity identity;
    struct session_signed_prekey signed_prekey;
    struct session_prekey one_time[PEER_ONE_TIMES];
    bool is_spent[PEER_ONE_TIMES];
    struct buf record;
    struct session_opened opened; /* of the last successful peer_receive */
};

struct sealed {
    struct buf cipher;
    enum session_type type;
};

void peer_open(struct peer *peer, uint64_t seed);
void peer_close(struct peer *peer);

/* The public half, with the n-th one-time prekey (-1: none). */
struct session_bundle peer_bundle(const struct peer *peer, int one_time);
struct session_prekey_source peer_source(struct peer *peer);

/* Start, seal, receive: as the calls of session.h, and on success the new record is kept. */
NODISCARD enum rc peer_start(struct peer *peer, const struct session_bundle *bundle);
NODISCARD enum rc peer_seal(struct peer *peer, struct sealed *out, struct bytes plain);
NODISCARD enum rc peer_receive(struct peer *peer, struct buf *plain, const struct sealed *in,
                               const uint8_t *expected_identity);
void sealed_free(struct sealed *sealed);

/* Both in one: `from` seals the text, `to` opens it; fails the test unless the text comes out. */
void peer_talk(struct peer *from, struct peer *to, const char *text);
/* Open what was sealed and fail the test unless it is this text. */
void peer_expect(struct peer *to, const struct sealed *in, const char *text);
/* Two peers with a session that both sides have used. */
void peers_meet(struct peer *a, struct peer *b);

#endif

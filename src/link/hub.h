/* hub.h - what all channels of one loop share: read buffer, flush at the end of a pass, one ticker.
 *
 * Owns one read buffer (a connection has none of its own), the list of channels with frames to
 * write (each is written once per loop pass), and one coarse timer for handshakes, pings and
 * silence. Open one per loop and hand it to every channel and link on it. Thread rule: one loop. */
#ifndef PARLEY_LINK_HUB_H
#define PARLEY_LINK_HUB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"

#define CHANNEL_HANDSHAKE_MS 10000u /* before authentication a peer has this long (I39) */
#define CHANNEL_PING_MS 30000u      /* nothing heard: a ping inside the channel */
#define CHANNEL_DEAD_MS 75000u      /* still nothing heard: ended */
#define CHANNEL_LINGER_MS 2000u     /* after our Close, the peer has this long to end TCP */

struct channel_hub;

struct channel_hub_opt {
    struct loop *loop; /* borrowed */
    struct log *log;   /* borrowed */
    uint32_t handshake_ms, ping_ms, dead_ms,
        linger_ms; /* 0: the values above; tests set their own */
};

NODISCARD enum rc channel_hub_open(struct channel_hub **out, const struct channel_hub_opt *opt,
                                   struct err *err);
/* Ends every channel that is left without calling its owner. Call before loop_free(), which then
 * runs the ends and releases the memory. *hub may be NULL; it is NULL afterwards. */
void channel_hub_free(struct channel_hub **hub);

struct loop *channel_hub_loop(const struct channel_hub *hub);
/* Channels that exist, ending ones included. */
size_t channel_hub_count(const struct channel_hub *hub);

#endif

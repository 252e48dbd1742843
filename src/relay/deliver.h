/* deliver.h - from the queue to the connection: windows, pages, pushes, acknowledgements.
 *
 * Owns struct peer_lane. A lane that has caught up is fed from memory right after each commit; one
 * that has not reads pages from the store. Either way in the order of sequence numbers, never past
 * the window, and never an envelope whose time is over (I9, I10, I15).
 * Thread rule: the peer's worker. */
#ifndef PARLEY_RELAY_DELIVER_H
#define PARLEY_RELAY_DELIVER_H

#include <stdbool.h>
#include <stdint.h>

struct parcel;
struct peer;

#define DELIVER_PAGE 64u                 /* envelopes read at a time */
#define DELIVER_PAGE_BYTES (512u * 1024) /* and their bytes, the last one may go over */

/* After the login: hand out what waits. */
void deliver_start(struct peer *peer);
/* An envelope of this peer's has just been committed. */
void deliver_parcel(struct peer *peer, const struct parcel *parcel);
/* An ephemeral one: now or never. */
void deliver_ephemeral(struct peer *peer, const struct parcel *parcel);
/* The lane has grown up to seq. */
void deliver_poke(struct peer *peer, uint32_t lane, uint64_t seq);
/* The connection has taken what was queued for it. */
void deliver_drained(struct peer *peer);
/* The peer has everything of the lane up to seq. False: it was never sent that much (I8). */
bool deliver_acked(struct peer *peer, uint32_t lane, uint64_t seq);

#endif

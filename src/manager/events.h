/* events.h - the push stream to the Cloud: the lines of changes, and the hub that sends them.
 *
 * A line is written inside the transaction that makes the change, into the work's buffer, and sent
 * by the hub after the commit. A new receiver first gets every object between snapshot_begin and
 * snapshot_end, read by a job in the same queue as the changes, so no change is lost or seen early.
 * Lines carry app secrets: buffers are wiped, nothing of them is logged.
 * Thread rule: line writers on a store thread; the hub on the loop.
 * Source: docs/protocol/internal.md, section 3.2. */
#ifndef PARLEY_MANAGER_EVENTS_H
#define PARLEY_MANAGER_EVENTS_H

#include "base/log.h"
#include "base/loop.h"
#include "http/server.h"
#include "manager/objects.h"

#define HUB_STREAMS_MAX 16u
#define HUB_HEARTBEAT_MS 15000u
#define HUB_UNREAD_MAX (1u << 20) /* bytes that a receiver may leave unread beside its snapshot */

/* ---- lines ---- */
void event_app(struct work *w, const struct app *app);
NODISCARD enum rc event_waba(struct work *w, const struct waba *waba, struct err *err);
void event_number(struct work *w, const struct number *n);
/* "app_removed", "waba_removed", "number_removed" with the id. */
void event_removed(struct work *w, const char *event, uint64_t id);
void event_token_revoked(struct work *w, const uint8_t hash[32]);
void event_principals_stale(struct work *w, uint64_t business);
/* Every live object, from snapshot_begin to snapshot_end. */
NODISCARD enum rc event_snapshot(struct work *w, struct err *err);

/* ---- hub ---- */
struct hub;
NODISCARD enum rc hub_open(struct hub **out, struct loop *loop, struct clock *clock,
                           struct log *log, struct err *err);
/* Ends every stream. */
void hub_free(struct hub **hub);
/* Answer req with a stream that begins with `snapshot` (borrowed for the call). */
void hub_attach(struct hub *hub, struct http_request *req, struct bytes snapshot);
void hub_send(struct hub *hub, struct bytes lines);
unsigned hub_streams(const struct hub *hub);

#endif

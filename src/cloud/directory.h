/* directory.h - what the manager has told about apps, WABAs and numbers: kept in memory, replaced
 * by its event stream, read by the routes and - under its lock - by transactions that render
 * webhooks.
 *
 * Secrets are wiped when an entry goes. Thread rule: changes on the loop; directory_targets may be
 * called from a store thread; everything else on the loop. Source: docs/protocol/internal.md, 3.2.
 */
#ifndef PARLEY_CLOUD_DIRECTORY_H
#define PARLEY_CLOUD_DIRECTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define DIRECTORY_URL_MAX 1024u
#define DIRECTORY_TARGETS_MAX 32u /* apps subscribed to one WABA: the manager's ceiling */

struct directory;

struct directory_events {
    void (*on_number)(void *ctx, uint64_t account, bool is_cloud_hosted);
    void (*on_number_removed)(void *ctx, uint64_t account);
    void *ctx;
};

NODISCARD enum rc directory_new(struct directory **out, const struct directory_events *events,
                                struct err *err);
void directory_free(struct directory **dir);

/* Apply one line of the stream (a parsed object). RC_MALFORMED: not one of the known shapes. */
NODISCARD enum rc directory_apply(struct directory *dir, const json_t *line, struct err *err);
/* A snapshot has been whole at least once. */
bool directory_is_loaded(const struct directory *dir);

struct directory_number {
    uint64_t id, account, waba_id, business_id;
    bool is_registered;
};
bool directory_number_by_id(struct directory *dir, uint64_t id, struct directory_number *out);
bool directory_number_by_account(struct directory *dir, uint64_t account,
                                 struct directory_number *out);
/* The number's certificate in binary; false: none. */
bool directory_certificate(struct directory *dir, uint64_t account, struct buf *out);
/* The app's secret, at most 128 bytes; false: unknown app. */
bool directory_app_secret(struct directory *dir, uint64_t app, char out[129]);

/* Who is told about an event of a field on this number. */
struct directory_target {
    uint64_t app;
    char url[DIRECTORY_URL_MAX];
    unsigned version_major; /* of the app's subscription: shapes differ up to v23 */
};
struct directory_targets {
    uint64_t number_id, waba_id;
    size_t n;
    struct directory_target target[DIRECTORY_TARGETS_MAX];
};
/* False: the number is unknown. n may be 0: nobody is subscribed. */
bool directory_targets(struct directory *dir, uint64_t account, const char *field,
                       struct directory_targets *out);

#endif

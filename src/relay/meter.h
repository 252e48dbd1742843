/* meter.h - counting what businesses send: one event per message and category, when first stored.
 *
 * Counts are gathered per batch and written with one upsert per account, hour and category, in the
 * transaction that stores the messages (I36). Thread rule: the store's writer thread. */
#ifndef PARLEY_RELAY_METER_H
#define PARLEY_RELAY_METER_H

#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

#define METER_BATCH_MAX 32u

struct meter_batch {
    uint32_t n;
    struct meter_count {
        uint64_t account, count;
        int64_t hour; /* Unix hours */
        uint32_t category;
    } counts[METER_BATCH_MAX];
};

/* Add one event; writes what is gathered when there is no room. */
NODISCARD enum rc meter_add(struct meter_batch *meter, struct store_tx *tx, uint64_t account,
                            int64_t now_ms, uint32_t category, struct err *err);
/* Write and forget what is gathered. */
NODISCARD enum rc meter_write(struct meter_batch *meter, struct store_tx *tx, struct err *err);

#endif

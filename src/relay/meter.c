/* meter.c - the gathered counts of one batch. */
#include "relay/meter.h"

#include "relay/sql.h"

#define HOUR_OF_MS (3600 * 1000)

enum rc
meter_write(struct meter_batch *meter, struct store_tx *tx, struct err *err)
{
    for (uint32_t i = 0; i < meter->n; i++) {
        const struct meter_count *c = &meter->counts[i];
        enum rc rc =
            store_run(tx, &relay_part, SQL_METER_ADD, NULL, err,
                      ST_ARGS(ST_I(c->account), ST_I(c->hour), ST_I(c->category), ST_I(c->count)));

        if (rc != RC_OK)
            return rc;
    }
    meter->n = 0;
    return RC_OK;
}

enum rc
meter_add(struct meter_batch *meter, struct store_tx *tx, uint64_t account, int64_t now_ms,
          uint32_t category, struct err *err)
{
    int64_t hour = now_ms / HOUR_OF_MS;
    enum rc rc;

    for (uint32_t i = 0; i < meter->n; i++) {
        struct meter_count *c = &meter->counts[i];

        if (c->account == account && c->hour == hour && c->category == category) {
            c->count++;
            return RC_OK;
        }
    }
    if (meter->n == METER_BATCH_MAX && (rc = meter_write(meter, tx, err)) != RC_OK)
        return rc;
    meter->counts[meter->n++] =
        (struct meter_count){.account = account, .hour = hour, .category = category, .count = 1};
    return RC_OK;
}

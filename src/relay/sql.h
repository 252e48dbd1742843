/* sql.h - the relay's tables and every statement that touches them.
 *
 * Account tables lead with the account, sweepers' tables with `part` (which sweeper owns the row: 0
 * on one machine), and every statement but the operator's totals has an equality on that column.
 * Source: docs/protocol/relay.md, "Tables". */
#ifndef PARLEY_RELAY_SQL_H
#define PARLEY_RELAY_SQL_H

#include "store/store.h"

extern const struct store_part relay_part;

enum relay_sql {
    /* accounts and devices */
    SQL_ACCOUNT_GET,
    SQL_ACCOUNT_ADD,
    SQL_ACCOUNT_REGISTERED,
    SQL_ACCOUNT_GENERATION,
    SQL_ACCOUNT_CERT,
    SQL_ACCOUNT_PIN,
    SQL_ACCOUNT_PIN_TRY,
    SQL_DEVICES_GET,
    SQL_DEVICE_GET,
    SQL_DEVICE_PUT,
    SQL_DEVICE_REMOVE,
    SQL_DEVICE_COUNTER,
    SQL_DEVICE_SIGNED,
    SQL_DEVICE_ONE_TIME,
    SQL_BUNDLES_GET,
    /* one-time prekeys */
    SQL_PREKEY_ADD,
    SQL_PREKEY_OLDEST,
    SQL_PREKEY_SPEND,
    SQL_PREKEY_SPEND_ALL,
    SQL_PREKEY_FORGET_OLD,
    /* codes and tickets */
    SQL_CODE_GET,
    SQL_CODE_PUT,
    SQL_CODE_TRY,
    SQL_CODE_BURN,
    SQL_CODE_DROP,
    SQL_TICKET_PUT,
    SQL_TICKET_GET,
    SQL_TICKET_DROP,
    SQL_TICKET_DROP_OLD,
    /* lanes and envelopes */
    SQL_LANE_GET,
    SQL_LANE_ADD,
    SQL_LANE_SAVE,
    SQL_LANE_CLAIM,
    SQL_LANES_GET,
    SQL_ENVELOPE_ADD,
    SQL_ENVELOPE_SEEN,
    SQL_ENVELOPE_REVIVE,
    SQL_ENVELOPE_ACK,
    SQL_ENVELOPE_PAGE,
    SQL_ENVELOPE_DUE,
    SQL_ENVELOPE_NEXT_DUE,
    SQL_ENVELOPE_OLD_GENERATION,
    SQL_ENVELOPE_CLOSE,
    SQL_ENVELOPE_FORGET,
    /* what sweepers have to do */
    SQL_DUE_ADD,
    SQL_DUE_DROP,
    SQL_DUE_NOW,
    /* counters */
    SQL_METER_ADD,
    SQL_METER_GET,
    SQL_QUALITY_ADD,
    SQL_NOTE_PUT,
    SQL_NOTE_GET,
    /* the operator's totals: the only statements that look at every account */
    SQL_TOTAL_ACCOUNTS,
    SQL_TOTAL_DEVICES,
    SQL_TOTAL_LANES,
    SQL_TOTAL_PENDING,
    SQL_TOTAL_METER,
    SQL_COUNT
};

/* What a row of `envelope` is by now. Only ENVELOPE_PENDING rows have a body and can be handed out.
 */
enum envelope_state { ENVELOPE_PENDING, ENVELOPE_ACKED, ENVELOPE_EXPIRED, ENVELOPE_PURGED };

/* Kinds of a row in `due`. */
enum due_kind {
    DUE_EXPIRY = 1, /* a lane's earliest expiry may have come */
    DUE_PURGE,      /* envelopes of an old registration wait to be returned */
    DUE_FORGET,     /* dedupe rows past their time */
    DUE_CODE        /* codes and tickets of a number past their time */
};

/* Rows of `note`, values that outlive the process. */
enum note_key { NOTE_CLOCK_OFFSET = 1, NOTE_CLOCK_SEEN };

#endif

/* sql.c - the text of the relay's schema and statements; nothing else.
 *
 * The envelope row is the dedupe row: its key is (recipient device, message id, sender device), and
 * when it has been acknowledged, expired or purged it stays without its body until the message id
 * is 31 days old. The index over pending rows is partial, so it stays as small as what is really
 * queued, and it carries all that paging and expiry need to find their rows. Source:
 * docs/protocol/relay.md, "Tables". */
#include "relay/sql.h"

#include "base/attr.h"

static const char *const migrations[] = {
    "CREATE TABLE account ("
    " account BIGINT PRIMARY KEY,"
    " is_business INT NOT NULL DEFAULT 0,"
    " generation BIGINT NOT NULL DEFAULT 0,"
    " certificate BLOB,"
    " pin TEXT,"
    " pin_tries INT NOT NULL DEFAULT 0,"
    " pin_until_ms BIGINT NOT NULL DEFAULT 0);"

    "CREATE TABLE device ("
    " account BIGINT NOT NULL,"
    " device INT NOT NULL,"
    " generation BIGINT NOT NULL,"
    " is_active INT NOT NULL,"
    " noise_key BLOB NOT NULL,"
    " registration_id INT NOT NULL,"
    " identity_key BLOB NOT NULL,"
    " signed_id INT NOT NULL,"
    " signed_key BLOB NOT NULL,"
    " signed_signature BLOB NOT NULL,"
    " signed_created_ms BIGINT NOT NULL,"
    " statement BLOB NOT NULL,"
    " statement_signature BLOB NOT NULL,"
    " highest_counter BIGINT NOT NULL DEFAULT 0,"
    " one_time_left INT NOT NULL DEFAULT 0,"
    " prekey_order BIGINT NOT NULL DEFAULT 0,"
    " registered_ms BIGINT NOT NULL,"
    " PRIMARY KEY (account, device));"

    /* A served key keeps its row without the key; the tag, a part of it, stays and is unique, so no
     * upload sent twice and no new registration can bring the key back (I26). */
    "CREATE TABLE prekey ("
    " account BIGINT NOT NULL,"
    " device INT NOT NULL,"
    " tag BLOB NOT NULL,"
    " key_id INT NOT NULL,"
    " place BIGINT NOT NULL,"
    " key BLOB,"
    " added_ms BIGINT NOT NULL,"
    " PRIMARY KEY (account, device, tag));"
    "CREATE INDEX prekey_unserved ON prekey (account, device, place) WHERE key IS NOT NULL;"

    "CREATE TABLE code ("
    " account BIGINT PRIMARY KEY,"
    " hash BLOB NOT NULL,"
    " expires_ms BIGINT NOT NULL,"
    " tries INT NOT NULL,"
    " window_ms BIGINT NOT NULL,"
    " requests INT NOT NULL);"

    "CREATE TABLE ticket ("
    " account BIGINT NOT NULL,"
    " hash BLOB NOT NULL,"
    " noise_key BLOB NOT NULL,"
    " expires_ms BIGINT NOT NULL,"
    " PRIMARY KEY (account, hash));"

    "CREATE TABLE lane ("
    " account BIGINT NOT NULL,"
    " device INT NOT NULL,"
    " lane INT NOT NULL,"
    " generation BIGINT NOT NULL DEFAULT 0," /* with lease_epoch: the highest that ever logged in */
    " lease_epoch BIGINT NOT NULL DEFAULT 0,"
    " last_seq BIGINT NOT NULL DEFAULT 0,"
    " acked_seq BIGINT NOT NULL DEFAULT 0,"
    " pending BIGINT NOT NULL DEFAULT 0,"
    " pending_bytes BIGINT NOT NULL DEFAULT 0,"
    " due_ms BIGINT NOT NULL DEFAULT 0," /* 0: nothing can expire; else not after the first expiry
                                          */
    " enqueued BIGINT NOT NULL DEFAULT 0,"
    " acked BIGINT NOT NULL DEFAULT 0,"
    " expired BIGINT NOT NULL DEFAULT 0,"
    " purged BIGINT NOT NULL DEFAULT 0,"
    " duplicates BIGINT NOT NULL DEFAULT 0,"
    " PRIMARY KEY (account, device, lane));"

    "CREATE TABLE envelope ("
    " account BIGINT NOT NULL,"
    " device INT NOT NULL,"
    " message_id BLOB NOT NULL,"
    " sender BIGINT NOT NULL,"
    " sender_device INT NOT NULL,"
    " lane INT NOT NULL,"
    " seq BIGINT NOT NULL,"
    " generation BIGINT NOT NULL,"
    " state INT NOT NULL,"
    " size INT NOT NULL,"
    " meta INT NOT NULL,"
    " accepted_ms BIGINT NOT NULL,"
    " expires_ms BIGINT NOT NULL,"
    " body BLOB,"
    " PRIMARY KEY (account, device, message_id, sender, sender_device));"
    "CREATE INDEX envelope_pending ON envelope (account, device, lane, seq, expires_ms, generation)"
    " WHERE state = 0;"

    "CREATE TABLE due ("
    " part INT NOT NULL,"
    " at_ms BIGINT NOT NULL,"
    " kind INT NOT NULL,"
    " account BIGINT NOT NULL,"
    " device INT NOT NULL,"
    " lane INT NOT NULL,"
    " PRIMARY KEY (part, at_ms, kind, account, device, lane));"

    "CREATE TABLE meter ("
    " account BIGINT NOT NULL,"
    " hour BIGINT NOT NULL,"
    " category INT NOT NULL,"
    " count BIGINT NOT NULL,"
    " PRIMARY KEY (account, hour, category));"

    "CREATE TABLE quality ("
    " account BIGINT NOT NULL,"
    " hour BIGINT NOT NULL,"
    " blocks BIGINT NOT NULL,"
    " unblocks BIGINT NOT NULL,"
    " PRIMARY KEY (account, hour));"

    "CREATE TABLE note ("
    " part INT NOT NULL,"
    " name INT NOT NULL,"
    " value BIGINT NOT NULL,"
    " PRIMARY KEY (part, name));",
};

static const char *const statements[SQL_COUNT] = {
    [SQL_ACCOUNT_GET] = "SELECT is_business, generation, certificate, pin, pin_tries, pin_until_ms"
                        " FROM account WHERE account = ?1",
    [SQL_ACCOUNT_ADD] = "INSERT INTO account (account) VALUES (?1)"
                        " ON CONFLICT (account) DO NOTHING",
    [SQL_ACCOUNT_REGISTERED] = "UPDATE account SET is_business = ?2, generation = ?3,"
                               " certificate = ?4, pin_tries = 0, pin_until_ms = 0"
                               " WHERE account = ?1",
    [SQL_ACCOUNT_GENERATION] = "UPDATE account SET generation = ?2 WHERE account = ?1",
    [SQL_ACCOUNT_CERT] = "UPDATE account SET certificate = ?2 WHERE account = ?1",
    [SQL_ACCOUNT_PIN] = "UPDATE account SET pin = ?2 WHERE account = ?1",
    [SQL_ACCOUNT_PIN_TRY] = "UPDATE account SET pin_tries = pin_tries + 1, pin_until_ms = ?2"
                            " WHERE account = ?1",
    [SQL_DEVICES_GET] = "SELECT d.device, d.registration_id, d.identity_key, d.generation,"
                        " a.is_business FROM device d JOIN account a ON a.account = d.account"
                        " WHERE d.account = ?1 AND d.is_active = 1 ORDER BY d.device",
    [SQL_DEVICE_GET] = "SELECT generation, is_active, noise_key, highest_counter, one_time_left,"
                       " signed_id, prekey_order, identity_key, registration_id"
                       " FROM device WHERE account = ?1 AND device = ?2",
    [SQL_DEVICE_PUT] =
        "INSERT INTO device (account, device, generation, is_active, noise_key, registration_id,"
        " identity_key, signed_id, signed_key, signed_signature, signed_created_ms, statement,"
        " statement_signature, registered_ms)"
        " VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT (account, device) DO UPDATE SET generation = ?3, is_active = 1,"
        " noise_key = ?4, registration_id = ?5, identity_key = ?6, signed_id = ?7,"
        " signed_key = ?8, signed_signature = ?9, signed_created_ms = ?10, statement = ?11,"
        " statement_signature = ?12, registered_ms = ?13, highest_counter = 0,"
        " one_time_left = 0, prekey_order = 0",
    [SQL_DEVICE_REMOVE] = "UPDATE device SET is_active = 0, one_time_left = 0"
                          " WHERE account = ?1 AND device = ?2",
    [SQL_DEVICE_COUNTER] = "UPDATE device SET highest_counter = ?3"
                           " WHERE account = ?1 AND device = ?2 AND highest_counter < ?3",
    [SQL_DEVICE_SIGNED] = "UPDATE device SET signed_id = ?3, signed_key = ?4,"
                          " signed_signature = ?5, signed_created_ms = ?6"
                          " WHERE account = ?1 AND device = ?2",
    [SQL_DEVICE_ONE_TIME] = "UPDATE device SET one_time_left = ?3, prekey_order = ?4"
                            " WHERE account = ?1 AND device = ?2",
    [SQL_BUNDLES_GET] = "SELECT device, registration_id, identity_key, signed_id, signed_key,"
                        " signed_signature, signed_created_ms, statement, statement_signature,"
                        " one_time_left, prekey_order"
                        " FROM device WHERE account = ?1 AND is_active = 1 ORDER BY device",

    [SQL_PREKEY_ADD] = "INSERT INTO prekey (account, device, tag, key_id, place, key, added_ms)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                       " ON CONFLICT (account, device, tag) DO NOTHING",
    [SQL_PREKEY_OLDEST] = "SELECT key_id, key FROM prekey"
                          " WHERE account = ?1 AND device = ?2 AND key IS NOT NULL"
                          " ORDER BY place LIMIT 1",
    [SQL_PREKEY_SPEND] = "UPDATE prekey SET key = NULL"
                         " WHERE account = ?1 AND device = ?2 AND tag = ?3",
    [SQL_PREKEY_SPEND_ALL] = "UPDATE prekey SET key = NULL"
                             " WHERE account = ?1 AND device = ?2 AND key IS NOT NULL",
    [SQL_PREKEY_FORGET_OLD] = "DELETE FROM prekey WHERE account = ?1 AND device = ?2"
                              " AND key IS NULL AND added_ms < ?3",

    [SQL_CODE_GET] = "SELECT hash, expires_ms, tries, window_ms, requests FROM code"
                     " WHERE account = ?1",
    [SQL_CODE_PUT] = "INSERT INTO code (account, hash, expires_ms, tries, window_ms, requests)"
                     " VALUES (?1, ?2, ?3, 0, ?4, ?5)"
                     " ON CONFLICT (account) DO UPDATE SET hash = ?2, expires_ms = ?3, tries = 0,"
                     " window_ms = ?4, requests = ?5",
    [SQL_CODE_TRY] = "UPDATE code SET tries = tries + 1 WHERE account = ?1",
    [SQL_CODE_BURN] = "UPDATE code SET expires_ms = 0 WHERE account = ?1",
    [SQL_CODE_DROP] = "DELETE FROM code WHERE account = ?1 AND expires_ms < ?2"
                      " AND window_ms < ?3",
    [SQL_TICKET_PUT] = "INSERT INTO ticket (account, hash, noise_key, expires_ms)"
                       " VALUES (?1, ?2, ?3, ?4)",
    [SQL_TICKET_GET] = "SELECT noise_key, expires_ms FROM ticket WHERE account = ?1 AND hash = ?2",
    [SQL_TICKET_DROP] = "DELETE FROM ticket WHERE account = ?1 AND hash = ?2",
    [SQL_TICKET_DROP_OLD] = "DELETE FROM ticket WHERE account = ?1 AND expires_ms < ?2",

    [SQL_LANE_GET] = "SELECT generation, lease_epoch, last_seq, acked_seq, pending, pending_bytes,"
                     " due_ms, enqueued, acked, expired, purged, duplicates FROM lane"
                     " WHERE account = ?1 AND device = ?2 AND lane = ?3",
    [SQL_LANE_ADD] = "INSERT INTO lane (account, device, lane) VALUES (?1, ?2, ?3)"
                     " ON CONFLICT (account, device, lane) DO NOTHING",
    [SQL_LANE_SAVE] = "UPDATE lane SET last_seq = ?4, acked_seq = ?5, pending = ?6,"
                      " pending_bytes = ?7, due_ms = ?8, enqueued = ?9, acked = ?10, expired = ?11,"
                      " purged = ?12, duplicates = ?13"
                      " WHERE account = ?1 AND device = ?2 AND lane = ?3",
    [SQL_LANE_CLAIM] = "UPDATE lane SET generation = ?4, lease_epoch = ?5"
                       " WHERE account = ?1 AND device = ?2 AND lane = ?3",
    [SQL_LANES_GET] = "SELECT lane, generation, lease_epoch, last_seq, acked_seq, pending,"
                      " pending_bytes, enqueued, acked, expired, purged, duplicates FROM lane"
                      " WHERE account = ?1 AND device = ?2 ORDER BY lane",

    [SQL_ENVELOPE_ADD] =
        "INSERT INTO envelope (account, device, message_id, sender, sender_device, lane, seq,"
        " generation, state, size, meta, accepted_ms, expires_ms, body)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT (account, device, message_id, sender, sender_device) DO NOTHING",
    [SQL_ENVELOPE_SEEN] = "SELECT state FROM envelope WHERE account = ?1 AND device = ?2"
                          " AND message_id = ?3 AND sender = ?4 AND sender_device = ?5",
    [SQL_ENVELOPE_REVIVE] =
        "UPDATE envelope SET lane = ?6, seq = ?7, generation = ?8, state = 0, size = ?9,"
        " meta = ?10, accepted_ms = ?11, expires_ms = ?12, body = ?13"
        " WHERE account = ?1 AND device = ?2 AND message_id = ?3 AND sender = ?4"
        " AND sender_device = ?5 AND state = 3",
    [SQL_ENVELOPE_ACK] = "UPDATE envelope SET state = 1, body = NULL WHERE account = ?1"
                         " AND device = ?2 AND lane = ?3 AND seq > ?4 AND seq <= ?5"
                         " AND expires_ms > ?7 AND generation = ?6 AND state = 0 RETURNING size",
    [SQL_ENVELOPE_PAGE] =
        "SELECT seq, sender, sender_device, message_id, meta, accepted_ms, expires_ms, body"
        " FROM envelope WHERE account = ?1 AND device = ?2 AND lane = ?3 AND seq > ?4"
        " AND expires_ms > ?5 AND generation = ?6 AND state = 0 ORDER BY seq LIMIT ?7",
    [SQL_ENVELOPE_DUE] = "SELECT seq, sender, sender_device, message_id, meta, size FROM envelope"
                         " WHERE account = ?1 AND device = ?2 AND lane = ?3 AND expires_ms <= ?4"
                         " AND state = 0 ORDER BY seq LIMIT ?5",
    [SQL_ENVELOPE_NEXT_DUE] = "SELECT MIN(expires_ms) FROM envelope WHERE account = ?1"
                              " AND device = ?2 AND lane = ?3 AND state = 0",
    [SQL_ENVELOPE_OLD_GENERATION] =
        "SELECT seq, sender, sender_device, message_id, meta, size FROM envelope"
        " WHERE account = ?1 AND device = ?2 AND lane = ?3 AND generation < ?4 AND state = 0"
        " ORDER BY seq LIMIT ?5",
    [SQL_ENVELOPE_CLOSE] = "UPDATE envelope SET state = ?6, body = NULL"
                           " WHERE account = ?1 AND device = ?2 AND message_id = ?3"
                           " AND sender = ?4 AND sender_device = ?5",
    [SQL_ENVELOPE_FORGET] =
        "DELETE FROM envelope WHERE account = ?1 AND device = ?2 AND message_id IN"
        " (SELECT message_id FROM envelope WHERE account = ?1 AND device = ?2"
        "  AND message_id < ?3 AND state <> 0 LIMIT ?4) AND state <> 0",

    [SQL_DUE_ADD] = "INSERT INTO due (part, at_ms, kind, account, device, lane)"
                    " VALUES (0, ?1, ?2, ?3, ?4, ?5)"
                    " ON CONFLICT (part, at_ms, kind, account, device, lane) DO NOTHING",
    [SQL_DUE_DROP] = "DELETE FROM due WHERE part = 0 AND at_ms = ?1 AND kind = ?2"
                     " AND account = ?3 AND device = ?4 AND lane = ?5",
    [SQL_DUE_NOW] = "SELECT at_ms, kind, account, device, lane FROM due"
                    " WHERE part = 0 AND at_ms <= ?1 ORDER BY at_ms LIMIT ?2",

    [SQL_METER_ADD] = "INSERT INTO meter (account, hour, category, count) VALUES (?1, ?2, ?3, ?4)"
                      " ON CONFLICT (account, hour, category)"
                      " DO UPDATE SET count = meter.count + ?4",
    [SQL_METER_GET] = "SELECT hour, category, count FROM meter WHERE account = ?1"
                      " ORDER BY hour, category",
    [SQL_QUALITY_ADD] = "INSERT INTO quality (account, hour, blocks, unblocks)"
                        " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (account, hour)"
                        " DO UPDATE SET blocks = quality.blocks + ?3,"
                        " unblocks = quality.unblocks + ?4",
    [SQL_NOTE_PUT] = "INSERT INTO note (part, name, value) VALUES (0, ?1, ?2)"
                     " ON CONFLICT (part, name) DO UPDATE SET value = ?2",
    [SQL_NOTE_GET] = "SELECT value FROM note WHERE part = 0 AND name = ?1",

    [SQL_TOTAL_ACCOUNTS] = "SELECT is_business, COUNT(*) FROM account GROUP BY is_business",
    [SQL_TOTAL_DEVICES] = "SELECT is_active, COUNT(*), SUM(one_time_left) FROM device"
                          " GROUP BY is_active",
    [SQL_TOTAL_LANES] = "SELECT COUNT(*), SUM(enqueued), SUM(acked), SUM(expired), SUM(purged),"
                        " SUM(pending), SUM(pending_bytes), SUM(duplicates) FROM lane",
    [SQL_TOTAL_PENDING] = "SELECT COUNT(*), SUM(size) FROM envelope WHERE state = 0",
    [SQL_TOTAL_METER] = "SELECT category, SUM(count) FROM meter GROUP BY category",
};

const struct store_part relay_part = {
    .name = "relay",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ARRAY_LEN(statements),
};

/* tables.c - what an endpoint keeps, and every statement over it.
 *
 * Every key leads with the account. Peers appear only as keyed hashes; payloads, publish frames,
 * sessions and private keys are sealed (crypto/seal.h). Source: docs/protocol/at-rest.md. */
#include "endpoint/tables.h"

#include "endpoint/endpoint.h"

static const char *const migrations[] = {
    "CREATE TABLE end_self(account BIGINT PRIMARY KEY, state INTEGER NOT NULL,"
    " device INTEGER NOT NULL, generation BIGINT NOT NULL, registration_id INTEGER NOT NULL,"
    " counter BIGINT NOT NULL, ord BIGINT NOT NULL, next_prekey INTEGER NOT NULL,"
    " next_signed INTEGER NOT NULL, secret BLOB NOT NULL, server_key BLOB,"
    " server_key_until_s BIGINT NOT NULL DEFAULT 0);"
    "CREATE TABLE end_signed(account BIGINT NOT NULL, id INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL, is_uploaded INTEGER NOT NULL, secret BLOB NOT NULL,"
    " PRIMARY KEY(account, id));"
    "CREATE TABLE end_prekey(account BIGINT NOT NULL, id INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL, secret BLOB NOT NULL, PRIMARY KEY(account, id));"
    "CREATE TABLE end_device(account BIGINT NOT NULL, peer BLOB NOT NULL, device INTEGER NOT NULL,"
    " is_listed INTEGER NOT NULL, registration_id INTEGER NOT NULL, identity BLOB NOT NULL,"
    " hosting INTEGER NOT NULL, version BIGINT NOT NULL, record BLOB,"
    " unanswered INTEGER NOT NULL, used_ms BIGINT NOT NULL, PRIMARY KEY(account, peer, device));"
    "CREATE TABLE end_out(account BIGINT NOT NULL, ord BIGINT NOT NULL, shown_id BLOB NOT NULL,"
    " message_id BLOB NOT NULL, peer BLOB NOT NULL, class INTEGER NOT NULL,"
    " state INTEGER NOT NULL, counter BIGINT NOT NULL, expires_ms BIGINT NOT NULL,"
    " resends INTEGER NOT NULL, payload BLOB NOT NULL, publish BLOB,"
    " PRIMARY KEY(account, ord));"
    "CREATE INDEX end_out_shown ON end_out(account, shown_id);"
    "CREATE INDEX end_out_resend ON end_out(account, message_id) WHERE resends > 0;"
    "CREATE INDEX end_out_waiting ON end_out(account, peer, ord) WHERE state = 0;"
    "CREATE INDEX end_out_sealed ON end_out(account, counter) WHERE state = 1;"
    "CREATE TABLE end_seen(account BIGINT NOT NULL, message_id BLOB NOT NULL, peer BLOB NOT NULL,"
    " at_ms BIGINT NOT NULL, PRIMARY KEY(account, message_id, peer));"
    "CREATE TABLE end_failure(account BIGINT NOT NULL, message_id BLOB NOT NULL,"
    " peer BLOB NOT NULL, attempts INTEGER NOT NULL, at_ms BIGINT NOT NULL,"
    " PRIMARY KEY(account, message_id, peer));",
};

static const char *const statements[ENDPOINT_STMTS] = {
    [SQL_SELF_GET] = "SELECT state, device, generation, registration_id, counter, ord, next_prekey,"
                     " next_signed, secret, server_key, server_key_until_s"
                     " FROM end_self WHERE account = ?1",
    [SQL_SELF_PUT] =
        "INSERT INTO end_self(account, state, device, generation, registration_id, counter, ord,"
        " next_prekey, next_signed, secret) VALUES(?1, 0, 1, 0, ?2, ?3, ?4, ?5, ?6, ?7)"
        " ON CONFLICT(account) DO UPDATE SET state = 0, device = 1, generation = 0,"
        " registration_id = excluded.registration_id, next_prekey = excluded.next_prekey,"
        " next_signed = excluded.next_signed, secret = excluded.secret",
    [SQL_SELF_REGISTERED] =
        "UPDATE end_self SET state = 1, device = ?2, generation = ?3 WHERE account = ?1",
    [SQL_SELF_COUNTERS] = "UPDATE end_self SET counter = ?2, ord = ?3 WHERE account = ?1",
    [SQL_SELF_SERVER_KEY] =
        "UPDATE end_self SET server_key = ?2, server_key_until_s = ?3 WHERE account = ?1",
    [SQL_SELF_UNREGISTERED] =
        "UPDATE end_self SET state = -1, generation = 0, secret = x'' WHERE account = ?1",
    [SQL_SELF_ALL] = "SELECT account FROM end_self ORDER BY account",
    [SQL_SELF_NEXT_PREKEY] =
        "UPDATE end_self SET next_prekey = ?2, next_signed = ?3 WHERE account = ?1",
    [SQL_SIGNED_PUT] = "INSERT INTO end_signed(account, id, created_ms, is_uploaded, secret)"
                       " VALUES(?1, ?2, ?3, 0, ?4)",
    [SQL_SIGNED_GET] = "SELECT created_ms, secret FROM end_signed WHERE account = ?1 AND id = ?2",
    /* of those that the relay has */
    [SQL_SIGNED_NEWEST] = "SELECT id, created_ms FROM end_signed"
                          " WHERE account = ?1 AND is_uploaded = 1"
                          " ORDER BY created_ms DESC, id DESC LIMIT 1",
    [SQL_SIGNED_UPLOADED] = "UPDATE end_signed SET is_uploaded = 1 WHERE account = ?1 AND id = ?2",
    [SQL_SIGNED_UNMARK] = "UPDATE end_signed SET is_uploaded = 0 WHERE account = ?1",
    [SQL_SIGNED_SWEEP] =
        "DELETE FROM end_signed WHERE account = ?1 AND created_ms < ?2 AND id <> ?3",
    [SQL_SIGNED_CLEAR] = "DELETE FROM end_signed WHERE account = ?1",
    [SQL_PREKEY_PUT] =
        "INSERT INTO end_prekey(account, id, created_ms, secret) VALUES(?1, ?2, ?3, ?4)"
        " ON CONFLICT(account, id) DO UPDATE SET created_ms = excluded.created_ms,"
        " secret = excluded.secret",
    [SQL_PREKEY_GET] = "SELECT secret FROM end_prekey WHERE account = ?1 AND id = ?2",
    [SQL_PREKEY_DELETE] = "DELETE FROM end_prekey WHERE account = ?1 AND id = ?2",
    [SQL_PREKEY_SWEEP] = "DELETE FROM end_prekey WHERE account = ?1 AND created_ms < ?2",
    [SQL_PREKEY_CLEAR] = "DELETE FROM end_prekey WHERE account = ?1",
    [SQL_DEVICE_OF_PEER] =
        "SELECT device, registration_id, identity, version, record, unanswered, hosting"
        " FROM end_device WHERE account = ?1 AND peer = ?2 AND is_listed = 1 ORDER BY device",
    [SQL_DEVICE_GET] = "SELECT registration_id, identity, version, record, hosting, unanswered"
                       " FROM end_device WHERE account = ?1 AND peer = ?2 AND device = ?3",
    [SQL_DEVICE_PUT] =
        "INSERT INTO end_device(account, peer, device, is_listed, registration_id, identity,"
        " hosting, version, record, unanswered, used_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10)"
        " ON CONFLICT(account, peer, device) DO UPDATE SET is_listed = excluded.is_listed,"
        " registration_id = excluded.registration_id, identity = excluded.identity,"
        " hosting = excluded.hosting, version = excluded.version, record = excluded.record,"
        " unanswered = 0, used_ms = excluded.used_ms",
    /* compare-and-set on the row version */
    [SQL_DEVICE_SESSION] =
        "UPDATE end_device SET version = ?4 + 1, record = ?5, unanswered = ?6, used_ms = ?7"
        " WHERE account = ?1 AND peer = ?2 AND device = ?3 AND version = ?4",
    [SQL_DEVICE_UNLIST] = "UPDATE end_device SET is_listed = 0 WHERE account = ?1 AND peer = ?2",
    [SQL_DEVICE_RELIST] = "UPDATE end_device SET is_listed = 1, hosting = ?4"
                          " WHERE account = ?1 AND peer = ?2 AND device = ?3",
    [SQL_DEVICE_HOSTING] =
        "UPDATE end_device SET hosting = ?4 WHERE account = ?1 AND peer = ?2 AND device = ?3",
    [SQL_DEVICE_STALE] = "UPDATE end_device SET unanswered = ?3"
                         " WHERE account = ?1 AND peer = ?2 AND unanswered < ?3",
    [SQL_DEVICE_ALL_STALE] = "UPDATE end_device SET unanswered = ?2 WHERE account = ?1",
    [SQL_DEVICE_CLEAR] = "DELETE FROM end_device WHERE account = ?1",
    [SQL_OUT_INSERT] =
        "INSERT INTO end_out(account, ord, shown_id, message_id, peer, class, state, counter,"
        " expires_ms, resends, payload, publish)"
        " VALUES(?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10)",
    [SQL_OUT_IS_PEER_WAITING] =
        "SELECT 1 FROM end_out WHERE account = ?1 AND peer = ?2 AND state = 0 LIMIT 1",
    [SQL_OUT_WAITING_OF_PEER] =
        "SELECT ord, message_id, class, counter, expires_ms, payload, publish, shown_id"
        " FROM end_out WHERE account = ?1 AND peer = ?2 AND state = 0 AND ord > ?3"
        " ORDER BY ord LIMIT 1",
    [SQL_OUT_WAITING_PEERS] =
        "SELECT peer, MIN(ord) FROM end_out WHERE account = ?1 AND state = 0 AND peer > ?2"
        " GROUP BY peer ORDER BY peer LIMIT 64",
    [SQL_OUT_SEALED] = "UPDATE end_out SET state = 1, counter = ?3, publish = ?4"
                       " WHERE account = ?1 AND ord = ?2 AND state = 0",
    [SQL_OUT_SENT] = "UPDATE end_out SET state = 2, publish = NULL"
                     " WHERE account = ?1 AND ord = ?2 AND state = 1",
    [SQL_OUT_BACK_TO_WAITING] = "UPDATE end_out SET state = 0"
                                " WHERE account = ?1 AND ord = ?2 AND state IN (1, 2)",
    [SQL_OUT_GET] = "SELECT shown_id, message_id, peer, class, state, payload, publish, resends,"
                    " expires_ms FROM end_out WHERE account = ?1 AND ord = ?2",
    [SQL_OUT_BY_SHOWN] =
        "SELECT ord, message_id, state, resends FROM end_out WHERE account = ?1 AND shown_id = ?2",
    [SQL_OUT_BY_RESEND] = "SELECT ord, message_id, state, resends FROM end_out"
                          " WHERE account = ?1 AND message_id = ?2 AND resends > 0",
    [SQL_OUT_RESEND] = "UPDATE end_out SET state = 0, message_id = ?3, publish = NULL,"
                       " resends = resends + 1, payload = ?4 WHERE account = ?1 AND ord = ?2",
    [SQL_OUT_DELETE] = "DELETE FROM end_out WHERE account = ?1 AND ord = ?2",
    /* also where the relay's answer is still on its way: a receipt proves more than that */
    [SQL_OUT_FORGET] = "DELETE FROM end_out WHERE account = ?1 AND shown_id = ?2 AND state > 0",
    [SQL_OUT_UNPUBLISHED] =
        "SELECT ord, counter, publish FROM end_out"
        " WHERE account = ?1 AND state = 1 AND counter > ?2 ORDER BY counter LIMIT ?3",
    [SQL_OUT_DUE] = "SELECT ord FROM end_out WHERE account = ?1 AND expires_ms < ?2 AND ord > ?3"
                    " ORDER BY ord LIMIT 100",
    [SQL_SEEN_INSERT] = "INSERT INTO end_seen(account, message_id, peer, at_ms)"
                        " VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    [SQL_SEEN_DELETE] = "DELETE FROM end_seen WHERE account = ?1 AND message_id = ?2 AND peer = ?3",
    [SQL_SEEN_SWEEP] = "DELETE FROM end_seen WHERE account = ?1 AND at_ms < ?2",
    [SQL_FAILURE_BUMP] =
        "INSERT INTO end_failure(account, message_id, peer, attempts, at_ms)"
        " VALUES(?1, ?2, ?3, 1, ?4) ON CONFLICT(account, message_id, peer) DO UPDATE SET"
        " attempts = end_failure.attempts + 1, at_ms = excluded.at_ms",
    [SQL_FAILURE_GET] =
        "SELECT attempts FROM end_failure WHERE account = ?1 AND message_id = ?2 AND peer = ?3",
    [SQL_FAILURE_SWEEP] = "DELETE FROM end_failure WHERE account = ?1 AND at_ms < ?2",
};

const struct store_part endpoint_part = {
    .name = "endpoint",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ARRAY_LEN(statements),
};

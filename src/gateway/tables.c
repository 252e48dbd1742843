/* tables.c - what a gateway keeps about messages beside the endpoint's own tables.
 *
 * Every key leads with the number (account). Peers are keyed hashes; a peer's digits and the
 * caller's opaque data are sealed in `info`. No content is kept here: outgoing payloads are the
 * endpoint's until delivered, incoming ones live in the webhook queue until taken. */
#include "gateway/tables.h"

#include "gateway/gateway.h"

static const char *const migrations[] = {
    "CREATE TABLE gw_lease(account BIGINT PRIMARY KEY, holder TEXT NOT NULL, epoch BIGINT NOT NULL,"
    " boot TEXT NOT NULL, until_ms BIGINT NOT NULL);"
    "CREATE TABLE gw_msg(account BIGINT NOT NULL, message_id BLOB NOT NULL, state INTEGER NOT NULL,"
    " peer BLOB NOT NULL, accepted_ms BIGINT NOT NULL, sent_ms BIGINT NOT NULL DEFAULT 0,"
    " delivered_ms BIGINT NOT NULL DEFAULT 0, read_ms BIGINT NOT NULL DEFAULT 0,"
    " failed_ms BIGINT NOT NULL DEFAULT 0, info BLOB NOT NULL, PRIMARY KEY(account, message_id));"
    "CREATE TABLE gw_in(account BIGINT NOT NULL, message_id BLOB NOT NULL, peer BLOB NOT NULL,"
    " at_ms BIGINT NOT NULL, is_read INTEGER NOT NULL, info BLOB NOT NULL,"
    " PRIMARY KEY(account, message_id));"
    "CREATE INDEX gw_in_unread ON gw_in(account, peer, at_ms) WHERE is_read = 0;"
    "CREATE TABLE gw_idem(account BIGINT NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL,"
    " message_id BLOB NOT NULL, at_ms BIGINT NOT NULL, PRIMARY KEY(account, key));",
};

static const char *const statements[GATEWAY_STMTS] = {
    [SQL_LEASE_GET] = "SELECT holder, epoch, boot, until_ms FROM gw_lease WHERE account = ?1",
    [SQL_LEASE_TAKE] =
        "INSERT INTO gw_lease(account, holder, epoch, boot, until_ms) VALUES(?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT(account) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch,"
        " boot = excluded.boot, until_ms = excluded.until_ms",
    [SQL_LEASE_RENEW] = "UPDATE gw_lease SET until_ms = ?4"
                        " WHERE account = ?1 AND holder = ?2 AND epoch = ?3",
    [SQL_LEASE_RELEASE] = "UPDATE gw_lease SET until_ms = 0"
                          " WHERE account = ?1 AND holder = ?2 AND epoch = ?3",
    [SQL_LEASE_CHECK] = "SELECT 1 FROM gw_lease WHERE account = ?1 AND holder = ?2 AND epoch = ?3",
    [SQL_MSG_INSERT] = "INSERT INTO gw_msg(account, message_id, state, peer, accepted_ms, info)"
                       " VALUES(?1, ?2, 0, ?3, ?4, ?5)",
    [SQL_MSG_GET] = "SELECT state, peer, accepted_ms, sent_ms, delivered_ms, read_ms, failed_ms,"
                    " info FROM gw_msg WHERE account = ?1 AND message_id = ?2",
    [SQL_MSG_MOVE] = "UPDATE gw_msg SET state = ?3, sent_ms = ?4, delivered_ms = ?5, read_ms = ?6,"
                     " failed_ms = ?7 WHERE account = ?1 AND message_id = ?2",
    [SQL_MSG_SWEEP] = "DELETE FROM gw_msg WHERE account = ?1 AND accepted_ms < ?2",
    [SQL_IN_INSERT] = "INSERT INTO gw_in(account, message_id, peer, at_ms, is_read, info)"
                      " VALUES(?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT DO NOTHING",
    [SQL_IN_GET] = "SELECT peer, at_ms, info FROM gw_in WHERE account = ?1 AND message_id = ?2",
    [SQL_IN_UNREAD] = "SELECT message_id FROM gw_in WHERE account = ?1 AND peer = ?2"
                      " AND is_read = 0 AND at_ms <= ?3 ORDER BY at_ms DESC LIMIT ?4",
    [SQL_IN_MARK_READ] = "UPDATE gw_in SET is_read = 1 WHERE account = ?1 AND message_id = ?2",
    [SQL_IN_SWEEP] = "DELETE FROM gw_in WHERE account = ?1 AND at_ms < ?2",
    [SQL_IDEM_INSERT] = "INSERT INTO gw_idem(account, key, body, message_id, at_ms)"
                        " VALUES(?1, ?2, ?3, ?4, ?5)",
    [SQL_IDEM_GET] = "SELECT body, message_id FROM gw_idem WHERE account = ?1 AND key = ?2",
    [SQL_IDEM_SWEEP] = "DELETE FROM gw_idem WHERE account = ?1 AND at_ms < ?2",
};

const struct store_part gateway_part = {
    .name = "gateway",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ARRAY_LEN(statements),
};

/* tables.c - what the phone keeps beside its endpoints' tables: profiles, messages, contacts.
 *
 * Every key leads with the account. A peer's number is a keyed hash, and in clear only inside
 * sealed columns; texts and names are sealed. Source: docs/phone.md, "What is kept". */
#include "phone/tables.h"

#include "phone/internal.h"

static const char *const migrations[] = {
    "CREATE TABLE phone_profile(account BIGINT PRIMARY KEY, name TEXT NOT NULL,"
    " state INTEGER NOT NULL, is_offline INTEGER NOT NULL, listened BIGINT NOT NULL,"
    " info BLOB NOT NULL);"
    "CREATE TABLE phone_msg(account BIGINT NOT NULL, ord BIGINT NOT NULL,"
    " direction INTEGER NOT NULL, message_id BLOB NOT NULL, peer BLOB NOT NULL,"
    " status INTEGER NOT NULL, at_ms BIGINT NOT NULL, info BLOB NOT NULL,"
    " PRIMARY KEY(account, ord));"
    "CREATE UNIQUE INDEX phone_msg_id ON phone_msg(account, peer, direction, message_id);"
    "CREATE TABLE phone_contact(account BIGINT NOT NULL, peer BLOB NOT NULL,"
    " is_blocked INTEGER NOT NULL, changed_ms BIGINT NOT NULL, info BLOB,"
    " PRIMARY KEY(account, peer));"
    "CREATE TABLE phone_note(kind INTEGER PRIMARY KEY, value BIGINT NOT NULL);",
};

static const char *const statements[PHONE_STMTS] = {
    [SQL_PROFILE_ALL] =
        "SELECT account, name, state, is_offline, listened, info FROM phone_profile ORDER BY name",
    [SQL_PROFILE_PUT] =
        "INSERT INTO phone_profile(account, name, state, is_offline, listened, info)"
        " VALUES(?1, ?2, ?3, 0, 0, ?4) ON CONFLICT(account) DO UPDATE SET name = excluded.name,"
        " state = excluded.state, is_offline = 0, info = excluded.info",
    [SQL_PROFILE_STATE] = "UPDATE phone_profile SET state = ?2 WHERE account = ?1",
    [SQL_PROFILE_OFFLINE] = "UPDATE phone_profile SET is_offline = ?2 WHERE account = ?1",
    [SQL_PROFILE_LISTENED] =
        "UPDATE phone_profile SET listened = ?2 WHERE account = ?1 AND listened < ?2",
    [SQL_MSG_LAST] = "SELECT MAX(ord) FROM phone_msg WHERE account = ?1",
    [SQL_MSG_IN] =
        "INSERT INTO phone_msg(account, ord, direction, message_id, peer, status, at_ms, info)"
        " VALUES(?1, ?2, 1, ?3, ?4, 10, ?5, ?6) ON CONFLICT DO NOTHING",
    [SQL_MSG_OUT] =
        "INSERT INTO phone_msg(account, ord, direction, message_id, peer, status, at_ms, info)"
        " VALUES(?1, ?2, 0, ?3, ?4, 0, ?5, ?6)",
    /* forward only, except that what arrived after all did not fail */
    [SQL_MSG_MOVE] = "UPDATE phone_msg SET status = ?4 WHERE account = ?1 AND peer = ?2"
                     " AND direction = 0 AND message_id = ?3 AND status < ?4",
    [SQL_MSG_FIND] = "SELECT ord, info FROM phone_msg WHERE account = ?1 AND peer = ?2"
                     " AND direction = ?3 AND message_id = ?4",
    [SQL_MSG_PAGE] = "SELECT ord, direction, message_id, status, at_ms, info, peer FROM phone_msg"
                     " WHERE account = ?1 AND ord > ?2 ORDER BY ord LIMIT ?3",
    [SQL_MSG_UNREAD_OF_PEER] =
        "SELECT ord, message_id, peer, info FROM phone_msg WHERE account = ?1"
        " AND peer = ?2 AND direction = 1 AND status = 10 LIMIT ?3",
    [SQL_MSG_UNREAD_SHOWN] =
        "SELECT ord, message_id, peer, info FROM phone_msg WHERE account = ?1"
        " AND ord > ?2 AND ord <= ?3 AND direction = 1 AND status = 10 ORDER BY ord LIMIT ?4",
    [SQL_MSG_MARK_READ] =
        "UPDATE phone_msg SET status = 11 WHERE account = ?1 AND ord = ?2 AND status = 10",
    [SQL_CONTACT_GET] =
        "SELECT is_blocked, changed_ms FROM phone_contact WHERE account = ?1 AND peer = ?2",
    [SQL_CONTACT_BLOCK] = "INSERT INTO phone_contact(account, peer, is_blocked, changed_ms, info)"
                          " VALUES(?1, ?2, ?3, 0, ?4) ON CONFLICT(account, peer) DO UPDATE SET"
                          " is_blocked = excluded.is_blocked, info = excluded.info",
    [SQL_CONTACT_CHANGED] = "INSERT INTO phone_contact(account, peer, is_blocked, changed_ms)"
                            " VALUES(?1, ?2, 0, ?3) ON CONFLICT(account, peer) DO UPDATE SET"
                            " changed_ms = excluded.changed_ms",
    [SQL_CONTACT_BLOCKED] =
        "SELECT COUNT(*) FROM phone_contact WHERE account = ?1 AND is_blocked = 1",
    [SQL_NOTE_GET] = "SELECT value FROM phone_note WHERE kind = ?1",
    [SQL_NOTE_PUT] = "INSERT INTO phone_note(kind, value) VALUES(?1, ?2)"
                     " ON CONFLICT(kind) DO UPDATE SET value = excluded.value",
};

const struct store_part phone_part = {
    .name = "phone",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ARRAY_LEN(statements),
};

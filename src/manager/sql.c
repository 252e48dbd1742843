/* sql.c - the manager's schema and statements; see sql.h.
 *
 * Tokens are here as SHA-256 hashes only, app secrets and verify tokens as sealed records only.
 * Rows are never deleted (revoked_s says when they ended), so that an id is never given out twice;
 * the two exceptions are digits_home, since a number may be added anew, and waba_app. */
#include "manager/sql.h"

static const char *const migrations[] = {
    "CREATE TABLE home (id BIGINT PRIMARY KEY, business BIGINT NOT NULL);"
    "CREATE TABLE business (id BIGINT PRIMARY KEY, name TEXT NOT NULL, tier BIGINT NOT NULL,"
    " created_s BIGINT NOT NULL, revoked_s BIGINT NOT NULL);"
    "CREATE TABLE waba (business BIGINT NOT NULL, id BIGINT NOT NULL, name TEXT NOT NULL,"
    " namespace TEXT NOT NULL, created_s BIGINT NOT NULL, revoked_s BIGINT NOT NULL,"
    " PRIMARY KEY (business, id));"
    "CREATE TABLE number (business BIGINT NOT NULL, id BIGINT NOT NULL, waba BIGINT NOT NULL,"
    " digits BIGINT NOT NULL, display_name TEXT NOT NULL, hosting BIGINT NOT NULL,"
    " is_verified BIGINT NOT NULL, is_registered BIGINT NOT NULL, has_pin BIGINT NOT NULL,"
    " onboarded_s BIGINT NOT NULL, override_uri TEXT, cert BYTEA NOT NULL,"
    " cert_until_s BIGINT NOT NULL, created_s BIGINT NOT NULL, revoked_s BIGINT NOT NULL,"
    " PRIMARY KEY (business, id));"
    "CREATE TABLE digits_home (digits BIGINT PRIMARY KEY, business BIGINT NOT NULL,"
    " number BIGINT NOT NULL);"
    "CREATE TABLE app (business BIGINT NOT NULL, id BIGINT NOT NULL, name TEXT NOT NULL,"
    " secret BYTEA NOT NULL, verify BYTEA NOT NULL, callback TEXT, fields TEXT, version TEXT,"
    " include_values BIGINT NOT NULL, created_s BIGINT NOT NULL, revoked_s BIGINT NOT NULL,"
    " PRIMARY KEY (business, id));"
    "CREATE TABLE system_user (business BIGINT NOT NULL, id BIGINT NOT NULL, name TEXT NOT NULL,"
    " created_s BIGINT NOT NULL, PRIMARY KEY (business, id));"
    "CREATE TABLE token (business BIGINT NOT NULL, id BIGINT NOT NULL, hash BYTEA NOT NULL,"
    " app BIGINT NOT NULL, account BIGINT NOT NULL, scopes BIGINT NOT NULL, wabas TEXT NOT NULL,"
    " created_s BIGINT NOT NULL, expires_s BIGINT NOT NULL, revoked_s BIGINT NOT NULL,"
    " PRIMARY KEY (business, id));"
    "CREATE TABLE token_home (hash BYTEA PRIMARY KEY, business BIGINT NOT NULL,"
    " token BIGINT NOT NULL);"
    "CREATE TABLE waba_app (business BIGINT NOT NULL, waba BIGINT NOT NULL, app BIGINT NOT NULL,"
    " override_uri TEXT, created_s BIGINT NOT NULL, PRIMARY KEY (business, waba, app));"
    "CREATE TABLE provision (digits BIGINT PRIMARY KEY, business BIGINT NOT NULL,"
    " waba BIGINT NOT NULL, number BIGINT NOT NULL, app BIGINT NOT NULL,"
    " account BIGINT NOT NULL);",
};

#define WABA_COLS "business, id, name, namespace, created_s, revoked_s"
#define NUMBER_COLS                                                                                \
    "business, id, waba, digits, display_name, hosting, is_verified, is_registered, has_pin,"      \
    " onboarded_s, override_uri, cert, cert_until_s, created_s, revoked_s"
#define APP_COLS                                                                                   \
    "business, id, name, secret, verify, callback, fields, version, include_values, created_s,"    \
    " revoked_s"
#define TOKEN_COLS                                                                                 \
    "business, id, hash, app, account, scopes, wabas, created_s, expires_s, revoked_s"

static const char *const statements[SQL_STMTS] = {
    [SQL_HOME_ADD] = "INSERT INTO home (id, business) VALUES (?1, ?2)",
    [SQL_HOME_GET] = "SELECT business FROM home WHERE id = ?1",

    [SQL_BUSINESS_ADD] = "INSERT INTO business (id, name, tier, created_s, revoked_s)"
                         " VALUES (?1, ?2, ?3, ?4, 0)",
    [SQL_BUSINESS_GET] = "SELECT id, name, tier, created_s, revoked_s FROM business"
                         " WHERE id = ?1",
    [SQL_BUSINESS_LIST_ALL] = "SELECT id, name, tier, created_s, revoked_s FROM business"
                              " WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SQL_BUSINESS_REVOKE] = "UPDATE business SET revoked_s = ?2 WHERE id = ?1 AND revoked_s = 0",

    [SQL_WABA_ADD] = "INSERT INTO waba (" WABA_COLS ") VALUES (?1, ?2, ?3, ?4, ?5, 0)",
    [SQL_WABA_GET] = "SELECT " WABA_COLS " FROM waba WHERE business = ?1 AND id = ?2",
    [SQL_WABA_LIST] = "SELECT " WABA_COLS " FROM waba WHERE business = ?1 AND id > ?2"
                      " ORDER BY id LIMIT ?3",
    [SQL_WABA_LIST_ALL] = "SELECT " WABA_COLS " FROM waba WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SQL_WABA_COUNT] = "SELECT COUNT(*) FROM waba WHERE business = ?1 AND revoked_s = 0",
    [SQL_WABA_REVOKE] = "UPDATE waba SET revoked_s = ?3"
                        " WHERE business = ?1 AND id = ?2 AND revoked_s = 0",

    [SQL_NUMBER_ADD] = "INSERT INTO number (" NUMBER_COLS ") VALUES"
                       " (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, 0, NULL, ?7, ?8, ?9, 0)",
    [SQL_NUMBER_GET] = "SELECT " NUMBER_COLS " FROM number WHERE business = ?1 AND id = ?2",
    [SQL_NUMBER_LIST] = "SELECT " NUMBER_COLS " FROM number WHERE business = ?1 AND id > ?2"
                        " ORDER BY id LIMIT ?3",
    [SQL_NUMBER_LIST_ALL] = "SELECT " NUMBER_COLS " FROM number WHERE id > ?1 ORDER BY id"
                            " LIMIT ?2",
    [SQL_NUMBER_COUNT] = "SELECT COUNT(*) FROM number WHERE business = ?1 AND revoked_s = 0",
    [SQL_NUMBER_REVOKE] = "UPDATE number SET revoked_s = ?3, is_registered = 0"
                          " WHERE business = ?1 AND id = ?2 AND revoked_s = 0",
    [SQL_NUMBER_STATE] = "UPDATE number SET is_verified = ?3, is_registered = ?4, has_pin = ?5,"
                         " onboarded_s = ?6 WHERE business = ?1 AND id = ?2",
    [SQL_NUMBER_OVERRIDE] = "UPDATE number SET override_uri = ?3 WHERE business = ?1 AND id = ?2",
    [SQL_NUMBER_CERT] = "UPDATE number SET cert = ?3, cert_until_s = ?4"
                        " WHERE business = ?1 AND id = ?2",
    [SQL_NUMBER_DUE_ALL] = "SELECT " NUMBER_COLS " FROM number"
                           " WHERE revoked_s = 0 AND cert_until_s < ?1 ORDER BY id LIMIT ?2",

    [SQL_DIGITS_ADD] = "INSERT INTO digits_home (digits, business, number) VALUES (?1, ?2, ?3)",
    [SQL_DIGITS_GET] = "SELECT business, number FROM digits_home WHERE digits = ?1",
    [SQL_DIGITS_DROP] = "DELETE FROM digits_home WHERE digits = ?1",

    [SQL_APP_ADD] = "INSERT INTO app (" APP_COLS ") VALUES"
                    " (?1, ?2, ?3, ?4, ?5, NULL, NULL, NULL, 0, ?6, 0)",
    [SQL_APP_GET] = "SELECT " APP_COLS " FROM app WHERE business = ?1 AND id = ?2",
    [SQL_APP_LIST] = "SELECT " APP_COLS " FROM app WHERE business = ?1 AND id > ?2"
                     " ORDER BY id LIMIT ?3",
    [SQL_APP_LIST_ALL] = "SELECT " APP_COLS " FROM app WHERE id > ?1 ORDER BY id LIMIT ?2",
    [SQL_APP_REVOKE] = "UPDATE app SET revoked_s = ?3"
                       " WHERE business = ?1 AND id = ?2 AND revoked_s = 0",
    [SQL_APP_SUBSCRIBE] = "UPDATE app SET callback = ?3, fields = ?4, version = ?5,"
                          " include_values = ?6 WHERE business = ?1 AND id = ?2",
    [SQL_APP_SET_VERIFY] = "UPDATE app SET verify = ?3 WHERE business = ?1 AND id = ?2",

    [SQL_USER_ADD] = "INSERT INTO system_user (business, id, name, created_s)"
                     " VALUES (?1, ?2, ?3, ?4)",
    [SQL_USER_GET] = "SELECT id, name FROM system_user WHERE business = ?1 AND id = ?2",
    [SQL_USER_LIST] = "SELECT id, name FROM system_user WHERE business = ?1 ORDER BY id",

    [SQL_TOKEN_ADD] = "INSERT INTO token (" TOKEN_COLS ") VALUES"
                      " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)",
    [SQL_TOKEN_GET] = "SELECT " TOKEN_COLS " FROM token WHERE business = ?1 AND id = ?2",
    [SQL_TOKEN_LIST] = "SELECT " TOKEN_COLS " FROM token WHERE business = ?1 AND id > ?2"
                       " ORDER BY id LIMIT ?3",
    [SQL_TOKEN_REVOKE] = "UPDATE token SET revoked_s = ?3"
                         " WHERE business = ?1 AND id = ?2 AND revoked_s = 0",
    [SQL_TOKEN_HOME_ADD] = "INSERT INTO token_home (hash, business, token) VALUES (?1, ?2, ?3)",
    [SQL_TOKEN_HOME_GET] = "SELECT business, token FROM token_home WHERE hash = ?1",

    [SQL_WABA_APP_PUT] = "INSERT INTO waba_app (business, waba, app, override_uri, created_s)"
                         " VALUES (?1, ?2, ?3, ?4, ?5)"
                         " ON CONFLICT (business, waba, app)"
                         " DO UPDATE SET override_uri = excluded.override_uri",
    [SQL_WABA_APP_DROP] = "DELETE FROM waba_app WHERE business = ?1 AND waba = ?2 AND app = ?3",
    [SQL_WABA_APP_LIST] = "SELECT app, override_uri FROM waba_app"
                          " WHERE business = ?1 AND waba = ?2 ORDER BY created_s, app",

    [SQL_PROVISION_ADD] = "INSERT INTO provision (digits, business, waba, number, app, account)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_PROVISION_GET] = "SELECT business, waba, number, app, account FROM provision"
                          " WHERE digits = ?1",
    [SQL_PROVISION_DROP] = "DELETE FROM provision WHERE digits = ?1",

    [SQL_COUNTS_ALL] = "SELECT (SELECT COUNT(*) FROM business WHERE revoked_s = 0),"
                       " (SELECT COUNT(*) FROM waba WHERE revoked_s = 0),"
                       " (SELECT COUNT(*) FROM number WHERE revoked_s = 0),"
                       " (SELECT COUNT(*) FROM app WHERE revoked_s = 0),"
                       " (SELECT COUNT(*) FROM token WHERE revoked_s = 0)",
};

const struct store_part manager_part = {
    .name = "manager",
    .migrations = migrations,
    .n_migrations = ARRAY_LEN(migrations),
    .statements = statements,
    .n_statements = ARRAY_LEN(statements),
};

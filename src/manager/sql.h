/* sql.h - the manager's tables and the statements on them: names only, the text is in sql.c.
 *
 * The shard column of a business's things is the business id; `home`, `digits_home` and
 * `token_home` map an id, a number's digits and a token's hash to the business, and are their own
 * shard. Statements that read over all businesses end in _ALL: the snapshot, the operator's list
 * and the renewal of certificates; nothing on a request's path uses them. Source:
 * docs/protocol/internal.md. */
#ifndef PARLEY_MANAGER_SQL_H
#define PARLEY_MANAGER_SQL_H

#include "store/store.h"

enum sql_stmt {
    SQL_HOME_ADD,
    SQL_HOME_GET,
    SQL_BUSINESS_ADD,
    SQL_BUSINESS_GET,
    SQL_BUSINESS_LIST_ALL,
    SQL_BUSINESS_REVOKE,
    SQL_WABA_ADD,
    SQL_WABA_GET,
    SQL_WABA_LIST,
    SQL_WABA_LIST_ALL,
    SQL_WABA_COUNT,
    SQL_WABA_REVOKE,
    SQL_NUMBER_ADD,
    SQL_NUMBER_GET,
    SQL_NUMBER_LIST,
    SQL_NUMBER_LIST_ALL,
    SQL_NUMBER_COUNT,
    SQL_NUMBER_REVOKE,
    SQL_NUMBER_STATE,
    SQL_NUMBER_OVERRIDE,
    SQL_NUMBER_CERT,
    SQL_NUMBER_DUE_ALL,
    SQL_DIGITS_ADD,
    SQL_DIGITS_GET,
    SQL_DIGITS_DROP,
    SQL_APP_ADD,
    SQL_APP_GET,
    SQL_APP_LIST,
    SQL_APP_LIST_ALL,
    SQL_APP_REVOKE,
    SQL_APP_SUBSCRIBE,
    SQL_APP_SET_VERIFY,
    SQL_USER_ADD,
    SQL_USER_GET,
    SQL_USER_LIST,
    SQL_TOKEN_ADD,
    SQL_TOKEN_GET,
    SQL_TOKEN_LIST,
    SQL_TOKEN_REVOKE,
    SQL_TOKEN_HOME_ADD,
    SQL_TOKEN_HOME_GET,
    SQL_WABA_APP_PUT,
    SQL_WABA_APP_DROP,
    SQL_WABA_APP_LIST,
    SQL_PROVISION_ADD,
    SQL_PROVISION_GET,
    SQL_PROVISION_DROP,
    SQL_COUNTS_ALL,
    SQL_STMTS
};

extern const struct store_part manager_part;

#endif

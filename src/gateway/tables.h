/* tables.h - the gateway's statements by name. Internal to gateway/. */
#ifndef PARLEY_GATEWAY_TABLES_H
#define PARLEY_GATEWAY_TABLES_H

enum gateway_stmt {
    SQL_LEASE_GET,
    SQL_LEASE_TAKE,
    SQL_LEASE_RENEW,
    SQL_LEASE_RELEASE,
    SQL_LEASE_CHECK,
    SQL_MSG_INSERT,
    SQL_MSG_GET,
    SQL_MSG_MOVE,
    SQL_MSG_SWEEP,
    SQL_IN_INSERT,
    SQL_IN_GET,
    SQL_IN_UNREAD,
    SQL_IN_MARK_READ,
    SQL_IN_SWEEP,
    SQL_IDEM_INSERT,
    SQL_IDEM_GET,
    SQL_IDEM_SWEEP,
    GATEWAY_STMTS
};

#endif

/* tables.h - the phone's statements by name, and the numbers its columns hold. Internal to phone/.
 */
#ifndef PARLEY_PHONE_TABLES_H
#define PARLEY_PHONE_TABLES_H

enum phone_stmt {
    SQL_PROFILE_ALL,
    SQL_PROFILE_PUT,
    SQL_PROFILE_STATE,
    SQL_PROFILE_OFFLINE,
    SQL_PROFILE_LISTENED,
    SQL_MSG_LAST,
    SQL_MSG_IN,
    SQL_MSG_OUT,
    SQL_MSG_MOVE,
    SQL_MSG_FIND,
    SQL_MSG_PAGE,
    SQL_MSG_UNREAD_OF_PEER,
    SQL_MSG_UNREAD_SHOWN,
    SQL_MSG_MARK_READ,
    SQL_CONTACT_GET,
    SQL_CONTACT_BLOCK,
    SQL_CONTACT_CHANGED,
    SQL_CONTACT_BLOCKED,
    SQL_NOTE_GET,
    SQL_NOTE_PUT,
    PHONE_STMTS
};

/* phone_msg.direction */
enum phone_direction { DIRECTION_OUT = 0, DIRECTION_IN = 1 };

/* phone_msg.status: within a direction it only grows. A late receipt corrects a failure. */
enum phone_status {
    STATUS_PENDING = 0, /* durable here, not yet with the relay */
    STATUS_SENT = 1,
    STATUS_FAILED = 2,
    STATUS_DELIVERED = 3,
    STATUS_READ = 4,
    STATUS_RECEIVED = 10,
    STATUS_SEEN = 11, /* an incoming message that was read */
    STATUS_END
};

/* phone_note.kind */
enum phone_note { NOTE_CLOCK_OFFSET = 1 };

#endif

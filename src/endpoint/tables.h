/* tables.h - the endpoint's statements by name. Internal to endpoint/. */
#ifndef PARLEY_ENDPOINT_TABLES_H
#define PARLEY_ENDPOINT_TABLES_H

enum endpoint_stmt {
    SQL_SELF_GET,
    SQL_SELF_PUT,
    SQL_SELF_REGISTERED,
    SQL_SELF_COUNTERS,
    SQL_SELF_SERVER_KEY,
    SQL_SELF_UNREGISTERED,
    SQL_SELF_ALL,
    SQL_SELF_NEXT_PREKEY,
    SQL_SIGNED_PUT,
    SQL_SIGNED_GET,
    SQL_SIGNED_NEWEST,
    SQL_SIGNED_UPLOADED,
    SQL_SIGNED_UNMARK,
    SQL_SIGNED_SWEEP,
    SQL_SIGNED_CLEAR,
    SQL_PREKEY_PUT,
    SQL_PREKEY_GET,
    SQL_PREKEY_DELETE,
    SQL_PREKEY_SWEEP,
    SQL_PREKEY_CLEAR,
    SQL_DEVICE_OF_PEER,
    SQL_DEVICE_GET,
    SQL_DEVICE_PUT,
    SQL_DEVICE_SESSION,
    SQL_DEVICE_UNLIST,
    SQL_DEVICE_RELIST,
    SQL_DEVICE_HOSTING,
    SQL_DEVICE_STALE,
    SQL_DEVICE_ALL_STALE,
    SQL_DEVICE_CLEAR,
    SQL_OUT_INSERT,
    SQL_OUT_IS_PEER_WAITING,
    SQL_OUT_WAITING_OF_PEER,
    SQL_OUT_WAITING_PEERS,
    SQL_OUT_SEALED,
    SQL_OUT_SENT,
    SQL_OUT_BACK_TO_WAITING,
    SQL_OUT_GET,
    SQL_OUT_BY_SHOWN,
    SQL_OUT_BY_RESEND,
    SQL_OUT_RESEND,
    SQL_OUT_DELETE,
    SQL_OUT_FORGET,
    SQL_OUT_UNPUBLISHED,
    SQL_OUT_DUE,
    SQL_SEEN_INSERT,
    SQL_SEEN_DELETE,
    SQL_SEEN_SWEEP,
    SQL_FAILURE_BUMP,
    SQL_FAILURE_GET,
    SQL_FAILURE_SWEEP,
    ENDPOINT_STMTS
};

/* end_out.state */
enum endpoint_out_state {
    OUT_WAITING = 0, /* accepted; no ciphertext, or one for an old device list */
    OUT_SEALED = 1,  /* ciphertext stored; to be published until the relay answers */
    OUT_SENT = 2,    /* the relay has it; payload kept for a resend until delivered or failed */
};

#endif

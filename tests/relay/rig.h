/* rig.h - a real relay in this process, and devices that talk to it over loopback, for tests.
 *
 * The relay runs its own threads; the devices, its administration and its sweeper run on the test's
 * loop, which turns while a call here waits. Calls that wait give up after RIG_WAIT_MS and fail the
 * test. */
#ifndef PARLEY_TESTS_RELAY_RIG_H
#define PARLEY_TESTS_RELAY_RIG_H

#include <sys/types.h>

#include "crypto/cert.h"
#include "crypto/prim.h"
#include "link/channel.h"
#include "relay/relay.h"
#include "wire/ident.h"

#define RIG_WAIT_MS 20000u /* far above what any step takes, also sanitized on a busy machine */

#define REASON(name) PARLEY__WIRE__REASON__##name
#define CLOSED(name) PARLEY__WIRE__CLOSE_REASON__##name
#define OK REASON(REASON_UNSPECIFIED)
#define FIELD(array)                                                                               \
    wire_field(bytes_of((array), sizeof(array))) /* a protobuf field over an array */

struct rig {
    char dir[64];  /* of the test */
    char data[72]; /* of the relay: dir/relay */
    struct loop *loop;
    struct channel_hub *hub;
    struct clock *clock;
    uint8_t root_seed[32], root_pub[32];
    uint8_t authority_seed[32];
    struct relay_limits limits; /* change before rig_start */
    struct relay_opt opt;       /* likewise */
    struct buf certificate;
    struct relay *relay; /* NULL: the port is that of a program outside */
    uint16_t port;
    pid_t child;        /* parley-relay, when rig_spawn() started it */
    const char *inject; /* not NULL: rig_spawn() runs the program under strace with this -e */
};

/* A folder, keys, a loop, options; not started. */
void rig_init(struct rig *rig);
void rig_start(struct rig *rig);
/* Stop and start again on the same folder: everything in memory is gone. */
void rig_restart(struct rig *rig);
void rig_stop(struct rig *rig);
/* Start the program parley-relay (PARLEY_RELAY_PROGRAM) on the rig's folder instead, with at most
 * so many descriptors (0: as many as there are). False: not available here. */
bool rig_spawn(struct rig *rig, unsigned n_descriptors);
/* Send it a signal and wait for its end; the status of waitpid(2). */
int rig_kill(struct rig *rig, int signal);
/* Ask it on its administration socket; the answer's text. */
void rig_admin(struct rig *rig, const char *line, struct buf *out);
/* Everything away, the folder too. */
void rig_wipe(struct rig *rig);
/* Move platform time and run what is due. */
void rig_advance(struct rig *rig, int64_t ms);
/* Turn the loop until is_done. False: RIG_WAIT_MS passed. */
bool rig_wait(struct rig *rig, bool (*is_done)(void *ctx), void *ctx);
/* Turn it for so long: only to show that something does not happen. */
void rig_pass_ms(struct rig *rig, unsigned ms);
/* The first column of the first row of a query on the relay's database, from outside: what is there
 * has been committed. */
int64_t rig_sql(struct rig *rig, const char *sql);
/* Change it from outside, as another node would. */
void rig_exec(struct rig *rig, const char *sql);
/* The last code in the outbox for this number, or "". */
void rig_code(struct rig *rig, uint64_t number, char out[8]);

struct delivery {
    uint32_t lane;
    uint64_t seq, sender;
    uint32_t sender_device, class;
    uint8_t id[MESSAGE_ID_BYTES];
    size_t len;
    uint32_t number; /* the first four bytes of the body: tests count messages there */
    uint32_t notice_reason, n_items;
    uint8_t notice_id[MESSAGE_ID_BYTES]; /* of its first item */
};

struct result {
    uint8_t id[MESSAGE_ID_BYTES];
    uint32_t reason;
};

struct device {
    struct rig *rig;
    uint64_t number;
    struct noise_keypair noise;
    uint8_t identity_priv[32], identity[33];
    uint32_t registration_id;
    uint32_t next_prekey; /* id of the next one-time key that is made */
    uint64_t generation, counter;
    bool is_business;
    bool acks; /* acknowledge every delivery at once */
    struct channel *channel;
    bool is_up, has_ended;
    enum channel_end end;
    Parley__Wire__CloseReason reason;
    uint32_t next_request;
    /* the last reply to a request that was waited for */
    uint32_t waits_for;
    bool has_reply;
    struct arena *arena;
    Parley__Wire__Frame *reply;
    /* pushes and publish results as they came */
    struct delivery *deliveries;
    size_t n_deliveries, cap_deliveries;
    struct result *results;
    size_t n_results, cap_results;
    void (*on_bundles)(const Parley__Wire__Frame *frame); /* set: sees every Bundles */
    bool keeps_prekeys; /* makes the same one-time keys again and again */
    uint64_t prekey_seed;
    unsigned n_status; /* PrekeyStatus pushes */
    uint32_t last_left;
};

/* Fresh keys for a number. */
void device_init(struct device *d, struct rig *rig, uint64_t number);
void device_wipe(struct device *d);
/* Connect; waits for the handshake. */
void device_connect(struct device *d);
/* End the TCP connection without a word. */
void device_cut(struct device *d);
/* Send and wait for the answer, borrowed until the next one. NULL: the connection ended instead. */
const Parley__Wire__Frame *device_ask(struct device *d, Parley__Wire__Frame *frame);
void device_tell(struct device *d, Parley__Wire__Frame *frame);
/* The refusal's reason in a reply; OK for any other. */
Parley__Wire__Reason reason_of(const Parley__Wire__Frame *reply);

/* The steps of a registration. */
Parley__Wire__Reason device_ask_code(struct device *d);
Parley__Wire__Reason device_verify(struct device *d, const char *code, uint8_t ticket[32],
                                   bool *pin_required);
struct registration_opt {
    const uint8_t *ticket;
    const char *pin, *new_pin;
    uint32_t n_one_time;
    bool spoil_channel, spoil_signed, spoil_statement; /* a wrong signature here */
    uint64_t statement_number;                         /* 0: the right one */
    struct bytes certificate;
};
Parley__Wire__Reason device_register_with(struct device *d, const struct registration_opt *opt);
/* All of it, from connecting to registered, with so many one-time keys. */
void device_register(struct device *d, uint32_t n_one_time);
/* The number certificate of this number. */
void device_certificate(struct device *d, uint64_t number, int64_t not_after_s, struct buf *out);

/* One login on an open connection; claims NULL: all lanes. */
struct claim {
    uint32_t mask;
    uint64_t epoch;
};
Parley__Wire__Reason device_login(struct device *d, const struct claim *claims, size_t n);
/* All lanes; a connection that ends instead of answering is UNAVAILABLE. */
Parley__Wire__Reason device_try_login(struct device *d);
/* connect and log in, which must succeed */
void device_come(struct device *d);

/* Publish one message for the recipient's one device; does not wait. The body begins with `number`.
 */
struct message {
    const struct device *to;
    uint32_t number;
    size_t len;                   /* of the body; 0: 100 */
    uint8_t id[MESSAGE_ID_BYTES]; /* all zero: a fresh one, which is written here */
    uint32_t class, category;     /* 0: MESSAGE, NONE */
    int64_t expires_ms;           /* 0: in 30 days */
    uint32_t registration_id;     /* 0: the recipient's */
    bool spoil_hash;
};
void device_publish(struct device *d, struct message *m);
/* Publish and wait for the answer. */
Parley__Wire__Reason device_publish_wait(struct device *d, struct message *m);
void device_wait_deliveries(struct device *d, size_t n);
void device_wait_results(struct device *d, size_t n);
void device_wait_end(struct device *d);
void device_ack(struct device *d, uint32_t lane, uint64_t seq);
/* Fetch the bundle of an account; the id of the one-time key, 0 when there was none. */
Parley__Wire__Reason device_fetch(struct device *d, uint64_t account, bool keys_only,
                                  uint32_t *one_time_id);
/* The same without waiting: on_bundles sees the answer. */
void device_fetch_later(struct device *d, uint64_t account);
/* last_left is what the relay has then. */
void device_upload(struct device *d, uint32_t n, bool replace);
Parley__Wire__Reason device_try_upload(struct device *d, uint32_t n, bool replace);
/* From now on every upload and registration brings the same one-time keys, ids 1, 2, … */
void device_keep_prekeys(struct device *d);

#endif

/* town.h - a real relay and people with phones, all in the test's process, for tests.
 *
 * Each person has a folder, a store, a key ring and a phone with one profile. Calls that wait give
 * up after RIG_WAIT_MS and fail the test. */
#ifndef PARLEY_TESTS_PHONE_TOWN_H
#define PARLEY_TESTS_PHONE_TOWN_H

#include "../relay/rig.h"
#include "phone/phone.h"

struct person {
    struct rig *rig;
    struct log *log; /* at level trace, in DIR/log */
    const char *name;
    uint64_t number;
    char dir[64];
    struct store *store;
    struct keyring *ring;
    struct phone *phone;
    struct profile *profile;
};

/* A folder and an open phone without profiles. */
void person_init(struct person *p, struct rig *rig, const char *name, uint64_t number);
/* Close the phone and the store; everything in memory is gone. */
void person_stop(struct person *p);
void person_start(struct person *p);
void person_wipe(struct person *p);

struct answer {
    bool is_done;
    enum rc rc;
    char text[200], id[300];
    struct phone_verification v;
};
void answer_take(void *ctx, enum rc rc, const char *text); /* a phone_reply_fn */
/* Wait until it came; its rc. */
enum rc answer_wait(struct person *p, struct answer *a);

void person_register(struct person *p);
/* The steps alone. */
enum rc person_ask_code(struct person *p);
enum rc person_confirm(struct person *p, const char *code);
enum rc person_reinstall(struct person *p);
void person_wait_up(struct person *p);
/* Send and fail the test if that is refused; the id is borrowed until the next call. */
const char *person_send(struct person *p, const struct person *to, const char *text);
enum rc person_send_reply(struct person *p, const struct person *to, const char *text,
                          const char *reply_to, struct answer *out);
void person_offline(struct person *p, bool is_offline);
struct answer person_verify(struct person *p, const struct person *other);

/* Start sending so many texts "text N" without waiting; *pending counts down as they are durable.
 */
void person_send_many(struct person *p, const struct person *to, unsigned first, unsigned n,
                      unsigned *pending);
void person_wait_zero(struct person *p, const unsigned *pending);

/* The whole history as JSON lines; the caller frees. */
char *person_history(struct person *p);
/* How often `part` occurs in the history. */
unsigned person_count(struct person *p, const char *part);
/* The texts "text N" of this direction ("in", "out") come in rising order, each once; how many. */
unsigned person_check_order(struct person *p, const char *direction);

/* A query on somebody's database, from outside. */
int64_t sql_int(const char *path, const char *sql);
void sql_exec(const char *path, const char *sql);
int64_t person_sql(const struct person *p, const char *sql);
/* Wait until the query on the database at path gives this value. */
void sql_wait(struct rig *rig, const char *path, const char *sql, int64_t want);
char *relay_db(const struct rig *rig); /* its path; borrowed until the next call */
/* Flip a bit in the ciphertext of the nth envelope (from 0) that waits for this number. */
void relay_corrupt(struct rig *rig, uint64_t number, unsigned nth);
/* How many envelopes wait for this number. */
int64_t relay_waiting(struct rig *rig, uint64_t number);
/* The log of a person so far; the caller frees. */
char *person_log(struct person *p);

/* Wait until `part` occurs `n` times. */
void person_wait_count(struct person *p, const char *part, unsigned n);

#endif

/* town.c - see town.h. */
#include "town.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static void
open_store(struct person *p)
{
    char path[128], ring_path[128], master_path[128];
    struct store_opt opt = {
        .path = path, .parts = phone_parts, .n_parts = phone_parts_n, .log = log_none()};
    struct keyring_opt ring = {
        .ring_path = ring_path, .master_path = master_path, .rng = rng_system()};
    struct err err = {0};

    snprintf(path, sizeof path, "%s/phone.db", p->dir);
    snprintf(ring_path, sizeof ring_path, "%s/keyring", p->dir);
    snprintf(master_path, sizeof master_path, "%s/master.key", p->dir);
    if (keyring_open(&p->ring, &ring, &err) != RC_OK || store_open(&p->store, &opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
}

void
person_start(struct person *p)
{
    struct phone_opt opt = {.loop = p->rig->loop,
                            .clock = p->rig->clock,
                            .rng = rng_system(),
                            .log = log_none(),
                            .relay_host = "127.0.0.1",
                            .relay_port = p->rig->port,
                            .has_authority = true};
    char log_path[128];
    struct log_opt log = {.program = "phone", .level = LOG_TRACE, .fd = -1, .file = log_path};
    struct err err = {0};

    snprintf(log_path, sizeof log_path, "%s/log", p->dir);
    if (getenv("PARLEY_TEST_LOG") != NULL)
        log.fd = STDERR_FILENO;
    assert_int_equal(log_open(&p->log, &log, NULL), RC_OK);
    opt.log = p->log;
    open_store(p);
    opt.store = p->store;
    opt.ring = p->ring;
    memcpy(opt.relay_root, p->rig->root_pub, 32);
    memcpy(opt.authority, p->rig->opt.authority, 32);
    if (phone_open(&p->phone, &opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    p->profile = phone_profile(p->phone, p->name);
}

void
person_init(struct person *p, struct rig *rig, const char *name, uint64_t number)
{
    *p = (struct person){.rig = rig, .name = name, .number = number};
    strcpy(p->dir, "/tmp/parley-phone-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    person_start(p);
}

static void
on_closed(void *ctx)
{
    *(bool *)ctx = true;
}

static bool
is_set(void *ctx)
{
    return *(bool *)ctx;
}

void
person_stop(struct person *p)
{
    bool is_closed = false;

    if (p->phone == NULL)
        return;
    phone_close(&p->phone, on_closed, &is_closed);
    assert_true(rig_wait(p->rig, is_set, &is_closed));
    store_free(&p->store);
    loop_poll(p->rig->loop);
    keyring_free(&p->ring);
    log_close(&p->log);
    p->profile = NULL;
}

void
person_wipe(struct person *p)
{
    char command[128];

    person_stop(p);
    snprintf(command, sizeof command, "rm -rf '%s'", p->dir);
    assert_int_equal(system(command), 0);
}

/* ---- asking ---- */

void
answer_take(void *ctx, enum rc rc, const char *text)
{
    struct answer *a = ctx;

    assert_false(a->is_done);
    a->is_done = true;
    a->rc = rc;
    snprintf(a->text, sizeof a->text, "%s", text);
}

static void
sent_take(void *ctx, enum rc rc, const char *id, const char *text)
{
    struct answer *a = ctx;

    snprintf(a->id, sizeof a->id, "%s", id == NULL ? "" : id);
    answer_take(a, rc, text);
}

enum rc
answer_wait(struct person *p, struct answer *a)
{
    assert_true(rig_wait(p->rig, is_set, &a->is_done));
    return a->rc;
}

enum rc
person_ask_code(struct person *p)
{
    struct answer a = {0};
    const struct phone_newcomer who = {
        .name = p->name, .display_name = p->name, .number = p->number, .request_code = true};

    phone_register(p->phone, &who, answer_take, &a);
    answer_wait(p, &a);
    p->profile = phone_profile(p->phone, p->name);
    return a.rc;
}

enum rc
person_confirm(struct person *p, const char *code)
{
    struct answer a = {0};

    phone_confirm(p->profile, code, NULL, answer_take, &a);
    return answer_wait(p, &a);
}

static bool
is_up(void *ctx)
{
    struct profile_info info;

    profile_info(((struct person *)ctx)->profile, &info);
    return info.is_up;
}

void
person_wait_up(struct person *p)
{
    assert_true(rig_wait(p->rig, is_up, p));
}

void
person_register(struct person *p)
{
    char code[8];

    assert_int_equal(person_ask_code(p), RC_OK);
    rig_code(p->rig, p->number, code);
    assert_int_equal(person_confirm(p, code), RC_OK);
    person_wait_up(p);
}

enum rc
person_reinstall(struct person *p)
{
    struct answer a = {0};
    char code[8];

    phone_reinstall(p->profile, true, answer_take, &a);
    if (answer_wait(p, &a) != RC_OK)
        return a.rc;
    rig_code(p->rig, p->number, code);
    return person_confirm(p, code);
}

enum rc
person_send_reply(struct person *p, const struct person *to, const char *text, const char *reply_to,
                  struct answer *out)
{
    const struct phone_text what = {.to = to->number, .body = text, .reply_to = reply_to};

    *out = (struct answer){0};
    phone_send_text(p->profile, &what, sent_take, out);
    return answer_wait(p, out);
}

const char *
person_send(struct person *p, const struct person *to, const char *text)
{
    static struct answer a;

    assert_int_equal(person_send_reply(p, to, text, NULL, &a), RC_OK);
    return a.id;
}

void
person_offline(struct person *p, bool is_offline)
{
    struct answer a = {0};

    phone_offline(p->profile, is_offline, answer_take, &a);
    assert_int_equal(answer_wait(p, &a), RC_OK);
    if (!is_offline)
        person_wait_up(p);
}

static void
verified_take(void *ctx, enum rc rc, const struct phone_verification *v, const char *text)
{
    struct answer *a = ctx;

    if (v != NULL)
        a->v = *v;
    answer_take(a, rc, text);
}

struct answer
person_verify(struct person *p, const struct person *other)
{
    struct answer a = {0};

    phone_verify(p->profile, other->number, verified_take, &a);
    answer_wait(p, &a);
    return a;
}

/* ---- history ---- */

struct history {
    struct person *p;
    struct buf text;
    uint64_t last;
    bool is_done, has_more;
};

static void
on_page(void *ctx, enum rc rc, const struct phone_page *page)
{
    struct history *h = ctx;

    assert_int_equal(rc, RC_OK);
    buf_put(&h->text, buf_bytes(page->lines));
    h->last = page->last;
    h->has_more = page->has_more;
    h->is_done = true;
}

char *
person_history(struct person *p)
{
    struct history h = {.p = p, .has_more = true};
    char *copy;

    buf_init(&h.text, 64u * 1024 * 1024);
    while (h.has_more) {
        const struct phone_page_query query = {.after = h.last};

        h.is_done = false;
        phone_page(p->profile, &query, on_page, &h);
        assert_true(rig_wait(p->rig, is_set, &h.is_done));
    }
    copy = strdup(buf_cstr(&h.text));
    buf_free(&h.text);
    return copy;
}

unsigned
person_count(struct person *p, const char *part)
{
    char *text = person_history(p);
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        n++;
    free(text);
    return n;
}

void
person_wait_count(struct person *p, const char *part, unsigned n)
{
    int64_t until_ms = clock_mono_ms(p->rig->clock) + RIG_WAIT_MS;

    while (person_count(p, part) != n) {
        if (clock_mono_ms(p->rig->clock) > until_ms) {
            char *text = person_history(p);

            print_error("%s of %s, wanted %u:\n%s", part, p->name, n, text);
            free(text);
            fail();
        }
        loop_poll(p->rig->loop);
    }
}

static void
one_sent(void *ctx, enum rc rc, const char *id, const char *text)
{
    if (rc != RC_OK)
        fail_msg("%s", text);
    --*(unsigned *)ctx;
}

void
person_send_many(struct person *p, const struct person *to, unsigned first, unsigned n,
                 unsigned *pending)
{
    for (unsigned i = first; i < first + n; i++) {
        char body[32];
        const struct phone_text what = {.to = to->number, .body = body};

        snprintf(body, sizeof body, "text %u", i);
        ++*pending;
        phone_send_text(p->profile, &what, one_sent, pending);
    }
}

static bool
is_zero(void *ctx)
{
    return *(const unsigned *)ctx == 0;
}

void
person_wait_zero(struct person *p, const unsigned *pending)
{
    assert_true(rig_wait(p->rig, is_zero, (void *)(uintptr_t)pending));
}

unsigned
person_check_order(struct person *p, const char *direction)
{
    char *text = person_history(p), want[32];
    long last = -1;
    unsigned n = 0;

    snprintf(want, sizeof want, "\"direction\":\"%s\"", direction);
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        const char *at = strstr(line, "\"text\":\"text ");

        if (at == NULL || strstr(line, want) == NULL)
            continue;
        if (strtol(at + 13, NULL, 10) <= last)
            fail_msg("%s: %ld after %ld", p->name, strtol(at + 13, NULL, 10), last);
        last = strtol(at + 13, NULL, 10);
        n++;
    }
    free(text);
    return n;
}

/* ---- databases ---- */

int64_t
sql_int(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    int64_t value;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

void
sql_exec(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

int64_t
person_sql(const struct person *p, const char *sql)
{
    char path[128];

    snprintf(path, sizeof path, "%s/phone.db", p->dir);
    return sql_int(path, sql);
}

void
sql_wait(struct rig *rig, const char *path, const char *sql, int64_t want)
{
    int64_t until_ms = clock_mono_ms(rig->clock) + RIG_WAIT_MS, value;

    while ((value = sql_int(path, sql)) != want) {
        if (clock_mono_ms(rig->clock) > until_ms)
            fail_msg("%s: %lld, wanted %lld", sql, (long long)value, (long long)want);
        rig_pass_ms(rig, 5);
    }
}

char *
relay_db(const struct rig *rig)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/relay.db", rig->opt.data_dir);
    return path;
}

void
relay_corrupt(struct rig *rig, uint64_t number, unsigned nth)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    uint8_t body[4096];
    int64_t seq;
    int len;

    assert_int_equal(sqlite3_open_v2(relay_db(rig), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    sqlite3_prepare_v2(db,
                       "SELECT seq, body FROM envelope WHERE state = 0 AND account = ?1"
                       " ORDER BY seq LIMIT 1 OFFSET ?2",
                       -1, &stmt, NULL);
    sqlite3_bind_int64(stmt, 1, (int64_t)number);
    sqlite3_bind_int64(stmt, 2, nth);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    seq = sqlite3_column_int64(stmt, 0);
    len = sqlite3_column_bytes(stmt, 1);
    assert_in_range(len, 20, sizeof body);
    memcpy(body, sqlite3_column_blob(stmt, 1), (size_t)len);
    sqlite3_finalize(stmt);
    body[len - 20] ^= 1; /* in the ciphertext: the MAC will tell */
    sqlite3_prepare_v2(db, "UPDATE envelope SET body = ?3 WHERE account = ?1 AND seq = ?2", -1,
                       &stmt, NULL);
    sqlite3_bind_int64(stmt, 1, (int64_t)number);
    sqlite3_bind_int64(stmt, 2, seq);
    sqlite3_bind_blob(stmt, 3, body, len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

int64_t
relay_waiting(struct rig *rig, uint64_t number)
{
    char sql[128];

    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM envelope WHERE state = 0 AND account = %llu",
             (unsigned long long)number);
    return sql_int(relay_db(rig), sql);
}

char *
person_log(struct person *p)
{
    char path[128], *copy;
    struct buf text;

    snprintf(path, sizeof path, "%s/log", p->dir);
    buf_init(&text, 64u * 1024 * 1024);
    assert_int_equal(file_read(&text, path, 64u * 1024 * 1024 - 1, NULL), RC_OK);
    copy = strdup(buf_cstr(&text));
    buf_free(&text);
    return copy;
}

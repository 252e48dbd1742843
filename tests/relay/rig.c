/* rig.c - see rig.h. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"

#define ARENA_BYTES (4u * 1024 * 1024)

/* ---- the rig ---- */

static void
make_certificate(struct rig *rig)
{
    struct relay_cert cert = {.host = "localhost", .not_after_s = INT64_C(4000000000)};

    rng_fill(rng_system(), rig->opt.key.priv, 32);
    x25519_public(rig->opt.key.pub, rig->opt.key.priv);
    memcpy(cert.static_key, rig->opt.key.pub, 32);
    buf_init(&rig->certificate, 4096);
    assert_int_equal(relay_cert_issue(&cert, rig->root_seed, &rig->certificate, NULL), RC_OK);
}

void
rig_init(struct rig *rig)
{
    struct channel_hub_opt hub = {.log = log_none()};

    memset(rig, 0, sizeof(*rig));
    signal(SIGPIPE, SIG_IGN); /* as process_harden() does for the program */
    assert_int_equal(crypto_start(NULL), RC_OK);
    strcpy(rig->dir, "/tmp/parley-relay-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    assert_int_equal(chmod(rig->dir, 0755), 0); /* the program gives up root */
    snprintf(rig->data, sizeof(rig->data), "%s/relay", rig->dir);
    assert_int_equal(dir_make(rig->data, 0700, NULL), RC_OK);
    assert_int_equal(loop_new(&rig->loop, NULL), RC_OK);
    hub.loop = rig->loop;
    assert_int_equal(channel_hub_open(&rig->hub, &hub, NULL), RC_OK);
    assert_int_equal(clock_new_system(&rig->clock, NULL), RC_OK);
    ed25519_keypair(rig->root_seed, rig->root_pub, rng_system());
    ed25519_keypair(rig->authority_seed, rig->opt.authority, rng_system());
    make_certificate(rig);
    relay_limits_default(&rig->limits);
    rng_fill(rng_system(), rig->opt.code_key, 32);
    rig->opt.data_dir = rig->data;
    rig->opt.host = "127.0.0.1";
    rig->opt.loops = 2;
    rig->opt.has_authority = true;
    rig->opt.limits = &rig->limits;
    rig->opt.clock = rig->clock;
    rig->opt.rng = rng_system();
    rig->opt.log = log_none();
    rig->opt.loop = rig->loop;
    rig->opt.certificate = buf_bytes(&rig->certificate);
}

void
rig_start(struct rig *rig)
{
    struct err err = {0};

    if (relay_open(&rig->relay, &rig->opt, &err) != RC_OK)
        fail_msg("%s: %s", err.site, err.text);
    rig->port = relay_port(rig->relay);
}

void
rig_stop(struct rig *rig)
{
    relay_free(&rig->relay);
}

void
rig_restart(struct rig *rig)
{
    rig_stop(rig);
    rig_start(rig);
}

/* ---- the program ---- */

static void
write_key_files(struct rig *rig)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/noise.key", rig->data);
    if (access(path, F_OK) == 0)
        return;
    assert_int_equal(file_replace(path, bytes_of(rig->opt.key.priv, 32), 0400, NULL), RC_OK);
    snprintf(path, sizeof(path), "%s/relay.cert", rig->dir);
    assert_int_equal(file_replace(path, buf_bytes(&rig->certificate), 0644, NULL), RC_OK);
}

static void
run_program(const struct rig *rig, const char *program, unsigned n_descriptors, int out)
{
    char data[128], cert[128], authority[128];
    struct buf text;
    struct rlimit limit = {n_descriptors, n_descriptors};

    buf_init(&text, 128);
    base64_put(&text, bytes_of(rig->opt.authority, 32));
    snprintf(data, sizeof(data), "--data-dir=%s", rig->data);
    snprintf(cert, sizeof(cert), "--cert-file=%s/relay.cert", rig->dir);
    snprintf(authority, sizeof(authority), "--authority-key=%s", buf_cstr(&text));
    dup2(out, STDOUT_FILENO);
    if (n_descriptors != 0)
        setrlimit(RLIMIT_NOFILE, &limit);
    execl(program, program, data, cert, authority, "--listen=127.0.0.1:0", "--test-clock=on",
          "--keep-dumpable=on", "--log-level=warn", "--loops=2", (char *)NULL);
    _exit(127);
}

/* {"program":"parley-relay","ready":true,"listen":"127.0.0.1:4711"} */
static uint16_t
read_ready(int fd)
{
    char line[512];
    size_t n = 0;
    const char *listen;
    json_t *object;
    uint16_t port;

    while (n < sizeof(line) && read(fd, line + n, 1) == 1 && line[n] != '\n')
        n++;
    assert_true(n > 0);
    assert_int_equal(json_read(&object, bytes_of(line, n), sizeof(line), NULL), RC_OK);
    listen = json_str(object, "listen");
    assert_non_null(listen);
    port = (uint16_t)atoi(strrchr(listen, ':') + 1);
    json_decref(object);
    return port;
}

bool
rig_spawn(struct rig *rig, unsigned n_descriptors)
{
    const char *program = getenv("PARLEY_RELAY_PROGRAM");
    int fds[2];

    if (program == NULL || access(program, X_OK) != 0)
        return false;
    write_key_files(rig);
    assert_int_equal(pipe(fds), 0);
    rig->child = fork();
    assert_true(rig->child >= 0);
    if (rig->child == 0) {
        close(fds[0]);
        run_program(rig, program, n_descriptors, fds[1]);
    }
    close(fds[1]);
    rig->port = read_ready(fds[0]);
    close(fds[0]);
    return true;
}

int
rig_kill(struct rig *rig, int signal)
{
    int status = 0;

    assert_true(rig->child > 0);
    assert_int_equal(kill(rig->child, signal), 0);
    assert_int_equal(waitpid(rig->child, &status, 0), rig->child);
    rig->child = 0;
    return status;
}

void
rig_admin(struct rig *rig, const char *line, struct buf *out)
{
    char path[128];
    struct err err;

    snprintf(path, sizeof(path), "%s/admin.sock", rig->data);
    buf_init(out, 65536);
    if (admin_ask(out, path, line, RIG_WAIT_MS, &err) != RC_OK)
        fail_msg("%s: %s", line, err.text);
}

void
rig_wipe(struct rig *rig)
{
    char command[128];

    rig_stop(rig);
    if (rig->child > 0)
        (void)rig_kill(rig, SIGKILL);
    channel_hub_free(&rig->hub);
    loop_free(&rig->loop);
    clock_free(&rig->clock);
    buf_free(&rig->certificate);
    snprintf(command, sizeof(command), "rm -rf '%s'", rig->dir);
    assert_int_equal(system(command), 0);
}

static void
on_limit(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static bool
turn(struct rig *rig, bool (*is_done)(void *ctx), void *ctx, unsigned limit_ms)
{
    static const uint64_t poll_ms = 20; /* what other threads change wakes this loop no other way */
    uv_timer_t limit, wake;
    bool is_late = false, woken, is_true;

    uv_timer_init(loop_uv(rig->loop), &limit);
    uv_timer_init(loop_uv(rig->loop), &wake);
    limit.data = &is_late;
    wake.data = &woken;
    uv_update_time(loop_uv(rig->loop));
    uv_timer_start(&limit, on_limit, limit_ms, 0);
    uv_timer_start(&wake, on_limit, poll_ms, poll_ms);
    while (!(is_true = is_done(ctx)) && !is_late)
        uv_run(loop_uv(rig->loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_close((uv_handle_t *)&wake, NULL);
    loop_poll(rig->loop);
    return is_true;
}

bool
rig_wait(struct rig *rig, bool (*is_done)(void *ctx), void *ctx)
{
    return turn(rig, is_done, ctx, RIG_WAIT_MS);
}

static bool
never(void *ctx)
{
    return false;
}

void
rig_pass_ms(struct rig *rig, unsigned ms)
{
    (void)turn(rig, never, NULL, ms);
}

struct sweep_wait {
    bool is_done;
    enum rc rc;
};

static void
swept(void *ctx, enum rc rc)
{
    struct sweep_wait *w = ctx;

    w->is_done = true;
    w->rc = rc;
}

static bool
is_swept(void *ctx)
{
    return ((struct sweep_wait *)ctx)->is_done;
}

void
rig_advance(struct rig *rig, int64_t ms)
{
    struct sweep_wait w = {.is_done = false};

    assert_int_equal(clock_set_offset_ms(rig->clock, clock_offset_ms(rig->clock) + ms, NULL),
                     RC_OK);
    relay_sweep(rig->relay, swept, &w);
    assert_true(rig_wait(rig, is_swept, &w));
    assert_int_equal(w.rc, RC_OK);
}

int64_t
rig_sql(struct rig *rig, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    char path[128];
    int64_t value;

    snprintf(path, sizeof(path), "%s/relay.db", rig->data);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return value;
}

void
rig_exec(struct rig *rig, const char *sql)
{
    sqlite3 *db;
    char path[128];

    snprintf(path, sizeof(path), "%s/relay.db", rig->data);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

void
rig_code(struct rig *rig, uint64_t number, char out[8])
{
    char path[128], want[32];
    struct buf text;
    char *save = NULL;

    out[0] = '\0';
    snprintf(path, sizeof(path), "%s/outbox", rig->data);
    snprintf(want, sizeof(want), "%llu", (unsigned long long)number);
    buf_init(&text, 1024 * 1024);
    if (file_read(&text, path, 1024 * 1024 - 1, NULL) == RC_OK) {
        (void)buf_cstr(&text);
        for (char *line = strtok_r((char *)text.ptr, "\n", &save); line != NULL;
             line = strtok_r(NULL, "\n", &save)) {
            json_t *object;

            assert_int_equal(json_read(&object, bytes_of_str(line), 4096, NULL), RC_OK);
            if (strcmp(json_str(object, "number"), want) == 0)
                snprintf(out, 8, "%s", json_str(object, "code"));
            json_decref(object);
        }
    }
    buf_free(&text);
}

/* ---- a device's channel ---- */

static void *
room(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap == 0 ? 64 : *cap * 2;
    items = realloc(items, *cap * size);
    assert_non_null(items);
    return items;
}

static void
on_up(void *ctx, struct channel *channel)
{
    ((struct device *)ctx)->is_up = true;
}

static void
read_notice(struct delivery *to, const Parley__Wire__Deliver *in)
{
    Parley__Wire__Notice *notice;
    struct arena *arena;

    assert_int_equal(arena_new(&arena, ARENA_BYTES, NULL), RC_OK);
    assert_int_equal(wire_notice_unpack(&notice, arena, wire_bytes(in->body), NULL), RC_OK);
    to->notice_reason = notice->reason;
    to->n_items = (uint32_t)notice->n_items;
    memcpy(to->notice_id, notice->items[0]->message_id.data, MESSAGE_ID_BYTES);
    arena_free(&arena);
}

static void
on_deliver(struct device *d, const Parley__Wire__Deliver *in)
{
    struct delivery *to;

    d->deliveries = room(d->deliveries, d->n_deliveries, &d->cap_deliveries, sizeof(*to));
    to = &d->deliveries[d->n_deliveries++];
    *to = (struct delivery){
        .lane = in->lane, .seq = in->seq, .class = in->class_, .len = in->body.len};
    if (in->sender != NULL) {
        to->sender = in->sender->account;
        to->sender_device = in->sender->device;
    }
    memcpy(to->id, in->message_id.data, MESSAGE_ID_BYTES);
    if (in->body.len >= 4)
        memcpy(&to->number, in->body.data, 4);
    if (in->class_ == PARLEY__WIRE__CLASS__NOTICE)
        read_notice(to, in);
    if (d->acks && in->seq != 0)
        device_ack(d, in->lane, in->seq);
}

static void
keep_reply(struct device *d, const Parley__Wire__Frame *frame)
{
    struct buf packed;

    buf_init(&packed, WIRE_FRAME_MAX);
    arena_free(&d->arena);
    assert_int_equal(arena_new(&d->arena, ARENA_BYTES, NULL), RC_OK);
    assert_int_equal(wire_pack(&packed, frame, NULL), RC_OK);
    assert_int_equal(wire_unpack(&d->reply, d->arena, buf_bytes(&packed), NULL), RC_OK);
    buf_free(&packed);
    d->has_reply = true;
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    struct device *d = ctx;

    if (frame->request_id != 0 && frame->request_id == d->waits_for) {
        keep_reply(d, frame);
        d->waits_for = 0;
    }
    if (frame->body_case == PARLEY__WIRE__FRAME__BODY_DELIVER) {
        on_deliver(d, frame->deliver);
    } else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT) {
        d->results = room(d->results, d->n_results, &d->cap_results, sizeof(*d->results));
        memcpy(d->results[d->n_results].id, frame->publish_result->message_id.data,
               MESSAGE_ID_BYTES);
        d->results[d->n_results++].reason = frame->publish_result->reason;
    } else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_PREKEY_STATUS &&
               frame->request_id == 0) {
        d->n_status++;
        d->last_left = frame->prekey_status->one_time_left;
    } else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_BUNDLES && d->on_bundles != NULL) {
        d->on_bundles(frame);
    }
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct device *d = ctx;

    d->has_ended = true;
    d->end = how;
    d->reason = reason;
    d->channel = NULL;
}

static const struct channel_ops ops = {on_up, on_frame, NULL, on_end};

static enum rc
check_server(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    struct device *d = ctx;
    struct relay_cert cert;
    enum rc rc = relay_cert_read(&cert, certificate, d->rig->root_pub, 0, err);

    if (rc == RC_OK && memcmp(cert.static_key, server_static, 32) != 0)
        rc = err_set(err, RC_AUTH, "rig", "the certificate is another's");
    return rc;
}

void
device_init(struct device *d, struct rig *rig, uint64_t number)
{
    memset(d, 0, sizeof(*d));
    d->rig = rig;
    d->number = number;
    x25519_keypair(d->noise.priv, d->noise.pub, rng_system());
    d->identity[0] = 5;
    x25519_keypair(d->identity_priv, d->identity + 1, rng_system());
    d->registration_id = 1 + rng_below(rng_system(), 16380);
    d->next_prekey = 1;
}

void
device_wipe(struct device *d)
{
    device_cut(d);
    arena_free(&d->arena);
    free(d->deliveries);
    free(d->results);
    d->deliveries = NULL;
    d->results = NULL;
    d->n_deliveries = d->cap_deliveries = d->n_results = d->cap_results = 0;
}

static bool
is_up_or_over(void *ctx)
{
    struct device *d = ctx;

    return d->is_up || d->has_ended;
}

void
device_connect(struct device *d)
{
    struct channel_opt opt = {.hub = d->rig->hub, .ops = &ops, .ctx = d};

    device_cut(d);
    opt.pipe.local_static = &d->noise;
    opt.pipe.rng = rng_system();
    opt.pipe.check_server = check_server;
    opt.pipe.ctx = d;
    d->is_up = d->has_ended = d->has_reply = false;
    d->waits_for = 0;
    assert_int_equal(channel_connect(&d->channel, "127.0.0.1", d->rig->port, &opt, NULL), RC_OK);
    assert_true(rig_wait(d->rig, is_up_or_over, d));
}

void
device_cut(struct device *d)
{
    if (d->channel != NULL)
        channel_abandon(&d->channel, PARLEY__WIRE__CLOSE_REASON__BYE);
    d->is_up = false;
}

static bool
has_reply_or_ended(void *ctx)
{
    struct device *d = ctx;

    return d->has_reply || d->has_ended;
}

const Parley__Wire__Frame *
device_ask(struct device *d, Parley__Wire__Frame *frame)
{
    frame->request_id = ++d->next_request;
    d->waits_for = frame->request_id;
    d->has_reply = false;
    if (d->channel == NULL || channel_send(d->channel, frame, NULL) != RC_OK)
        return NULL;
    assert_true(rig_wait(d->rig, has_reply_or_ended, d));
    return d->has_reply ? d->reply : NULL;
}

void
device_tell(struct device *d, Parley__Wire__Frame *frame)
{
    if (d->channel != NULL)
        (void)!channel_send(d->channel, frame, NULL);
}

Parley__Wire__Reason
reason_of(const Parley__Wire__Frame *reply)
{
    assert_non_null(reply);
    return reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL ? reply->refusal->reason : OK;
}

/* ---- registration ---- */

Parley__Wire__Reason
device_ask_code(struct device *d)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeRequest body = PARLEY__WIRE__CODE_REQUEST__INIT;

    body.number = d->number;
    body.method = (char *)(uintptr_t) "sms";
    body.language = (char *)(uintptr_t) "en";
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_REQUEST;
    frame.code_request = &body;
    return reason_of(device_ask(d, &frame));
}

Parley__Wire__Reason
device_verify(struct device *d, const char *code, uint8_t ticket[32], bool *pin_required)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__CodeVerify body = PARLEY__WIRE__CODE_VERIFY__INIT;
    const Parley__Wire__Frame *reply;

    body.number = d->number;
    body.code = (char *)(uintptr_t)code;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_CODE_VERIFY;
    frame.code_verify = &body;
    reply = device_ask(d, &frame);
    if (reason_of(reply) != OK)
        return reason_of(reply);
    assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_TICKET);
    assert_int_equal(reply->ticket->ticket.len, 32);
    memcpy(ticket, reply->ticket->ticket.data, 32);
    if (pin_required != NULL)
        *pin_required = reply->ticket->pin_required;
    return OK;
}

static void
sign(struct device *d, uint8_t sig[64], const char *label, struct bytes text, bool spoil)
{
    uint8_t random[64], joined[512];
    size_t n = strlen(label);

    memcpy(joined, label, n);
    memcpy(joined + n, text.ptr, text.len);
    rng_fill(rng_system(), random, sizeof(random));
    curve_sign(sig, d->identity_priv, bytes_of(joined, n + text.len), random);
    if (spoil)
        sig[5] ^= 1;
}

/* Everything a DeviceKeys needs, kept in one place while the frame is sent. */
struct key_parts {
    Parley__Wire__DeviceKeys keys;
    Parley__Wire__SignedPrekey signed_prekey;
    Parley__Wire__DeviceStatement statement;
    uint8_t signed_pub[33], signed_sig[64], details[64], statement_sig[64];
    Parley__Wire__OneTimePrekey *one_time;
    Parley__Wire__OneTimePrekey **list;
    uint8_t (*pubs)[33];
};

#define FIELD(array) wire_field(bytes_of((array), sizeof(array)))

static void
make_one_time(struct device *d, struct key_parts *p, uint32_t n)
{
    uint64_t seed = d->prekey_seed;
    struct rng rng = d->keeps_prekeys ? rng_seeded(&seed) : rng_system();

    p->one_time = calloc(n + 1, sizeof(*p->one_time));
    p->list = calloc(n + 1, sizeof(struct Parley__Wire__OneTimePrekey *));
    p->pubs = calloc(n + 1, sizeof(*p->pubs));
    if (d->keeps_prekeys)
        d->next_prekey = 1;
    for (uint32_t i = 0; i < n; i++) {
        parley__wire__one_time_prekey__init(&p->one_time[i]);
        rng_fill(rng, p->pubs[i], 33);
        p->pubs[i][0] = 5;
        p->one_time[i].id = d->next_prekey++;
        p->one_time[i].key = FIELD(p->pubs[i]);
        p->list[i] = &p->one_time[i];
    }
}

static void
free_one_time(struct key_parts *p)
{
    free(p->one_time);
    free(p->list);
    free(p->pubs);
}

static void
make_keys(struct device *d, struct key_parts *p, const struct registration_opt *opt)
{
    Parley__Wire__DeviceDetails details = PARLEY__WIRE__DEVICE_DETAILS__INIT;
    size_t n;

    parley__wire__device_keys__init(&p->keys);
    parley__wire__signed_prekey__init(&p->signed_prekey);
    parley__wire__device_statement__init(&p->statement);
    make_one_time(d, p, opt->n_one_time);
    rng_fill(rng_system(), p->signed_pub, 33);
    p->signed_pub[0] = 5;
    sign(d, p->signed_sig, "", bytes_of(p->signed_pub, 33), opt->spoil_signed);
    p->signed_prekey.id = 7;
    p->signed_prekey.key = FIELD(p->signed_pub);
    p->signed_prekey.signature = FIELD(p->signed_sig);
    details.account = opt->statement_number == 0 ? d->number : opt->statement_number;
    details.device = 1;
    n = parley__wire__device_details__pack(&details, p->details);
    sign(d, p->statement_sig, "PLY-device", bytes_of(p->details, n), opt->spoil_statement);
    p->statement.details = wire_field(bytes_of(p->details, n));
    p->statement.signature = FIELD(p->statement_sig);
    p->keys.registration_id = d->registration_id;
    p->keys.identity_key = FIELD(d->identity);
    p->keys.signed_prekey = &p->signed_prekey;
    p->keys.statement = &p->statement;
    p->keys.n_one_time = opt->n_one_time;
    p->keys.one_time = p->list;
}

Parley__Wire__Reason
device_register_with(struct device *d, const struct registration_opt *opt)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Register body = PARLEY__WIRE__REGISTER__INIT;
    const Parley__Wire__Frame *reply;
    struct key_parts parts = {0};
    uint8_t sig[64];

    make_keys(d, &parts, opt);
    sign(d, sig, "PLY-reg", bytes_of(channel_hash(d->channel), 32), opt->spoil_channel);
    body.ticket = wire_field(bytes_of(opt->ticket, 32));
    body.pin = (char *)(uintptr_t)(opt->pin == NULL ? "" : opt->pin);
    body.new_pin = (char *)(uintptr_t)(opt->new_pin == NULL ? "" : opt->new_pin);
    body.keys = &parts.keys;
    body.channel_signature = FIELD(sig);
    body.number_certificate = wire_field(opt->certificate);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_REGISTER;
    frame.register_ = &body;
    reply = device_ask(d, &frame);
    free_one_time(&parts);
    if (reason_of(reply) != OK)
        return reason_of(reply);
    assert_int_equal(reply->body_case, PARLEY__WIRE__FRAME__BODY_REGISTERED);
    assert_int_equal(reply->registered->address->account, d->number);
    d->generation = reply->registered->generation;
    d->counter = 0;
    return OK;
}

void
device_certificate(struct device *d, uint64_t number, int64_t not_after_s, struct buf *out)
{
    struct number_cert cert = {.number = number,
                               .display_name = "Shop",
                               .business_id = 1,
                               .portfolio_id = 1,
                               .hosting = CERT_HOSTED,
                               .operator_name = "Parley",
                               .issued_s = 1,
                               .not_after_s = not_after_s};

    buf_init(out, 4096);
    assert_int_equal(number_cert_issue(&cert, d->rig->authority_seed, out, NULL), RC_OK);
}

void
device_register(struct device *d, uint32_t n_one_time)
{
    struct registration_opt opt = {.n_one_time = n_one_time};
    uint8_t ticket[32];
    struct buf cert = {0};
    char code[8];

    device_connect(d);
    assert_int_equal(device_ask_code(d), OK);
    rig_code(d->rig, d->number, code);
    assert_int_equal(device_verify(d, code, ticket, NULL), OK);
    opt.ticket = ticket;
    if (d->is_business) {
        device_certificate(d, d->number, INT64_C(4000000000), &cert);
        opt.certificate = buf_bytes(&cert);
    }
    assert_int_equal(device_register_with(d, &opt), OK);
    buf_free(&cert);
}

/* ---- logged in ---- */

Parley__Wire__Reason
device_login(struct device *d, const struct claim *claims, size_t n)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Login body = PARLEY__WIRE__LOGIN__INIT;
    Parley__Wire__Address address = PARLEY__WIRE__ADDRESS__INIT;
    Parley__Wire__LaneClaim parts[32], *list[32];
    const Parley__Wire__Frame *reply;
    struct buf cert = {0};

    for (size_t i = 0; i < n; i++) {
        parley__wire__lane_claim__init(&parts[i]);
        parts[i].mask = claims[i].mask;
        parts[i].lease_epoch = claims[i].epoch;
        list[i] = &parts[i];
    }
    address.account = d->number;
    address.device = 1;
    body.address = &address;
    body.generation = d->generation;
    body.n_lanes = n;
    body.lanes = list;
    body.client = (char *)(uintptr_t) "rig";
    if (d->is_business) {
        device_certificate(d, d->number, INT64_C(4000000000), &cert);
        body.number_certificate = wire_field(buf_bytes(&cert));
    }
    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN;
    frame.login = &body;
    reply = device_ask(d, &frame);
    buf_free(&cert);
    return reason_of(reply);
}

void
device_come(struct device *d)
{
    device_connect(d);
    assert_true(d->is_up);
    assert_int_equal(device_login(d, NULL, 0), OK);
}

static void
fill_hash(uint8_t out[DEVICE_LIST_HASH_SIZE], const struct message *m)
{
    struct device_entry entry = {.device = 1, .registration_id = m->to->registration_id};

    memcpy(entry.identity_key, m->to->identity, 33);
    device_list_hash(out, &entry, 1);
    if (m->spoil_hash)
        out[0] ^= 1;
}

static void
publish(struct device *d, struct message *m, Parley__Wire__Frame *frame, bool waits)
{
    static const uint8_t none[MESSAGE_ID_BYTES];
    static uint8_t content[WIRE_ENVELOPE_MAX + 4096];
    Parley__Wire__Publish body = PARLEY__WIRE__PUBLISH__INIT;
    Parley__Wire__DeviceCiphertext c = PARLEY__WIRE__DEVICE_CIPHERTEXT__INIT, *list[1] = {&c};
    int64_t now = clock_unix_ms(d->rig->clock);
    uint8_t hash[DEVICE_LIST_HASH_SIZE];

    if (memcmp(m->id, none, sizeof(none)) == 0) {
        message_id_make(m->id, now, rng_system());
        d->counter++;
    }
    memcpy(content, &m->number, 4);
    fill_hash(hash, m);
    body.message_id = FIELD(m->id);
    body.recipient = m->to->number;
    body.device_list_hash = FIELD(hash);
    body.class_ = m->class == 0 ? PARLEY__WIRE__CLASS__MESSAGE : m->class;
    body.category = m->category;
    body.expires_at_ms = m->expires_ms == 0 ? now + WIRE_EXPIRY_MAX_MS : m->expires_ms;
    body.counter = d->counter;
    body.n_ciphertexts = 1;
    body.ciphertexts = list;
    c.device = 1;
    c.type = PARLEY__WIRE__CIPHER_TYPE__WHISPER;
    c.body = wire_field(bytes_of(content, m->len == 0 ? 100 : m->len));
    c.registration_id = m->registration_id == 0 ? m->to->registration_id : m->registration_id;
    frame->body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH;
    frame->publish = &body;
    if (waits) {
        (void)device_ask(d, frame);
    } else {
        frame->request_id = ++d->next_request;
        device_tell(d, frame);
    }
}

void
device_publish(struct device *d, struct message *m)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    publish(d, m, &frame, false);
}

Parley__Wire__Reason
device_publish_wait(struct device *d, struct message *m)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;

    publish(d, m, &frame, true);
    assert_true(d->has_reply);
    if (d->reply->body_case == PARLEY__WIRE__FRAME__BODY_REFUSAL)
        return d->reply->refusal->reason;
    assert_int_equal(d->reply->body_case, PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT);
    assert_memory_equal(d->reply->publish_result->message_id.data, m->id, MESSAGE_ID_BYTES);
    return d->reply->publish_result->reason;
}

struct count_wait {
    struct device *d;
    size_t n;
};

static bool
has_deliveries(void *ctx)
{
    struct count_wait *w = ctx;

    return w->d->n_deliveries >= w->n;
}

void
device_wait_deliveries(struct device *d, size_t n)
{
    struct count_wait w = {d, n};

    if (!rig_wait(d->rig, has_deliveries, &w))
        fail_msg("%zu of %zu deliveries", d->n_deliveries, n);
}

static bool
has_results(void *ctx)
{
    struct count_wait *w = ctx;

    return w->d->n_results >= w->n;
}

void
device_wait_results(struct device *d, size_t n)
{
    struct count_wait w = {d, n};

    if (!rig_wait(d->rig, has_results, &w))
        fail_msg("%zu of %zu results", d->n_results, n);
}

static bool
has_ended(void *ctx)
{
    return ((struct device *)ctx)->has_ended;
}

void
device_wait_end(struct device *d)
{
    assert_true(rig_wait(d->rig, has_ended, d));
}

void
device_ack(struct device *d, uint32_t lane, uint64_t seq)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__Ack body = PARLEY__WIRE__ACK__INIT;
    Parley__Wire__LaneAck one = PARLEY__WIRE__LANE_ACK__INIT, *list[1] = {&one};

    one.lane = lane;
    one.seq = seq;
    body.n_lanes = 1;
    body.lanes = list;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_ACK;
    frame.ack = &body;
    device_tell(d, &frame);
}

static void
fetch(struct device *d, uint64_t account, bool keys_only, bool waits)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__BundleFetch body = PARLEY__WIRE__BUNDLE_FETCH__INIT;

    body.account = account;
    body.keys_only = keys_only;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_BUNDLE_FETCH;
    frame.bundle_fetch = &body;
    if (waits) {
        (void)device_ask(d, &frame);
    } else {
        frame.request_id = ++d->next_request;
        device_tell(d, &frame);
    }
}

Parley__Wire__Reason
device_fetch(struct device *d, uint64_t account, bool keys_only, uint32_t *one_time_id)
{
    *one_time_id = 0;
    fetch(d, account, keys_only, true);
    assert_true(d->has_reply);
    if (reason_of(d->reply) != OK)
        return reason_of(d->reply);
    assert_int_equal(d->reply->body_case, PARLEY__WIRE__FRAME__BODY_BUNDLES);
    assert_int_equal(d->reply->bundles->n_bundles, 1);
    if (d->reply->bundles->bundles[0]->one_time != NULL)
        *one_time_id = d->reply->bundles->bundles[0]->one_time->id;
    return OK;
}

void
device_fetch_later(struct device *d, uint64_t account)
{
    fetch(d, account, false, false);
}

void
device_keep_prekeys(struct device *d)
{
    d->keeps_prekeys = true;
    d->prekey_seed = rng_u64(rng_system());
}

Parley__Wire__Reason
device_try_upload(struct device *d, uint32_t n, bool replace)
{
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    Parley__Wire__PrekeyUpload body = PARLEY__WIRE__PREKEY_UPLOAD__INIT;
    struct key_parts parts = {0};

    make_one_time(d, &parts, n);
    body.n_one_time = n;
    body.one_time = parts.list;
    body.replace_one_time = replace;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PREKEY_UPLOAD;
    frame.prekey_upload = &body;
    (void)device_ask(d, &frame);
    free_one_time(&parts);
    if (reason_of(d->reply) != OK)
        return reason_of(d->reply);
    assert_int_equal(d->reply->body_case, PARLEY__WIRE__FRAME__BODY_PREKEY_STATUS);
    d->last_left = d->reply->prekey_status->one_time_left;
    return OK;
}

void
device_upload(struct device *d, uint32_t n, bool replace)
{
    assert_int_equal(device_try_upload(d, n, replace), OK);
}

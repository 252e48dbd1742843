/* relay_job.c - messages through a real parley-relay: published by businesses, queued durably,
 * delivered to connected phones, acknowledged; beside SQLite alone on the same disk.
 *
 * The relay is a process of its own with one event loop; its CPU is read from its own clock. The
 * devices live here (device.h). Source: docs/protocol/relay.md. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "child.h"
#include "crypto/cert.h"
#include "crypto/prim.h"
#include "device.h"
#include "rawdb.h"
#include "wait.h"
#include "measure.h"

#define SHOPS 2u
#define PHONES 100u
#define IN_FLIGHT 512u /* of one shop */
#define BODY_BYTES 300u
#define FIRST_SHOP 15550900000u
#define FIRST_PHONE 15550910000u
#define DRAIN_MS 10000u
#define PER_CORE_TARGET 15000.0
#define CPU_TARGET_S 60.0

struct relay_bench {
    struct device_net net;
    struct child relay;
    struct rawdb *db;
    struct device shops[SHOPS], phones[PHONES];
    char folder[BENCH_PATH_MAX + 16], outbox[BENCH_PATH_MAX + 32];
    int64_t until_us; /* no new messages after this */
};

/* ---- the relay ---- */

/* Its key and a certificate for it from a root made here. */
static enum rc
make_identity(struct relay_bench *b, const char *cert_path, const char *key_path, struct err *err)
{
    struct relay_cert cert = {.host = "localhost", .not_after_s = INT64_C(4000000000)};
    uint8_t seed[32], priv[32];
    struct buf out;
    enum rc rc;

    ed25519_keypair(seed, b->net.root, rng_system());
    x25519_keypair(priv, cert.static_key, rng_system());
    buf_init(&out, CERT_SIZE_MAX);
    rc = relay_cert_issue(&cert, seed, &out, err);
    if (rc == RC_OK)
        rc = file_replace(cert_path, buf_bytes(&out), 0644, err);
    if (rc == RC_OK)
        rc = file_replace(key_path, bytes_of(priv, sizeof(priv)), 0400, err);
    buf_free(&out);
    bytes_wipe(seed, sizeof(seed));
    bytes_wipe(priv, sizeof(priv));
    return rc;
}

static enum rc
start_relay(struct relay_bench *b, const struct bench *bench, struct err *err)
{
    char program[BENCH_PATH_MAX + 32], data[BENCH_PATH_MAX + 32], cert[BENCH_PATH_MAX + 32],
        key[BENCH_PATH_MAX + 32], log[BENCH_PATH_MAX + 32];
    uint8_t authority[32];
    struct buf text;
    enum rc rc;

    snprintf(b->folder, sizeof(b->folder), "%s/relay", bench->folder);
    snprintf(data, sizeof(data), "%s/data", b->folder);
    snprintf(cert, sizeof(cert), "%s/relay.cert", b->folder);
    snprintf(key, sizeof(key), "%s/noise.key", b->folder);
    snprintf(log, sizeof(log), "%s/relay.log", b->folder);
    snprintf(b->outbox, sizeof(b->outbox), "%s/outbox", data);
    snprintf(program, sizeof(program), "%s/parley-relay", bench->bin);
    ed25519_keypair(b->net.authority_seed, authority, rng_system());
    buf_init(&text, 64);
    base64_put(&text, bytes_of(authority, sizeof(authority)));
    char *argv[] = {program,
                    (char[]){"--data-dir"},
                    data,
                    (char[]){"--listen"},
                    (char[]){"127.0.0.1:0"},
                    (char[]){"--loops"},
                    (char[]){"1"},
                    (char[]){"--cert-file"},
                    cert,
                    (char[]){"--key-file"},
                    key,
                    (char[]){"--authority-key"},
                    (char *)(uintptr_t)buf_cstr(&text),
                    NULL};
    if ((rc = dir_make(b->folder, 0711, err)) == RC_OK &&
        (rc = make_identity(b, cert, key, err)) == RC_OK &&
        (rc = child_start(&b->relay, argv, log, err)) == RC_OK)
        rc = child_wait_ready(&b->relay, err);
    buf_free(&text);
    b->net.port = child_port(&b->relay);
    b->net.outbox = b->outbox;
    return rc;
}

/* ---- traffic ---- */

/* Keep the shop's pipe full; each shop goes round all phones. */
static void
keep_full(struct device *shop)
{
    static const uint8_t body[BODY_BYTES];
    struct relay_bench *b =
        (struct relay_bench *)((char *)shop->net - offsetof(struct relay_bench, net));

    while (shop->n_sent - shop->n_answered < IN_FLIGHT && shop->channel != NULL &&
           now_us() < b->until_us)
        device_publish(shop, &b->phones[shop->n_sent % PHONES], bytes_of(body, sizeof(body)));
}

struct totals {
    uint64_t sent, answered, refused, delivered;
};

static struct totals
count(const struct relay_bench *b)
{
    struct totals t = {0};

    for (size_t i = 0; i < SHOPS; i++) {
        t.sent += b->shops[i].n_sent;
        t.answered += b->shops[i].n_answered;
        t.refused += b->shops[i].n_refused;
    }
    for (size_t i = 0; i < PHONES; i++)
        t.delivered += b->phones[i].n_delivered;
    return t;
}

static bool
is_drained(void *ctx)
{
    struct relay_bench *b = ctx;
    struct totals t = count(b);

    return now_us() >= b->until_us && t.answered == t.sent && t.delivered == t.sent;
}

static enum rc
run_round(struct relay_bench *b, double seconds, double *per_s, double *cpu_us, struct err *err)
{
    struct totals before = count(b), after;
    int64_t start_us = now_us();
    double cpu = cpu_s(b->relay.pid), n;
    enum rc rc;

    b->until_us = start_us + (int64_t)(seconds * 1e6);
    for (size_t i = 0; i < SHOPS; i++)
        keep_full(&b->shops[i]);
    rc = wait_until(b->net.loop, is_drained, b, (unsigned)(seconds * 1000) + DRAIN_MS, err);
    after = count(b);
    if (rc == RC_OK && after.refused != 0)
        rc = err_set(err, RC_DENIED, "bench.relay", "the relay refused messages");
    n = (double)(after.delivered - before.delivered);
    *per_s = n * 1e6 / (double)(now_us() - start_us);
    *cpu_us = (cpu_s(b->relay.pid) - cpu) * 1e6 / n;
    return rc;
}

static enum rc
prepare(struct relay_bench *b, struct bench *bench, struct err *err)
{
    char path[BENCH_PATH_MAX + 32];
    struct channel_hub_opt hub = {.log = log_none()};
    enum rc rc;

    if ((rc = loop_new(&b->net.loop, err)) != RC_OK)
        return rc;
    hub.loop = b->net.loop;
    if ((rc = channel_hub_open(&b->net.hub, &hub, err)) != RC_OK ||
        (rc = start_relay(b, bench, err)) != RC_OK)
        return rc;
    snprintf(path, sizeof(path), "%s/raw.db", b->folder);
    rc = rawdb_open(&b->db, path, err);
    for (unsigned i = 0; rc == RC_OK && i < SHOPS; i++) {
        rc = device_open(&b->shops[i], &b->net, FIRST_SHOP + i, true, err);
        b->shops[i].on_progress = keep_full;
    }
    for (unsigned i = 0; rc == RC_OK && i < PHONES; i++)
        rc = device_open(&b->phones[i], &b->net, FIRST_PHONE + i, false, err);
    return rc;
}

static void
add_rows(struct bench *bench, const struct series s[4])
{
    double cpu_us = series_median(&s[1]);

    report_add(bench->report, &(struct row){.job = "relay",
                                            .figure = "messages forwarded, durable",
                                            .unit = "/s",
                                            .ours = series_median(&s[0]),
                                            .reference = "raw SQLite, 100 rows a commit",
                                            .theirs = series_median(&s[2])});
    report_add(bench->report, &(struct row){.job = "relay",
                                            .figure = "messages forwarded, durable",
                                            .unit = "/s, 1 core",
                                            .ours = 1e6 / cpu_us,
                                            .reference = "raw SQLite, 100 rows a commit",
                                            .theirs = 1e6 / series_median(&s[3]),
                                            .bound = BOUND_AT_LEAST,
                                            .target = PER_CORE_TARGET});
    report_add(bench->report, &(struct row){.job = "relay",
                                            .figure = "CPU for a million messages",
                                            .unit = "CPU-s",
                                            .ours = cpu_us,
                                            .reference = "raw SQLite, a million rows",
                                            .theirs = series_median(&s[3]),
                                            .bound = BOUND_AT_MOST,
                                            .target = CPU_TARGET_S});
}

enum rc
bench_relay(struct bench *bench, struct err *err)
{
    struct relay_bench *b = calloc(1, sizeof(*b));
    double slice_s = bench->seconds / (2.0 * bench->rounds);
    struct series s[4] = {0}; /* ours: rate, CPU; SQLite's: rate, CPU */
    enum rc rc;

    if (b == NULL)
        return err_set(err, RC_NOMEM, "bench.relay", "no memory");
    rc = prepare(b, bench, err);
    for (unsigned round = 0; rc == RC_OK && round < bench->rounds; round++) {
        struct rawdb_figures raw;
        double per_s, cpu_us;

        if ((rc = rawdb_run(b->db, &raw, slice_s, err)) != RC_OK ||
            (rc = run_round(b, slice_s, &per_s, &cpu_us, err)) != RC_OK)
            break;
        series_add(&s[0], per_s);
        series_add(&s[1], cpu_us);
        series_add(&s[2], raw.rows_per_s);
        series_add(&s[3], raw.cpu_us_per_row);
    }
    if (rc == RC_OK)
        add_rows(bench, s);
    for (size_t i = 0; i < SHOPS; i++)
        device_close(&b->shops[i]);
    for (size_t i = 0; i < PHONES; i++)
        device_close(&b->phones[i]);
    child_stop(&b->relay);
    channel_hub_free(&b->net.hub);
    loop_free(&b->net.loop);
    rawdb_free(&b->db);
    free(b);
    return rc;
}

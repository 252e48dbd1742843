/* up_files.c - what `parley up` makes before any program starts: folders, the platform's CA and
 * leaf certificates, the relay's key and certificate, the authority's key, one configuration file a
 * program.
 *
 * The CA's key and the sealed root of the relay stay with the supervisor (DIR/etc, 0600); each
 * program gets only its own leaf. Source: docs/operating.md. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/rng.h"
#include "cmd/up.h"
#include "crypto/ca.h"
#include "crypto/cert.h"
#include "crypto/prim.h"
#include "crypto/seal.h"

#define RELAY_CERT_DAYS 90
#define RELAY_CERT_RENEW_DAYS 30 /* before the end */
#define DAY_S (24ll * 3600)
#define ROOT_SCOPE 1u

char *
up_path(char *out, const struct up_plan *plan, const char *name)
{
    int n = snprintf(out, UP_PATH_MAX, "%s/%s", plan->dir, name);

    if (n < 0 || n >= (int)UP_PATH_MAX)
        out[0] = '\0'; /* opens nothing; plan_dir() keeps the folder's path short enough */
    return out;
}

static bool
exists(const struct up_plan *plan, const char *name)
{
    char path[UP_PATH_MAX];

    return access(up_path(path, plan, name), F_OK) == 0;
}

static enum rc
read_file(struct buf *out, const struct up_plan *plan, const char *name, struct err *err)
{
    char path[UP_PATH_MAX];

    return file_read(out, up_path(path, plan, name), CA_PEM_MAX, err);
}

static enum rc
write_file(const struct up_plan *plan, const char *name, struct bytes in, mode_t mode,
           struct err *err)
{
    char path[UP_PATH_MAX];

    return file_replace(up_path(path, plan, name), in, mode, err);
}

/* ---- folders ---- */

static const struct folder {
    const char *name;
    mode_t mode;
} folders[] = {
    {"",        0711},
    {"etc",     0711},
    {"log",     0700},
    {"relay",   0700},
    {"manager", 0700},
    {"cloud",   0700},
    {"phone",   0700},
};

static enum rc
make_folders(struct up_plan *plan, struct err *err)
{
    char path[UP_PATH_MAX];
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(folders); i++) {
        up_path(path, plan, folders[i].name);
        rc = dir_make(path, folders[i].mode, err);
        if (rc == RC_OK && i < 2 && geteuid() == 0)
            (void)!chmod(path, folders[i].mode); /* mktemp -d makes 0700: the users must pass */
    }
    return rc;
}

/* ---- TLS ---- */

/* A program's key lies in its own folder, which becomes its user's when it gives up root. */
static const struct leaf {
    const char *name; /* files NAME.pem, NAME.key */
    const char *common_name;
    bool is_server, is_client;
} leaves[] = {
    {"cloud/tls",      "parley-cloud",      true,  true},
    {"manager/tls",    "parley-manager",    true,  true},
    {"etc/cli",        "parley-cli",        false, true},
    {"etc/supervisor", "parley-supervisor", false, true},
};

static enum rc
make_ca(struct up_plan *plan, struct buf *cert, struct buf *key, struct err *err)
{
    enum rc rc;

    if (exists(plan, "etc/ca.key")) {
        rc = read_file(cert, plan, "ca.pem", err);
        return rc != RC_OK ? rc : read_file(key, plan, "etc/ca.key", err);
    }
    rc = ca_make(cert, key, "Parley platform CA", time(NULL), err);
    if (rc == RC_OK)
        rc = write_file(plan, "ca.pem", buf_bytes(cert), 0644, err);
    if (rc == RC_OK)
        rc = write_file(plan, "etc/ca.key", buf_bytes(key), 0600, err);
    return rc;
}

static bool
is_leaf_good(struct up_plan *plan, const char *pem_name)
{
    struct buf pem;
    int64_t until_s = 0;
    bool is_good;

    buf_init(&pem, CA_PEM_MAX);
    is_good = read_file(&pem, plan, pem_name, NULL) == RC_OK &&
              ca_expiry(&until_s, buf_bytes(&pem), NULL) == RC_OK &&
              until_s - time(NULL) > RELAY_CERT_RENEW_DAYS * DAY_S;
    buf_free(&pem);
    return is_good;
}

/* The --listen name a server certificate was made for, so that another name makes another one. */
static enum rc
make_leaf(struct up_plan *plan, const struct leaf *leaf, const struct buf *ca_cert,
          const struct buf *ca_key, bool names_changed, struct err *err)
{
    const char *names[] = {"localhost", "127.0.0.1", "::1", plan->listen};
    struct ca_leaf opt = {.common_name = leaf->common_name,
                          .names = names,
                          .n_names = ARRAY_LEN(names),
                          .is_server = leaf->is_server,
                          .is_client = leaf->is_client,
                          .now_unix_s = time(NULL)};
    char pem_name[64], key_name[64];
    struct buf cert, key;
    enum rc rc;

    snprintf(pem_name, sizeof pem_name, "%s.pem", leaf->name);
    snprintf(key_name, sizeof key_name, "%s.key", leaf->name);
    if (!names_changed && exists(plan, key_name) && is_leaf_good(plan, pem_name))
        return RC_OK;
    for (size_t i = 0; i + 1 < ARRAY_LEN(names); i++)
        if (strcmp(plan->listen, names[i]) == 0)
            opt.n_names = ARRAY_LEN(names) - 1;
    if (strcmp(plan->listen, "0.0.0.0") == 0 || strcmp(plan->listen, "::") == 0)
        opt.n_names = ARRAY_LEN(names) - 1;
    buf_init(&cert, CA_PEM_MAX);
    buf_init(&key, CA_PEM_MAX);
    rc = ca_issue(&cert, &key, buf_bytes(ca_cert), buf_bytes(ca_key), &opt, err);
    if (rc == RC_OK)
        rc = write_file(plan, key_name, buf_bytes(&key), 0600, err);
    if (rc == RC_OK)
        rc = write_file(plan, pem_name, buf_bytes(&cert), 0644, err);
    buf_wipe(&key);
    buf_free(&cert);
    return rc;
}

static enum rc
make_tls(struct up_plan *plan, struct err *err)
{
    struct buf cert, key, names;
    bool names_changed;
    enum rc rc;

    buf_init(&cert, CA_PEM_MAX);
    buf_init(&key, CA_PEM_MAX);
    buf_init(&names, CA_PEM_MAX);
    (void)!read_file(&names, plan, "etc/tls-names", NULL);
    names_changed = !bytes_equal(buf_bytes(&names), bytes_of_str(plan->listen));
    rc = make_ca(plan, &cert, &key, err);
    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(leaves); i++)
        rc = make_leaf(plan, &leaves[i], &cert, &key, names_changed, err);
    if (rc == RC_OK && names_changed)
        rc = write_file(plan, "etc/tls-names", bytes_of_str(plan->listen), 0644, err);
    buf_wipe(&key);
    buf_free(&cert);
    buf_free(&names);
    return rc;
}

/* ---- the relay's root, key and certificate ---- */

static const struct seal_place root_place = {
    .table = "supervisor", .column = "relay_root", .key = {(const uint8_t *)"root", 4}
};

/* The root's seed, sealed under the supervisor's own key ring; made once. */
static enum rc
root_load(struct up_plan *plan, uint8_t seed[32], struct err *err)
{
    char ring_path[UP_PATH_MAX], master_path[UP_PATH_MAX];
    const struct keyring_opt opt = {.ring_path = up_path(ring_path, plan, "etc/keyring"),
                                    .master_path = up_path(master_path, plan, "etc/master.key"),
                                    .rng = rng_system()};
    struct keyring *ring = NULL;
    struct buf sealed, plain;
    uint32_t key_id;
    enum rc rc;

    buf_init(&sealed, 1024);
    buf_init(&plain, 1024);
    if ((rc = keyring_open(&ring, &opt, err)) != RC_OK)
        goto out;
    if (exists(plan, "etc/relay-root.sealed")) {
        if ((rc = read_file(&sealed, plan, "etc/relay-root.sealed", err)) == RC_OK)
            rc = seal_open(ring, &root_place, buf_bytes(&sealed), &plain, err);
        if (rc == RC_OK && plain.len != 32)
            rc = err_set(err, RC_MALFORMED, "up.root", "the sealed root is damaged");
        if (rc == RC_OK)
            memcpy(seed, plain.ptr, 32);
        goto out;
    }
    rng_fill(rng_system(), seed, 32);
    rc = keyring_current(ring, &key_id, ROOT_SCOPE, SEAL_YEAR, (int64_t)time(NULL) * 1000, err);
    if (rc == RC_OK)
        rc = seal_record(ring, key_id, &root_place, bytes_of(seed, 32), &sealed, err);
    if (rc == RC_OK)
        rc = write_file(plan, "etc/relay-root.sealed", buf_bytes(&sealed), 0600, err);
out:
    keyring_free(&ring);
    buf_wipe(&plain);
    buf_free(&sealed);
    return rc;
}

static enum rc
relay_cert_write(struct up_plan *plan, const uint8_t seed[32], const uint8_t relay_pub[32],
                 struct err *err)
{
    struct relay_cert cert = {.not_before_s = time(NULL) - 3600,
                              .not_after_s = time(NULL) + RELAY_CERT_DAYS * DAY_S};
    struct buf out;
    enum rc rc;

    memcpy(cert.static_key, relay_pub, 32);
    snprintf(cert.host, sizeof cert.host, "%s", plan->listen);
    buf_init(&out, 4096);
    rc = relay_cert_issue(&cert, seed, &out, err);
    if (rc == RC_OK)
        rc = write_file(plan, "etc/relay.cert", buf_bytes(&out), 0644, err);
    buf_free(&out);
    return rc;
}

static bool
is_relay_cert_good(struct up_plan *plan, const uint8_t relay_pub[32])
{
    struct relay_cert cert;
    struct buf in;
    bool is_good;

    buf_init(&in, 4096);
    is_good = read_file(&in, plan, "etc/relay.cert", NULL) == RC_OK &&
              relay_cert_read(&cert, buf_bytes(&in), plan->relay_root, time(NULL), NULL) == RC_OK &&
              memcmp(cert.static_key, relay_pub, 32) == 0 &&
              cert.not_after_s - time(NULL) > RELAY_CERT_RENEW_DAYS * DAY_S;
    buf_free(&in);
    return is_good;
}

/* The relay's Noise key: 32 raw bytes, in a file only the relay's user can read. */
static enum rc
relay_key_load(struct up_plan *plan, uint8_t pub[32], struct err *err)
{
    struct buf raw;
    uint8_t priv[32];
    enum rc rc = RC_OK;

    buf_init(&raw, 64);
    if (exists(plan, "relay/noise.key")) {
        rc = read_file(&raw, plan, "relay/noise.key", err);
        if (rc == RC_OK && raw.len != 32)
            rc = err_set(err, RC_MALFORMED, "up.relay", "relay/noise.key is not 32 bytes");
        if (rc == RC_OK)
            x25519_public(pub, raw.ptr);
    } else {
        x25519_keypair(priv, pub, rng_system());
        rc = write_file(plan, "relay/noise.key", bytes_of(priv, 32), 0400, err);
        bytes_wipe(priv, sizeof priv);
    }
    buf_wipe(&raw);
    return rc;
}

static enum rc
make_relay_identity(struct up_plan *plan, bool *renewed, struct err *err)
{
    uint8_t seed[32], relay_pub[32];
    enum rc rc = root_load(plan, seed, err);

    *renewed = false;
    if (rc == RC_OK) {
        ed25519_public(plan->relay_root, seed);
        rc = relay_key_load(plan, relay_pub, err);
    }
    if (rc == RC_OK && !is_relay_cert_good(plan, relay_pub)) {
        rc = relay_cert_write(plan, seed, relay_pub, err);
        *renewed = rc == RC_OK;
    }
    bytes_wipe(seed, sizeof seed);
    return rc;
}

enum rc
up_files_renew(struct up_plan *plan, bool *renewed, struct err *err)
{
    return make_relay_identity(plan, renewed, err);
}

/* ---- the platform's authority, held by the manager ---- */

static enum rc
make_authority(struct up_plan *plan, struct err *err)
{
    uint8_t seed[32];
    struct buf raw;
    enum rc rc = RC_OK;

    buf_init(&raw, 64);
    if (exists(plan, "manager/authority.key")) {
        rc = read_file(&raw, plan, "manager/authority.key", err);
        if (rc == RC_OK && raw.len != 32)
            rc = err_set(err, RC_MALFORMED, "up.authority", "authority.key is not 32 bytes");
        if (rc == RC_OK)
            memcpy(seed, raw.ptr, 32);
    } else {
        rng_fill(rng_system(), seed, sizeof seed);
        rc = write_file(plan, "manager/authority.key", bytes_of(seed, 32), 0400, err);
    }
    if (rc == RC_OK)
        ed25519_public(plan->authority, seed);
    bytes_wipe(seed, sizeof seed);
    buf_wipe(&raw);
    return rc;
}

/* ---- configuration files ---- */

static void put_setting(struct buf *out, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void
put_setting(struct buf *out, const char *name, const char *fmt, ...)
{
    char value[UP_PATH_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    buf_printf(out, "%s = %s\n", name, value);
}

static void
put_key(struct buf *out, const char *name, const uint8_t key[32])
{
    struct buf text;

    buf_init(&text, 64);
    base64_put(&text, bytes_of(key, 32));
    put_setting(out, name, "%s", buf_cstr(&text));
    buf_free(&text);
}

static void
put_common(struct buf *out, const struct up_plan *plan, const char *part)
{
    put_setting(out, "data_dir", "%s/%s", plan->dir, part);
    put_setting(out, "log_level", "%s", plan->log_level);
    put_setting(out, "log_format", "%s", plan->log_format);
    put_setting(out, "test_clock", "%s", plan->has_test_clock ? "on" : "off");
}

static void
put_tls(struct buf *out, const struct up_plan *plan, const char *leaf)
{
    put_setting(out, "ca_file", "%s/ca.pem", plan->dir);
    put_setting(out, "cert_file", "%s/%s.pem", plan->dir, leaf);
    put_setting(out, "key_file", "%s/%s.key", plan->dir, leaf);
}

static void
conf_relay(struct buf *out, const struct up_plan *plan)
{
    put_common(out, plan, "relay");
    put_setting(out, "listen", "%s:%u", plan->listen, plan->base_port + UP_PORT_RELAY);
    put_setting(out, "cert_file", "%s/etc/relay.cert", plan->dir);
    put_setting(out, "key_file", "%s/relay/noise.key", plan->dir);
    put_key(out, "authority_key", plan->authority);
}

static void
conf_manager(struct buf *out, const struct up_plan *plan)
{
    put_common(out, plan, "manager");
    put_setting(out, "listen", "127.0.0.1:%u", plan->base_port + UP_PORT_MANAGER);
    put_tls(out, plan, "manager/tls");
    if (plan->seed != NULL)
        put_setting(out, "seed", "%s", plan->seed);
}

static void
conf_cloud(struct buf *out, const struct up_plan *plan)
{
    put_common(out, plan, "cloud");
    put_setting(out, "listen", "%s:%u", plan->listen, plan->base_port + UP_PORT_HTTPS);
    put_setting(out, "http_listen", "127.0.0.1:%u", plan->base_port + UP_PORT_HTTP);
    put_setting(out, "internal_listen", "127.0.0.1:%u", plan->base_port + UP_PORT_CLOUD_INTERNAL);
    put_tls(out, plan, "cloud/tls");
    put_setting(out, "manager", "127.0.0.1:%u", plan->base_port + UP_PORT_MANAGER);
    put_setting(out, "relay", "127.0.0.1:%u", plan->base_port + UP_PORT_RELAY);
    put_key(out, "relay_key", plan->relay_root);
    put_setting(out, "policy", "%s", plan->policy);
    put_setting(out, "allow_private_hosts", "%s", plan->allow_private_hosts ? "on" : "off");
}

static void
conf_phone(struct buf *out, const struct up_plan *plan)
{
    put_common(out, plan, "phone");
    put_setting(out, "relay", "127.0.0.1:%u", plan->base_port + UP_PORT_RELAY);
    put_key(out, "relay_key", plan->relay_root);
    put_key(out, "authority_key", plan->authority);
}

/* What the command line reads: docs/protocol/internal.md, section 5. */
static void
conf_cli(struct buf *out, const struct up_plan *plan)
{
    put_setting(out, "manager_listen", "127.0.0.1:%u", plan->base_port + UP_PORT_MANAGER);
    put_setting(out, "cloud_internal_listen", "127.0.0.1:%u",
                plan->base_port + UP_PORT_CLOUD_INTERNAL);
    put_setting(out, "cloud_url", "https://localhost:%u", plan->base_port + UP_PORT_HTTPS);
    put_setting(out, "cloud_http_url", "http://127.0.0.1:%u", plan->base_port + UP_PORT_HTTP);
    put_setting(out, "relay_listen", "127.0.0.1:%u", plan->base_port + UP_PORT_RELAY);
    put_key(out, "relay_key", plan->relay_root);
}

static const struct conf {
    const char *name;
    void (*fill)(struct buf *out, const struct up_plan *plan);
} confs[] = {
    {"etc/parley-relay.conf",   conf_relay  },
    {"etc/parley-manager.conf", conf_manager},
    {"etc/parley-cloud.conf",   conf_cloud  },
    {"etc/parley-phone.conf",   conf_phone  },
    {"etc/parley.conf",         conf_cli    },
};

static enum rc
make_confs(struct up_plan *plan, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(confs); i++) {
        struct buf out;

        buf_init(&out, 64 * 1024);
        buf_put_str(&out, "# written by `parley up` at every start; change its flags instead\n");
        confs[i].fill(&out, plan);
        rc = write_file(plan, confs[i].name, buf_bytes(&out), 0600, err);
        buf_free(&out);
    }
    return rc;
}

enum rc
up_files_prepare(struct up_plan *plan, struct err *err)
{
    bool renewed;
    enum rc rc = make_folders(plan, err);

    if (rc == RC_OK)
        rc = make_tls(plan, err);
    if (rc == RC_OK)
        rc = make_relay_identity(plan, &renewed, err);
    if (rc == RC_OK)
        rc = make_authority(plan, err);
    if (rc == RC_OK)
        rc = make_confs(plan, err);
    return rc;
}

/* session_job.c - sessions per second on one core, each beside what the primitives alone would
 * allow.
 *
 * Records are loaded and stored on every call, as in a server: a session call is a pure function
 * from record to record. Rates are per CPU second of this process. Source:
 * docs/protocol/sessions.md.
 */
#include "bench.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#include "crypto/prim.h"
#include "measure.h"
#include "session/session.h"

#define TEXT_SIZE 200u
#define SIGNED_ID 7u
#define ONE_TIME_ID 11u
#define CALLS_PER_LOOK 8u /* calls between two looks at the clock */

/* One device and its one conversation. */
struct peer {
    struct session_engine *engine;
    struct session_identity identity;
    struct session_signed_prekey signed_prekey;
    struct session_prekey one_time;
    struct buf record;
};

struct sealed {
    struct buf cipher;
    enum session_type type;
};

struct jobs {
    struct peer a, b;             /* in conversation */
    struct peer sender;           /* talks to nobody who listens */
    struct peer listener;         /* answered the sender once */
    struct peer blank;            /* has no session */
    struct session_bundle bundle; /* of blank */
    struct sealed first;          /* a first message under it */
    EVP_CIPHER_CTX *aes;
    uint8_t text[TEXT_SIZE], chain[32], out[32];
    enum rc rc; /* the first failure: the figures are worth nothing then */
};

static void
note(struct jobs *j, enum rc rc)
{
    if (j->rc == RC_OK)
        j->rc = rc;
}

/* ---- a device ---- */

static enum rc
peer_open(struct peer *peer, struct err *err)
{
    enum rc rc = session_engine_new(&peer->engine, rng_system(), err);

    buf_init(&peer->record, SESSION_RECORD_MAX);
    if (rc == RC_OK)
        rc = session_identity_make(peer->engine, &peer->identity, err);
    if (rc == RC_OK)
        rc = session_signed_prekey_make(peer->engine, &peer->signed_prekey, &peer->identity,
                                        SIGNED_ID, 1000, err);
    if (rc == RC_OK)
        rc = session_prekeys_make(peer->engine, &peer->one_time, 1, ONE_TIME_ID, err);
    return rc;
}

static void
peer_close(struct peer *peer)
{
    buf_wipe(&peer->record);
    session_engine_free(&peer->engine);
    bytes_wipe(peer, sizeof(*peer));
}

static struct session_bundle
bundle_of(const struct peer *peer)
{
    struct session_bundle bundle = {.registration_id = peer->identity.registration_id,
                                    .device = 1,
                                    .signed_id = SIGNED_ID,
                                    .has_one_time = true,
                                    .one_time_id = ONE_TIME_ID};

    memcpy(bundle.identity, peer->identity.pub, SESSION_PUBLIC_SIZE);
    memcpy(bundle.signed_key, peer->signed_prekey.pair.pub, SESSION_PUBLIC_SIZE);
    memcpy(bundle.signature, peer->signed_prekey.signature, sizeof(bundle.signature));
    memcpy(bundle.one_time, peer->one_time.pub, SESSION_PUBLIC_SIZE);
    return bundle;
}

static enum rc
find_one_time(void *ctx, uint32_t id, struct session_prekey *out)
{
    *out = ((const struct peer *)ctx)->one_time; /* never spent: the same first message again */
    return id == ONE_TIME_ID ? RC_OK : RC_NOTFOUND;
}

static enum rc
find_signed_prekey(void *ctx, uint32_t id, struct session_signed_prekey *out)
{
    *out = ((const struct peer *)ctx)->signed_prekey;
    return id == SIGNED_ID ? RC_OK : RC_NOTFOUND;
}

/* Keep the new record if the call succeeded. */
static void
keep(struct peer *peer, struct buf *next, enum rc rc)
{
    if (rc == RC_OK) {
        buf_wipe(&peer->record);
        peer->record = *next;
    } else {
        buf_wipe(next);
    }
}

static enum rc
peer_start(struct peer *peer, const struct session_bundle *bundle)
{
    struct buf next;
    enum rc rc;

    buf_init(&next, SESSION_RECORD_MAX);
    rc =
        session_start(peer->engine, &next, &peer->identity, buf_bytes(&peer->record), bundle, NULL);
    keep(peer, &next, rc);
    return rc;
}

static enum rc
peer_seal(struct peer *peer, struct sealed *out, struct bytes plain)
{
    struct buf next;
    enum rc rc;

    buf_init(&next, SESSION_RECORD_MAX);
    buf_init(&out->cipher, SESSION_MESSAGE_MAX);
    rc = session_encrypt(peer->engine, &out->cipher, &out->type, &next, &peer->identity,
                         buf_bytes(&peer->record), plain, NULL);
    keep(peer, &next, rc);
    return rc;
}

static enum rc
peer_open_sealed(struct peer *peer, const struct sealed *in)
{
    const struct session_prekey_source source = {find_one_time, find_signed_prekey, peer};
    struct session_opened opened;
    struct buf next, plain;
    enum rc rc;

    buf_init(&next, SESSION_RECORD_MAX);
    buf_init(&plain, SESSION_PLAIN_MAX);
    rc = session_decrypt(peer->engine, &plain, &next, &opened, &peer->identity,
                         buf_bytes(&peer->record), in->type, buf_bytes(&in->cipher), NULL, &source,
                         NULL);
    keep(peer, &next, rc);
    buf_wipe(&plain);
    return rc;
}

static enum rc
carry(struct peer *from, struct peer *to, struct bytes text)
{
    struct sealed sealed = {0};
    enum rc rc = peer_seal(from, &sealed, text);

    if (rc == RC_OK)
        rc = peer_open_sealed(to, &sealed);
    buf_free(&sealed.cipher);
    return rc;
}

/* Two devices with a session that both sides have used. */
static enum rc
meet(struct peer *a, struct peer *b, struct err *err)
{
    struct session_bundle bundle;
    enum rc rc = peer_open(a, err);

    if (rc == RC_OK)
        rc = peer_open(b, err);
    if (rc != RC_OK)
        return rc;
    bundle = bundle_of(b);
    if ((rc = peer_start(a, &bundle)) == RC_OK &&
        (rc = carry(a, b, bytes_of_str("hello"))) == RC_OK)
        rc = carry(b, a, bytes_of_str("hello yourself"));
    return rc == RC_OK ? RC_OK : err_set(err, rc, "bench.session", "the peers cannot talk");
}

/* ---- what is measured ---- */

static void
set_up(struct jobs *j)
{
    struct buf record;

    buf_init(&record, SESSION_RECORD_MAX);
    note(j,
         session_start(j->a.engine, &record, &j->a.identity, bytes_of(NULL, 0), &j->bundle, NULL));
    buf_free(&record);
}

static void
open_first(struct jobs *j)
{
    note(j, peer_open_sealed(&j->blank, &j->first));
    buf_wipe(&j->blank.record); /* as if it had never come */
    buf_init(&j->blank.record, SESSION_RECORD_MAX);
}

static void
seal(struct jobs *j)
{
    struct sealed sealed = {0};

    note(j, peer_seal(&j->sender, &sealed, bytes_of(j->text, TEXT_SIZE)));
    buf_free(&sealed.cipher);
}

static void
same_chain(struct jobs *j)
{
    note(j, carry(&j->a, &j->b, bytes_of(j->text, TEXT_SIZE)));
}

static void
ping_pong(struct jobs *j)
{
    note(j, carry(&j->a, &j->b, bytes_of(j->text, TEXT_SIZE)));
    note(j, carry(&j->b, &j->a, bytes_of(j->text, TEXT_SIZE)));
}

/* ---- what the primitives alone cost ---- */

static void
agree(struct jobs *j, int times)
{
    for (int i = 0; i < times; i++)
        if (crypto_scalarmult_curve25519(j->out, j->a.identity.priv, j->b.identity.pub + 1) != 0)
            note(j, RC_AUTH);
}

static void
make_keys(struct jobs *j, int times)
{
    for (int i = 0; i < times; i++)
        crypto_scalarmult_curve25519_base(j->out, j->a.identity.priv);
}

/* The initiator: five agreements (four of X3DH, one ratchet step), two key pairs, one signature. */
static void
raw_set_up(struct jobs *j)
{
    agree(j, 5);
    make_keys(j, 2);
    note(j, curve_verify(j->bundle.signature, j->bundle.identity + 1,
                         bytes_of(j->bundle.signed_key, SESSION_PUBLIC_SIZE)));
}

/* The responder: four agreements of X3DH, two of its first ratchet step, one key pair. */
static void
raw_open_first(struct jobs *j)
{
    agree(j, 6);
    make_keys(j, 1);
}

/* Key schedule, AES and MAC of one message on OpenSSL, no framing and no records. */
static void
raw_seal(struct jobs *j)
{
    static const uint8_t one = 1, two = 2;
    uint8_t seed[32], okm[80], cipher[TEXT_SIZE + 16], tag[32];
    int len = 0, tail = 0;

    hmac_sha256(seed, bytes_of(j->chain, 32), bytes_of(&one, 1));
    hkdf_sha256(okm, sizeof(okm), bytes_of(seed, 32), bytes_of(NULL, 0),
                bytes_of_str("WhisperMessageKeys"));
    if (EVP_EncryptInit_ex(j->aes, EVP_aes_256_cbc(), NULL, okm, okm + 64) != 1 ||
        EVP_EncryptUpdate(j->aes, cipher, &len, j->text, TEXT_SIZE) != 1 ||
        EVP_EncryptFinal_ex(j->aes, cipher + len, &tail) != 1)
        note(j, RC_NOMEM);
    hmac_sha256(tag, bytes_of(okm + 32, 32), bytes_of(cipher, (size_t)(len + tail)));
    hmac_sha256(j->chain, bytes_of(j->chain, 32), bytes_of(&two, 1));
}

/* Both ends of one message: the receiver pays the same. */
static void
raw_both(struct jobs *j)
{
    raw_seal(j);
    raw_seal(j);
}

/* One direction of a ping-pong: two agreements and a key pair for the receiver. */
static void
raw_turn(struct jobs *j)
{
    agree(j, 2);
    make_keys(j, 1);
}

static const struct measured {
    const char *figure;
    void (*job)(struct jobs *);
    double per_call; /* things counted in one call */
    const char *reference;
    void (*raw)(struct jobs *);
} table[] = {
    {"session set-ups (initiator)",   set_up,     1, "libsodium: 5 DH, 2 keys, 1 verify", raw_set_up    },
    {"first messages opened",         open_first, 1, "libsodium: 6 DH, 1 key",            raw_open_first},
    {"encrypts, same chain",          seal,       1, "OpenSSL: key schedule, AES, HMAC",  raw_seal      },
    {"encrypt + decrypt, same chain", same_chain, 1, "OpenSSL: the same twice",           raw_both      },
    {"encrypt + decrypt, ping-pong",  ping_pong,  2, "libsodium: 2 DH, 1 key",            raw_turn      },
};

/* Calls per CPU second. */
static double
rate(void (*job)(struct jobs *), struct jobs *j, double seconds)
{
    double start = own_cpu_s(), now = start;
    unsigned n = 0;

    while (now < start + seconds) {
        for (unsigned i = 0; i < CALLS_PER_LOOK; i++)
            job(j);
        n += CALLS_PER_LOOK;
        now = own_cpu_s();
    }
    return n / (now - start);
}

static enum rc
prepare(struct jobs *j, struct err *err)
{
    enum rc rc = meet(&j->a, &j->b, err);

    randombytes_buf(j->text, sizeof(j->text));
    if ((j->aes = EVP_CIPHER_CTX_new()) == NULL)
        return err_set(err, RC_NOMEM, "bench.session", "no memory");
    if (rc == RC_OK)
        rc = peer_open(&j->blank, err);
    if (rc == RC_OK)
        rc = peer_open(&j->sender, err);
    if (rc != RC_OK)
        return rc;
    j->bundle = bundle_of(&j->blank);
    if ((rc = peer_start(&j->sender, &j->bundle)) == RC_OK)
        rc = peer_seal(&j->sender, &j->first, bytes_of(j->text, TEXT_SIZE));
    peer_close(&j->sender);
    return rc == RC_OK ? meet(&j->sender, &j->listener, err) : rc;
}

static void
measure(struct bench *bench, struct jobs *j, const struct measured *m)
{
    double slice_s = bench->seconds / (2.0 * (double)ARRAY_LEN(table) * bench->rounds);
    struct series ours = {0}, theirs = {0};

    for (unsigned round = 0; round < bench->rounds; round++) {
        series_add(&theirs, rate(m->raw, j, slice_s));
        series_add(&ours, rate(m->job, j, slice_s) * m->per_call);
    }
    report_add(bench->report, &(struct row){.job = "session",
                                            .figure = m->figure,
                                            .unit = "/s, 1 core",
                                            .ours = series_median(&ours),
                                            .reference = m->reference,
                                            .theirs = series_median(&theirs)});
}

enum rc
bench_session(struct bench *bench, struct err *err)
{
    struct jobs j = {.rc = RC_OK};
    enum rc rc = prepare(&j, err);

    for (size_t i = 0; rc == RC_OK && i < ARRAY_LEN(table); i++) {
        measure(bench, &j, &table[i]);
        if (j.rc != RC_OK)
            rc = err_set(err, j.rc, "bench.session", "%s failed", table[i].figure);
    }
    buf_free(&j.first.cipher);
    EVP_CIPHER_CTX_free(j.aes);
    peer_close(&j.a);
    peer_close(&j.b);
    peer_close(&j.sender);
    peer_close(&j.listener);
    peer_close(&j.blank);
    return rc;
}

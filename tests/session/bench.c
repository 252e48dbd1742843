/* bench.c - sessions per second on one core, each beside what the primitives alone would allow.
 *
 * One line a job: name, our rate, the reference's name and rate, the ratio. Records are loaded and
 * stored on every call, as in a server. Run a release build: ./bench-session [milliseconds a job
 * [part of a job's name]].
 */
#include "peers.h"
#include "tap.h"

#include "crypto/prim.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#define TEXT_SIZE 200u

struct jobs {
    struct peer a, b;   /* in conversation */
    struct peer sender; /* talks to nobody who listens */
    struct peer blank;  /* has no session */
    struct session_bundle bundle;
    struct sealed first; /* a's first message under it */
    uint8_t text[TEXT_SIZE];
};

static double
now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Calls per CPU second. */
static double
rate(void (*job)(struct jobs *), struct jobs *jobs, double seconds)
{
    double start = now_s();
    double end = start + seconds;
    unsigned n = 0;

    while (now_s() < end) {
        for (unsigned i = 0; i < 8; i++)
            job(jobs);
        n += 8;
    }
    return n / (now_s() - start);
}

static void
must(enum rc rc)
{
    if (rc != RC_OK) {
        fprintf(stderr, "bench: %s\n", rc_name(rc));
        exit(1);
    }
}

static void
set_up(struct jobs *j)
{
    struct buf record;

    buf_init(&record, SESSION_RECORD_MAX);
    must(session_start(j->a.engine, &record, &j->a.identity, bytes_of(NULL, 0), &j->bundle, NULL));
    buf_free(&record);
}

static void
open_first(struct jobs *j)
{
    struct session_prekey_source source = peer_source(&j->blank);
    struct session_opened opened;
    struct buf plain, record;

    buf_init(&plain, SESSION_PLAIN_MAX);
    buf_init(&record, SESSION_RECORD_MAX);
    must(session_decrypt(j->blank.engine, &plain, &record, &opened, &j->blank.identity,
                         bytes_of(NULL, 0), j->first.type, buf_bytes(&j->first.cipher), NULL,
                         &source, NULL));
    buf_free(&plain);
    buf_free(&record);
}

static void
seal(struct jobs *j)
{
    struct sealed sealed;

    must(peer_seal(&j->sender, &sealed, bytes_of(j->text, TEXT_SIZE)));
    sealed_free(&sealed);
}

static void
carry(struct peer *from, struct peer *to, struct jobs *j)
{
    struct sealed sealed;
    struct buf plain;

    buf_init(&plain, SESSION_PLAIN_MAX);
    must(peer_seal(from, &sealed, bytes_of(j->text, TEXT_SIZE)));
    must(peer_receive(to, &plain, &sealed, NULL));
    sealed_free(&sealed);
    buf_free(&plain);
}

static void
same_chain(struct jobs *j)
{
    carry(&j->a, &j->b, j);
}

static void
ping_pong(struct jobs *j)
{
    carry(&j->a, &j->b, j);
    carry(&j->b, &j->a, j);
}

/* What a set-up must pay: five agreements, two key pairs, one signature. */
static void
raw_set_up(struct jobs *j)
{
    uint8_t out[32];

    for (int i = 0; i < 5; i++)
        if (crypto_scalarmult_curve25519(out, j->a.identity.priv, j->b.identity.pub + 1) != 0)
            exit(1);
    for (int i = 0; i < 2; i++)
        crypto_scalarmult_curve25519_base(out, j->a.identity.priv);
    must(curve_verify(j->bundle.signature, j->bundle.identity + 1,
                      bytes_of(j->bundle.signed_key, SESSION_PUBLIC_SIZE)));
}

/* The responder: four agreements of X3DH, two of its first ratchet step, one key pair. */
static void
raw_open_first(struct jobs *j)
{
    uint8_t out[32];

    for (int i = 0; i < 6; i++)
        if (crypto_scalarmult_curve25519(out, j->a.identity.priv, j->b.identity.pub + 1) != 0)
            exit(1);
    crypto_scalarmult_curve25519_base(out, j->a.identity.priv);
}

/* Key schedule, AES and MAC of one message on OpenSSL, no framing and no records. */
static void
raw_seal(struct jobs *j)
{
    static EVP_CIPHER_CTX *ctx; /* the bench is one thread */
    static uint8_t chain[32];
    static const uint8_t one = 1, two = 2;
    uint8_t seed[32], okm[80], cipher[TEXT_SIZE + 16], tag[32];
    int len = 0, tail = 0;

    if (ctx == NULL)
        ctx = EVP_CIPHER_CTX_new();
    hmac_sha256(seed, bytes_of(chain, 32), bytes_of(&one, 1));
    hkdf_sha256(okm, sizeof(okm), bytes_of(seed, 32), bytes_of(NULL, 0),
                bytes_of_str("WhisperMessageKeys"));
    EVP_EncryptInit_ex(ctx, EVP_aes_256_cbc(), NULL, okm, okm + 64);
    EVP_EncryptUpdate(ctx, cipher, &len, j->text, TEXT_SIZE);
    EVP_EncryptFinal_ex(ctx, cipher + len, &tail);
    hmac_sha256(tag, bytes_of(okm + 32, 32), bytes_of(cipher, (size_t)(len + tail)));
    hmac_sha256(chain, bytes_of(chain, 32), bytes_of(&two, 1));
}

/* One direction of a ping-pong: two agreements and a key pair for the receiver. */
static void
raw_turn(struct jobs *j)
{
    uint8_t out[32];

    for (int i = 0; i < 2; i++)
        if (crypto_scalarmult_curve25519(out, j->a.identity.priv, j->b.identity.pub + 1) != 0)
            exit(1);
    crypto_scalarmult_curve25519_base(out, j->a.identity.priv);
}

static void
prepare(struct jobs *j)
{
    struct peer listener;

    peers_meet(&j->a, &j->b);
    peer_open(&j->blank, 3);
    randombytes_buf(j->text, sizeof(j->text));
    j->bundle = peer_bundle(&j->blank, 0);
    peer_open(&j->sender, 4);
    must(peer_start(&j->sender, &j->bundle));
    must(peer_seal(&j->sender, &j->first, bytes_of(j->text, TEXT_SIZE)));
    peer_close(&j->sender);
    peers_meet(&j->sender, &listener);
    peer_close(&listener);
}

static const struct bench_row {
    const char *name;
    void (*job)(struct jobs *);
    double per_call; /* things counted in one call */
    const char *reference_name;
    void (*reference)(struct jobs *);
} rows[] = {
    {"session set-up (initiator)",    set_up,     1, "libsodium: 5 DH, 2 keys, 1 verify", raw_set_up    },
    {"first message opened",          open_first, 1, "libsodium: 6 DH, 1 key",            raw_open_first},
    {"encrypt, same chain",           seal,       1, "OpenSSL: key schedule, AES, HMAC",  raw_seal      },
    {"encrypt + decrypt, same chain", same_chain, 1, "OpenSSL: key schedule, AES, HMAC",  raw_seal      },
    {"encrypt + decrypt, ping-pong",  ping_pong,  2, "libsodium: 2 DH, 1 key",            raw_turn      },
};

int
main(int argc, char **argv)
{
    double seconds = (argc > 1 ? atof(argv[1]) : 500) / 1000;
    static struct jobs jobs;

    prepare(&jobs);
    printf("%-32s %10s  %-34s %10s %7s\n", "job (200-byte text)", "per s", "reference", "per s",
           "ratio");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (argc > 2 && strstr(rows[i].name, argv[2]) == NULL)
            continue;
        double ours = rate(rows[i].job, &jobs, seconds) * rows[i].per_call;
        double raw = rate(rows[i].reference, &jobs, seconds);

        printf("%-32s %10.0f  %-34s %10.0f %7.2f\n", rows[i].name, ours, rows[i].reference_name,
               raw, ours / raw);
    }
    return 0;
}

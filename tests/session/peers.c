/* peers.c - see peers.h. */
#include "peers.h"

#include "tap.h"

#include "crypto/prim.h"

void
peer_open(struct peer *peer, uint64_t seed)
{
    *peer = (struct peer){.seed = seed};
    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(session_engine_new(&peer->engine, rng_seeded(&peer->seed), NULL), RC_OK);
    assert_int_equal(session_identity_make(peer->engine, &peer->identity, NULL), RC_OK);
    assert_int_equal(session_signed_prekey_make(peer->engine, &peer->signed_prekey, &peer->identity,
                                                PEER_SIGNED_ID, 1000, NULL),
                     RC_OK);
    assert_int_equal(
        session_prekeys_make(peer->engine, peer->one_time, PEER_ONE_TIMES, PEER_FIRST_ID, NULL),
        RC_OK);
    buf_init(&peer->record, SESSION_RECORD_MAX);
}

void
peer_close(struct peer *peer)
{
    buf_wipe(&peer->record);
    session_engine_free(&peer->engine);
    bytes_wipe(peer, sizeof(*peer));
}

struct session_bundle
peer_bundle(const struct peer *peer, int one_time)
{
    struct session_bundle bundle = {
        .registration_id = peer->identity.registration_id,
        .device = 1,
        .signed_id = peer->signed_prekey.pair.id,
        .has_one_time = one_time >= 0,
    };

    memcpy(bundle.identity, peer->identity.pub, SESSION_PUBLIC_SIZE);
    memcpy(bundle.signed_key, peer->signed_prekey.pair.pub, SESSION_PUBLIC_SIZE);
    memcpy(bundle.signature, peer->signed_prekey.signature, sizeof(bundle.signature));
    if (one_time >= 0) {
        bundle.one_time_id = peer->one_time[one_time].id;
        memcpy(bundle.one_time, peer->one_time[one_time].pub, SESSION_PUBLIC_SIZE);
    }
    return bundle;
}

static enum rc
find_one_time(void *ctx, uint32_t id, struct session_prekey *out)
{
    const struct peer *peer = ctx;

    for (size_t i = 0; i < PEER_ONE_TIMES; i++) {
        if (peer->one_time[i].id == id && !peer->is_spent[i]) {
            *out = peer->one_time[i];
            return RC_OK;
        }
    }
    return RC_NOTFOUND;
}

static enum rc
find_signed_prekey(void *ctx, uint32_t id, struct session_signed_prekey *out)
{
    const struct peer *peer = ctx;

    if (id != peer->signed_prekey.pair.id)
        return RC_NOTFOUND;
    *out = peer->signed_prekey;
    return RC_OK;
}

struct session_prekey_source
peer_source(struct peer *peer)
{
    return (struct session_prekey_source){
        .one_time = find_one_time, .signed_prekey = find_signed_prekey, .ctx = peer};
}

/* Take the new record if the call succeeded; throw it away if not. */
static enum rc
commit(struct peer *peer, struct buf *next, enum rc rc)
{
    if (rc == RC_OK) {
        buf_wipe(&peer->record);
        peer->record = *next;
    } else {
        assert_int_equal(next->len, 0);
        buf_wipe(next);
    }
    return rc;
}

enum rc
peer_start(struct peer *peer, const struct session_bundle *bundle)
{
    struct buf next;

    buf_init(&next, SESSION_RECORD_MAX);
    return commit(peer, &next,
                  session_start(peer->engine, &next, &peer->identity, buf_bytes(&peer->record),
                                bundle, NULL));
}

enum rc
peer_seal(struct peer *peer, struct sealed *out, struct bytes plain)
{
    struct buf next;

    buf_init(&next, SESSION_RECORD_MAX);
    *out = (struct sealed){0};
    buf_init(&out->cipher, SESSION_MESSAGE_MAX);
    return commit(peer, &next,
                  session_encrypt(peer->engine, &out->cipher, &out->type, &next, &peer->identity,
                                  buf_bytes(&peer->record), plain, NULL));
}

enum rc
peer_receive(struct peer *peer, struct buf *plain, const struct sealed *in,
             const uint8_t *expected_identity)
{
    struct session_prekey_source source = peer_source(peer);
    struct session_opened opened;
    struct buf next;
    enum rc rc;

    buf_init(&next, SESSION_RECORD_MAX);
    rc = session_decrypt(peer->engine, plain, &next, &opened, &peer->identity,
                         buf_bytes(&peer->record), in->type, buf_bytes(&in->cipher),
                         expected_identity, &source, NULL);
    if (rc == RC_OK) {
        peer->opened = opened;
        for (size_t i = 0; opened.used_one_time && i < PEER_ONE_TIMES; i++)
            peer->is_spent[i] |= peer->one_time[i].id == opened.one_time_id;
    }
    return commit(peer, &next, rc);
}

void
sealed_free(struct sealed *sealed)
{
    buf_free(&sealed->cipher);
}

void
peer_expect(struct peer *to, const struct sealed *in, const char *text)
{
    struct buf plain;

    buf_init(&plain, SESSION_PLAIN_MAX);
    assert_int_equal(peer_receive(to, &plain, in, NULL), RC_OK);
    assert_int_equal(plain.len, strlen(text));
    assert_true(bytes_equal(buf_bytes(&plain), bytes_of_str(text)));
    buf_wipe(&plain);
}

void
peer_talk(struct peer *from, struct peer *to, const char *text)
{
    struct sealed sealed;

    assert_int_equal(peer_seal(from, &sealed, bytes_of_str(text)), RC_OK);
    peer_expect(to, &sealed, text);
    sealed_free(&sealed);
}

void
peers_meet(struct peer *a, struct peer *b)
{
    struct session_bundle bundle;

    peer_open(a, 1);
    peer_open(b, 2);
    bundle = peer_bundle(b, 0);
    assert_int_equal(peer_start(a, &bundle), RC_OK);
    peer_talk(a, b, "hello");
    peer_talk(b, a, "hello yourself");
}

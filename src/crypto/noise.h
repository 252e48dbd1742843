/* noise.h - Noise XX, IK and XXfallback with 25519, AESGCM, SHA256; pure, no sockets.
 *
 * Owns one handshake and, after the split, two cipher states. Real Noise (revision 34): it
 * reproduces the public vectors byte for byte. Source: docs/protocol/transport.md; the Noise
 * Protocol Framework, sections 5 and 7. Thread rule: one owner. */
#ifndef PARLEY_CRYPTO_NOISE_H
#define PARLEY_CRYPTO_NOISE_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/rng.h"

#define NOISE_KEY_SIZE 32u
#define NOISE_TAG_SIZE 16u
#define NOISE_MESSAGE_MAX 65535u
#define NOISE_PLAINTEXT_MAX (NOISE_MESSAGE_MAX - NOISE_TAG_SIZE)
/* Each direction rekeys after this many transport messages, counted, without signalling. */
#define NOISE_REKEY_EVERY 65536u

enum noise_pattern { NOISE_XX = 1, NOISE_IK = 2, NOISE_XXFALLBACK = 3 };
enum noise_role { NOISE_CLIENT, NOISE_SERVER };

struct noise_keypair {
    uint8_t priv[NOISE_KEY_SIZE];
    uint8_t pub[NOISE_KEY_SIZE];
};

struct noise_handshake;
struct noise_handshake_opt {
    enum noise_pattern pattern;
    enum noise_role role; /* who opened the TCP connection, whatever Noise calls it */
    const struct noise_keypair *local_static; /* borrowed for the handshake's life */
    const uint8_t *remote_static;             /* 32 bytes: IK client only, else NULL */
    struct bytes prologue;                    /* mixed at once, not kept */
    struct rng rng;
    const struct noise_keypair *local_ephemeral; /* vectors, and XXfallback's client; else NULL */
    const uint8_t *remote_ephemeral;             /* 32 bytes: XXfallback's server; else NULL */
};

/* One direction after the split. Fixed size, embeddable: a connection holds two. */
struct noise_cipher {
    uint8_t key[32];
    uint64_t n;
};

NODISCARD enum rc noise_handshake_new(struct noise_handshake **out,
                                      const struct noise_handshake_opt *opt, struct err *err);
/* Clears every key. *hs may be NULL inside. */
void noise_handshake_free(struct noise_handshake **hs);

/* Bytes that one handshake occupies, for accounting. */
size_t noise_handshake_memory(void);

/* Whose turn, by the pattern. False for both once complete. */
bool noise_handshake_must_write(const struct noise_handshake *hs);
bool noise_handshake_is_complete(const struct noise_handshake *hs);
/* Append the next handshake message carrying payload (may be empty). RC_PROTO out of turn. */
NODISCARD enum rc noise_handshake_write(struct noise_handshake *hs, struct bytes payload,
                                        struct buf *out, struct err *err);
/* Read the next message; its payload is appended to *payload_out. RC_AUTH: wrong tag or zero DH,
 * the handshake is over (for IK's first message the caller may fall back); RC_MALFORMED: too short.
 */
NODISCARD enum rc noise_handshake_read(struct noise_handshake *hs, struct bytes message,
                                       struct buf *payload_out, struct err *err);

/* The peer's static key once read, or NULL. Borrowed for the handshake's life. */
const uint8_t *noise_handshake_remote_static(const struct noise_handshake *hs);
/* Our ephemeral pair, for the client's XXfallback. Borrowed. */
const struct noise_keypair *noise_handshake_ephemeral(const struct noise_handshake *hs);
/* After completion: cipher states seen from us, and the 32-byte handshake hash. */
NODISCARD enum rc noise_handshake_split(struct noise_handshake *hs, struct noise_cipher *send,
                                        struct noise_cipher *recv, uint8_t hash[32],
                                        struct err *err);

/* Transport: out holds in.len + 16, resp. in.len - 16, and may equal in.ptr. Rekeys by itself.
 * Encrypt: RC_LIMIT past 2^64-2 messages or NOISE_PLAINTEXT_MAX. Decrypt: RC_AUTH; the connection
 * must be closed without a reply. */
NODISCARD enum rc noise_encrypt(struct noise_cipher *c, uint8_t *out, struct bytes in);
NODISCARD enum rc noise_decrypt(struct noise_cipher *c, uint8_t *out, struct bytes in);
void noise_cipher_wipe(struct noise_cipher *c);

#endif

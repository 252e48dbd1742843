/* peer.c - our side of the interoperability tests: one device on standard input and output.
 *
 * A line in, a line out: "OK …" or "ERR name-of-the-code". Bytes are lower-case hexadecimal.
 *   BUNDLE n|-               own public keys, with the n-th one-time prekey or none; the answer is
 *                            registration-id identity signed-id signed-key signature [id
 * one-time-key] START <such an answer>   begin a session SEAL bytes               answer: type
 * ciphertext OPEN type ciphertext     answer: plaintext NUMBER own-id peer-key peer-id    the 60
 * digits The argument is the seed of everything random. */
#include "peers.h"
#include "tap.h"

#include "base/hex.h"

#include <stdlib.h>

#define LINE_MAX_SIZE (2 * SESSION_MESSAGE_MAX + 64)
#define WORDS_MAX 9u

struct words {
    char *at[WORDS_MAX];
    size_t n;
};

static struct words
split(char *line)
{
    struct words words = {.n = 0};
    char *rest = NULL;

    for (char *word = strtok_r(line, " \n", &rest); word != NULL && words.n < WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest))
        words.at[words.n++] = word;
    return words;
}

static void
say_hex(struct bytes in)
{
    struct buf text;

    buf_init(&text, LINE_MAX_SIZE);
    hex_put(&text, in);
    printf(" %s", buf_cstr(&text));
    buf_free(&text);
}

static void
say_end(enum rc rc)
{
    if (rc != RC_OK)
        printf("ERR %s", rc_name(rc));
    putchar('\n');
    fflush(stdout);
}

static uint32_t
number(const char *word)
{
    return (uint32_t)strtoul(word, NULL, 10);
}

static enum rc
do_bundle(struct peer *peer, const struct words *w)
{
    struct session_bundle b;

    if (w->n != 2)
        return RC_INVAL;
    b = peer_bundle(peer,
                    strcmp(w->at[1], "-") == 0 ? -1 : (int)(number(w->at[1]) % PEER_ONE_TIMES));
    printf("OK %u", b.registration_id);
    say_hex(bytes_of(b.identity, sizeof(b.identity)));
    printf(" %u", b.signed_id);
    say_hex(bytes_of(b.signed_key, sizeof(b.signed_key)));
    say_hex(bytes_of(b.signature, sizeof(b.signature)));
    if (b.has_one_time) {
        printf(" %u", b.one_time_id);
        say_hex(bytes_of(b.one_time, sizeof(b.one_time)));
    }
    return RC_OK;
}

static enum rc
do_start(struct peer *peer, const struct words *w)
{
    struct session_bundle b = {.device = 1, .has_one_time = w->n == 8};
    enum rc rc;

    if (w->n != 6 && w->n != 8)
        return RC_INVAL;
    b.registration_id = number(w->at[1]);
    b.signed_id = number(w->at[3]);
    if ((rc = hex_read(b.identity, 33, bytes_of_str(w->at[2]), NULL)) != RC_OK ||
        (rc = hex_read(b.signed_key, 33, bytes_of_str(w->at[4]), NULL)) != RC_OK ||
        (rc = hex_read(b.signature, 64, bytes_of_str(w->at[5]), NULL)) != RC_OK)
        return rc;
    if (b.has_one_time) {
        b.one_time_id = number(w->at[6]);
        if ((rc = hex_read(b.one_time, 33, bytes_of_str(w->at[7]), NULL)) != RC_OK)
            return rc;
    }
    if ((rc = peer_start(peer, &b)) == RC_OK)
        printf("OK");
    return rc;
}

/* The bytes of a hexadecimal word, in a buffer that the caller frees. */
static enum rc
read_hex(struct buf *out, const char *word)
{
    size_t len = strlen(word) / 2;

    buf_init(out, SESSION_MESSAGE_MAX);
    if (len == 0)
        return RC_OK;
    if (buf_extend(out, len) == NULL)
        return RC_LIMIT;
    return hex_read(out->ptr, len, bytes_of_str(word), NULL);
}

static enum rc
do_seal(struct peer *peer, const struct words *w)
{
    struct sealed sealed = {0};
    struct buf plain;
    enum rc rc = read_hex(&plain, w->n == 2 ? w->at[1] : "");

    if (rc == RC_OK && (rc = peer_seal(peer, &sealed, buf_bytes(&plain))) == RC_OK) {
        printf("OK %d", (int)sealed.type);
        say_hex(buf_bytes(&sealed.cipher));
    }
    sealed_free(&sealed);
    buf_free(&plain);
    return rc;
}

static enum rc
do_open(struct peer *peer, const struct words *w)
{
    struct sealed sealed;
    struct buf plain;
    enum rc rc;

    if (w->n != 3)
        return RC_INVAL;
    sealed.type = (enum session_type)number(w->at[1]);
    buf_init(&plain, SESSION_PLAIN_MAX);
    if ((rc = read_hex(&sealed.cipher, w->at[2])) == RC_OK &&
        (rc = peer_receive(peer, &plain, &sealed, NULL)) == RC_OK) {
        printf("OK");
        say_hex(buf_bytes(&plain));
    }
    sealed_free(&sealed);
    buf_wipe(&plain);
    return rc;
}

static enum rc
do_number(struct peer *peer, const struct words *w)
{
    uint8_t other[SESSION_PUBLIC_SIZE];
    char digits[61];
    enum rc rc;

    if (w->n != 4)
        return RC_INVAL;
    if ((rc = hex_read(other, sizeof(other), bytes_of_str(w->at[2]), NULL)) != RC_OK ||
        (rc = session_safety_number(peer->engine, digits, peer->identity.pub, w->at[1], other,
                                    w->at[3], NULL)) != RC_OK)
        return rc;
    printf("OK %s", digits);
    return RC_OK;
}

static const struct verb {
    const char *name;
    enum rc (*run)(struct peer *peer, const struct words *words);
} verbs[] = {
    {"BUNDLE", do_bundle},
    {"START",  do_start },
    {"SEAL",   do_seal  },
    {"OPEN",   do_open  },
    {"NUMBER", do_number},
};

static enum rc
run_line(struct peer *peer, char *line)
{
    struct words words = split(line);

    for (size_t i = 0; words.n > 0 && i < ARRAY_LEN(verbs); i++)
        if (strcmp(words.at[0], verbs[i].name) == 0)
            return verbs[i].run(peer, &words);
    return RC_INVAL;
}

int
main(int argc, char **argv)
{
    struct peer peer;
    char *line = NULL;
    size_t size = 0;

    peer_open(&peer, argc > 1 ? number(argv[1]) : 1);
    while (getline(&line, &size, stdin) > 0)
        say_end(run_line(&peer, line));
    free(line);
    peer_close(&peer);
    return 0;
}

/* test_channel.c - channels over the loopback: frames, floods, silence, garbage, and every end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_relay.h"
#include "link/inner.h"
#include "loop_wait.h"

#define IDLE_BYTES_MAX 1536u      /* what an idle connection may cost */
#define STRANGER_BYTES_MAX 16384u /* what a peer may cost before authentication (I39) */

/* Counted by the linker's wrapping: how often bytes go to the kernel. */
static unsigned writes;
int __real_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned n);
int __wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned n);

int
__wrap_uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned n)
{
    writes++;
    return __real_uv_try_write(stream, bufs, n);
}

struct fixture {
    struct loop *loop;
    struct channel_hub *hub;
    struct fake_relay relay;
    struct noise_keypair key;
    struct channel *channel; /* NULL after its end */
    bool is_up, is_drained;
    unsigned frames, ended;
    enum channel_end how;
    Parley__Wire__CloseReason reason;
    enum rc rc;
    unsigned wanted;
};

static void
on_up(void *ctx, struct channel *channel)
{
    ((struct fixture *)ctx)->is_up = true;
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    ((struct fixture *)ctx)->frames++;
}

static void
on_drained(void *ctx, struct channel *channel)
{
    ((struct fixture *)ctx)->is_drained = true;
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct fixture *f = ctx;

    f->channel = NULL;
    f->ended++;
    f->how = how;
    f->reason = reason;
    f->rc = err->rc;
}

static const struct channel_ops ops = {
    .on_up = on_up, .on_frame = on_frame, .on_drained = on_drained, .on_end = on_end};

static enum rc
trust(void *ctx, const uint8_t server_static[32], struct bytes certificate, struct err *err)
{
    return RC_OK; /* test_client.c looks at certificates */
}

/* Limits of the relay's side and of ours; 0: the product's. */
struct limits {
    uint32_t handshake_ms, ping_ms, dead_ms, our_ping_ms, our_dead_ms, our_handshake_ms;
};

static void
start(struct fixture *f, struct limits limits)
{
    struct channel_hub_opt hub = {.log = log_none(),
                                  .handshake_ms = limits.our_handshake_ms,
                                  .ping_ms = limits.our_ping_ms,
                                  .dead_ms = limits.our_dead_ms};

    *f = (struct fixture){0};
    assert_int_equal(crypto_start(NULL), RC_OK);
    assert_int_equal(loop_new(&f->loop, NULL), RC_OK);
    hub.loop = f->loop;
    assert_int_equal(channel_hub_open(&f->hub, &hub, NULL), RC_OK);
    fake_relay_start(&f->relay, &(struct fake_relay_opt){.loop = f->loop,
                                                         .handshake_ms = limits.handshake_ms,
                                                         .ping_ms = limits.ping_ms,
                                                         .dead_ms = limits.dead_ms});
    x25519_keypair(f->key.priv, f->key.pub, rng_system());
}

static void
stop(struct fixture *f)
{
    fake_relay_stop(&f->relay);
    channel_hub_free(&f->hub);
    loop_free(&f->loop);
}

static void
connect_to(struct fixture *f, const char *host, uint16_t port)
{
    struct channel_opt opt = {
        .hub = f->hub,
        .pipe = {.local_static = &f->key, .rng = rng_system(), .check_server = trust},
        .ops = &ops,
        .ctx = f
    };

    assert_int_equal(channel_connect(&f->channel, host, port, &opt, NULL), RC_OK);
}

static bool
are_both_up(void *ctx)
{
    struct fixture *f = ctx;

    return f->is_up && f->relay.up > 0;
}
static bool
has_ended(void *ctx)
{
    return ((struct fixture *)ctx)->ended > 0;
}
static bool
relay_has_ended(void *ctx)
{
    return ((struct fixture *)ctx)->relay.ended > 0;
}
static bool
has_frames(void *ctx)
{
    return ((struct fixture *)ctx)->frames >= ((struct fixture *)ctx)->wanted;
}
static bool
relay_has_frames(void *ctx)
{
    return ((struct fixture *)ctx)->relay.frames >= ((struct fixture *)ctx)->wanted;
}
static bool
is_drained(void *ctx)
{
    return ((struct fixture *)ctx)->is_drained;
}

static void
wait_for(struct fixture *f, bool (*what)(void *ctx))
{
    assert_true(loop_wait(f->loop, what, f));
}

static void
start_up(struct fixture *f, struct limits limits)
{
    start(f, limits);
    connect_to(f, "127.0.0.1", f->relay.port);
    wait_for(f, are_both_up);
}

/* A frame whose packed size is exactly this: an empty Done and a field that nobody knows. */
struct sized {
    Parley__Wire__Done done;
    ProtobufCMessageUnknownField unknown;
    Parley__Wire__Frame frame;
    uint8_t *bytes;
};

static void
size_frame(struct sized *s, size_t size)
{
    uint8_t *length;

    s->done = (Parley__Wire__Done)PARLEY__WIRE__DONE__INIT;
    s->frame = (Parley__Wire__Frame)PARLEY__WIRE__FRAME__INIT;
    s->frame.body_case = PARLEY__WIRE__FRAME__BODY_DONE;
    s->frame.done = &s->done;
    /* 2 bytes of Done; tag of the unknown field 2, its length 4, the rest its content */
    s->bytes = calloc(1, size);
    length = s->bytes;
    for (unsigned i = 0; i < 4; i++) {
        length[i] = (uint8_t)((size - 8) >> (7 * i) & 0x7f);
        if (i < 3)
            length[i] |= 0x80;
    }
    s->unknown = (ProtobufCMessageUnknownField){.tag = 1000,
                                                .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                                .len = size - 4,
                                                .data = s->bytes};
    s->frame.base.n_unknown_fields = 1;
    s->frame.base.unknown_fields = &s->unknown;
    assert_int_equal(protobuf_c_message_get_packed_size(&s->frame.base), size);
}

/* ---- frames ---- */

static void
test_frames_of_every_size_arrive_and_one_pass_is_one_write(void **state)
{
    static const size_t sizes[] = {8, 100, 65000, 65535, 65600, 131072, WIRE_FRAME_MAX};
    struct fixture f;

    start_up(&f, (struct limits){0});
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct sized s;

        size_frame(&s, sizes[i]);
        f.wanted = f.relay.frames + 1;
        assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_OK);
        wait_for(&f, relay_has_frames);
        free(s.bytes);
    }
    struct sized small;
    size_frame(&small, 100);
    writes = 0;
    f.wanted = f.relay.frames + 200;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(channel_send(f.channel, &small.frame, NULL), RC_OK);
    assert_int_equal(writes, 0); /* nothing leaves from inside */
    wait_for(&f, relay_has_frames);
    assert_int_equal(writes, 1);
    free(small.bytes);
    stop(&f);
}

static void
test_a_frame_above_the_ceiling_is_refused_and_the_channel_lives(void **state)
{
    struct fixture f;
    struct sized s;

    start_up(&f, (struct limits){0});
    size_frame(&s, WIRE_FRAME_MAX + 1);
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_LIMIT);
    free(s.bytes);
    size_frame(&s, 10);
    f.wanted = 1;
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_OK);
    wait_for(&f, relay_has_frames);
    free(s.bytes);
    stop(&f);
}

static void
test_a_publish_to_all_devices_at_their_largest_arrives(void **state)
{
    Parley__Wire__Publish publish = PARLEY__WIRE__PUBLISH__INIT;
    Parley__Wire__DeviceCiphertext one = PARLEY__WIRE__DEVICE_CIPHERTEXT__INIT;
    Parley__Wire__DeviceCiphertext *all[WIRE_DEVICES_MAX];
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    uint8_t *body = calloc(1, WIRE_ENVELOPE_MAX), id[16] = {1};
    struct fixture f;

    one.device = 1;
    one.type = PARLEY__WIRE__CIPHER_TYPE__WHISPER;
    one.registration_id = 1;
    one.body = (ProtobufCBinaryData){.len = WIRE_ENVELOPE_MAX, .data = body};
    for (size_t i = 0; i < WIRE_DEVICES_MAX; i++)
        all[i] = &one;
    publish.message_id = (ProtobufCBinaryData){.len = 16, .data = id};
    publish.device_list_hash = (ProtobufCBinaryData){.len = 8, .data = id};
    publish.recipient = 15550123400;
    publish.class_ = PARLEY__WIRE__CLASS__MESSAGE;
    publish.n_ciphertexts = WIRE_DEVICES_MAX;
    publish.ciphertexts = all;
    frame.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH;
    frame.publish = &publish;
    start_up(&f, (struct limits){0});
    f.wanted = 1;
    assert_int_equal(channel_send(f.channel, &frame, NULL), RC_OK);
    wait_for(&f, relay_has_frames);
    assert_int_equal(f.relay.bytes_in_publish, WIRE_DEVICES_MAX * WIRE_ENVELOPE_MAX);
    free(body);
    stop(&f);
}

static void
test_an_idle_channel_costs_little(void **state)
{
    struct fixture f;
    struct sized s;
    struct channel *theirs;

    start_up(&f, (struct limits){0});
    size_frame(&s, 300000);
    f.wanted = 1;
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_OK);
    wait_for(&f, relay_has_frames);
    fake_relay_push(&f.relay, 1);
    wait_for(&f, has_frames);
    theirs = fake_relay_any(&f.relay);
    assert_in_range(channel_memory(f.channel), 1, IDLE_BYTES_MAX);
    assert_in_range(channel_memory(theirs), 1, IDLE_BYTES_MAX);
    print_message("# an idle channel: %zu bytes\n", channel_memory(theirs));
    free(s.bytes);
    stop(&f);
}

/* ---- slow readers ---- */

/* Fill until this much waits behind the kernel's buffers, or sending fails. *most is what waited.
 */
static enum rc
fill(struct fixture *f, size_t unsent, size_t *most)
{
    struct sized s;
    enum rc rc = RC_OK;

    *most = 0;
    size_frame(&s, 60000);
    for (unsigned i = 0; i < 1000 && *most < unsent; i++) {
        if ((rc = channel_send(f->channel, &s.frame, NULL)) != RC_OK)
            break;
        loop_poll(f->loop);
        *most = channel_unsent(f->channel);
    }
    free(s.bytes);
    return rc;
}

static void
test_a_peer_that_does_not_read_is_ended_at_the_ceiling(void **state)
{
    struct fixture f;
    size_t most;

    start_up(&f, (struct limits){0});
    channel_hold(fake_relay_any(&f.relay));
    assert_int_equal(fill(&f, SIZE_MAX, &most), RC_LIMIT);
    assert_in_range(most, CHANNEL_UNSENT_MAX - 65536, CHANNEL_UNSENT_MAX);
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_SLOW);
    stop(&f);
}

static void
test_a_peer_that_reads_again_gets_everything_and_the_owner_is_told(void **state)
{
    struct fixture f;
    struct channel *theirs;
    size_t most;

    start_up(&f, (struct limits){0});
    theirs = fake_relay_any(&f.relay);
    channel_hold(theirs);
    assert_int_equal(fill(&f, CHANNEL_UNSENT_MAX * 3 / 4, &most), RC_OK);
    assert_false(f.is_drained);
    channel_resume(theirs);
    wait_for(&f, is_drained);
    assert_int_equal(channel_unsent(f.channel), 0);
    fake_relay_push(&f.relay, 1); /* and the channel goes on in both directions */
    f.wanted = 1;
    wait_for(&f, has_frames);
    stop(&f);
}

/* ---- ends ---- */

static void
test_every_close_reason_arrives(void **state)
{
    for (int reason = PARLEY__WIRE__CLOSE_REASON__BYE;
         reason <= (int)PARLEY__WIRE__CLOSE_REASON__UNREGISTERED; reason++) {
        struct fixture f;

        start_up(&f, (struct limits){0});
        fake_relay_push(&f.relay, 1); /* what was queued before the Close arrives before it */
        fake_relay_close_all(&f.relay, (Parley__Wire__CloseReason)reason);
        fake_relay_close_all(&f.relay, PARLEY__WIRE__CLOSE_REASON__SLOW); /* the first one counts */
        wait_for(&f, has_ended);
        assert_int_equal(f.frames, 1);
        assert_int_equal(f.how, CHANNEL_BYE);
        assert_int_equal(f.reason, reason);
        wait_for(&f, relay_has_ended);
        assert_int_equal(f.relay.last_how, CHANNEL_LOCAL);
        assert_int_equal(f.relay.last_reason, reason);
        assert_int_equal(f.ended, 1);
        stop(&f);
    }
}

static void
test_tcp_that_just_ends_is_a_truncation(void **state)
{
    struct fixture f;

    start_up(&f, (struct limits){0});
    fake_relay_cut(&f.relay);
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_TRUNCATED);
    assert_int_equal(f.rc, RC_IO);
    stop(&f);
}

static void
test_after_the_end_nothing_can_be_sent(void **state)
{
    struct fixture f;
    struct sized s;

    size_frame(&s, 10);
    start(&f, (struct limits){0});
    connect_to(&f, "127.0.0.1", f.relay.port);
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_PROTO); /* nor before the start */
    assert_null(channel_hash(f.channel));
    wait_for(&f, are_both_up);
    channel_close(f.channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL);
    assert_int_equal(f.ended, 0); /* never from inside */
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_CLOSED);
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_LOCAL);
    free(s.bytes);
    stop(&f);
}

static void
test_an_abandoned_channel_says_bye_and_calls_nobody(void **state)
{
    struct fixture f;

    start_up(&f, (struct limits){0});
    channel_abandon(&f.channel, PARLEY__WIRE__CLOSE_REASON__BYE);
    assert_null(f.channel);
    wait_for(&f, relay_has_ended);
    assert_int_equal(f.relay.last_how, CHANNEL_BYE);
    assert_int_equal(f.ended, 0);
    stop(&f);
}

/* A frame in order as the cipher sees it, but not as the schema does. */
static void
test_a_frame_that_does_not_parse_ends_with_a_reason(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"no body",       "\x08\x01",             2},
        {"unknown kind",  "\xea\x02\x00",         3},
        {"cut short",     "\x32\x05",             2},
        {"out of bounds", "\xf2\x01\x02\x08\x01", 5}, /* a publish with nothing in it */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;

        start_up(&f, (struct limits){0});
        assert_int_equal(pipe_send(f.channel->pipe, bytes_of(cases[i].bytes, cases[i].len),
                                   &f.channel->out, NULL),
                         RC_OK);
        channel_flush(f.channel);
        wait_for(&f, has_ended);
        assert_int_equal(f.how, CHANNEL_BYE);
        assert_int_equal(f.reason, PARLEY__WIRE__CLOSE_REASON__PROTOCOL_ERROR);
        wait_for(&f, relay_has_ended);
        assert_int_equal(f.relay.last_how, CHANNEL_FAILED);
        stop(&f);
    }
}

static void
test_a_wrong_tag_ends_without_a_word(void **state)
{
    struct fixture f;
    uint8_t forged[3 + 40] = {0, 0, 40};

    start_up(&f, (struct limits){0});
    buf_put(&f.channel->out, bytes_of(forged, sizeof(forged)));
    channel_flush(f.channel);
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_TRUNCATED); /* no Close came */
    wait_for(&f, relay_has_ended);
    assert_int_equal(f.relay.last_how, CHANNEL_FAILED);
    assert_int_equal(f.relay.last_rc, RC_AUTH);
    stop(&f);
}

/* ---- strangers ---- */

static int
raw_connect(uint16_t port)
{
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    uv_ip4_addr("127.0.0.1", port, &address);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
test_garbage_on_the_port_is_refused_without_a_word(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"http",             "GET / HTTP/1.1\r\n\r\n",   18},
        {"tls",              "\x16\x03\x01\x02\x00\x01", 6 },
        {"one wrong byte",   "Q",                        1 },
        {"another version",  "PLY2\x01",                 5 },
        {"unknown pattern",  "PLY1\x07\x00\x00\x20",     8 },
        {"length zero",      "PLY1\x01\x00\x00\x00",     8 },
        {"length too large", "PLY1\x01\xff\xff\xff",     8 },
        {"length above cap", "PLY1\x02\x00\x10\x01",     8 },
        {"short XX 1",
         "PLY1\x01\x00\x00\x03"
         "abc",                                          11},
        {"long XX 1",
         "PLY1\x01\x00\x00\x21"
         "abcdefghijklmnopqrstuvwxyzABCDEFG",            41},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        uint8_t answer[16];
        int fd;

        start(&f, (struct limits){0});
        fd = raw_connect(f.relay.port);
        assert_int_equal(write(fd, cases[i].bytes, cases[i].len), cases[i].len);
        wait_for(&f, relay_has_ended);
        assert_int_equal(f.relay.last_how, CHANNEL_FAILED);
        assert_int_equal(f.relay.up, 0);
        assert_in_range(recv(fd, answer, sizeof(answer), MSG_DONTWAIT) + 1, 0, 1); /* 0 or reset */
        close(fd);
        stop(&f);
    }
}

/* Bytes that keep coming do not move the deadline, and what is kept of them is bounded. */
static void
test_i39_half_a_handshake_is_cut_off_and_costs_little(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"nothing",                  "",                     0},
        {"half a hello",             "PL",                   2},
        {"a frame that never comes", "PLY1\x02\x00\x0f\xff", 8},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct channel *theirs = NULL;
        uint64_t start_ms;
        size_t most = 0;
        int fd;

        start(&f, (struct limits){.handshake_ms = 200});
        fd = raw_connect(f.relay.port);
        start_ms = uv_now(loop_uv(f.loop));
        if (cases[i].len > 0)
            assert_int_equal(write(fd, cases[i].bytes, cases[i].len), cases[i].len);
        while (f.relay.ended == 0 && uv_now(loop_uv(f.loop)) - start_ms < WAIT_MS) {
            if (cases[i].len == 8) /* drip */
                (void)!send(fd, "x", 1, MSG_NOSIGNAL);
            loop_pass_ms(f.loop, 5);
            theirs = f.relay.channels[0];
            if (theirs != NULL && channel_memory(theirs) > most)
                most = channel_memory(theirs);
        }
        assert_int_equal(f.relay.last_how, CHANNEL_TIMED_OUT);
        assert_int_equal(f.relay.last_rc, RC_TIMEOUT);
        assert_in_range(uv_now(loop_uv(f.loop)) - start_ms, 190, 2000);
        assert_in_range(most, 1, STRANGER_BYTES_MAX);
        close(fd);
        stop(&f);
    }
}

static void
test_a_relay_that_never_answers_is_given_up(void **state)
{
    struct fixture f;
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    start(&f, (struct limits){.our_handshake_ms = 100});
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0); /* the kernel accepts, nobody reads */
    getsockname(fd, (struct sockaddr *)&address, &size);
    connect_to(&f, "127.0.0.1", ntohs(address.sin_port));
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_TIMED_OUT);
    close(fd);
    stop(&f);
}

static void
test_nobody_listens(void **state)
{
    struct fixture f;
    uint16_t port;

    start(&f, (struct limits){0});
    port = f.relay.port;
    fake_relay_stop(&f.relay);
    connect_to(&f, "localhost", port); /* both of its addresses, where it has two */
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_UNREACHABLE);
    assert_int_equal(f.rc, RC_IO);
    channel_hub_free(&f.hub);
    loop_free(&f.loop);
}

static void
test_a_name_is_resolved_and_its_second_address_tried(void **state)
{
    struct fixture f;

    start(&f, (struct limits){0});
    connect_to(&f, "localhost", f.relay.port); /* where ::1 comes first, it is refused */
    wait_for(&f, are_both_up);
    assert_string_equal(channel_peer_address(f.channel), "127.0.0.1");
    stop(&f);
}

static void
test_a_channel_may_be_closed_while_its_name_is_looked_up(void **state)
{
    struct fixture f;

    start(&f, (struct limits){0});
    connect_to(&f, "localhost", f.relay.port);
    channel_close(f.channel, PARLEY__WIRE__CLOSE_REASON__BYE, NULL);
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_LOCAL);
    connect_to(&f, "localhost", f.relay.port);
    channel_hub_free(&f.hub); /* the hub goes meanwhile: no leak, no call */
    stop(&f);
    assert_int_equal(f.ended, 1);
}

/* ---- silence ---- */

static void
test_pings_keep_an_idle_channel_alive(void **state)
{
    struct fixture f;

    start_up(&f, (struct limits){.our_ping_ms = 40, .our_dead_ms = 300});
    loop_pass_ms(f.loop, 900);
    assert_int_equal(f.ended, 0);
    assert_int_equal(f.relay.ended, 0);
    assert_int_equal(f.frames + f.relay.frames, 0); /* pings and pongs stay below */
    stop(&f);
}

static void
test_a_peer_that_is_silent_is_given_up(void **state)
{
    struct fixture f;

    start_up(&f, (struct limits){.our_ping_ms = 40, .our_dead_ms = 200});
    channel_hold(fake_relay_any(&f.relay)); /* it hears no ping, it answers none */
    wait_for(&f, has_ended);
    assert_int_equal(f.how, CHANNEL_TIMED_OUT);
    stop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_of_every_size_arrive_and_one_pass_is_one_write),
        cmocka_unit_test(test_a_frame_above_the_ceiling_is_refused_and_the_channel_lives),
        cmocka_unit_test(test_a_publish_to_all_devices_at_their_largest_arrives),
        cmocka_unit_test(test_an_idle_channel_costs_little),
        cmocka_unit_test(test_a_peer_that_does_not_read_is_ended_at_the_ceiling),
        cmocka_unit_test(test_a_peer_that_reads_again_gets_everything_and_the_owner_is_told),
        cmocka_unit_test(test_every_close_reason_arrives),
        cmocka_unit_test(test_tcp_that_just_ends_is_a_truncation),
        cmocka_unit_test(test_after_the_end_nothing_can_be_sent),
        cmocka_unit_test(test_an_abandoned_channel_says_bye_and_calls_nobody),
        cmocka_unit_test(test_a_frame_that_does_not_parse_ends_with_a_reason),
        cmocka_unit_test(test_a_wrong_tag_ends_without_a_word),
        cmocka_unit_test(test_garbage_on_the_port_is_refused_without_a_word),
        cmocka_unit_test(test_i39_half_a_handshake_is_cut_off_and_costs_little),
        cmocka_unit_test(test_a_relay_that_never_answers_is_given_up),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_a_name_is_resolved_and_its_second_address_tried),
        cmocka_unit_test(test_a_channel_may_be_closed_while_its_name_is_looked_up),
        cmocka_unit_test(test_pings_keep_an_idle_channel_alive),
        cmocka_unit_test(test_a_peer_that_is_silent_is_given_up),
    };

    return cmocka_run_group_tests_name("link/channel", tests, NULL, NULL);
}

/* test_channel_write.c - the writing half: sizes, one write a pass, slow readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include "pair.h"

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

/* ---- frames ---- */

static void
test_frames_of_every_size_arrive_and_one_pass_is_one_write(void **state)
{
    static const size_t sizes[] = {8, 100, 65000, 65535, 65600, 131072, WIRE_FRAME_MAX};
    struct pair f;

    pair_start_up(&f, (struct pair_limits){0});
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct sized_frame s;

        sized_frame(&s, sizes[i]);
        f.wanted = f.relay.frames + 1;
        assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_OK);
        pair_wait(&f, pair_relay_has_frames);
        free(s.bytes);
    }
    struct sized_frame small;
    sized_frame(&small, 100);
    writes = 0;
    f.wanted = f.relay.frames + 200;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(channel_send(f.channel, &small.frame, NULL), RC_OK);
    assert_int_equal(writes, 0); /* nothing leaves from inside */
    pair_wait(&f, pair_relay_has_frames);
    assert_int_equal(writes, 1);
    free(small.bytes);
    pair_stop(&f);
}

static void
test_a_frame_above_the_ceiling_is_refused_and_the_channel_lives(void **state)
{
    struct pair f;
    struct sized_frame s;

    pair_start_up(&f, (struct pair_limits){0});
    sized_frame(&s, WIRE_FRAME_MAX + 1);
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_LIMIT);
    free(s.bytes);
    sized_frame(&s, 10);
    f.wanted = 1;
    assert_int_equal(channel_send(f.channel, &s.frame, NULL), RC_OK);
    pair_wait(&f, pair_relay_has_frames);
    free(s.bytes);
    pair_stop(&f);
}

static void
test_a_publish_to_all_devices_at_their_largest_arrives(void **state)
{
    Parley__Wire__Publish publish = PARLEY__WIRE__PUBLISH__INIT;
    Parley__Wire__DeviceCiphertext one = PARLEY__WIRE__DEVICE_CIPHERTEXT__INIT;
    Parley__Wire__DeviceCiphertext *all[WIRE_DEVICES_MAX];
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    uint8_t *body = calloc(1, WIRE_ENVELOPE_MAX), id[16] = {1};
    struct pair f;

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
    pair_start_up(&f, (struct pair_limits){0});
    f.wanted = 1;
    assert_int_equal(channel_send(f.channel, &frame, NULL), RC_OK);
    pair_wait(&f, pair_relay_has_frames);
    assert_int_equal(f.relay.bytes_in_publish, WIRE_DEVICES_MAX * WIRE_ENVELOPE_MAX);
    free(body);
    pair_stop(&f);
}

/* ---- slow readers ---- */

static bool
is_drained(void *ctx)
{
    return ((struct pair *)ctx)->is_drained;
}

/* Fill until this much waits behind the kernel's buffers, or sending fails. *most is what waited.
 */
static enum rc
fill(struct pair *f, size_t unsent, size_t *most)
{
    struct sized_frame s;
    enum rc rc = RC_OK;

    *most = 0;
    sized_frame(&s, 60000);
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
    struct pair f;
    size_t most;

    pair_start_up(&f, (struct pair_limits){0});
    channel_hold(fake_relay_any(&f.relay));
    assert_int_equal(fill(&f, SIZE_MAX, &most), RC_LIMIT);
    assert_in_range(most, CHANNEL_UNSENT_MAX - 65536, CHANNEL_UNSENT_MAX);
    pair_wait(&f, pair_has_ended);
    assert_int_equal(f.how, CHANNEL_SLOW);
    pair_stop(&f);
}

static void
test_a_peer_that_reads_again_gets_everything_and_the_owner_is_told(void **state)
{
    struct pair f;
    struct channel *theirs;
    size_t most;

    pair_start_up(&f, (struct pair_limits){0});
    theirs = fake_relay_any(&f.relay);
    channel_hold(theirs);
    assert_int_equal(fill(&f, CHANNEL_UNSENT_MAX * 3 / 4, &most), RC_OK);
    assert_false(f.is_drained);
    channel_resume(theirs);
    pair_wait(&f, is_drained);
    assert_int_equal(channel_unsent(f.channel), 0);
    fake_relay_push(&f.relay, 1); /* and the channel goes on in both directions */
    f.wanted = 1;
    pair_wait(&f, pair_has_frames);
    pair_stop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_of_every_size_arrive_and_one_pass_is_one_write),
        cmocka_unit_test(test_a_frame_above_the_ceiling_is_refused_and_the_channel_lives),
        cmocka_unit_test(test_a_publish_to_all_devices_at_their_largest_arrives),
        cmocka_unit_test(test_a_peer_that_does_not_read_is_ended_at_the_ceiling),
        cmocka_unit_test(test_a_peer_that_reads_again_gets_everything_and_the_owner_is_told),
    };

    return cmocka_run_group_tests_name("link/channel_write", tests, NULL, NULL);
}

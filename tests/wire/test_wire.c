/* test_wire.c - every kind of frame there and back, cut short, of unknown kind, too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>

#include "samples.h"
#include "wire/wire.h"

static struct buf
packed(const Parley__Wire__Frame *frame)
{
    struct buf out;

    buf_init(&out, WIRE_FRAME_MAX);
    assert_int_equal(wire_pack(&out, frame, NULL), RC_OK);
    return out;
}

static enum rc
unpack(struct bytes in, size_t arena_max)
{
    struct arena *arena = NULL;
    Parley__Wire__Frame *frame;
    struct err err = {.rc = RC_OK};
    enum rc rc;

    assert_int_equal(arena_new(&arena, arena_max, NULL), RC_OK);
    rc = wire_unpack(&frame, arena, in, &err);
    assert_int_equal(rc, err.rc);
    assert_int_equal(rc == RC_OK, frame != NULL);
    arena_free(&arena);
    return rc;
}

static void
test_every_kind_has_a_sample(void **state)
{
    assert_int_equal(wire_samples_count, parley__wire__frame__descriptor.n_fields - 1);
    for (size_t i = 1; i < wire_samples_count; i++)
        assert_true(wire_samples[i - 1]->body_case < wire_samples[i]->body_case);
}

static void
test_every_kind_comes_back_the_same(void **state)
{
    for (size_t i = 0; i < wire_samples_count; i++) {
        struct buf once = packed(wire_samples[i]), twice;
        struct arena *arena = NULL;
        Parley__Wire__Frame *frame;

        assert_int_equal(arena_new(&arena, WIRE_ARENA_MAX, NULL), RC_OK);
        assert_int_equal(wire_unpack(&frame, arena, buf_bytes(&once), NULL), RC_OK);
        assert_int_equal(frame->body_case, wire_samples[i]->body_case);
        assert_int_equal(frame->request_id, wire_samples[i]->request_id);
        twice = packed(frame);
        assert_true(bytes_equal(buf_bytes(&once), buf_bytes(&twice)));
        assert_string_equal(wire_frame_name(frame),
                            parley__wire__frame__descriptor.fields[i + 1].name);
        buf_free(&once);
        buf_free(&twice);
        arena_free(&arena);
    }
}

/* The pieces are copied, so that the sanitizer sees a read past the end. */
static void
test_every_prefix_is_refused(void **state)
{
    for (size_t i = 0; i < wire_samples_count; i++) {
        struct buf whole = packed(wire_samples[i]);

        for (size_t n = 0; n < whole.len; n++) {
            uint8_t *piece = malloc(n + 1);

            memcpy(piece, whole.ptr, n);
            assert_int_equal(unpack(bytes_of(piece, n), WIRE_ARENA_MAX), RC_MALFORMED);
            free(piece);
        }
        buf_free(&whole);
    }
}

static const struct {
    const char *name;
    const uint8_t bytes[12];
    size_t len;
    enum rc want;
} odd[] = {
    {"nothing",                         {0},                                                       0,  RC_MALFORMED},
    {"request id alone",                {0x08, 0x01},                                              2,  RC_MALFORMED},
    {"unknown kind 45",                 {0x08, 0x01, 0xea, 0x02, 0x00},                            5,  RC_PROTO    },
    {"known kind, unknown field in it", {0x2a, 0x02, 0x78, 0x01},                                  4,  RC_OK       },
    {"ping and an unknown field",       {0x32, 0x00, 0xea, 0x02, 0x00},                            5,  RC_OK       },
    {"two bodies: the last counts",     {0x32, 0x00, 0x3a, 0x00},                                  4,  RC_OK       },
    {"body of a wrong wire type",       {0x30, 0x01},                                              2,  RC_MALFORMED},
    {"group wire type",                 {0x33, 0x34},                                              2,  RC_MALFORMED},
    {"length past the end",             {0x32, 0x7f},                                              2,  RC_MALFORMED},
    {"length of 2^32",                  {0x32, 0x80, 0x80, 0x80, 0x80, 0x10},                      6,  RC_MALFORMED},
    {"endless tag",                     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 10, RC_MALFORMED},
};

static void
test_odd_bytes(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        enum rc rc = unpack(bytes_of(odd[i].bytes, odd[i].len), WIRE_ARENA_MAX);

        if (rc != odd[i].want)
            fail_msg("%s: %s", odd[i].name, rc_name(rc));
    }
}

static void
test_frames_above_the_ceiling_are_refused_both_ways(void **state)
{
    uint8_t *big = calloc(1, WIRE_FRAME_MAX + 1);
    Parley__Wire__Login login = PARLEY__WIRE__LOGIN__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    struct buf out;

    assert_int_equal(unpack(bytes_of(big, WIRE_FRAME_MAX + 1), WIRE_ARENA_MAX), RC_LIMIT);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN;
    frame.login = &login;
    login.number_certificate = (ProtobufCBinaryData){.len = WIRE_FRAME_MAX, .data = big};
    buf_init(&out, 2 * WIRE_FRAME_MAX);
    assert_int_equal(wire_pack(&out, &frame, NULL), RC_LIMIT);
    assert_int_equal(out.len, 0);
    buf_init(&out, 16); /* a caller's buffer with less room */
    assert_int_equal(wire_pack(&out, wire_samples[0], NULL), RC_NOMEM);
    buf_free(&out);
    free(big);
}

/* Two bytes on the wire become a struct in memory: the arena's ceiling is what bounds it. */
static void
test_i39_small_bytes_cannot_grow_without_bound(void **state)
{
    size_t n = WIRE_FRAME_MAX / 2 - 16;
    struct buf body, whole;

    buf_init(&body, WIRE_FRAME_MAX);
    buf_init(&whole, WIRE_FRAME_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_put_u8(&body, 0x12); /* PrekeyUpload.one_time, empty */
        buf_put_u8(&body, 0x00);
    }
    buf_put_u8(&whole, 0xa2); /* prekey_upload, length-delimited */
    buf_put_u8(&whole, 0x01);
    for (size_t left = body.len; left > 0; left >>= 7)
        buf_put_u8(&whole, (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0)));
    buf_put(&whole, buf_bytes(&body));
    assert_false(buf_failed(&whole));
    assert_int_equal(unpack(buf_bytes(&whole), WIRE_ARENA_MAX), RC_NOMEM);
    buf_free(&body);
    buf_free(&whole);
}

static void
test_notice_there_and_back_and_cut_short(void **state)
{
    struct buf whole;
    struct arena *arena = NULL;
    Parley__Wire__Notice *notice;

    buf_init(&whole, WIRE_ENVELOPE_MAX);
    assert_int_equal(wire_notice_pack(&whole, &wire_sample_notice, NULL), RC_OK);
    assert_int_equal(arena_new(&arena, WIRE_ARENA_MAX, NULL), RC_OK);
    assert_int_equal(wire_notice_unpack(&notice, arena, buf_bytes(&whole), NULL), RC_OK);
    assert_int_equal(notice->reason, PARLEY__WIRE__REASON__EXPIRED);
    assert_int_equal(notice->items[0]->recipient, wire_sample_notice.items[0]->recipient);
    for (size_t n = 0; n < whole.len; n++) {
        assert_int_equal(wire_notice_unpack(&notice, arena, bytes_of(whole.ptr, n), NULL),
                         RC_MALFORMED);
        assert_null(notice);
    }
    arena_free(&arena);
    buf_free(&whole);
}

/* A notice with all its items still fits where an envelope fits. */
static void
test_the_longest_notice_fits_an_envelope(void **state)
{
    Parley__Wire__Notice notice = wire_sample_notice;
    Parley__Wire__NoticeItem longest = *notice.items[0];
    Parley__Wire__NoticeItem **items = calloc(WIRE_NOTICE_ITEMS_MAX, sizeof(*items));

    longest.recipient = 999999999999999u;
    longest.device = INT32_MAX;
    for (size_t i = 0; i < WIRE_NOTICE_ITEMS_MAX; i++)
        items[i] = &longest;
    notice.items = items;
    notice.n_items = WIRE_NOTICE_ITEMS_MAX;
    assert_in_range(parley__wire__notice__get_packed_size(&notice), 1, WIRE_ENVELOPE_MAX);
    free(items);
}

static void
test_reasons_have_names(void **state)
{
    const ProtobufCEnumDescriptor *all = &parley__wire__reason__descriptor;

    for (unsigned i = 1; i < all->n_values; i++) {
        const char *name = wire_reason_name((Parley__Wire__Reason)all->values[i].value);

        assert_int_equal(strlen(name), strlen(all->values[i].name));
        for (size_t k = 0; name[k] != '\0'; k++)
            assert_int_equal(name[k], tolower(all->values[i].name[k]));
    }
    assert_string_equal(wire_reason_name((Parley__Wire__Reason)9999), "unknown");
    assert_string_equal(wire_reason_name((Parley__Wire__Reason)-1), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_has_a_sample),
        cmocka_unit_test(test_every_kind_comes_back_the_same),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_odd_bytes),
        cmocka_unit_test(test_frames_above_the_ceiling_are_refused_both_ways),
        cmocka_unit_test(test_i39_small_bytes_cannot_grow_without_bound),
        cmocka_unit_test(test_notice_there_and_back_and_cut_short),
        cmocka_unit_test(test_the_longest_notice_fits_an_envelope),
        cmocka_unit_test(test_reasons_have_names),
    };

    return cmocka_run_group_tests_name("wire/wire", tests, NULL, NULL);
}

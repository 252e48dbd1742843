/* test_bounds.c - each row of the table at its limits and one beyond, in a frame that is else
 * legal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "samples.h"
#include "wire/bounds.h"

#define BIG (WIRE_ENVELOPE_MAX + 2u) /* above every size in the table */

/* Room to point fields at: bytes that start like a key, a text, and a row of equal items. */
struct fixture {
    struct arena *arena;
    uint8_t *key;
    char *text;
    void **items;
};

static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->key = calloc(1, BIG);
    f->key[0] = 0x05;
    f->text = calloc(1, BIG);
    f->items = calloc(BIG, sizeof(*f->items));
    *state = f;
    return arena_new(&f->arena, 64u << 20, NULL);
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    arena_free(&f->arena);
    free(f->key);
    free(f->text);
    free(f->items);
    free(f);
    return 0;
}

/* The first message of this kind inside another, or NULL. */
static ProtobufCMessage *
find(ProtobufCMessage *in, const ProtobufCMessageDescriptor *kind)
{
    const ProtobufCMessageDescriptor *d = in->descriptor;

    if (d == kind)
        return in;
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &d->fields[i];
        void *at = (uint8_t *)in + field->offset;
        ProtobufCMessage *inner, *found;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            if (*(size_t *)(void *)((uint8_t *)in + field->quantifier_offset) == 0)
                continue;
            inner = **(ProtobufCMessage ***)at;
        } else
            inner = *(ProtobufCMessage **)at;
        if (inner != NULL && (found = find(inner, kind)) != NULL)
            return found;
    }
    return NULL;
}

static ProtobufCMessage *
copy(struct fixture *f, const ProtobufCMessage *of)
{
    size_t size = protobuf_c_message_get_packed_size(of);
    uint8_t *bytes = arena_alloc(f->arena, size + 1);

    protobuf_c_message_pack(of, bytes);
    return protobuf_c_message_unpack(of->descriptor, NULL, size, bytes);
}

/* A fresh legal frame body (or notice) that contains a message of the kind. The caller frees it
 * with the library; *inside points into it. */
static ProtobufCMessage *
legal(struct fixture *f, const ProtobufCMessageDescriptor *kind, ProtobufCMessage **inside)
{
    for (size_t i = 0; i <= wire_samples_count; i++) {
        ProtobufCMessage *body =
            copy(f, i < wire_samples_count ? (const ProtobufCMessage *)wire_samples[i]->login
                                           : &wire_sample_notice.base);

        if ((*inside = find(body, kind)) != NULL)
            return body;
        protobuf_c_message_free_unpacked(body, NULL);
    }
    fail_msg("no sample holds a %s", kind->short_name);
    return NULL;
}

static const ProtobufCFieldDescriptor *
field_at(const ProtobufCMessageDescriptor *d, size_t offset)
{
    for (unsigned i = 0; i < d->n_fields; i++)
        if (d->fields[i].offset == offset || (d->fields[i].label == PROTOBUF_C_LABEL_REPEATED &&
                                              d->fields[i].quantifier_offset == offset))
            return &d->fields[i];
    fail_msg("%s has no field at %zu", d->short_name, offset);
    return NULL;
}

/* What a field held before the test put something else there. */
struct saved {
    uint8_t quantifier[sizeof(size_t)], value[sizeof(ProtobufCBinaryData)];
    size_t size;
};

static size_t
size_of(const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return sizeof(void *);
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        return 8;
    default:
        return 4;
    }
}

static void
set_repeated(struct fixture *f, ProtobufCMessage *m, const ProtobufCFieldDescriptor *field,
             size_t n)
{
    size_t *count = (size_t *)(void *)((uint8_t *)m + field->quantifier_offset);
    void ***at = (void ***)(void *)((uint8_t *)m + field->offset);

    assert_true(*count > 0 && n < BIG);
    for (size_t i = 0; i < n && field->type == PROTOBUF_C_TYPE_MESSAGE; i++)
        f->items[i] = (*at)[0];
    *count = n;
    *at = f->items;
}

/* Make the field measure n. */
static void
set(struct fixture *f, ProtobufCMessage *m, const ProtobufCFieldDescriptor *field, uint64_t n)
{
    void *at = (uint8_t *)m + field->offset;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        set_repeated(f, m, field, n);
        return;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        assert_true(n < BIG);
        *(ProtobufCBinaryData *)at = (ProtobufCBinaryData){.len = n, .data = f->key};
        return;
    case PROTOBUF_C_TYPE_STRING:
        assert_true(n < BIG);
        memset(f->text, 'a', n);
        f->text[n] = '\0';
        *(char **)at = f->text;
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (n == 0)
            *(void **)at = NULL;
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64:
        memcpy(at, &n, 8);
        return;
    default: {
        uint32_t narrow = (uint32_t)n;

        memcpy(at, &narrow, 4);
    }
    }
}

static enum rc
check_with(struct fixture *f, const struct wire_bounds *rows, const struct wire_bound *row,
           uint64_t n)
{
    const ProtobufCFieldDescriptor *field = field_at(rows->message, row->offset);
    ProtobufCMessage *m, *body = legal(f, rows->message, &m);
    uint8_t *at = (uint8_t *)m + field->offset, *count = (uint8_t *)m + field->quantifier_offset;
    bool is_repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    struct saved saved;
    struct err err;
    enum rc rc;

    assert_int_equal(wire_bounds_check(body, NULL), RC_OK);
    memcpy(saved.value, at, size_of(field));
    if (is_repeated)
        memcpy(saved.quantifier, count, sizeof(size_t));
    set(f, m, field, n);
    rc = wire_bounds_check(body, &err);
    if (rc != RC_OK)
        assert_non_null(strstr(err.text, field->name));
    memcpy(at, saved.value, size_of(field));
    if (is_repeated)
        memcpy(count, saved.quantifier, sizeof(size_t));
    protobuf_c_message_free_unpacked(body, NULL);
    return rc;
}

static uint64_t
ceiling_of(const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED || field->type == PROTOBUF_C_TYPE_BYTES ||
        field->type == PROTOBUF_C_TYPE_STRING)
        return SIZE_MAX;
    if (field->type == PROTOBUF_C_TYPE_UINT64 || field->type == PROTOBUF_C_TYPE_INT64)
        return UINT64_MAX;
    return field->type == PROTOBUF_C_TYPE_MESSAGE ? 1 : UINT32_MAX;
}

/* Rows whose lower limit depends on another field: see the test that spans fields. */
static bool
spans(const struct wire_bounds *rows, const ProtobufCFieldDescriptor *field)
{
    return rows->message == &parley__wire__deliver__descriptor &&
           (strcmp(field->name, "type") == 0 || strcmp(field->name, "message_id") == 0);
}

static void
try_row(struct fixture *f, const struct wire_bounds *rows, const struct wire_bound *row)
{
    const ProtobufCFieldDescriptor *field = field_at(rows->message, row->offset);
    const struct {
        uint64_t n;
        bool is_tried;
        enum rc want;
    } cases[] = {
        {row->min,      !spans(rows, field),                RC_OK},
        {row->max,             true,                 RC_OK                     },
        {0,             row->may_be_empty && !spans(rows,                        field),RC_OK},
        {row->min - 1,        row->min > (row->may_be_empty ? 1 : 0),                   RC_MALFORMED                                                 },
        {row->max + 1, row->max < ceiling_of(field),RC_MALFORMED},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum rc rc = RC_OK;

        if (cases[i].is_tried)
            rc = check_with(f, rows, row, cases[i].n);
        if (cases[i].is_tried && rc != cases[i].want)
            fail_msg("%s.%s of %llu: %s", rows->message->short_name, field->name,
                     (unsigned long long)cases[i].n, rc_name(rc));
    }
}

static void
test_every_row_holds_at_its_limits(void **state)
{
    for (size_t i = 0; i < wire_bounds_count; i++)
        for (size_t k = 0; k < wire_bounds_table[i].n; k++)
            try_row(*state, &wire_bounds_table[i], &wire_bounds_table[i].rows[k]);
}

static const struct wire_bound *
row_of(const ProtobufCMessageDescriptor *d, const ProtobufCFieldDescriptor *field)
{
    size_t offset =
        field->label == PROTOBUF_C_LABEL_REPEATED ? field->quantifier_offset : field->offset;

    for (size_t i = 0; i < wire_bounds_count; i++)
        for (size_t k = 0; wire_bounds_table[i].message == d && k < wire_bounds_table[i].n; k++)
            if (wire_bounds_table[i].rows[k].offset == offset)
                return &wire_bounds_table[i].rows[k];
    return NULL;
}

/* Whoever adds a field of variable size to the schema must say how much it may hold. */
static void
expect_rows(const ProtobufCMessageDescriptor *d)
{
    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &d->fields[i];
        bool is_variable = field->label == PROTOBUF_C_LABEL_REPEATED ||
                           field->type == PROTOBUF_C_TYPE_BYTES ||
                           field->type == PROTOBUF_C_TYPE_STRING;

        if (is_variable && row_of(d, field) == NULL)
            fail_msg("%s.%s has no bound", d->short_name, field->name);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            expect_rows(field->descriptor);
    }
}

static void
test_every_field_of_variable_size_has_a_row(void **state)
{
    expect_rows(&parley__wire__frame__descriptor);
    expect_rows(&parley__wire__notice__descriptor);
}

static void
test_every_key_starts_with_its_type_and_every_text_is_utf8(void **state)
{
    struct fixture *f = *state;
    char latin1[] = {'a', (char)0xfc, '\0'};

    for (size_t i = 0; i < wire_bounds_count; i++) {
        const ProtobufCMessageDescriptor *d = wire_bounds_table[i].message;

        for (unsigned k = 0; k < d->n_fields; k++) {
            const ProtobufCFieldDescriptor *field = &d->fields[k];
            const struct wire_bound *row = row_of(d, field);
            ProtobufCMessage *m, *body;
            void *at, *before;

            if (field->type != PROTOBUF_C_TYPE_STRING &&
                !(field->type == PROTOBUF_C_TYPE_BYTES && row->max == 33))
                continue;
            body = legal(f, d, &m);
            at = (uint8_t *)m + field->offset;
            if (field->type == PROTOBUF_C_TYPE_STRING) {
                before = *(char **)at;
                *(char **)at = latin1;
                assert_int_equal(wire_bounds_check(body, NULL), RC_MALFORMED);
                *(char **)at = before;
            } else {
                ((ProtobufCBinaryData *)at)->data[0] = 0x06;
                assert_int_equal(wire_bounds_check(body, NULL), RC_MALFORMED);
            }
            protobuf_c_message_free_unpacked(body, NULL);
        }
    }
}

static void
test_only_the_relay_leaves_out_who_speaks(void **state)
{
    static const struct {
        Parley__Wire__Class class_;
        Parley__Wire__CipherType type;
        bool has_sender, has_id;
        enum rc want;
    } cases[] = {
        {PARLEY__WIRE__CLASS__MESSAGE, PARLEY__WIRE__CIPHER_TYPE__WHISPER,     true,  true,  RC_OK},
        {PARLEY__WIRE__CLASS__MESSAGE, PARLEY__WIRE__CIPHER_TYPE__CIPHER_NONE, true,  true,
         RC_MALFORMED                                                                             },
        {PARLEY__WIRE__CLASS__MESSAGE, PARLEY__WIRE__CIPHER_TYPE__WHISPER,     false, true,
         RC_MALFORMED                                                                             },
        {PARLEY__WIRE__CLASS__MESSAGE, PARLEY__WIRE__CIPHER_TYPE__WHISPER,     true,  false,
         RC_MALFORMED                                                                             },
        {PARLEY__WIRE__CLASS__NOTICE,  PARLEY__WIRE__CIPHER_TYPE__CIPHER_NONE, false, false, RC_OK},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ProtobufCMessage *m, *body = legal(*state, &parley__wire__deliver__descriptor, &m);
        Parley__Wire__Deliver d = *(Parley__Wire__Deliver *)m;

        d.class_ = cases[i].class_;
        d.type = cases[i].type;
        if (!cases[i].has_sender)
            d.sender = NULL;
        if (!cases[i].has_id)
            d.message_id = (ProtobufCBinaryData){0};
        assert_int_equal(wire_bounds_check(&d.base, NULL), cases[i].want);
        protobuf_c_message_free_unpacked(body, NULL);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_row_holds_at_its_limits, set_up, tear_down),
        cmocka_unit_test(test_every_field_of_variable_size_has_a_row),
        cmocka_unit_test_setup_teardown(test_every_key_starts_with_its_type_and_every_text_is_utf8,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_the_relay_leaves_out_who_speaks, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("wire/bounds", tests, NULL, NULL);
}

/* Fuzzer of wire/wire: what unpacks is within its bounds, so it packs, and comes back the same. */
#include "wire/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fields of a newer schema are kept as they came, odd forms included: those do not come back. */
static bool
has_unknown(const ProtobufCMessage *m)
{
    if (m->n_unknown_fields > 0)
        return true;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        bool is_repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        const uint8_t *base = (const uint8_t *)m;
        size_t n =
            is_repeated ? *(const size_t *)(const void *)(base + field->quantifier_offset) : 1;
        const void *at = base + field->offset;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        for (size_t k = 0; k < n; k++) {
            const ProtobufCMessage *inner = is_repeated ? (*(ProtobufCMessage *const *const *)at)[k]
                                                        : *(ProtobufCMessage *const *)at;

            if (inner != NULL && has_unknown(inner))
                return true;
        }
    }
    return false;
}

static void
try_frame(struct bytes in, struct arena *arena)
{
    Parley__Wire__Frame *frame;
    struct buf once, twice;

    if (wire_unpack(&frame, arena, in, NULL) != RC_OK) {
        if (frame != NULL)
            abort();
        return;
    }
    if (frame->base.n_unknown_fields > 0 || has_unknown((const ProtobufCMessage *)frame->login))
        return;
    buf_init(&once, WIRE_FRAME_MAX);
    buf_init(&twice, WIRE_FRAME_MAX);
    if (wire_pack(&once, frame, NULL) != RC_OK ||
        wire_unpack(&frame, arena, buf_bytes(&once), NULL) != RC_OK ||
        wire_pack(&twice, frame, NULL) != RC_OK ||
        !bytes_equal(buf_bytes(&once), buf_bytes(&twice)))
        abort();
    if (strcmp(wire_frame_name(frame), "none") == 0)
        abort();
    buf_free(&once);
    buf_free(&twice);
}

static void
try_notice(struct bytes in, struct arena *arena)
{
    Parley__Wire__Notice *notice;

    if (wire_notice_unpack(&notice, arena, in, NULL) == RC_OK &&
        (notice->n_items == 0 || notice->n_items > WIRE_NOTICE_ITEMS_MAX))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena;

    if (arena_new(&arena, 2 * WIRE_ARENA_MAX, NULL) != RC_OK)
        return 0;
    try_frame(bytes_of(data, size), arena);
    try_notice(bytes_of(data, size), arena);
    arena_free(&arena);
    return 0;
}

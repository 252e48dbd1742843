/* unpack.c - padded bytes from a peer as a payload, in the caller's arena.
 *
 * The peer proved who it is, not that it means well: sizes, text and form are checked before
 * anybody looks at a field. A payload must have the one form that packing gives; that refuses
 * fields sent twice and texts with a NUL in them, which C would cut short. Kinds and fields of
 * later versions pass through unknown. */
#include "content/check.h"

/* protobuf-c's allocator over an arena; nothing is given back before the arena is. */
struct arena_allocator {
    struct arena *arena;
    bool is_exhausted;
};

static void *
allocate(void *self, size_t size)
{
    struct arena_allocator *a = self;
    void *piece = arena_alloc(a->arena, size == 0 ? 1 : size);

    if (piece == NULL)
        a->is_exhausted = true;
    return piece;
}

static void
release(void *self UNUSED, void *piece UNUSED)
{
}

static enum rc
check_form(const Parley__Content__Payload *payload, size_t len, struct err *err)
{
    if (payload->version < 1)
        return err_set(err, RC_MALFORMED, "content.unpack", "no version");
    if (payload->version > CONTENT_VERSION)
        return err_set(err, RC_PROTO, "content.unpack", "version %u", payload->version);
    if (parley__content__payload__get_packed_size(payload) != len)
        return err_set(err, RC_MALFORMED, "content.unpack", "not in its one form");
    return check_payload(payload, err);
}

enum rc
content_unpack(Parley__Content__Payload **out, struct arena *arena, struct bytes padded,
               struct err *err)
{
    struct arena_allocator state = {.arena = arena};
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = &state};
    Parley__Content__Payload *payload;
    struct bytes in;
    enum rc rc;

    *out = NULL;
    if (padded.len > CONTENT_MAX)
        return err_set(err, RC_LIMIT, "content.unpack", "%zu bytes", padded.len);
    if ((rc = pad_strip(&in, padded, err)) != RC_OK)
        return rc;
    payload = parley__content__payload__unpack(&allocator, in.len, in.ptr);
    if (payload == NULL)
        return err_set(err, state.is_exhausted ? RC_LIMIT : RC_MALFORMED, "content.unpack",
                       "does not parse");
    if ((rc = check_form(payload, in.len, err)) == RC_OK)
        *out = payload;
    return rc;
}

/* Fuzzer of content/unpack: what unpacks is within its bounds, so it packs, to the same bytes. */
#include "content/content.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_MAX (8u << 20)

static void
must(bool is_true)
{
    if (!is_true)
        abort();
}

/* Pack, unpack, pack: both packed forms are equal. Fields of later versions move behind the known
 * ones at the first packing, so that the input itself may differ. */
static void
round_trip(const Parley__Content__Payload *payload, struct arena *arena)
{
    Parley__Content__Payload *back;
    struct buf packed, again;

    buf_init(&packed, CONTENT_MAX);
    buf_init(&again, CONTENT_MAX);
    must(content_pack(&packed, payload, NULL) == RC_OK);
    must(content_unpack(&back, arena, buf_bytes(&packed), NULL) == RC_OK);
    must(content_pack(&again, back, NULL) == RC_OK);
    must(bytes_equal(buf_bytes(&packed), buf_bytes(&again)));
    buf_free(&packed);
    buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Parley__Content__Payload *payload;
    struct arena *arena;

    must(arena_new(&arena, ARENA_MAX, NULL) == RC_OK);
    if (content_unpack(&payload, arena, bytes_of(data, size), NULL) == RC_OK)
        round_trip(payload, arena);
    else
        must(payload == NULL);
    arena_free(&arena);
    return 0;
}

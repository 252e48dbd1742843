/* Fuzzer of a message request's body: JSON as it comes, through every rule to a payload that packs.
 */
#include <stdlib.h>

#include "base/json.h"
#include "cloud/message_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ACCOUNT 15550123400u
#define ARENA_MAX (1u << 20)

/* What was read can be packed for the wire, and a refusal has a text. */
static void
look(json_t *params, struct arena *arena)
{
    struct message_request request;
    struct refusal refusal = {.text = ""};
    uint8_t id[16] = {1};
    struct buf packed;

    buf_init(&packed, CONTENT_MAX);
    if (!message_request_read(&request, params, ACCOUNT, arena, &refusal)) {
        if (refusal.text[0] == '\0')
            abort();
    } else if (request.action == MESSAGE_SEND) {
        request.payload.version = CONTENT_VERSION;
        request.payload.message_id = (ProtobufCBinaryData){.len = sizeof id, .data = id};
        if (request.to == 0 || request.to == ACCOUNT ||
            content_pack(&packed, &request.payload, NULL) != RC_OK)
            abort();
    }
    buf_free(&packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = NULL;
    json_t *params = NULL;

    if (arena_new(&arena, ARENA_MAX, NULL) != RC_OK)
        return 0;
    if (json_read(&params, bytes_of(data, size), 1u << 16, NULL) == RC_OK && json_is_object(params))
        look(params, arena);
    json_decref(params);
    arena_free(&arena);
    return 0;
}

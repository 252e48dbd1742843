/* object_id.c - making, reading and writing object ids; see object_id.h. */
#include "base/object_id.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define SUFFIX_RANGE UINT64_C(10000000000000) /* 10^13: the digits behind the kind */

static const char *const kind_names[OBJECT_KIND_END] = {
    [OBJECT_NONE] = "object",
    [OBJECT_BUSINESS] = "business",
    [OBJECT_WABA] = "WhatsApp Business Account",
    [OBJECT_NUMBER] = "phone number",
    [OBJECT_APP] = "app",
    [OBJECT_SYSTEM_USER] = "system user",
    [OBJECT_TEMPLATE] = "template",
    [OBJECT_MEDIA] = "media",
    [OBJECT_CATALOG] = "catalog",
    [OBJECT_TOKEN] = "token",
    [OBJECT_FLOW] = "flow",
    [OBJECT_GROUP] = "group",
    [OBJECT_UPLOAD] = "upload",
};

uint64_t
object_id_make(enum object_kind kind, struct rng rng)
{
    const uint64_t fair = UINT64_MAX - UINT64_MAX % SUFFIX_RANGE;
    uint64_t draw;

    assert(kind >= OBJECT_BUSINESS && kind < OBJECT_KIND_END);
    do
        draw = rng_u64(rng);
    while (draw >= fair);
    return (uint64_t)kind * SUFFIX_RANGE + draw % SUFFIX_RANGE;
}

enum object_kind
object_id_kind(uint64_t id)
{
    uint64_t lead = id / SUFFIX_RANGE;

    return lead >= OBJECT_BUSINESS && lead < OBJECT_KIND_END ? (enum object_kind)lead : OBJECT_NONE;
}

enum rc
object_id_read(uint64_t *out, struct bytes text, struct err *err)
{
    uint64_t id = 0;

    *out = 0;
    if (text.len == 0 || text.len >= OBJECT_ID_TEXT_SIZE || text.ptr[0] == '0')
        return err_set(err, RC_MALFORMED, "object_id", "an id has 1 to 19 digits, the first not 0");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return err_set(err, RC_MALFORMED, "object_id", "an id consists of decimal digits");
        id = id * 10 + (uint64_t)(text.ptr[i] - '0'); /* 19 digits stay below 2^64 */
    }
    if (id > INT64_MAX)
        return err_set(err, RC_MALFORMED, "object_id", "an id is at most 2^63-1");
    *out = id;
    return RC_OK;
}

char *
object_id_write(char *out, uint64_t id)
{
    snprintf(out, OBJECT_ID_TEXT_SIZE, "%" PRIu64, id > INT64_MAX ? 0 : id);
    return out;
}

const char *
object_kind_name(enum object_kind kind)
{
    return kind < OBJECT_KIND_END && kind_names[kind] != NULL ? kind_names[kind] : "object";
}

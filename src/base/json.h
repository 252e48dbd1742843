/* json.h - the one reader and the one writer of JSON in the house.
 *
 * Reading is jansson with duplicate keys refused, a depth cap and a size cap. Writing is ours:
 * compact, ASCII only, every other character as lower-case \uXXXX (surrogate pairs above U+FFFF),
 * because webhook receivers verify signatures over exactly those bytes (docs/protocol/webhook.md).
 */
#ifndef PARLEY_BASE_JSON_H
#define PARLEY_BASE_JSON_H

#include <jansson.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 32u
#define JSON_WRITER_DEPTH_MAX 32u

/* Parse one value of at most max_bytes. *out is owned by the caller (json_decref), NULL on failure.
 * Errors: RC_MALFORMED (text says line and column, never quotes the input), RC_LIMIT (too long or
 * too deep), RC_NOMEM. */
NODISCARD enum rc json_read(json_t **out, struct bytes in, size_t max_bytes, struct err *err);

/* Member look-ups that accept NULL and wrong kinds by giving NULL / the default. Borrowed. */
const char *json_str(const json_t *object, const char *key);
int64_t json_int(const json_t *object, const char *key, int64_t otherwise);
/* true for JSON true, 1, "1", "true" (Graph clients send all of them). */
bool json_truthy(const json_t *value);

struct json_writer {
    struct buf *out;                          /* borrowed */
    unsigned depth;                           /* open objects and arrays */
    bool has_item[JSON_WRITER_DEPTH_MAX + 1]; /* a comma is due before the next item */
    bool after_key;
};

/* Write into *out (borrowed until the last call). Overflow sticks in out->failed. */
void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w);     /* { */
void jw_object_end(struct json_writer *w); /* } */
void jw_array(struct json_writer *w);      /* [ */
void jw_array_end(struct json_writer *w);  /* ] */
void jw_key(struct json_writer *w, const char *key);
void jw_str(struct json_writer *w, const char *text); /* NULL writes null */
void jw_str_bytes(struct json_writer *w, struct bytes utf8);
void jw_int(struct json_writer *w, int64_t v);
void jw_u64_str(struct json_writer *w, uint64_t v); /* a number as a JSON string */
void jw_bool(struct json_writer *w, bool v);
void jw_null(struct json_writer *w);
void jw_real(struct json_writer *w, double v);
void jw_value(struct json_writer *w, const json_t *value); /* a parsed value, printed our way */
/* Splice bytes that are one finished JSON value already (from this writer). */
void jw_raw(struct json_writer *w, struct bytes json);

/* key and value in one line; the commonest case by far */
void jw_kv_str(struct json_writer *w, const char *key, const char *text);
void jw_kv_bytes(struct json_writer *w, const char *key, struct bytes utf8);
void jw_kv_int(struct json_writer *w, const char *key, int64_t v);
void jw_kv_u64_str(struct json_writer *w, const char *key, uint64_t v);
void jw_kv_bool(struct json_writer *w, const char *key, bool v);

#endif

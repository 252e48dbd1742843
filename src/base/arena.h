/* arena.h - memory for one request or one job: taken piece by piece, released at one place.
 *
 * Pieces are 16-byte aligned and zeroed. The ceiling bounds what one request can make us hold.
 * Thread rule: one owner at a time; may be handed from one thread to another. */
#ifndef PARLEY_BASE_ARENA_H
#define PARLEY_BASE_ARENA_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

struct arena;

/* *out is owned by the caller, NULL on failure. max_bytes is the ceiling over all pieces. */
NODISCARD enum rc arena_new(struct arena **out, size_t max_bytes, struct err *err);
/* Release every piece. *arena may be NULL; it is NULL afterwards. */
void arena_free(struct arena **arena);
/* Clear, then release: for arenas that held plaintext or keys. */
void arena_wipe(struct arena **arena);

/* n zeroed bytes, or NULL at the ceiling. Borrowed until arena_free(). */
void *arena_alloc(struct arena *arena, size_t n);
/* Copies in the arena; NULL pointer (and len 0) at the ceiling. The copy has a NUL behind it. */
struct bytes arena_copy(struct arena *arena, struct bytes in);
char *arena_copy_str(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

#endif

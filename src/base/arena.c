/* arena.c - memory taken piece by piece and released at one place.
 *
 * Owns a chain of chunks, newest first; a piece is cut from the newest. Chunks start small, since
 * most requests are, and double. The ceiling counts what was asked for, rounded up to alignment. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN 16u
#define FIRST_CHUNK_BYTES 1024u
#define CHUNK_BYTES_MAX 65536u

struct chunk {
    struct chunk *older;
    size_t size, used; /* bytes of room, bytes handed out */
    _Alignas(ALIGN) uint8_t room[];
};

struct arena {
    struct chunk *newest;
    size_t used, max; /* bytes handed out from all chunks, and their ceiling */
    size_t next_size; /* of the next ordinary chunk */
};

enum rc
arena_new(struct arena **out, size_t max_bytes, struct err *err)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return err_set(err, RC_NOMEM, "arena.new", "out of memory");
    (*out)->max = max_bytes;
    (*out)->next_size = FIRST_CHUNK_BYTES;
    return RC_OK;
}

static void
release(struct arena **arena, bool wipe)
{
    if (*arena == NULL)
        return;
    for (struct chunk *c = (*arena)->newest, *older; c != NULL; c = older) {
        older = c->older;
        if (wipe)
            bytes_wipe(c->room, c->used);
        free(c);
    }
    free(*arena);
    *arena = NULL;
}

void
arena_free(struct arena **arena)
{
    release(arena, false);
}

void
arena_wipe(struct arena **arena)
{
    release(arena, true);
}

static bool
add_chunk(struct arena *arena, size_t need)
{
    size_t size = need > arena->next_size ? need : arena->next_size;
    struct chunk *c = calloc(1, sizeof(*c) + size);

    if (c == NULL)
        return false;
    c->size = size;
    c->older = arena->newest;
    arena->newest = c;
    if (arena->next_size < CHUNK_BYTES_MAX)
        arena->next_size *= 2;
    return true;
}

void *
arena_alloc(struct arena *arena, size_t n)
{
    size_t need = n == 0 ? ALIGN : (n + ALIGN - 1) / ALIGN * ALIGN;
    struct chunk *c = arena->newest;
    void *piece;

    if (need < n || need > arena->max - arena->used)
        return NULL;
    if (c == NULL || need > c->size - c->used) {
        if (!add_chunk(arena, need))
            return NULL;
        c = arena->newest;
    }
    piece = c->room + c->used;
    c->used += need;
    arena->used += need;
    return piece;
}

struct bytes
arena_copy(struct arena *arena, struct bytes in)
{
    uint8_t *copy = in.len == SIZE_MAX ? NULL : arena_alloc(arena, in.len + 1);

    if (copy == NULL)
        return bytes_of(NULL, 0);
    if (in.len > 0)
        memcpy(copy, in.ptr, in.len);
    return bytes_of(copy, in.len);
}

char *
arena_copy_str(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(arena, size);

    return copy == NULL ? NULL : memcpy(copy, text, size);
}

char *
arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list args, again;
    char *text = NULL;
    int n;

    va_start(args, fmt);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    if (n >= 0 && (text = arena_alloc(arena, (size_t)n + 1)) != NULL)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

size_t
arena_used(const struct arena *arena)
{
    return arena->used;
}

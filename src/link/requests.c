/* requests.c - the table of requests in flight.
 *
 * Ids count up, so requests spread over the slots by themselves and a long-lived one costs its
 * successors one skipped id a round. Source: docs/protocol/wire.md. */
#include "link/requests.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_SIZE 16u

void
requests_init(struct requests *r, size_t max)
{
    assert(max >= FIRST_SIZE && (max & (max - 1)) == 0);
    *r = (struct requests){.max = max, .next_deadline_ms = INT64_MAX};
}

void
requests_wipe(struct requests *r)
{
    assert(r->count == 0);
    free(r->slots);
    requests_init(r, r->max);
}

static struct request *
slot_of(const struct requests *r, uint32_t id)
{
    return &r->slots[id & (r->size - 1)];
}

/* Ids that differ modulo the old size differ modulo twice the size: nothing collides. */
static enum rc
grow(struct requests *r, struct err *err)
{
    struct requests bigger = *r;

    bigger.size = r->size == 0 ? FIRST_SIZE : r->size * 2;
    bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        return err_set(err, RC_NOMEM, "requests.add", "out of memory");
    for (size_t i = 0; i < r->size; i++)
        if (r->slots[i].id != 0)
            *slot_of(&bigger, r->slots[i].id) = r->slots[i];
    free(r->slots);
    *r = bigger;
    return RC_OK;
}

enum rc
requests_add(struct requests *r, uint32_t *id_out, request_fn *fn, void *ctx, int64_t deadline_ms,
             struct err *err)
{
    enum rc rc;

    if (r->count == r->max)
        return err_set(err, RC_BUSY, "requests.add", "%zu requests are in flight", r->count);
    if (r->count == r->size && (rc = grow(r, err)) != RC_OK)
        return rc;
    do
        r->last_id++;
    while (r->last_id == 0 || slot_of(r, r->last_id)->id != 0); /* one slot at least is free */
    *slot_of(r, r->last_id) =
        (struct request){.id = r->last_id, .fn = fn, .ctx = ctx, .deadline_ms = deadline_ms};
    r->count++;
    if (deadline_ms < r->next_deadline_ms)
        r->next_deadline_ms = deadline_ms;
    *id_out = r->last_id;
    return RC_OK;
}

static void
take(struct requests *r, struct request *slot, struct request *out)
{
    *out = *slot;
    *slot = (struct request){0};
    if (--r->count > 0)
        return;
    r->next_deadline_ms = INT64_MAX;
    if (r->size > FIRST_SIZE) { /* an idle link keeps no large table */
        free(r->slots);
        r->slots = NULL;
        r->size = 0;
    }
}

bool
requests_take(struct requests *r, uint32_t id, struct request *out)
{
    if (r->count == 0 || id == 0 || slot_of(r, id)->id != id)
        return false;
    take(r, slot_of(r, id), out);
    return true;
}

bool
requests_take_due(struct requests *r, int64_t now_ms, struct request *out)
{
    int64_t next = INT64_MAX;

    if (r->next_deadline_ms > now_ms)
        return false;
    for (size_t i = 0; r->count > 0 && i < r->size; i++) {
        struct request *slot = &r->slots[i];

        if (slot->id == 0)
            continue;
        if (slot->deadline_ms <= now_ms) {
            take(r, slot, out);
            return true;
        }
        if (slot->deadline_ms < next)
            next = slot->deadline_ms;
    }
    r->next_deadline_ms = next;
    return false;
}

bool
requests_take_any(struct requests *r, struct request *out)
{
    for (size_t i = 0; r->count > 0 && i < r->size; i++)
        if (r->slots[i].id != 0) {
            take(r, &r->slots[i], out);
            return true;
        }
    return false;
}

/* held.c - the events in memory: the index that knows them all, and the lists that hold them.
 *
 * The index makes sure that a row is never held twice, however often it is read, and counts the
 * bytes that HOOKS_MEMORY_MAX bounds. */
#include "hooks/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- the index ---- */

static struct hook_item **
index_slot(struct hooks_pump *pump, uint64_t account, int64_t seq)
{
    uint64_t hash = (account * 0x9e3779b97f4a7c15u) ^ ((uint64_t)seq * 0xc2b2ae3d27d4eb4fu);
    struct hook_item **slot = &pump->index[(hash >> 40) % INDEX_BUCKETS];

    while (*slot != NULL && ((*slot)->account != account || (*slot)->seq != seq))
        slot = &(*slot)->bucket;
    return slot;
}

static size_t
item_bytes(const struct hook_item *item)
{
    return sizeof(*item) + strlen(item->url) + 1 + item->sealed.len;
}

void
item_forget(struct hooks_pump *pump, struct hook_item *item)
{
    struct hook_item **slot = index_slot(pump, item->account, item->seq);

    assert(*slot == item);
    *slot = item->bucket;
    pump->n_items--;
    pump->bytes_held -= item_bytes(item);
    hook_item_free(item);
}

bool
item_is_held(struct hooks_pump *pump, uint64_t account, int64_t seq)
{
    return *index_slot(pump, account, seq) != NULL;
}

void
item_hold(struct hooks_pump *pump, struct hook_item *item)
{
    item->bucket = NULL;
    *index_slot(pump, item->account, item->seq) = item;
    pump->n_items++;
    pump->bytes_held += item_bytes(item);
}

void
items_free(struct hooks_pump *pump)
{
    for (uint32_t i = 0; pump->index != NULL && i < INDEX_BUCKETS; i++)
        while (pump->index[i] != NULL) {
            struct hook_item *item = pump->index[i];

            pump->index[i] = item->bucket;
            hook_item_free(item);
        }
    free(pump->index);
}

/* ---- lists ---- */

void
items_push_back(struct item_list *list, struct hook_item *item)
{
    item->next = NULL;
    if (list->last == NULL)
        list->first = item;
    else
        list->last->next = item;
    list->last = item;
    list->n++;
}

struct hook_item *
items_pop_front(struct item_list *list)
{
    struct hook_item *item = list->first;

    if (item == NULL)
        return NULL;
    list->first = item->next;
    if (list->first == NULL)
        list->last = NULL;
    list->n--;
    item->next = NULL;
    return item;
}

/* By next_ms, behind those of the same time. */
void
items_insert_by_time(struct item_list *list, struct hook_item *item)
{
    struct hook_item **link = &list->first;

    if (list->last == NULL || list->last->next_ms <= item->next_ms) {
        items_push_back(list, item);
        return;
    }
    while ((*link)->next_ms <= item->next_ms)
        link = &(*link)->next;
    item->next = *link;
    *link = item;
    list->n++;
}

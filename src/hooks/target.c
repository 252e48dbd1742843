/* target.c - the receivers: what each has in memory, who may send now, who is on back-off.
 *
 * Owns targets and the index of events in memory. A target that fails keeps a handful of events and
 * sends one at a time with growing pauses; all others are untouched by it (I22). When it is back,
 * everything that waits for it is due at once. */
#include "hooks/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hooks/schedule.h"

#define SHARE_WHEN_BUSY 2u /* calls of one target while half of all calls are under way */
#define RECALL_BELOW 64u   /* events left ready when more are read from the store */

/* ---- targets ---- */

static struct hook_target **
target_slot(struct hooks_pump *pump, const char *url)
{
    uint64_t hash = 14695981039346656037u;
    struct hook_target **slot;

    for (const char *c = url; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    slot = &pump->targets[(hash ^ hash >> 32) % TARGET_BUCKETS];
    while (*slot != NULL && strcmp((*slot)->url, url) != 0)
        slot = &(*slot)->bucket;
    return slot;
}

static struct hook_target *
target_of(struct hooks_pump *pump, const char *url)
{
    struct hook_target **slot = target_slot(pump, url), *target = *slot;

    if (target != NULL || pump->n_targets >= HOOKS_TARGETS_MAX)
        return target;
    if ((target = calloc(1, sizeof(*target))) == NULL || (target->url = strdup(url)) == NULL) {
        free(target);
        return NULL;
    }
    target->pump = pump;
    target->is_url_ok = url_read(&target->parts, bytes_of_str(target->url), NULL) == RC_OK;
    target->next = pump->all_targets;
    if (target->next != NULL)
        target->next->prev = target;
    pump->all_targets = target;
    pump->n_targets++;
    *slot = target;
    return target;
}

static bool
is_idle(const struct hook_target *t)
{
    return t->n_in_memory == 0 && t->overflows == NULL && t->fails == 0 && !t->is_in_line &&
           !t->is_resolving;
}

static void
target_free(struct hook_target *target)
{
    struct hooks_pump *pump = target->pump;
    struct hook_target **slot = target_slot(pump, target->url);

    *slot = target->bucket;
    if (target->prev != NULL)
        target->prev->next = target->next;
    else
        pump->all_targets = target->next;
    if (target->next != NULL)
        target->next->prev = target->prev;
    pump->n_targets--;
    while (target->overflows != NULL) {
        struct hook_overflow *next = target->overflows->next;

        free(target->overflows);
        target->overflows = next;
    }
    free(target->url);
    free(target);
}

/* ---- what stays in the store ---- */

static struct hook_overflow *
overflow_of(struct hook_target *target, uint64_t account)
{
    struct hook_overflow *o = target->overflows;

    while (o != NULL && o->account != account)
        o = o->next;
    return o;
}

/* A row of the target is in the store only. Without memory to remember it, the account as a whole
 * is read again. */
static void
leave_in_store(struct hook_target *target, const struct hook_item *item)
{
    struct hook_overflow *o = overflow_of(target, item->account);

    if (o == NULL) {
        if ((o = calloc(1, sizeof(*o))) == NULL) {
            discover_again(target->pump, item->account);
            return;
        }
        o->account = item->account;
        o->from = o->at = item->seq;
        o->next = target->overflows;
        target->overflows = o;
    }
    if (item->seq < o->from)
        o->from = item->seq;
    if (item->seq < o->at)
        o->at = item->seq;
    o->due_ms = 0;
}

void
target_recalled(struct hook_target *target, uint64_t account, int64_t last_seq, bool has_more,
                int64_t due_ms)
{
    struct hook_overflow **link = &target->overflows, *o;

    while (*link != NULL && (*link)->account != account)
        link = &(*link)->next;
    if ((o = *link) == NULL)
        return;
    o->is_asked = false;
    if (has_more) {
        o->at = last_seq + 1;
        o->due_ms = 0;
    } else if (o->due_ms == NEVER) { /* nothing was left there since we asked */
        o->at = o->from;
        o->due_ms = due_ms;
    }
    if (o->due_ms == NEVER) {
        *link = o->next;
        free(o);
    }
    target_line_up(target);
}

/* ---- accepting ---- */

static bool
is_failing(const struct hook_target *target)
{
    return target->fails >= TARGET_FAILS_MAX;
}

static bool
has_room(const struct hook_target *target)
{
    uint32_t max = is_failing(target) ? HOOKS_FAILING_ITEMS_MAX : HOOKS_TARGET_ITEMS_MAX;

    /* however full memory is, each target may go on with one */
    return target->n_in_memory == 0 ||
           (target->n_in_memory < max && target->pump->bytes_held < HOOKS_MEMORY_MAX);
}

static void
hold(struct hook_target *target, struct hook_item *item)
{
    struct hooks_pump *pump = target->pump;

    item_hold(pump, item);
    item->target = target;
    target->n_in_memory++;
    if (item->next_ms <= pump_now(pump)) {
        items_push_back(&target->ready, item);
        target_line_up(target);
    } else {
        items_insert_by_time(&target->waiting, item);
        pump_due_at(pump, target->waiting.first->next_ms);
    }
}

void
target_accept(struct hooks_pump *pump, struct hook_item *item, bool is_recalled)
{
    bool is_held = item_is_held(pump, item->account, item->seq);
    struct hook_target *target = is_held ? NULL : target_of(pump, item->url);

    if (target == NULL) {
        pump->has_left_out |= !is_held; /* one target too many: all is read again when one goes */
        hook_item_free(item);
        return;
    }
    /* behind rows that are still in the store it would overtake them */
    if (!has_room(target) || (!is_recalled && overflow_of(target, item->account) != NULL)) {
        leave_in_store(target, item);
        target_line_up(target);
        hook_item_free(item);
        return;
    }
    hold(target, item);
}

/* ---- sending ---- */

bool
target_can_send(const struct hook_target *target, int64_t now_ms)
{
    const struct hooks_pump *pump = target->pump;
    bool is_busy = 2 * pump->n_in_flight >= pump->opt.in_flight_max;
    /* when many hang, those who come next must find room too */
    uint32_t healthy_max = is_busy ? SHARE_WHEN_BUSY : pump->opt.per_target;
    uint32_t max = is_failing(target) ? 1 : healthy_max;

    return target->ready.n > 0 && target->n_in_flight < max && !target->is_resolving &&
           now_ms >= target->backoff_until_ms;
}

void
target_line_up(struct hook_target *target)
{
    struct hooks_pump *pump = target->pump;

    pump_wake(pump);
    if (target->is_in_line)
        return;
    target->is_in_line = true;
    target->next_runnable = NULL;
    if (pump->last_runnable == NULL)
        pump->runnable = target;
    else
        pump->last_runnable->next_runnable = target;
    pump->last_runnable = target;
}

struct hook_target *
targets_take_runnable(struct hooks_pump *pump)
{
    struct hook_target *target = pump->runnable;

    if (target == NULL)
        return NULL;
    pump->runnable = target->next_runnable;
    if (pump->runnable == NULL)
        pump->last_runnable = NULL;
    target->is_in_line = false;
    return target;
}

struct hook_item *
target_next(struct hook_target *target, int64_t now_ms)
{
    struct hook_item *item;

    if (!target_can_send(target, now_ms) || (item = items_pop_front(&target->ready)) == NULL)
        return NULL;
    target->n_in_flight++;
    target->pump->n_in_flight++;
    return item;
}

/* ---- afterwards ---- */

static void
land(struct hook_target *target)
{
    target->n_in_flight--;
    target->pump->n_in_flight--;
    target_line_up(target);
}

void
target_gave_up(struct hook_target *target, struct hook_item *item)
{
    land(target);
    target->n_in_memory--;
    item->target = NULL;
}

static void
all_due(struct hook_target *target)
{
    struct hook_item *item;

    while ((item = items_pop_front(&target->waiting)) != NULL)
        items_push_back(&target->ready, item);
    for (struct hook_overflow *o = target->overflows; o != NULL; o = o->next)
        o->due_ms = 0;
}

void
target_succeeded(struct hook_target *target, struct hook_item *item)
{
    target_gave_up(target, item);
    if (is_failing(target)) {
        target->pump->n_failing--;
        all_due(target);
    }
    target->fails = 0;
    target->backoff_until_ms = 0;
}

void
target_retry(struct hook_target *target, struct hook_item *item)
{
    land(target);
    items_insert_by_time(&target->waiting, item);
    pump_due_at(target->pump, target->waiting.first->next_ms);
}

/* All but the first `keep` of a list go back to the store alone, where they are anyway. */
static void
cut(struct hook_target *target, struct item_list *list, uint32_t keep)
{
    struct item_list rest = *list;

    *list = (struct item_list){0};
    for (struct hook_item *item; (item = items_pop_front(&rest)) != NULL;) {
        if (list->n < keep) {
            items_push_back(list, item);
            continue;
        }
        target->n_in_memory--;
        leave_in_store(target, item);
        item_forget(target->pump, item);
    }
}

/* A handful is enough for a target that fails. */
static void
trim(struct hook_target *target)
{
    uint32_t others = target->n_in_memory - target->ready.n;
    uint32_t max = HOOKS_FAILING_ITEMS_MAX;

    if (target->n_in_memory > max)
        cut(target, &target->ready, others < max ? max - others : 0);
}

void
target_failed(struct hook_target *target)
{
    struct hooks_pump *pump = target->pump;
    int64_t now_ms = pump_now(pump);

    if (now_ms < target->backoff_until_ms || ++target->fails < TARGET_FAILS_MAX)
        return; /* on back-off already: of the same volley */
    if (target->fails == TARGET_FAILS_MAX) {
        pump->n_failing++;
        log_event(pump->opt.log, LOG_INFO, "hooks.target_failing",
                  LOG_STR("host", target->parts.host));
    }
    target->backoff_until_ms = now_ms + schedule_backoff_ms(target->fails);
    target->has_address = false; /* it may have moved */
    pump_due_at(pump, target->backoff_until_ms);
    trim(target);
}

void
targets_try_now(struct hooks_pump *pump)
{
    for (struct hook_target *t = pump->all_targets; t != NULL; t = t->next) {
        t->backoff_until_ms = 0;
        target_line_up(t);
    }
}

/* ---- looking around ---- */

/* Read on in the store where there is something due and room for it. A target that fails takes one
 * event at a time; of those that wait, the latest make room for it. */
static void
recall(struct hook_target *target, int64_t now_ms)
{
    uint32_t below = is_failing(target) ? 1 : RECALL_BELOW;

    if (target->ready.n >= below || now_ms < target->backoff_until_ms)
        return;
    for (struct hook_overflow *o = target->overflows; o != NULL; o = o->next) {
        if (o->is_asked)
            return; /* one account at a time */
        if (o->due_ms > now_ms) {
            pump_due_at(target->pump, o->due_ms);
            continue;
        }
        if (is_failing(target) && !has_room(target))
            cut(target, &target->waiting, HOOKS_FAILING_ITEMS_MAX / 2);
        if (has_room(target))
            discover_recall(target, o, is_failing(target) ? 1 : READ_ROWS_MAX);
        return;
    }
}

void
target_look(struct hook_target *target, int64_t now_ms)
{
    struct hooks_pump *pump = target->pump;

    while (target->waiting.first != NULL && target->waiting.first->next_ms <= now_ms)
        items_push_back(&target->ready, items_pop_front(&target->waiting));
    if (target->waiting.first != NULL)
        pump_due_at(pump, target->waiting.first->next_ms);
    if (now_ms < target->backoff_until_ms && (target->n_in_memory > 0 || target->overflows != NULL))
        pump_due_at(pump, target->backoff_until_ms);
    recall(target, now_ms);
    if (target_can_send(target, now_ms))
        target_line_up(target);
}

void
targets_look(struct hooks_pump *pump, int64_t now_ms)
{
    struct hook_target *next;

    pump->next_due_ms = NEVER;
    for (struct hook_target *t = pump->all_targets; t != NULL; t = next) {
        next = t->next;
        target_look(t, now_ms);
        if (is_idle(t) && pump->n_targets > HOOKS_TARGETS_KEPT)
            target_free(t);
    }
    if (pump->has_left_out && pump->n_targets < HOOKS_TARGETS_MAX) {
        pump->has_left_out = false;
        discover_all_again(pump);
    }
}

void
targets_free(struct hooks_pump *pump)
{
    while (pump->all_targets != NULL)
        target_free(pump->all_targets);
}

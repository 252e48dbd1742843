/* beacon.c - learning what was committed, from inside transactions that may still be undone.
 *
 * hooks_enqueue runs on the store's writer thread. It notes the account and submits the beacon: a
 * job that stands behind the caller's in the store's line. When the beacon is done, every
 * transaction noted before it ran has been decided, and what was committed can be read. A note of a
 * transaction that was undone costs one look that finds nothing. The store may run jobs again;
 * noting twice is harmless. */
#include "hooks/parts.h"

#include <string.h>

#include "hooks/rows.h"

/* On the writer thread: what was noted up to here is decided when this job is. */
static enum rc
beacon_run(struct store_job *job, struct store_tx *tx, struct err *err)
{
    struct hooks_pump *pump = OWNER_OF(job, struct hooks_pump, beacon);

    pthread_mutex_lock(&pump->lock);
    pump->n_decided = pump->n_dirty;
    pump->is_all_decided |= pump->is_all_dirty;
    pump->is_all_dirty = false;
    pthread_mutex_unlock(&pump->lock);
    return RC_OK;
}

/* Take what the beacon decided; the accounts go to `out`. */
static uint32_t
take_decided(struct hooks_pump *pump, uint64_t out[DIRTY_MAX], bool *is_all)
{
    uint32_t n = pump->n_decided;

    memcpy(out, pump->dirty, n * sizeof(out[0]));
    pump->n_dirty -= n;
    memmove(pump->dirty, pump->dirty + n, pump->n_dirty * sizeof(out[0]));
    pump->n_decided = 0;
    *is_all = pump->is_all_decided;
    pump->is_all_decided = false;
    return n;
}

static void
beacon_done(struct store_job *job, enum rc rc, const struct err *err)
{
    struct hooks_pump *pump = OWNER_OF(job, struct hooks_pump, beacon);
    uint64_t accounts[DIRTY_MAX];
    bool is_all = false;
    uint32_t n = 0;

    pthread_mutex_lock(&pump->lock);
    if (rc == RC_OK)
        n = take_decided(pump, accounts, &is_all);
    pump->is_beacon_out = false;
    pthread_mutex_unlock(&pump->lock);
    if (pump->is_closing) {
        pump_unref(pump);
        return;
    }
    if (rc != RC_OK)
        pump->is_paused = true; /* the notes stay for the next */
    if (is_all)
        discover_all_again(pump);
    for (uint32_t i = 0; i < n; i++)
        discover_account(pump, accounts[i]);
    pump_wake(pump);
}

void
beacon_send(struct hooks_pump *pump)
{
    bool is_due;

    pthread_mutex_lock(&pump->lock);
    is_due = !pump->is_beacon_out && (pump->n_dirty > 0 || pump->is_all_dirty);
    pump->is_beacon_out |= is_due;
    pthread_mutex_unlock(&pump->lock);
    if (is_due)
        store_submit(pump->opt.store, &pump->beacon);
}

static void
note(struct hooks_pump *pump, uint64_t account)
{
    pthread_mutex_lock(&pump->lock);
    /* a note that was there when the beacon ran stands for earlier transactions */
    if (pump->n_dirty == pump->n_decided || pump->dirty[pump->n_dirty - 1] != account) {
        if (pump->n_dirty < DIRTY_MAX)
            pump->dirty[pump->n_dirty++] = account;
        else
            pump->is_all_dirty = true;
    }
    pthread_mutex_unlock(&pump->lock);
}

enum rc
hooks_enqueue(struct hooks_pump *pump, struct store_tx *tx, const struct hooks_event *event,
              uint8_t event_id[16], struct err *err)
{
    enum rc rc = hook_row_add(tx, pump->opt.ring, pump->opt.rng, event, event_id, err);

    if (rc != RC_OK)
        return rc;
    note(pump, event->account);
    beacon_send(pump);
    return RC_OK;
}

bool
beacon_is_idle(struct hooks_pump *pump)
{
    bool is_idle;

    pthread_mutex_lock(&pump->lock);
    is_idle = !pump->is_beacon_out && pump->n_dirty == 0 && !pump->is_all_dirty;
    pthread_mutex_unlock(&pump->lock);
    return is_idle;
}

void
beacon_init(struct hooks_pump *pump)
{
    pump->beacon =
        (struct store_job){.run = beacon_run, .done = beacon_done, .loop = pump->opt.loop};
}

void
beacon_close(struct hooks_pump *pump)
{
    pthread_mutex_lock(&pump->lock);
    if (pump->is_beacon_out)
        pump->refs++; /* it still points here */
    pthread_mutex_unlock(&pump->lock);
}

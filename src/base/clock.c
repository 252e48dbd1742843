/* clock.c - the system's clocks, the test clock's shift on them, and the fake clock.
 *
 * Owns the highest platform time ever shown: what was read once is never undercut, even when the
 * wall clock is set back; and the first readings, which bound what a jump of it can do (I40). A
 * shift only moves platform time; monotonic time never listens to it. Shifts are made under a lock,
 * readings are lock-free. */
#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NOT_HELD INT64_MIN

/* What changes under a const clock: its own allocation, so that reading can take a const one. */
struct moving {
    _Atomic int64_t offset_ms;
    _Atomic int64_t held_unix_ms; /* NOT_HELD while time passes */
    _Atomic int64_t shown_unix_ms;
    _Atomic int64_t fake_unix_ms, fake_mono_ms;
    pthread_mutex_t shifting;
};

struct clock {
    bool is_fake;
    int64_t first_wall_ms, first_mono_ms; /* read together, at the start */
    struct moving *now;
};

static int64_t
system_ms(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static enum rc
clock_new(struct clock **out, bool is_fake, int64_t wall_ms, int64_t mono_ms, struct err *err)
{
    struct clock *clock = calloc(1, sizeof(*clock));

    *out = NULL;
    if (clock == NULL || (clock->now = calloc(1, sizeof(*clock->now))) == NULL) {
        free(clock);
        return err_set(err, RC_NOMEM, "clock.new", "out of memory");
    }
    clock->is_fake = is_fake;
    clock->first_wall_ms = wall_ms;
    clock->first_mono_ms = mono_ms;
    atomic_init(&clock->now->fake_unix_ms, wall_ms);
    atomic_init(&clock->now->fake_mono_ms, mono_ms);
    atomic_init(&clock->now->held_unix_ms, NOT_HELD);
    atomic_init(&clock->now->shown_unix_ms, INT64_MIN);
    pthread_mutex_init(&clock->now->shifting, NULL);
    *out = clock;
    return RC_OK;
}

enum rc
clock_new_system(struct clock **out, struct err *err)
{
    return clock_new(out, false, system_ms(CLOCK_REALTIME), system_ms(CLOCK_BOOTTIME), err);
}

enum rc
clock_new_fake(struct clock **out, int64_t unix_ms, int64_t mono_ms, struct err *err)
{
    return clock_new(out, true, unix_ms, mono_ms, err);
}

void
clock_free(struct clock **clock)
{
    if (*clock == NULL)
        return;
    pthread_mutex_destroy(&(*clock)->now->shifting);
    free((*clock)->now);
    free(*clock);
    *clock = NULL;
}

int64_t
clock_wall_ms(const struct clock *clock)
{
    return clock->is_fake ? atomic_load(&clock->now->fake_unix_ms) : system_ms(CLOCK_REALTIME);
}

int64_t
clock_mono_ms(const struct clock *clock)
{
    return clock->is_fake ? atomic_load(&clock->now->fake_mono_ms) : system_ms(CLOCK_BOOTTIME);
}

/* The wall clock, as far as the boot clock bears it out (I40). */
static int64_t
believed_wall_ms(const struct clock *clock)
{
    int64_t wall_ms = clock_wall_ms(clock);
    int64_t passed_ms = clock_mono_ms(clock) - clock->first_mono_ms;
    int64_t expected_ms = clock->first_wall_ms + passed_ms;

    if (wall_ms > expected_ms + CLOCK_WALL_DRIFT_MAX_MS)
        return expected_ms + CLOCK_WALL_DRIFT_MAX_MS;
    if (wall_ms < expected_ms - CLOCK_WALL_DRIFT_MAX_MS)
        return expected_ms - CLOCK_WALL_DRIFT_MAX_MS;
    return wall_ms;
}

int64_t
clock_unix_ms(const struct clock *clock)
{
    struct moving *now = clock->now;
    int64_t t = atomic_load(&now->held_unix_ms);
    int64_t shown = atomic_load(&now->shown_unix_ms);

    if (t == NOT_HELD)
        t = believed_wall_ms(clock) + atomic_load(&now->offset_ms);
    while (t > shown) {
        if (atomic_compare_exchange_weak(&now->shown_unix_ms, &shown, t))
            return t;
    }
    return shown; /* somebody has seen a later time already */
}

enum rc
clock_set_offset_ms(struct clock *clock, int64_t offset_ms, struct err *err)
{
    struct moving *now = clock->now;
    enum rc rc = RC_OK;
    int64_t old;

    pthread_mutex_lock(&now->shifting);
    old = atomic_load(&now->offset_ms);
    if (offset_ms < old)
        rc = err_set(err, RC_INVAL, "clock.offset", "the offset is %lld ms and never shrinks",
                     (long long)old);
    else {
        int64_t held = atomic_load(&now->held_unix_ms);

        if (held != NOT_HELD) /* a frozen clock can be moved, too */
            atomic_store(&now->held_unix_ms, held + (offset_ms - old));
        atomic_store(&now->offset_ms, offset_ms);
    }
    pthread_mutex_unlock(&now->shifting);
    return rc;
}

int64_t
clock_offset_ms(const struct clock *clock)
{
    return atomic_load(&clock->now->offset_ms);
}

enum rc
clock_freeze_at(struct clock *clock, int64_t unix_ms, struct err *err)
{
    struct moving *now = clock->now;
    enum rc rc = RC_OK;

    pthread_mutex_lock(&now->shifting);
    if (unix_ms < clock_unix_ms(clock))
        rc = err_set(err, RC_INVAL, "clock.freeze", "that time has passed already");
    else
        atomic_store(&now->held_unix_ms, unix_ms);
    pthread_mutex_unlock(&now->shifting);
    return rc;
}

void
clock_resume(struct clock *clock)
{
    struct moving *now = clock->now;
    int64_t held;

    pthread_mutex_lock(&now->shifting);
    held = atomic_load(&now->held_unix_ms);
    if (held != NOT_HELD) {
        /* go on from the held time if it lies ahead, or time would stand still until then */
        int64_t ahead_ms = held - believed_wall_ms(clock);

        if (ahead_ms > atomic_load(&now->offset_ms))
            atomic_store(&now->offset_ms, ahead_ms);
        atomic_store(&now->held_unix_ms, NOT_HELD);
    }
    pthread_mutex_unlock(&now->shifting);
}

void
clock_fake_advance(struct clock *clock, int64_t ms)
{
    assert(clock->is_fake && ms >= 0);
    atomic_fetch_add(&clock->now->fake_unix_ms, ms);
    atomic_fetch_add(&clock->now->fake_mono_ms, ms);
}

void
clock_fake_set_wall(struct clock *clock, int64_t unix_ms)
{
    assert(clock->is_fake);
    atomic_store(&clock->now->fake_unix_ms, unix_ms);
}

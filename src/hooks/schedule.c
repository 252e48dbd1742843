/* schedule.c - the retry tables. Pure; the caller says what time it is. */
#include "hooks/schedule.h"

#include "base/attr.h"

#define SECOND_MS 1000ll
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

struct profile {
    bool takes_any_2xx;
    int64_t window_ms;
    const int64_t *delays_ms; /* after the 1st, 2nd, ... failed attempt */
    uint32_t n_delays;
    int64_t then_ms;         /* after the table */
    int64_t step_ms, cap_ms; /* linear instead of a table: n times the step, up to the cap */
};

static const int64_t widening_ms[] = {
    0, 15 * SECOND_MS, 60 * SECOND_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 1 * HOUR_MS};

static const struct profile profiles[HOOKS_PROFILES] = {
    [HOOKS_CLOUD] = {.takes_any_2xx = true,
                     .window_ms = 7 * DAY_MS,
                     .delays_ms = widening_ms,
                     .n_delays = ARRAY_LEN(widening_ms),
                     .then_ms = 2 * HOUR_MS},
    [HOOKS_ONPREM] = {.window_ms = DAY_MS,                       .step_ms = 3 * SECOND_MS,    .cap_ms = 15 * MINUTE_MS},
    [HOOKS_D360] = {.window_ms = 7 * DAY_MS,
                     .delays_ms = widening_ms,
                     .n_delays = ARRAY_LEN(widening_ms),
                     .then_ms = 2 * HOUR_MS},
};

/* Short at first, because most outages are, and never so long that a receiver that is back waits.
 */
static const int64_t backoff_ms[] = {5 * SECOND_MS, 15 * SECOND_MS, 60 * SECOND_MS, 5 * MINUTE_MS};

bool
schedule_is_taken(enum hooks_profile profile, int status)
{
    return status == 200 || (profiles[profile].takes_any_2xx && status >= 200 && status < 300);
}

int64_t
schedule_window_ms(enum hooks_profile profile)
{
    return profiles[profile].window_ms;
}

static int64_t
nominal_ms(const struct profile *p, uint32_t tries)
{
    if (p->step_ms == 0)
        return tries <= p->n_delays ? p->delays_ms[tries - 1] : p->then_ms;
    return tries >= p->cap_ms / p->step_ms ? p->cap_ms : (int64_t)tries * p->step_ms;
}

int64_t
schedule_delay_ms(enum hooks_profile profile, uint32_t tries, struct rng rng)
{
    int64_t delay_ms = nominal_ms(&profiles[profile], tries == 0 ? 1 : tries);

    return delay_ms < 10 ? delay_ms : delay_ms - rng_below(rng, (uint32_t)(delay_ms / 10));
}

int64_t
schedule_backoff_ms(uint32_t fails)
{
    uint32_t i = fails < TARGET_FAILS_MAX ? 0 : fails - TARGET_FAILS_MAX;

    if (fails < TARGET_FAILS_MAX)
        return 0;
    return backoff_ms[i < ARRAY_LEN(backoff_ms) ? i : ARRAY_LEN(backoff_ms) - 1];
}

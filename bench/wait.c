/* wait.c - see wait.h. */
#include "wait.h"

/* What is waited for may also come true by the clock alone. */
#define LOOK_MS 10u

static void
on_limit(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void
on_look(uv_timer_t *timer)
{
}

enum rc
wait_until(struct loop *loop, bool (*is_so)(void *ctx), void *ctx, unsigned limit_ms,
           struct err *err)
{
    bool is_late = false, is_over;
    uv_timer_t limit, look;

    uv_timer_init(loop_uv(loop), &limit);
    uv_timer_init(loop_uv(loop), &look);
    limit.data = &is_late;
    uv_update_time(loop_uv(loop));
    uv_timer_start(&limit, on_limit, limit_ms, 0);
    uv_timer_start(&look, on_look, LOOK_MS, LOOK_MS);
    while (!(is_over = is_so(ctx)) && !is_late)
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit, NULL);
    uv_close((uv_handle_t *)&look, NULL);
    loop_poll(loop); /* the handles live on this stack */
    return is_over ? RC_OK : err_set(err, RC_TIMEOUT, "bench.wait", "no answer in time");
}

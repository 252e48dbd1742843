/* loop_wait.c - run a loop until something is true. */
#include "loop_wait.h"

struct limit {
    uv_timer_t timer;
    bool is_late, is_closed;
};

static void
on_limit(uv_timer_t *timer)
{
    ((struct limit *)timer->data)->is_late = true;
}

static void
on_closed(uv_handle_t *handle)
{
    ((struct limit *)handle->data)->is_closed = true;
}

static bool
never(void *ctx)
{
    return false;
}

static bool
wait_for(struct loop *loop, bool (*is_done)(void *ctx), void *ctx, unsigned limit_ms)
{
    struct limit limit = {.is_late = false};
    bool is_true;

    uv_timer_init(loop_uv(loop), &limit.timer);
    limit.timer.data = &limit;
    uv_update_time(loop_uv(loop));
    uv_timer_start(&limit.timer, on_limit, limit_ms, 0);
    while (!(is_true = is_done(ctx)) && !limit.is_late)
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    uv_close((uv_handle_t *)&limit.timer, on_closed);
    while (!limit.is_closed) /* before its memory goes */
        loop_poll(loop);
    return is_true;
}

bool
loop_wait(struct loop *loop, bool (*is_done)(void *ctx), void *ctx)
{
    return wait_for(loop, is_done, ctx, WAIT_MS);
}

void
loop_pass_ms(struct loop *loop, unsigned ms)
{
    (void)wait_for(loop, never, NULL, ms);
}

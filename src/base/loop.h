/* loop.h - a libuv loop with a door for other threads and a tidy end.
 *
 * Modules use libuv's handles directly on loop_uv(). Other threads reach the loop only by
 * loop_post(). Thread rule: everything but loop_post belongs to the loop's own thread. */
#ifndef PARLEY_BASE_LOOP_H
#define PARLEY_BASE_LOOP_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

struct loop;

/* A post lives inside the caller's own object: no allocation, never refused. It must stay valid
 * and untouched until fn has been called. */
struct loop_post {
    struct loop_post *next;
    void (*fn)(struct loop_post *post);
};

NODISCARD enum rc loop_new(struct loop **out, struct err *err);
/* Close every handle that is still open, run their callbacks, release. */
void loop_free(struct loop **loop);
uv_loop_t *loop_uv(struct loop *loop);

/* Run until loop_stop(). */
void loop_run(struct loop *loop);
/* One pass without blocking (tests). */
void loop_poll(struct loop *loop);
void loop_stop(struct loop *loop);

/* From any thread: run post->fn on the loop, in the order of posting. */
void loop_post(struct loop *loop, struct loop_post *post);

/* A repeating or one-shot timer in milliseconds on the loop's own clock; a thin helper over
 * uv_timer_t for modules that own many. */
struct loop_timer {
    uv_timer_t uv;
    void (*fn)(struct loop_timer *timer);
    bool is_open;
};
void loop_timer_init(struct loop *loop, struct loop_timer *timer,
                     void (*fn)(struct loop_timer *timer));
void loop_timer_start(struct loop_timer *timer, uint64_t after_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);
/* Close the handle; the memory must outlive the next loop pass, so call on_closed frees it.
 * on_closed may be NULL when the storage outlives the loop. */
void loop_timer_close(struct loop_timer *timer, void (*on_closed)(struct loop_timer *timer));

#endif

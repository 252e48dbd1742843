/* loop.c - the libuv loop, its door for other threads, and its end.
 *
 * Owns one async handle and the list of posts behind it. The list takes the callers' own objects,
 * so posting cannot fail; a wake-up is sent only when the list was empty. Threads that post must
 * have been joined before loop_free(). */
#include "base/loop.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct loop {
    uv_loop_t uv;
    uv_async_t door;
    pthread_mutex_t lock; /* guards first, last and is_open */
    struct loop_post *first, *last;
    bool is_open; /* the door takes wake-ups */
};

/* Run what has been posted so far, in order; what is posted meanwhile waits for the next pass. */
static void
run_posts(struct loop *loop)
{
    struct loop_post *post, *next;

    pthread_mutex_lock(&loop->lock);
    post = loop->first;
    loop->first = loop->last = NULL;
    pthread_mutex_unlock(&loop->lock);
    for (; post != NULL; post = next) {
        next = post->next; /* fn may release the post */
        post->fn(post);
    }
}

static void
on_door(uv_async_t *door)
{
    run_posts(door->data);
}

enum rc
loop_new(struct loop **out, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    int status;

    *out = NULL;
    if (loop == NULL)
        return err_set(err, RC_NOMEM, "loop.new", "out of memory");
    if ((status = uv_loop_init(&loop->uv)) != 0) {
        free(loop);
        return err_set(err, RC_IO, "loop.new", "%s", uv_strerror(status));
    }
    if ((status = uv_async_init(&loop->uv, &loop->door, on_door)) != 0) {
        uv_loop_close(&loop->uv);
        free(loop);
        return err_set(err, RC_IO, "loop.new", "%s", uv_strerror(status));
    }
    pthread_mutex_init(&loop->lock, NULL);
    loop->door.data = loop;
    loop->is_open = true;
    *out = loop;
    return RC_OK;
}

static bool
has_posts(struct loop *loop)
{
    bool has;

    pthread_mutex_lock(&loop->lock);
    has = loop->first != NULL;
    pthread_mutex_unlock(&loop->lock);
    return has;
}

static void
close_if_open(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void
loop_free(struct loop **loop)
{
    struct loop *l = *loop;

    if (l == NULL)
        return;
    while (has_posts(l)) /* never refused, so never dropped either */
        run_posts(l);
    pthread_mutex_lock(&l->lock);
    l->is_open = false;
    pthread_mutex_unlock(&l->lock);
    /* a close callback may open a handle or post: until nothing is left */
    do {
        uv_walk(&l->uv, close_if_open, NULL);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        run_posts(l);
    } while (has_posts(l) || uv_loop_close(&l->uv) == UV_EBUSY);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *loop = NULL;
}

uv_loop_t *
loop_uv(struct loop *loop)
{
    return &loop->uv;
}

void
loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT); /* the door keeps it running until uv_stop */
}

void
loop_poll(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_NOWAIT);
}

void
loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void
loop_post(struct loop *loop, struct loop_post *post)
{
    bool wake;

    post->next = NULL;
    pthread_mutex_lock(&loop->lock);
    wake = loop->first == NULL && loop->is_open;
    if (loop->first == NULL)
        loop->first = post;
    else
        loop->last->next = post;
    loop->last = post;
    pthread_mutex_unlock(&loop->lock);
    if (wake)
        uv_async_send(&loop->door);
}

static void
on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = uv->data;

    timer->fn(timer);
}

void
loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*fn)(struct loop_timer *timer))
{
    uv_timer_init(&loop->uv, &timer->uv); /* cannot fail */
    timer->uv.data = timer;
    timer->fn = fn;
    timer->is_open = true;
}

void
loop_timer_start(struct loop_timer *timer, uint64_t after_ms, uint64_t repeat_ms)
{
    assert(timer->is_open);
    uv_update_time(timer->uv.loop); /* the cached time may be old: never fire early */
    uv_timer_start(&timer->uv, on_timer, after_ms, repeat_ms);
}

void
loop_timer_stop(struct loop_timer *timer)
{
    if (timer->is_open)
        uv_timer_stop(&timer->uv);
}

/* on_closed travels in fn's place, which is of no use any more. */
static void
on_timer_closed(uv_handle_t *handle)
{
    struct loop_timer *timer = handle->data;

    if (timer->fn != NULL)
        timer->fn(timer);
}

void
loop_timer_close(struct loop_timer *timer, void (*on_closed)(struct loop_timer *timer))
{
    if (!timer->is_open)
        return;
    timer->is_open = false;
    timer->fn = on_closed;
    if (!uv_is_closing((uv_handle_t *)&timer->uv))
        uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
}

/* Tests of base/loop: posts from threads in order, none lost, timers, a tidy end. */
#include "base/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define THREADS 4
#define POSTS_EACH 5000

struct world {
    struct loop *loop;
    unsigned next[THREADS]; /* the number expected from each thread */
    unsigned ran;
    bool is_out_of_order;
};

struct note {
    struct loop_post post; /* first: the post is the note */
    struct world *world;
    unsigned thread, number;
};

struct poster {
    struct world *world;
    unsigned thread;
    struct note notes[POSTS_EACH];
};

static void
on_note(struct loop_post *post)
{
    struct note *note = (struct note *)post;
    struct world *w = note->world;

    if (note->number != w->next[note->thread]++)
        w->is_out_of_order = true;
    if (++w->ran == THREADS * POSTS_EACH)
        loop_stop(w->loop);
}

static void *
post_all(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 0; i < POSTS_EACH; i++) {
        p->notes[i] =
            (struct note){.post.fn = on_note, .world = p->world, .thread = p->thread, .number = i};
        loop_post(p->world->loop, &p->notes[i].post);
    }
    return NULL;
}

static void
test_posts_from_threads_arrive_in_order(void **state)
{
    struct poster *posters = calloc(THREADS, sizeof(*posters));
    struct world w = {0};
    pthread_t threads[THREADS];

    assert_int_equal(loop_new(&w.loop, NULL), RC_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i].world = &w;
        posters[i].thread = i;
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    loop_run(w.loop); /* ends only when every post has run */
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(w.ran, THREADS * POSTS_EACH);
    assert_false(w.is_out_of_order);
    loop_free(&w.loop);
    assert_null(w.loop);
    free(posters);
}

struct chain {
    struct loop_post post;
    struct loop *loop;
    int left;
};

static void
on_chain(struct loop_post *post)
{
    struct chain *c = (struct chain *)post;

    if (--c->left > 0)
        loop_post(c->loop, post); /* a post may post itself again */
}

static void
test_free_runs_what_was_posted(void **state)
{
    struct chain c = {.post.fn = on_chain, .left = 3};

    assert_int_equal(loop_new(&c.loop, NULL), RC_OK);
    loop_post(c.loop, &c.post);
    loop_free(&c.loop);
    assert_int_equal(c.left, 0);
    loop_free(&c.loop);
}

static void
free_post(struct loop_post *post)
{
    free(post);
}

static void
test_a_post_may_release_itself(void **state)
{
    struct loop *loop;

    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    for (int i = 0; i < 10; i++) {
        struct loop_post *post = calloc(1, sizeof(*post));

        post->fn = free_post;
        loop_post(loop, post);
    }
    loop_poll(loop);
    loop_free(&loop);
}

struct beat {
    struct loop_timer timer;
    struct loop *loop;
    int fired, closed;
};

static void
on_beat(struct loop_timer *timer)
{
    struct beat *b = (struct beat *)timer;

    if (++b->fired == 3)
        loop_stop(b->loop);
}

static void
on_beat_closed(struct loop_timer *timer)
{
    ((struct beat *)timer)->closed++;
}

static void
test_timer_repeats_stops_and_closes(void **state)
{
    struct beat b = {0};
    uint64_t start_ns;

    assert_int_equal(loop_new(&b.loop, NULL), RC_OK);
    loop_timer_init(b.loop, &b.timer, on_beat);
    start_ns = uv_hrtime();
    loop_timer_start(&b.timer, 5, 2);
    loop_run(b.loop);
    assert_int_equal(b.fired, 3);
    assert_true(uv_hrtime() - start_ns >= 8 * 1000000); /* 5 + 2 + 2, less a rounded one */
    loop_timer_stop(&b.timer);
    loop_poll(b.loop);
    assert_int_equal(b.fired, 3);
    loop_timer_close(&b.timer, on_beat_closed);
    loop_timer_close(&b.timer, on_beat_closed); /* once is enough */
    loop_poll(b.loop);
    assert_int_equal(b.closed, 1);
    loop_free(&b.loop);
}

static void
test_free_closes_what_is_open(void **state)
{
    struct beat open = {0}, closing = {0};
    uv_pipe_t pipe;

    assert_int_equal(loop_new(&open.loop, NULL), RC_OK);
    loop_timer_init(open.loop, &open.timer, on_beat);
    loop_timer_start(&open.timer, 1000000, 0);
    loop_timer_init(open.loop, &closing.timer, on_beat);
    loop_timer_close(&closing.timer, on_beat_closed);
    uv_pipe_init(loop_uv(open.loop), &pipe, 0);
    loop_free(&open.loop); /* would hang or assert if a handle stayed open */
    assert_int_equal(open.fired, 0);
    assert_int_equal(closing.closed, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_from_threads_arrive_in_order),
        cmocka_unit_test(test_free_runs_what_was_posted),
        cmocka_unit_test(test_a_post_may_release_itself),
        cmocka_unit_test(test_timer_repeats_stops_and_closes),
        cmocka_unit_test(test_free_closes_what_is_open),
    };

    return cmocka_run_group_tests_name("base/loop", tests, NULL, NULL);
}

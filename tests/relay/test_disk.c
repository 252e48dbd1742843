/* test_disk.c - the real program on a disk that is slow, fails, or is full.
 *
 * strace delays or fails its flushes; a small file system fills up. Where one of them cannot be
 * had, the test says so and is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#define ANA 15557654321u
#define SHOP 15550123400u
#define DELAY_MS 250

struct pair {
    struct rig rig;
    struct device ana, shop;
    bool is_mounted;
};

static int
set_up(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    rig_init(&p->rig);
    device_init(&p->ana, &p->rig, ANA);
    device_init(&p->shop, &p->rig, SHOP);
    p->shop.is_business = true;
    *state = p;
    return 0;
}

static int
tear_down(void **state)
{
    struct pair *p = *state;

    device_wipe(&p->ana);
    device_wipe(&p->shop);
    if (p->rig.child > 0)
        (void)rig_kill(&p->rig, SIGKILL);
    rig_stop(&p->rig);
    if (p->is_mounted)
        umount2(p->rig.data, MNT_DETACH);
    rig_wipe(&p->rig);
    free(p);
    return 0;
}

/* Register both with the program as it is, then start it again under strace. */
static void
start_under(struct pair *p, const char *inject)
{
    if (system("strace -o /dev/null -e trace=none true 2>/dev/null") != 0) {
        print_message("# skipped: strace cannot trace here\n");
        skip();
    }
    if (!rig_spawn(&p->rig, 0)) {
        print_message("# skipped: PARLEY_RELAY_PROGRAM names no program\n");
        skip();
    }
    device_register(&p->ana, 1);
    device_register(&p->shop, 1);
    (void)rig_kill(&p->rig, SIGTERM);
    p->rig.inject = inject;
    assert_true(rig_spawn(&p->rig, 0));
}

static int64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Each flush takes a quarter of a second: so does each answer that rests on one. */
static void
test_i3_answers_wait_for_the_flush(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana};
    int64_t from;

    start_under(p, "inject=fdatasync,fsync:delay_enter=250000");
    device_come(&p->shop);
    from = now_ms();
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    assert_true(now_ms() - from >= DELAY_MS);
    from = now_ms();
    assert_int_equal(device_publish_wait(&p->shop, &m), OK); /* I5: known, and yet */
    assert_true(now_ms() - from >= DELAY_MS);
    /* what rests on no commit is not held up by one */
    struct message typing = {.to = &p->ana, .class = PARLEY__WIRE__CLASS__EPHEMERAL};
    from = now_ms();
    assert_int_equal(device_publish_wait(&p->shop, &typing), OK);
    assert_true(now_ms() - from < DELAY_MS);
}

static bool
is_over(void *ctx)
{
    return ((struct device *)ctx)->has_ended;
}

/* The k-th flush fails: the program ends with a status, and nothing it acknowledged before is gone.
 */
static void
test_i4_failed_flush_ends_the_program(void **state)
{
    struct pair *p = *state;
    int status;

    for (unsigned k = 2; k <= 5; k++) {
        char inject[64];
        size_t n_ok = 0;

        snprintf(inject, sizeof(inject), "inject=fdatasync:error=EIO:when=%u+", k);
        if (k == 2) {
            start_under(p, inject);
        } else {
            p->rig.inject = inject;
            assert_true(rig_spawn(&p->rig, 0));
        }
        device_connect(&p->shop);
        if (device_try_login(&p->shop) == OK) {
            for (uint32_t i = 0; i < 20 && !p->shop.has_ended; i++) {
                struct message m = {.to = &p->ana, .number = k * 100 + i};

                device_publish(&p->shop, &m);
                rig_pass_ms(&p->rig, 10);
            }
            assert_true(rig_wait(&p->rig, is_over, &p->shop));
        }
        assert_int_equal(waitpid(p->rig.child, &status, 0), p->rig.child);
        p->rig.child = 0;
        assert_true(WIFEXITED(status));
        assert_int_not_equal(WEXITSTATUS(status), 0);
        for (size_t i = 0; i < p->shop.n_results; i++)
            n_ok += p->shop.results[i].reason == OK;
        p->rig.inject = NULL;
        assert_true(rig_spawn(&p->rig, 0)); /* a restart recovers */
        p->ana.acks = false;
        device_come(&p->ana);
        p->ana.n_deliveries = 0;
        if (n_ok > 0)
            device_wait_deliveries(&p->ana, n_ok);
        device_cut(&p->ana);
        (void)rig_kill(&p->rig, SIGTERM);
    }
}

static void
fill(const struct pair *p, size_t mib)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/filler", p->rig.data);
    if (mib == 0) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)(mib * 1024 * 1024)), 0);
    close(fd);
}

/* Little room is left: publishes are refused before they are accepted, the rest goes on; room
 * again, and so are publishes. */
static void
test_i6_full_disk(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana}, refused = {.to = &p->ana};
    Parley__Wire__Reason reason = OK;

    if (mount("tmpfs", p->rig.data, "tmpfs", 0, "size=64m,mode=0700") != 0) {
        print_message("# skipped: no file system can be mounted here\n");
        skip();
    }
    p->is_mounted = true;
    rig_start(&p->rig);
    device_register(&p->ana, 1);
    device_register(&p->shop, 1);
    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    fill(p, 40);
    for (unsigned i = 0; i < 100 && reason == OK; i++) { /* the store looks once a second */
        refused = (struct message){.to = &p->ana};
        reason = device_publish_wait(&p->shop, &refused);
        rig_pass_ms(&p->rig, 30);
    }
    assert_int_equal(reason, REASON(UNAVAILABLE));
    device_come(&p->ana); /* logins, deliveries and acks need next to nothing */
    device_wait_deliveries(&p->ana, 1);
    device_ack(&p->ana, 0, p->ana.deliveries[p->ana.n_deliveries - 1].seq);
    p->ana.acks = true;
    fill(p, 0);
    for (unsigned i = 0; i < 100 && reason != OK; i++) {
        reason = device_publish_wait(&p->shop, &refused);
        rig_pass_ms(&p->rig, 30);
    }
    assert_int_equal(reason, OK);
    assert_int_equal(
        rig_sql(&p->rig,
                "SELECT COUNT(*) FROM lane WHERE enqueued <> acked + expired + purged + pending"),
        0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_i3_answers_wait_for_the_flush),
        TEST(test_i4_failed_flush_ends_the_program),
        TEST(test_i6_full_disk),
    };

    return cmocka_run_group_tests_name("relay/disk", tests, NULL, NULL);
}

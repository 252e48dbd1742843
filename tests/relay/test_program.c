/* test_program.c - the real program: killed in the middle of work, stopped, asked, out of
 * descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#define ANA 15557654321u
#define SHOP 15550123400u

struct pair {
    struct rig rig;
    struct device ana, shop;
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
    rig_wipe(&p->rig);
    free(p);
    return 0;
}

#define SPAWN_OR_SKIP(rig, n)                                                                      \
    if (!rig_spawn((rig), (n))) {                                                                  \
        print_message("# skipped: PARLEY_RELAY_PROGRAM names no program\n");                       \
        skip();                                                                                    \
    }

/* SIGKILL at random moments while messages come in; the phone is away, so every one of them dies
 * between being queued and being pushed. What was acknowledged is there afterwards, once. */
static void
test_i1_acknowledged_messages_survive_kills(void **state)
{
    enum { ROUNDS = 12, EACH = 200 };
    struct pair *p = *state;
    uint8_t(*ids)[MESSAGE_ID_BYTES] = calloc(ROUNDS * EACH, sizeof(*ids));
    bool *acked = calloc(ROUNDS * EACH, sizeof(*acked));
    unsigned *seen = calloc(ROUNDS * EACH, sizeof(*seen));
    uint64_t seed = 1;
    struct rng rng = rng_seeded(&seed);
    size_t n_acked = 0;

    SPAWN_OR_SKIP(&p->rig, 0);
    device_register(&p->ana, 1);
    device_register(&p->shop, 1);
    for (uint32_t r = 0; r < ROUNDS; r++) {
        device_come(&p->shop);
        for (uint32_t i = 0; i < EACH; i++) {
            struct message m = {.to = &p->ana, .number = r * EACH + i};

            device_publish(&p->shop, &m);
            memcpy(ids[r * EACH + i], m.id, MESSAGE_ID_BYTES);
        }
        rig_pass_ms(&p->rig, rng_below(rng, 25));
        assert_true(WIFSIGNALED(rig_kill(&p->rig, SIGKILL)));
        rig_pass_ms(&p->rig, 10); /* answers that were on the wire still count */
        device_cut(&p->shop);
        assert_true(rig_spawn(&p->rig, 0));
    }
    for (size_t k = 0; k < p->shop.n_results; k++) {
        for (size_t i = 0; i < ROUNDS * EACH; i++) {
            if (p->shop.results[k].reason == OK &&
                memcmp(ids[i], p->shop.results[k].id, MESSAGE_ID_BYTES) == 0)
                acked[i] = true;
        }
    }
    for (size_t i = 0; i < ROUNDS * EACH; i++)
        n_acked += acked[i];
    assert_true(n_acked > 0);
    p->ana.acks = true;
    device_come(&p->ana);
    device_wait_deliveries(&p->ana, n_acked);
    rig_pass_ms(&p->rig, 300);
    for (size_t i = 0; i < p->ana.n_deliveries; i++)
        seen[p->ana.deliveries[i].number]++;
    for (size_t i = 0; i < ROUNDS * EACH; i++) {
        assert_true(seen[i] <= 1);
        if (acked[i])
            assert_int_equal(seen[i], 1);
    }
    print_message("# %zu of %d acknowledged before a kill, all there\n", n_acked, ROUNDS * EACH);
    free(ids);
    free(acked);
    free(seen);
}

/* The phone is connected: killed somewhere between queue, push and its ack. Nothing is lost, and
 * what it acknowledged durably does not come again. */
static void
test_i1_i10_kills_while_delivering(void **state)
{
    enum { ROUNDS = 8, EACH = 200 };
    struct pair *p = *state;
    unsigned *seen = calloc(ROUNDS * EACH, sizeof(*seen));

    SPAWN_OR_SKIP(&p->rig, 0);
    device_register(&p->ana, 1);
    device_register(&p->shop, 1);
    p->ana.acks = true;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        size_t before = p->shop.n_results;

        device_come(&p->ana);
        device_come(&p->shop);
        for (uint32_t i = 0; i < EACH; i++) {
            struct message m = {.to = &p->ana, .number = r * EACH + i};

            device_publish(&p->shop, &m);
        }
        device_wait_results(&p->shop, before + EACH); /* all acknowledged; delivery is under way */
        assert_true(WIFSIGNALED(rig_kill(&p->rig, SIGKILL)));
        device_cut(&p->shop);
        device_cut(&p->ana);
        assert_true(rig_spawn(&p->rig, 0));
    }
    device_come(&p->ana);
    for (unsigned tries = 0; tries < 300; tries++) {
        size_t n = 0;

        memset(seen, 0, ROUNDS * EACH * sizeof(*seen));
        for (size_t i = 0; i < p->ana.n_deliveries; i++)
            seen[p->ana.deliveries[i].number]++;
        for (size_t i = 0; i < ROUNDS * EACH; i++)
            n += seen[i] > 0;
        if (n == ROUNDS * EACH)
            break;
        rig_pass_ms(&p->rig, 20);
    }
    for (size_t i = 0; i < ROUNDS * EACH; i++)
        assert_true(seen[i] > 0);
    free(seen);
}

static void
test_sigterm_ends_politely(void **state)
{
    struct pair *p = *state;
    struct timespec from, to;
    int status;

    SPAWN_OR_SKIP(&p->rig, 0);
    device_register(&p->ana, 1);
    device_come(&p->ana);
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(kill(p->rig.child, SIGTERM), 0);
    device_wait_end(&p->ana);
    assert_int_equal(p->ana.reason, CLOSED(DRAINING));
    assert_int_equal(waitpid(p->rig.child, &status, 0), p->rig.child);
    p->rig.child = 0;
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 1500);
}

static const struct question_case {
    const char *line, *want;
} questions[] = {
    {"show links",               "connections=1"      },
    {"show queues",              "enqueued=1 "        },
    {"show queues",              "recounted pending=1"},
    {"show queues +15557654321", "pending=1"          },
    {"show accounts",            "people=1"           },
    {"show accounts",            "businesses=1"       },
    {"show meter",               "category=2 events=1"},
    {"show meter 15550123400",   "category=2 events=1"},
    {"show store",               "commits="           },
    {"show config",              "test_clock = on"    },
    {"clock now",                "offset_ms 0"        },
};

static void
ask(struct rig *rig, const char *line, const char *want)
{
    struct buf out;

    rig_admin(rig, line, &out);
    if (strstr(buf_cstr(&out), want) == NULL)
        fail_msg("%s: %s", line, buf_cstr(&out));
    assert_null(strstr(buf_cstr(&out), "15557654321")); /* no whole number is shown */
    buf_free(&out);
}

static void
test_administration(void **state)
{
    struct pair *p = *state;
    struct message m = {.to = &p->ana, .category = PARLEY__WIRE__CATEGORY__UTILITY};

    SPAWN_OR_SKIP(&p->rig, 0);
    device_register(&p->ana, 1);
    device_cut(&p->ana);
    device_register(&p->shop, 1);
    device_come(&p->shop);
    assert_int_equal(device_publish_wait(&p->shop, &m), OK);
    rig_pass_ms(&p->rig, 50);
    for (size_t i = 0; i < ARRAY_LEN(questions); i++)
        ask(&p->rig, questions[i].line, questions[i].want);
    /* what becomes due is done before the answer */
    ask(&p->rig, "clock set-offset 2678400000", "unix_ms");
    ask(&p->rig, "show queues 15557654321", "expired=1");
    device_wait_deliveries(&p->shop, 1);
    assert_int_equal(p->shop.deliveries[0].notice_reason, REASON(EXPIRED));
    /* and the shift outlives the program */
    (void)rig_kill(&p->rig, SIGKILL);
    assert_true(rig_spawn(&p->rig, 0));
    ask(&p->rig, "clock now", "offset_ms 2678400000");
}

/* Out of descriptors: newcomers are shut out at once, not left hanging, and there is room again as
 * soon as somebody leaves. */
static void
test_i39_out_of_descriptors(void **state)
{
    enum { N = 120 };
    struct pair *p = *state;
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct pollfd fds[N];
    size_t n_shut = 0;

    SPAWN_OR_SKIP(&p->rig, 80);
    to.sin_port = htons(p->rig.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < N; i++) {
        fds[i] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
        assert_int_equal(connect(fds[i].fd, (struct sockaddr *)&to, sizeof(to)), 0);
    }
    for (unsigned tries = 0; tries < 100 && n_shut < N - 80; tries++) {
        n_shut = 0;
        poll(fds, N, 20);
        for (size_t i = 0; i < N; i++)
            n_shut += (fds[i].revents & (POLLIN | POLLHUP)) != 0;
    }
    assert_true(n_shut >= N - 80);
    assert_true(n_shut < N);
    for (size_t i = 0; i < N; i++)
        close(fds[i].fd);
    rig_pass_ms(&p->rig, 200);
    device_register(&p->ana, 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_i1_acknowledged_messages_survive_kills),
        TEST(test_i1_i10_kills_while_delivering),
        TEST(test_sigterm_ends_politely),
        TEST(test_administration),
        TEST(test_i39_out_of_descriptors),
    };

    return cmocka_run_group_tests_name("relay/program", tests, NULL, NULL);
}

/* test_program.c - the real program: killed in the middle of work, stopped, asked, out of
 * descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
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

enum { ROUNDS = 12, EACH = 200 };

struct history {
    uint8_t ids[ROUNDS * EACH][MESSAGE_ID_BYTES];
    bool acked[ROUNDS * EACH];
    unsigned seen[ROUNDS * EACH];
    size_t n_acked, n_lost, n_twice;
};

struct answers {
    const struct device *d;
    size_t n;
};

static bool
has_answers(void *ctx)
{
    const struct answers *a = ctx;

    return a->d->n_results >= a->n;
}

/* A burst, and SIGKILL the moment that so many answers are in; the phone is away, so every message
 * dies between being queued and being pushed. */
static void
burst_with_kill(struct pair *p, struct history *h, uint32_t round, uint32_t n_answers)
{
    struct answers enough = {&p->shop, p->shop.n_results + n_answers};

    device_come(&p->shop);
    for (uint32_t i = round * EACH; i < (round + 1) * EACH; i++) {
        struct message m = {.to = &p->ana, .number = i};

        device_publish(&p->shop, &m);
        memcpy(h->ids[i], m.id, MESSAGE_ID_BYTES);
    }
    assert_true(rig_wait(&p->rig, has_answers, &enough));
    assert_true(WIFSIGNALED(rig_kill(&p->rig, SIGKILL)));
    rig_pass_ms(&p->rig, 10); /* answers that were on the wire still count */
    device_cut(&p->shop);
    assert_true(rig_spawn(&p->rig, 0));
}

static void
settle(struct pair *p, struct history *h)
{
    for (size_t k = 0; k < p->shop.n_results; k++) {
        for (size_t i = 0; i < ROUNDS * EACH; i++) {
            if (p->shop.results[k].reason == OK &&
                memcmp(h->ids[i], p->shop.results[k].id, MESSAGE_ID_BYTES) == 0)
                h->acked[i] = true;
        }
    }
    for (size_t i = 0; i < p->ana.n_deliveries; i++)
        h->seen[p->ana.deliveries[i].number]++;
    for (size_t i = 0; i < ROUNDS * EACH; i++) {
        h->n_acked += h->acked[i];
        h->n_lost += h->acked[i] && h->seen[i] == 0;
        h->n_twice += h->seen[i] > 1;
    }
}

static bool
queue_is_empty(void *ctx)
{
    return rig_sql(ctx, "SELECT COUNT(*) FROM envelope WHERE state = 0") == 0;
}

/* With a program that keeps its promises: the one under test may not. */
static void
register_both(struct pair *p)
{
    const char *program = getenv("PARLEY_RELAY_PROGRAM"), *honest = getenv("PARLEY_RELAY_HONEST");
    char kept[1024] = "";

    if (honest != NULL && program != NULL) {
        snprintf(kept, sizeof(kept), "%s", program);
        setenv("PARLEY_RELAY_PROGRAM", honest, 1);
    }
    SPAWN_OR_SKIP(&p->rig, 0);
    device_register(&p->ana, 1);
    device_register(&p->shop, 1);
    if (kept[0] == '\0')
        return;
    setenv("PARLEY_RELAY_PROGRAM", kept, 1);
    (void)rig_kill(&p->rig, SIGTERM);
    assert_true(rig_spawn(&p->rig, 0));
}

/* What was acknowledged is there afterwards, once. On a store that acknowledges before its commit
 * (PARLEY_EXPECTS_LOSS, the negative control) the same test must see a loss. */
static void
test_i1_acknowledged_messages_survive_kills(void **state)
{
    struct pair *p = *state;
    struct history *h = calloc(1, sizeof(*h));
    uint64_t seed = 1;
    struct rng rng = rng_seeded(&seed);

    register_both(p);
    for (uint32_t r = 0; r < ROUNDS; r++)
        burst_with_kill(p, h, r, 1 + rng_below(rng, EACH / 2));
    p->ana.acks = true;
    device_come(&p->ana);
    assert_true(rig_wait(&p->rig, queue_is_empty, &p->rig));
    settle(p, h);
    print_message("# %zu of %d acknowledged before a kill, %zu lost\n", h->n_acked, ROUNDS * EACH,
                  h->n_lost);
    assert_true(h->n_acked > 0);
    assert_int_equal(h->n_twice, 0);
    size_t n_lost = h->n_lost;
    free(h);
    if (getenv("PARLEY_EXPECTS_LOSS") == NULL)
        assert_int_equal(n_lost, 0);
    else
        assert_true(n_lost > 0);
}

/* The phone is connected: killed somewhere between queue, push and its ack. Nothing is lost, and
 * what it acknowledged durably does not come again. */
static void
test_i1_i10_kills_while_delivering(void **state)
{
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
        rig_pass_ms(&p->rig, 20);
        poll(fds, N, 0);
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
    const struct CMUnitTest kills[] = {
        TEST(test_i1_acknowledged_messages_survive_kills),
    };

    if (getenv("PARLEY_ONLY_KILLS") != NULL)
        return cmocka_run_group_tests_name("relay/kills", kills, NULL, NULL);
    return cmocka_run_group_tests_name("relay/program", tests, NULL, NULL);
}

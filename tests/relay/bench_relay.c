/* bench_relay.c - how much CPU one message costs the relay: published, delivered, acknowledged.
 *
 * One business publishes to many phones, all connected; the relay runs in this process on one loop
 * (or as many as asked) with a real store on a real file. The CPU of the generator's own thread is
 * subtracted. Usage: bench_relay [messages] [phones] [loops]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "rig.h"

#define IN_FLIGHT 1000u

struct bench {
    struct rig rig;
    struct device shop;
    struct device *phones;
    size_t n_phones, n_messages, n_sent;
};

static double
seconds(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
n_delivered(const struct bench *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n_phones; i++)
        n += b->phones[i].n_deliveries;
    return n;
}

/* Keep the pipe full; true at the end. */
static bool
go_on(void *ctx)
{
    struct bench *b = ctx;

    while (b->n_sent < b->n_messages && b->n_sent - b->shop.n_results < IN_FLIGHT) {
        struct message m = {.to = &b->phones[b->n_sent % b->n_phones],
                            .number = (uint32_t)b->n_sent,
                            .len = 300,
                            .category = PARLEY__WIRE__CATEGORY__UTILITY};

        device_publish(&b->shop, &m);
        b->n_sent++;
    }
    return b->shop.n_results == b->n_messages && n_delivered(b) == b->n_messages;
}

static void
report(const struct bench *b, double wall, double all, double own)
{
    double relay = all - own;

    printf("{\"messages\":%zu,\"phones\":%zu,\"wall_s\":%.3f,\"per_s\":%.0f,"
           "\"relay_cpu_us\":%.1f,\"relay_per_core_s\":%.0f,\"generator_cpu_us\":%.1f}\n",
           b->n_messages, b->n_phones, wall, (double)b->n_messages / wall,
           relay * 1e6 / (double)b->n_messages, (double)b->n_messages / relay,
           own * 1e6 / (double)b->n_messages);
}

int
main(int argc, char **argv)
{
    struct bench *b = calloc(1, sizeof(*b));
    double wall, all, own;

    b->n_messages = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;
    b->n_phones = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    b->phones = calloc(b->n_phones, sizeof(*b->phones));
    rig_init(&b->rig);
    b->rig.opt.loops = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    rig_start(&b->rig);
    device_init(&b->shop, &b->rig, 15550123400);
    b->shop.is_business = true;
    device_register(&b->shop, 1);
    device_come(&b->shop);
    for (size_t i = 0; i < b->n_phones; i++) {
        device_init(&b->phones[i], &b->rig, 15550200000 + i);
        b->phones[i].acks = true;
        device_register(&b->phones[i], 1);
        device_come(&b->phones[i]);
    }
    wall = seconds(CLOCK_MONOTONIC);
    all = seconds(CLOCK_PROCESS_CPUTIME_ID);
    own = seconds(CLOCK_THREAD_CPUTIME_ID);
    if (!rig_wait(&b->rig, go_on, b))
        fprintf(stderr, "late: %zu results, %zu delivered\n", b->shop.n_results, n_delivered(b));
    report(b, seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_PROCESS_CPUTIME_ID) - all,
           seconds(CLOCK_THREAD_CPUTIME_ID) - own);
    for (size_t i = 0; i < b->n_phones; i++)
        device_wipe(&b->phones[i]);
    device_wipe(&b->shop);
    rig_wipe(&b->rig);
    free(b->phones);
    free(b);
    return 0;
}

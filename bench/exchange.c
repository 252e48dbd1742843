/* exchange.c - see exchange.h. */
#include "exchange.h"

#include "load.h"
#include "measure.h"
#include "wait.h"

#define SETTLE_MS 10000u

struct exchange {
    const struct exchange_opt *opt;
    struct load *load;
    struct waits waits;
    int64_t until_us;
};

static void
fill(void *ctx, struct buf *out)
{
    messages_put(((struct exchange *)ctx)->opt->messages, out);
}

static void
on_answer(void *ctx, int status, struct bytes body, int64_t took_us)
{
    waits_add(&((struct exchange *)ctx)->waits, took_us);
}

static bool
is_over(void *ctx)
{
    struct exchange *x = ctx;

    if (now_us() < x->until_us)
        return false;
    load_pause(x->load);
    return load_under_way(x->load) == 0;
}

enum rc
exchange_run(struct exchange_figures *out, const struct exchange_opt *opt, struct err *err)
{
    struct exchange x = {.opt = opt};
    const struct load_opt load = {.loop = opt->loop,
                                  .port = opt->port,
                                  .connections = opt->per_s > 0 ? EXCHANGE_PACED_CONNECTIONS
                                                                : EXCHANGE_CONNECTIONS,
                                  .per_s = opt->per_s,
                                  .fill = fill,
                                  .on_answer = on_answer,
                                  .ctx = &x};
    double cpu = cpu_s(opt->pid), n;
    int64_t start_us = now_us();
    enum rc rc;

    *out = (struct exchange_figures){0};
    x.until_us = start_us + (int64_t)(opt->seconds * 1e6);
    if ((rc = load_open(&x.load, &load, err)) == RC_OK) {
        load_go(x.load);
        rc = wait_until(opt->loop, is_over, &x, (unsigned)(opt->seconds * 1000) + SETTLE_MS, err);
        n = (double)load_answered(x.load);
        if (rc == RC_OK && (load_failed(x.load) > 0 || n == 0))
            rc = err_set(err, RC_DENIED, "bench.exchange", "%llu of %.0f requests were refused",
                         (unsigned long long)load_failed(x.load), n);
        *out = (struct exchange_figures){.per_s = n * 1e6 / (double)(now_us() - start_us),
                                         .cpu_us = (cpu_s(opt->pid) - cpu) * 1e6 / n,
                                         .p50_ms = waits_ms(&x.waits, 0.5),
                                         .p99_ms = waits_ms(&x.waits, 0.99)};
    }
    load_free(&x.load);
    waits_wipe(&x.waits);
    loop_poll(opt->loop); /* the connections' ends */
    return rc;
}

void
exchange_add(struct exchange_series *to, const struct exchange_figures *f)
{
    series_add(&to->per_s, f->per_s);
    series_add(&to->cpu_us, f->cpu_us);
    series_add(&to->p50_ms, f->p50_ms);
    series_add(&to->p99_ms, f->p99_ms);
}

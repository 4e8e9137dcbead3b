/* Latency at a given rate, from the time at which a publish should have begun: of the publish, and
 * until its message is delivered. The limit is the null server's publish at the same rate. Those
 * that no pause of the machine met are shown apart (observed.h). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/observed.h"
#include "tools/bench/rpc_open.h"
#include "tools/bench/rpc_pair.h"
#include "tools/bench/sets.h"

enum { MAXIMUM_IN_FLIGHT = 64, DELIVERY_LOOPS = 2 * RUN_QUEUES };
#define BOUND_P50 2
#define BOUND_P999_MS 5
#define NS_PER_S 1e9
#define NS_PER_MS 1e6

struct latency_params {
    double share; /* of the maximum */
};

static double share_of(const struct bench_case *c)
{
    return ((const struct latency_params *)c->params)->share;
}

static void yield(const struct observed *o, double *ret_values)
{
    ret_values[0] = (double)latency_at(&o->all, 0.50) / NS_PER_MS;
    ret_values[1] = (double)latency_at(&o->all, 0.99) / NS_PER_MS;
    ret_values[2] = (double)latency_at(&o->all, 0.999) / NS_PER_MS;
    ret_values[3] = (double)o->all.worst_ns / NS_PER_MS;
    ret_values[4] = (double)latency_at(&o->between, 0.50) / NS_PER_MS;
    ret_values[5] = (double)latency_at(&o->between, 0.999) / NS_PER_MS;
    ret_values[6] = o->machine_ns / NS_PER_MS;
    ret_values[7] = o->paused_share * 100;
}

static int run_at(struct bench_run *run, struct run_target *target, double rate, double *ret_values,
                  struct err *e)
{
    const struct rpc_pair *pair = run->state;
    struct observed *seen;
    int rc = observed_begin(&seen, e);
    if (rc < 0)
        return rc;
    const struct run_open o = {.requests = &pair->singles,
                               .rate = rate,
                               .run_ms = run->opt->run_ms,
                               .timings = &seen->timings};
    uint64_t n;
    bench_start(run);
    rc = run_open(target, &o, &n, e);
    (void)bench_stop(run);
    observed_end(seen);
    if (rc == 0)
        yield(seen, ret_values);
    observed_free(seen);
    return rc;
}

/* ---- publish ---- */

/* What a closed loop reaches. Measured once: all shares are of the same maximum. */
static int learn_publish_rate(struct bench_run *run, struct err *e)
{
    struct rpc_pair *pair = run->state;
    const struct run_publish p = {
        .requests = &pair->singles, .in_flight = MAXIMUM_IN_FLIGHT, .run_ms = run->opt->run_ms};
    uint64_t n, begun = run_now_ns();
    if (pair->publish_rate > 0)
        return 0;
    int rc = run_publish(&pair->ours, &p, &n, e);
    if (rc == 0)
        pair->publish_rate = (double)n * NS_PER_S / (double)(run_now_ns() - begun);
    return rc;
}

static int publish_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->servers[0] = pair->own.pid;
    int rc = learn_publish_rate(run, e);
    return rc < 0 ? rc : run_at(run, &pair->ours, pair->publish_rate * share_of(c), ret_values, e);
}

static int publish_null(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->servers[0] = pair->null_server.pid;
    return run_at(run, &pair->theirs, pair->publish_rate * share_of(c), ret_values, e);
}

/* ---- until delivery ---- */

/* A publisher and a group that receives, over one connection. */
struct delivery {
    struct run_target target;
    struct receiver *receiver;
    char group[RPC_NAME_BYTES]; /* the receiver's acks name it */
};

static int open_delivery(struct delivery *d, struct rpc_pair *pair, struct timings *t,
                         struct err *e)
{
    *d = (struct delivery){0};
    int rc = rpc_pair_group(pair, RPC_NEXT, d->group, e);
    if (rc == 0)
        rc = run_target_open(&d->target, pair->broker.endpoint, RUN_BROKER, e);
    const struct receive_options opt = {
        .group = d->group, .topic = pair->topic, .n_loops = DELIVERY_LOOPS, .timings = t};
    return rc < 0 ? rc : receiver_start(&d->receiver, &d->target, &opt, e);
}

static void close_delivery(struct delivery *d)
{
    run_target_close(&d->target);
    receiver_free(d->receiver);
}

/* What goes through in a closed loop, to the last ack. */
static int learn_delivery_rate(struct bench_run *run, struct err *e)
{
    struct rpc_pair *pair = run->state;
    struct delivery d;
    const struct run_publish p = {
        .requests = &pair->singles, .in_flight = MAXIMUM_IN_FLIGHT, .run_ms = run->opt->run_ms};
    uint64_t n;
    if (pair->delivery_rate > 0)
        return 0;
    int rc = open_delivery(&d, pair, /* t = */ NULL, e);
    uint64_t begun = run_now_ns();
    if (rc == 0)
        rc = run_publish(&d.target, &p, &n, e);
    if (rc == 0)
        rc = receiver_drive(d.receiver, n, e);
    if (rc == 0)
        pair->delivery_rate = (double)n * NS_PER_S / (double)(run_now_ns() - begun);
    close_delivery(&d);
    return rc;
}

static int deliver(struct bench_run *run, const struct bench_case *c, struct timings *t,
                   struct err *e)
{
    struct rpc_pair *pair = run->state;
    struct delivery d;
    const struct run_open o = {.requests = &pair->singles,
                               .rate = pair->delivery_rate * share_of(c),
                               .run_ms = run->opt->run_ms,
                               .stamp_bytes = RPC_BODY_BYTES};
    uint64_t n;
    int rc = open_delivery(&d, pair, t, e);
    bench_start(run);
    if (rc == 0)
        rc = run_open(&d.target, &o, &n, e);
    if (rc == 0)
        rc = receiver_drive(d.receiver, n, e);
    (void)bench_stop(run);
    close_delivery(&d);
    return rc;
}

static int deliver_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    struct observed *seen = NULL;
    run->servers[0] = pair->own.pid;
    int rc = learn_delivery_rate(run, e);
    if (rc == 0)
        rc = observed_begin(&seen, e);
    if (rc == 0)
        rc = deliver(run, c, &seen->timings, e);
    if (seen)
        observed_end(seen);
    if (rc == 0)
        yield(seen, ret_values);
    observed_free(seen);
    return rc;
}

static int deliver_null(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->servers[0] = pair->null_server.pid;
    return run_at(run, &pair->theirs, pair->delivery_rate * share_of(c), ret_values, e);
}

#define SHARE(of)                                                                                  \
    &(const struct latency_params)                                                                 \
    {                                                                                              \
        .share = (of)                                                                              \
    }
#define BETWEEN_PAUSES                                                                             \
    {.name = "p50 between pauses", .unit = "ms"}, {.name = "p99.9 between pauses", .unit = "ms"},  \
        {.name = "machine p99.9", .unit = "ms"},                                                   \
    {                                                                                              \
        .name = "paused", .unit = "%"                                                              \
    }
#define LATENCIES                                                                                  \
    {                                                                                              \
        {.name = "p50", .unit = "ms"}, {.name = "p99", .unit = "ms"},                              \
            {.name = "p99.9", .unit = "ms"}, {.name = "worst", .unit = "ms"}, BETWEEN_PAUSES,      \
    }

static const struct bench_case cases[] = {
    {"publish at 50 %", publish_ours, publish_null, SHARE(0.50), LATENCIES},
    {"publish at 80 %", publish_ours, publish_null, SHARE(0.80), LATENCIES},
    {"publish at 95 %", publish_ours, publish_null, SHARE(0.95), LATENCIES},
    {"delivery at 25 %", deliver_ours, deliver_null, SHARE(0.25), LATENCIES},
    {"delivery at 50 %",
     deliver_ours,
     deliver_null,
     SHARE(0.50),
     {{.name = "p50", .unit = "ms", .target = "R5", .bound = BOUND_P50, .is_most = true},
      {.name = "p99", .unit = "ms"},
      {.name = "p99.9",
       .unit = "ms",
       .target = "R5",
       .bound = BOUND_P999_MS,
       .is_most = true,
       .is_absolute = true},
      {.name = "worst", .unit = "ms"},
      BETWEEN_PAUSES}},
    {0},
};

const struct bench_set case_latency = {cases, rpc_pair_open, rpc_pair_close};

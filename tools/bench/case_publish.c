/* Publish, and receive and acknowledge, in closed loops: as fast as the server answers. The limit
 * is the null gRPC server, given the same requests by the same generator. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_pair.h"
#include "tools/bench/sets.h"

#define TARGET_R1 0.85
#define TARGET_R2 0.60
#define TARGET_R3 0.70
#define PER_MILLION 1e6
#define NS_PER_S 1e9

struct publish_params {
    size_t in_flight;
    bool is_batch; /* 32 messages a request */
};

/* The rate, and what the server spent for a million. */
static void yield(const struct bench_run *run, uint64_t n, double seconds, double *ret_values)
{
    ret_values[0] = (double)n / seconds;
    ret_values[1] = (double)run->spent.server_ns / NS_PER_S * PER_MILLION / (double)n;
}

static int publish(struct bench_run *run, const struct bench_case *c, struct run_target *target,
                   double *ret_values, struct err *e)
{
    const struct publish_params *params = c->params;
    const struct rpc_pair *pair = run->state;
    const struct run_publish p = {
        .requests = params->is_batch ? &pair->batches : &pair->singles,
        .in_flight = params->in_flight,
        .run_ms = run->opt->run_ms,
    };
    uint64_t n;
    bench_start(run);
    int rc = run_publish(target, &p, &n, e);
    double seconds = bench_stop(run);
    if (rc == 0)
        yield(run, n, seconds, ret_values);
    return rc;
}

static int publish_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->server = pair->own.pid;
    return publish(run, c, &pair->ours, ret_values, e);
}

static int publish_null(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->server = pair->null_server.pid;
    return publish(run, c, &pair->theirs, ret_values, e);
}

/* ---- receive and acknowledge ---- */

static int receive(struct bench_run *run, struct run_target *target, const char *group,
                   double *ret_values, struct err *e)
{
    const struct rpc_pair *pair = run->state;
    const struct run_receive r = {
        .group = group, .topic = pair->topic, .n_messages = pair->n_filled / 4 * 3};
    uint64_t n;
    bench_start(run);
    int rc = run_receive(target, &r, &n, e);
    double seconds = bench_stop(run);
    if (rc == 0)
        yield(run, n, seconds, ret_values);
    return rc;
}

static int receive_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct rpc_pair *pair = run->state;
    char group[RPC_NAME_BYTES];
    int rc = rpc_pair_group(pair, group, e);
    if (rc < 0)
        return rc;
    run->server = pair->own.pid;
    return receive(run, &pair->ours, group, ret_values, e);
}

static int receive_null(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct rpc_pair *pair = run->state;
    run->server = pair->null_server.pid;
    return receive(run, &pair->theirs, "a-group", ret_values, e);
}

#define UNARY(depth)                                                                               \
    &(const struct publish_params)                                                                 \
    {                                                                                              \
        .in_flight = (depth)                                                                       \
    }
#define BATCH(depth)                                                                               \
    &(const struct publish_params)                                                                 \
    {                                                                                              \
        .in_flight = (depth), .is_batch = true                                                     \
    }
#define SERVER_CPU                                                                                 \
    {                                                                                              \
        .name = "server CPU", .unit = "s/M"                                                        \
    }

static const struct bench_case cases[] = {
    {"publish, 64 in flight",
     publish_ours,
     publish_null,
     UNARY(64),
     {{.unit = "msg/s", .target = "R1", .bound = TARGET_R1}, SERVER_CPU}},
    {"publish by 32, 16 in flight",
     publish_ours,
     publish_null,
     BATCH(16),
     {{.unit = "msg/s", .target = "R2", .bound = TARGET_R2}, SERVER_CPU}},
    {"receive and ack by 32",
     receive_ours,
     receive_null,
     NULL,
     {{.unit = "msg/s", .target = "R3", .bound = TARGET_R3}, SERVER_CPU}},
    {0},
};

const struct bench_set case_publish = {cases, rpc_pair_open, rpc_pair_close};

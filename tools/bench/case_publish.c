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
    bool is_tls;
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

static bool is_tls(const struct bench_case *c)
{
    return ((const struct publish_params *)c->params)->is_tls;
}

static int publish_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->servers[0] = pair->own.pid;
    return publish(run, c, is_tls(c) ? &pair->ours_tls : &pair->ours, ret_values, e);
}

static int publish_null(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->servers[0] = pair->null_server.pid;
    return publish(run, c, is_tls(c) ? &pair->theirs_tls : &pair->theirs, ret_values, e);
}

/* ---- receive and acknowledge ---- */

/* On a connection of its own, which ends with calls under way. */
static int receive(struct bench_run *run, const struct run_target *like, const char *group,
                   double *ret_values, struct err *e)
{
    const struct rpc_pair *pair = run->state;
    const struct receive_options opt = {
        .group = group, .topic = pair->topic, .n_loops = RUN_QUEUES};
    struct run_target target;
    struct receiver *r = NULL;
    int rc = run_target_open(&target, like->endpoint, like->kind, e);
    if (rc < 0)
        return rc;
    bench_start(run);
    rc = receiver_start(&r, &target, &opt, e);
    if (rc == 0)
        rc = receiver_drive(r, pair->n_filled / 4 * 3, e);
    double seconds = bench_stop(run);
    if (rc == 0)
        yield(run, *receiver_n_acked(r), seconds, ret_values);
    run_target_close(&target);
    receiver_free(r);
    return rc;
}

static int receive_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    char group[RPC_NAME_BYTES];
    int rc = rpc_pair_group(pair, RPC_FIRST, group, e);
    if (rc < 0)
        return rc;
    run->servers[0] = pair->own.pid;
    return receive(run, is_tls(c) ? &pair->ours_tls : &pair->ours, group, ret_values, e);
}

static int receive_null(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = run->state;
    run->servers[0] = pair->null_server.pid;
    return receive(run, is_tls(c) ? &pair->theirs_tls : &pair->theirs, "a-group", ret_values, e);
}

#define PARAMS(...)                                                                                \
    &(const struct publish_params)                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define SERVER_CPU                                                                                 \
    {                                                                                              \
        .name = "server CPU", .unit = "s/M"                                                        \
    }
#define PLAIN_RATE                                                                                 \
    {                                                                                              \
        {.unit = "msg/s"}, SERVER_CPU                                                              \
    }

static const struct bench_case cases[] = {
    {"publish, 64 in flight",
     publish_ours,
     publish_null,
     PARAMS(.in_flight = 64),
     {{.unit = "msg/s", .target = "R1", .bound = TARGET_R1}, SERVER_CPU}},
    {"publish by 32, 16 in flight",
     publish_ours,
     publish_null,
     PARAMS(.in_flight = 16, .is_batch = true),
     {{.unit = "msg/s", .target = "R2", .bound = TARGET_R2}, SERVER_CPU}},
    {"receive and ack by 32",
     receive_ours,
     receive_null,
     PARAMS(.in_flight = RUN_QUEUES),
     {{.unit = "msg/s", .target = "R3", .bound = TARGET_R3}, SERVER_CPU}},
    {"publish, 1 in flight", publish_ours, publish_null, PARAMS(.in_flight = 1), PLAIN_RATE},
    {"publish, 16 in flight", publish_ours, publish_null, PARAMS(.in_flight = 16), PLAIN_RATE},
    {"publish, 256 in flight", publish_ours, publish_null, PARAMS(.in_flight = 256), PLAIN_RATE},
    {"publish by 32, 1 in flight", publish_ours, publish_null,
     PARAMS(.in_flight = 1, .is_batch = true), PLAIN_RATE},
    {"TLS: publish, 64 in flight", publish_ours, publish_null,
     PARAMS(.in_flight = 64, .is_tls = true), PLAIN_RATE},
    {"TLS: publish by 32, 16 in flight", publish_ours, publish_null,
     PARAMS(.in_flight = 16, .is_batch = true, .is_tls = true), PLAIN_RATE},
    {"TLS: receive and ack by 32", receive_ours, receive_null,
     PARAMS(.in_flight = RUN_QUEUES, .is_tls = true), PLAIN_RATE},
    {0},
};

const struct bench_set case_publish = {cases, rpc_pair_open, rpc_pair_close};

/* Another broker, which speaks the same protocol, under the same load: the peer is what --endpoint
 * names, and stands where the limit stands elsewhere. It has the topics and the group that
 * peers/rocketmq makes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/bench/load.h"
#include "tools/bench/observed.h"
#include "tools/bench/rpc_open.h"
#include "tools/bench/rpc_pair.h"
#include "tools/bench/rpc_wire.h"
#include "tools/bench/sets.h"
#include "tools/session.h"

#define PEER_TOPIC "sluice-bench"
#define PEER_RECEIVE_TOPIC "sluice-bench-receive"
#define PEER_GROUP "sluice-bench"
#define PEER_BROKER "peer"
#define NS_PER_S 1e9
#define NS_PER_MS 1e6
#define MIB 1048576.0
#define PER_MILLION 1e6

enum {
    COMMON_RATE = 4000, /* of the latency case: a third of what the slower one does */
    MAXIMUM_IN_FLIGHT = 64,
    FILL_IN_FLIGHT = 16,
    FILL_PER_MS = 8, /* messages that the peer is given to receive */
    SETTLE_NS = 2000000000,
    WARM_SINGLES = 5, /* times a run: a Java server compiles what it does often */
    WARM_BATCHES = 2,
};

struct peer_params {
    size_t in_flight;
    bool is_batch;
};

struct peer_state {
    struct bench_options own; /* the command line without the peer */
    struct rpc_pair *pair;    /* ours */
    struct client *client;
    struct session *session; /* the peer wants a consumer's settings first */
    struct run_target peer;
    struct run_requests singles, batches, fills;
    struct run_target consumer;
    struct receiver *receiver;
};

static void close_set(void *state)
{
    struct peer_state *st = state;
    struct err e;
    run_target_close(&st->consumer);
    receiver_free(st->receiver);
    run_target_close(&st->peer);
    if (st->session)
        (void)!session_close(st->session, &e); /* the peer goes away too */
    client_close(st->client);
    if (st->pair)
        rpc_pair_close(st->pair);
    run_requests_free(&st->singles);
    run_requests_free(&st->batches);
    run_requests_free(&st->fills);
    free(st);
}

static int open_session(struct peer_state *st, const char *endpoint, struct err *e)
{
    const struct client_options opt = {.endpoint = endpoint, .client_id = LOAD_CLIENT_ID};
    const struct session_options session = {
        .topic = PEER_RECEIVE_TOPIC, .expression = "*", .group = PEER_GROUP};
    client_silence_grpc();
    int rc = client_open(&st->client, &opt, e);
    return rc < 0 ? rc : session_open(&st->session, st->client, &session, e);
}

/* The first receive tells the peer where the group begins, so it comes before the messages. */
static int open_consumer(struct peer_state *st, const char *endpoint, struct err *e)
{
    const struct receive_options receive = {.group = PEER_GROUP,
                                            .topic = PEER_RECEIVE_TOPIC,
                                            .broker = PEER_BROKER,
                                            .n_loops = RUN_QUEUES};
    int rc = run_target_open(&st->consumer, endpoint, RUN_BROKER, e);
    if (rc == 0)
        rc = receiver_start(&st->receiver, &st->consumer, &receive, e);
    uint64_t end_ns = run_now_ns() + SETTLE_NS;
    while (rc == 0 && run_now_ns() < end_ns)
        (void)load_poll(st->consumer.load, SETTLE_NS);
    return rc;
}

static int warm_up(struct peer_state *st, struct err *e)
{
    uint64_t n;
    const struct run_publish singles = {.requests = &st->singles,
                                        .in_flight = MAXIMUM_IN_FLIGHT,
                                        .run_ms = WARM_SINGLES * st->own.run_ms};
    const struct run_publish batches = {.requests = &st->batches,
                                        .in_flight = FILL_IN_FLIGHT,
                                        .run_ms = WARM_BATCHES * st->own.run_ms};
    int rc = run_publish(&st->peer, &singles, &n, e);
    return rc < 0 ? rc : run_publish(&st->peer, &batches, &n, e);
}

static int open_peer(struct peer_state *st, const char *endpoint, struct err *e)
{
    void *pair = NULL;
    int rc = rpc_pair_open(&st->own, &pair, e);
    st->pair = pair;
    if (rc == 0)
        rc = run_requests_make(&st->singles, PEER_TOPIC, 1, RPC_BODY_BYTES, e);
    if (rc == 0)
        rc = run_requests_make(&st->batches, PEER_TOPIC, WIRE_BATCH, RPC_BODY_BYTES, e);
    if (rc == 0)
        rc = run_requests_make(&st->fills, PEER_RECEIVE_TOPIC, WIRE_BATCH, RPC_BODY_BYTES, e);
    if (rc == 0)
        rc = open_session(st, endpoint, e);
    if (rc == 0)
        rc = run_target_open(&st->peer, endpoint, RUN_BROKER, e);
    if (rc == 0)
        rc = warm_up(st, e);
    return rc;
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct peer_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare a peer");
    st->own = *opt;
    st->own.endpoint = NULL;
    int rc = open_peer(st, opt->endpoint, e);
    if (rc < 0)
        close_set(st);
    else
        *ret_state = st;
    return rc;
}

static void set_servers(struct bench_run *run, enum run_kind whose)
{
    const struct peer_state *st = run->state;
    for (size_t i = 0; i < USAGE_SERVERS_MAX; i++)
        run->servers[i] = whose == RUN_BROKER ? 0 : run->opt->servers[i];
    if (whose == RUN_BROKER)
        run->servers[0] = st->pair->own.pid;
}

static void yield(const struct bench_run *run, uint64_t n, double seconds, double *ret_values)
{
    ret_values[0] = (double)n / seconds;
    ret_values[1] = (double)run->spent.server_ns / NS_PER_S * PER_MILLION / (double)n;
    ret_values[2] = (double)usage_rss(run->servers) / MIB;
}

/* ---- publish ---- */

static int publish(struct bench_run *run, const struct bench_case *c, struct run_target *target,
                   const struct run_requests *requests, double *ret_values, struct err *e)
{
    const struct run_publish p = {
        .requests = requests,
        .in_flight = ((const struct peer_params *)c->params)->in_flight,
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

static bool is_batch(const struct bench_case *c)
{
    return ((const struct peer_params *)c->params)->is_batch;
}

static int publish_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct rpc_pair *pair = ((struct peer_state *)run->state)->pair;
    set_servers(run, RUN_BROKER);
    return publish(run, c, &pair->ours, is_batch(c) ? &pair->batches : &pair->singles, ret_values,
                   e);
}

static int publish_peer(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    struct peer_state *st = run->state;
    set_servers(run, RUN_PEER);
    return publish(run, c, &st->peer, is_batch(c) ? &st->batches : &st->singles, ret_values, e);
}

/* ---- latency at a common rate ---- */

static int open_loop(struct bench_run *run, struct run_target *target,
                     const struct run_requests *requests, double *ret_values, struct err *e)
{
    struct observed *seen;
    int rc = observed_begin(&seen, e);
    if (rc < 0)
        return rc;
    const struct run_open o = {.requests = requests,
                               .rate = COMMON_RATE,
                               .run_ms = run->opt->run_ms,
                               .timings = &seen->timings};
    uint64_t n;
    bench_start(run);
    rc = run_open(target, &o, &n, e);
    (void)bench_stop(run);
    observed_end(seen);
    if (rc == 0) {
        ret_values[0] = (double)latency_at(&seen->all, 0.50) / NS_PER_MS;
        ret_values[1] = (double)latency_at(&seen->all, 0.99) / NS_PER_MS;
        ret_values[2] = (double)latency_at(&seen->between, 0.50) / NS_PER_MS;
        ret_values[3] = (double)latency_at(&seen->between, 0.99) / NS_PER_MS;
    }
    observed_free(seen);
    return rc;
}

static int latency_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct rpc_pair *pair = ((struct peer_state *)run->state)->pair;
    set_servers(run, RUN_BROKER);
    return open_loop(run, &pair->ours, &pair->singles, ret_values, e);
}

static int latency_peer(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct peer_state *st = run->state;
    set_servers(run, RUN_PEER);
    return open_loop(run, &st->peer, &st->singles, ret_values, e);
}

/* ---- receive and acknowledge ---- */

static int receive_ours(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct rpc_pair *pair = ((struct peer_state *)run->state)->pair;
    char group[RPC_NAME_BYTES];
    struct run_target target = {0};
    struct receiver *r = NULL;
    set_servers(run, RUN_BROKER);
    int rc = rpc_pair_group(pair, RPC_FIRST, group, e);
    const struct receive_options opt = {
        .group = group, .topic = pair->topic, .n_loops = RUN_QUEUES};
    if (rc == 0)
        rc = run_target_open(&target, pair->broker.endpoint, RUN_BROKER, e);
    bench_start(run);
    if (rc == 0)
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

/* The peer's receives go on from run to run: one that was cut off would hide what it was given. */
static int receive_peer(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct peer_state *st = run->state;
    uint64_t n;
    const struct run_publish fill = {.requests = &st->fills,
                                     .in_flight = FILL_IN_FLIGHT,
                                     .n_requests = run->opt->run_ms * FILL_PER_MS / WIRE_BATCH + 1};
    set_servers(run, RUN_PEER);
    int rc = st->receiver ? 0 : open_consumer(st, run->opt->endpoint, e);
    if (rc == 0)
        rc = run_publish(&st->peer, &fill, &n, e);
    if (rc < 0)
        return rc;
    uint64_t before = *receiver_n_acked(st->receiver);
    bench_start(run);
    rc = receiver_drive(st->receiver, before + n / 4 * 3, e);
    double seconds = bench_stop(run);
    uint64_t n_acked = *receiver_n_acked(st->receiver) - before;
    if (rc == 0)
        rc = receiver_drive(st->receiver, before + n, e); /* the rest */
    if (rc == 0)
        yield(run, n_acked, seconds, ret_values);
    return rc;
}

#define PARAMS(...)                                                                                \
    &(const struct peer_params)                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define BOUND_RSS (1.0 / 20)
#define CPU_AND_RSS(cpu)                                                                           \
    {.name = "server CPU", .unit = "s/M", .target = "P1", .bound = (cpu), .is_most = true},        \
    {                                                                                              \
        .name = "RSS", .unit = "MiB", .target = "P1", .bound = BOUND_RSS, .is_most = true          \
    }

static const struct bench_case cases[] = {
    {"publish, 64 in flight",
     publish_ours,
     publish_peer,
     PARAMS(.in_flight = MAXIMUM_IN_FLIGHT),
     {{.unit = "msg/s", .target = "P1", .bound = 4.5}, CPU_AND_RSS(1.0 / 6)}},
    {"publish by 32, 16 in flight",
     publish_ours,
     publish_peer,
     PARAMS(.in_flight = 16, .is_batch = true),
     {{.unit = "msg/s", .target = "P1", .bound = 12}, CPU_AND_RSS(1.0 / 15)}},
    {"receive and ack by 32",
     receive_ours,
     receive_peer,
     PARAMS(.in_flight = RUN_QUEUES),
     {{.unit = "msg/s", .target = "P1", .bound = 12}, CPU_AND_RSS(1.0 / 15)}},
    {"publish at 4,000 msg/s",
     latency_ours,
     latency_peer,
     NULL,
     {{.name = "p50", .unit = "ms"},
      {.name = "p99", .unit = "ms"},
      {.name = "p50 between pauses", .unit = "ms"},
      {.name = "p99 between pauses", .unit = "ms"}}},
    {0},
};

const struct bench_set case_peer = {cases, open_set, close_set};

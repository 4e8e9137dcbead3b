/* `sluice bench rpc`: publishes to a broker and receives from it, beside a null gRPC server that is
 * given the same requests and answers with the same bytes without looking at anything.
 *
 * The answers are recorded from the broker first. Then both take turns, with one load generator;
 * the medians are compared. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "tools/admin.h"
#include "tools/bench/bench.h"
#include "tools/bench/null_server.h"
#include "tools/bench/rpc_run.h"
#include "tools/bench/rpc_servers.h"
#include "tools/bench/rpc_wire.h"
#include "tools/bench/scratch.h"
#include "tools/command.h"

enum {
    BODY_BYTES = 1024,
    RUNS_MAX = 99,
    IN_FLIGHT_MAX = 4096,
    MESSAGES_MIN = 1000,
    SMOKE_RUNS = 1,
    SMOKE_MESSAGES = 2000,
};
#define MESSAGES_MAX UINT64_C(100000000)
#define TARGET_R1 0.85
#define TARGET_R3 0.70

struct rpc_bench {
    struct options_broker broker; /* endpoint NULL: one of our own */
    const char *base;
    const char *json;
    uint64_t n_runs;
    uint64_t n_messages; /* in one run of each */
    uint64_t in_flight;
    bool smoke;

    char folder[SCRATCH_PATH_BYTES];
    char topic[64];
    struct bench_server own; /* the broker we started */
    struct bench_server null_server;
    struct client *client;    /* for what is not measured */
    struct run_target ours;   /* the broker */
    struct run_target theirs; /* the null server */
    struct run_publish publish;
    struct span publish_reply;
    struct run_capture capture;
    /* messages a second */
    double publishes[RUNS_MAX], null_publishes[RUNS_MAX];
    double receives[RUNS_MAX], null_receives[RUNS_MAX];
};

static int start_servers(struct rpc_bench *b, struct err *e)
{
    int rc = bench_fork_null(&b->null_server, e);
    if (rc < 0 || b->broker.endpoint)
        return rc;
    rc = scratch_make(b->folder, b->base, e);
    if (rc < 0)
        return rc;
    rc = bench_start_broker(&b->own, b->folder, e);
    b->broker.endpoint = b->own.endpoint;
    return rc;
}

/* ---- topic and groups ---- */

static void name_group(const struct rpc_bench *b, uint64_t run, char *ret_name, size_t size)
{
    (void)snprintf(ret_name, size, "%s-%" PRIu64, b->topic, run);
}

static int make_topic(struct rpc_bench *b, struct err *e)
{
    Sluice__V1__Topic topic = SLUICE__V1__TOPIC__INIT;
    Sluice__V1__CreateTopicRequest request = SLUICE__V1__CREATE_TOPIC_REQUEST__INIT;
    (void)snprintf(b->topic, sizeof b->topic, "sluice-bench-%ld", (long)getpid());
    topic.name = b->topic;
    topic.type = SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL;
    topic.read_queues = RUN_QUEUES;
    request.topic = &topic;
    return admin_tell(b->client, PROTO_CREATE_TOPIC, &request.base,
                      &sluice__v1__create_topic_response__descriptor, e);
}

static int make_group(struct rpc_bench *b, char *name, struct err *e)
{
    Sluice__V1__Group group = SLUICE__V1__GROUP__INIT;
    Sluice__V1__CreateGroupRequest create = SLUICE__V1__CREATE_GROUP_REQUEST__INIT;
    group.name = name;
    create.group = &group;
    int rc = admin_tell(b->client, PROTO_CREATE_GROUP, &create.base,
                        &sluice__v1__create_group_response__descriptor, e);
    if (rc < 0)
        return rc;
    Sluice__V1__SeekGroupRequest seek = SLUICE__V1__SEEK_GROUP_REQUEST__INIT;
    seek.group = name;
    seek.topic = b->topic;
    seek.to_case = SLUICE__V1__SEEK_GROUP_REQUEST__TO_EDGE;
    seek.edge = SLUICE__V1__SEEK_EDGE__SEEK_EARLIEST;
    return admin_tell(b->client, PROTO_SEEK_GROUP, &seek.base,
                      &sluice__v1__seek_group_response__descriptor, e);
}

/* What we made in somebody else's broker goes; what cannot be deleted is named. */
static void delete_all(struct rpc_bench *b)
{
    struct err e;
    char name[96];
    for (uint64_t i = 0; i <= b->n_runs; i++) {
        Sluice__V1__DeleteGroupRequest group = SLUICE__V1__DELETE_GROUP_REQUEST__INIT;
        name_group(b, i, name, sizeof name);
        group.name = name;
        (void)!admin_tell(b->client, PROTO_DELETE_GROUP, &group.base,
                          &sluice__v1__delete_group_response__descriptor, &e);
    }
    Sluice__V1__DeleteTopicRequest topic = SLUICE__V1__DELETE_TOPIC_REQUEST__INIT;
    topic.name = b->topic;
    if (admin_tell(b->client, PROTO_DELETE_TOPIC, &topic.base,
                   &sluice__v1__delete_topic_response__descriptor, &e) < 0)
        fprintf(stderr, "sluice bench rpc: delete topic '%s': %s\n", b->topic, e.msg);
}

/* ---- requests and answers ---- */

static int make_requests(struct rpc_bench *b, struct err *e)
{
    static uint8_t body[BODY_BYTES];
    struct message_id_maker ids;
    message_id_init(&ids);
    memset(body, 'b', sizeof body);
    b->publish.in_flight = b->in_flight;
    b->publish.n_messages = b->n_messages;
    int rc = 0;
    for (int i = 0; i < RUN_REQUESTS && rc == 0; i++)
        rc = rpc_wire_publish(&ids, b->topic, i % RUN_QUEUES, span_of(body, sizeof body),
                              &b->publish.requests[i], e);
    return rc;
}

/* Fills the topic, and keeps what the broker answers. */
static int record_answers(struct rpc_bench *b, struct err *e)
{
    char group[96];
    double rate;
    struct run_publish fill = b->publish;
    fill.reply = &b->publish_reply;
    int rc = run_publish(&b->ours, &fill, &rate, e);
    name_group(b, b->n_runs, group, sizeof group);
    if (rc == 0)
        rc = make_group(b, group, e);
    const struct run_receive receive = {
        .group = group, .topic = b->topic, .n_messages = 1, .capture = &b->capture};
    if (rc == 0)
        rc = run_receive(&b->ours, &receive, &rate, e);
    return rc < 0 ? err_wrap(e, "record the broker's answers") : 0;
}

static int feed_null(struct rpc_bench *b, struct err *e)
{
    const struct null_answer answers[] = {
        {PROTO_SEND_MESSAGE, &b->publish_reply, 1},
        {PROTO_RECEIVE_MESSAGE, b->capture.messages, b->capture.n_messages},
        {PROTO_ACK_MESSAGE, &b->capture.ack, 1},
    };
    return bench_feed_null(&b->null_server, answers, sizeof answers / sizeof answers[0], e);
}

static int prepare(struct rpc_bench *b, struct err *e)
{
    int rc = wire_connect(&b->client, &b->broker, e);
    if (rc == 0)
        rc = make_topic(b, e);
    if (rc == 0)
        rc = make_requests(b, e);
    if (rc == 0)
        rc = run_target_open(&b->ours, b->broker.endpoint, e);
    if (rc == 0)
        rc = record_answers(b, e);
    if (rc == 0)
        rc = feed_null(b, e);
    if (rc == 0)
        rc = run_target_open(&b->theirs, b->null_server.endpoint, e);
    return rc;
}

/* ---- runs ---- */

static int run_once(struct rpc_bench *b, uint64_t i, struct err *e)
{
    char group[96];
    name_group(b, i, group, sizeof group);
    const struct run_receive receive = {
        .group = group, .topic = b->topic, .n_messages = b->n_messages};
    int rc = run_publish(&b->ours, &b->publish, &b->publishes[i], e);
    if (rc == 0)
        rc = run_publish(&b->theirs, &b->publish, &b->null_publishes[i], e);
    if (rc == 0)
        rc = make_group(b, group, e);
    if (rc == 0)
        rc = run_receive(&b->ours, &receive, &b->receives[i], e);
    if (rc == 0)
        rc = run_receive(&b->theirs, &receive, &b->null_receives[i], e);
    return rc;
}

static int run_all(struct rpc_bench *b, struct err *e)
{
    for (uint64_t i = 0; i < b->n_runs; i++) {
        int rc = run_once(b, i, e);
        if (rc < 0)
            return rc;
        fprintf(stderr,
                "run %" PRIu64 " of %" PRIu64 ": publish %.0f msg/s, null %.0f; "
                "receive and ack %.0f, null %.0f\n",
                i + 1, b->n_runs, b->publishes[i], b->null_publishes[i], b->receives[i],
                b->null_receives[i]);
    }
    return 0;
}

static int report(struct rpc_bench *b, struct err *e)
{
    char publish_name[64];
    (void)snprintf(publish_name, sizeof publish_name, "publish 1 KiB, %" PRIu64 " at once",
                   b->in_flight);
    const struct bench_result results[] = {
        {.bench = "rpc",
         .name = publish_name,
         .unit = "msg/s",
         .value = bench_median(b->publishes, b->n_runs),
         .limit = bench_median(b->null_publishes, b->n_runs),
         .target = TARGET_R1},
        {.bench = "rpc",
         .name = "receive and ack by 32",
         .unit = "msg/s",
         .value = bench_median(b->receives, b->n_runs),
         .limit = bench_median(b->null_receives, b->n_runs),
         .target = TARGET_R3},
    };
    struct bench_report *report;
    int rc = bench_report_new(&report, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof results / sizeof results[0] && rc == 0; i++)
        rc = bench_report_add(report, &results[i], e);
    if (rc == 0)
        bench_report_print(report, stdout);
    if (rc == 0 && b->json)
        rc = bench_report_write(report, b->json, e);
    bench_report_free(report);
    return rc;
}

static void clean_up(struct rpc_bench *b)
{
    if (b->client && b->topic[0] && b->own.pid == 0)
        delete_all(b);
    run_target_close(&b->ours);
    run_target_close(&b->theirs);
    client_close(b->client);
    bench_stop(&b->null_server);
    bench_stop(&b->own);
    scratch_remove(b->folder);
    for (int i = 0; i < RUN_REQUESTS; i++)
        free((void *)b->publish.requests[i].ptr);
    free((void *)b->publish_reply.ptr);
    run_capture_free(&b->capture);
}

static int run(struct rpc_bench *b, struct err *e)
{
    int rc = start_servers(b, e);
    if (rc == 0)
        rc = prepare(b, e);
    if (rc == 0)
        rc = run_all(b, e);
    if (rc == 0)
        rc = report(b, e);
    clean_up(b);
    return rc;
}

static struct rpc_bench bench;

static const struct option_spec specs[] = {
    {.name = "endpoint",
     .kind = OPTION_TEXT,
     .ret = &bench.broker.endpoint,
     .value = "HOST:PORT",
     .help = "a running broker (default: one is started on a scratch store)"},
    {.name = "messages",
     .kind = OPTION_NUMBER,
     .ret = &bench.n_messages,
     .value = "N",
     .fallback = "100000",
     .help = "messages in one run",
     .min = MESSAGES_MIN,
     .max = MESSAGES_MAX},
    {.name = "in-flight",
     .kind = OPTION_NUMBER,
     .ret = &bench.in_flight,
     .value = "N",
     .fallback = "64",
     .help = "publishes under way at once",
     .min = 1,
     .max = IN_FLIGHT_MAX},
    {.name = "runs",
     .kind = OPTION_NUMBER,
     .ret = &bench.n_runs,
     .value = "N",
     .fallback = "5",
     .help = "runs of each, in turns; medians are shown",
     .min = 1,
     .max = RUNS_MAX},
    {.name = "dir",
     .kind = OPTION_TEXT,
     .ret = &bench.base,
     .value = "DIR",
     .fallback = "/var/tmp",
     .help = "where the scratch store is made"},
    {.name = "smoke",
     .kind = OPTION_FLAG,
     .ret = &bench.smoke,
     .help = "a short run that only shows that it works (default: a whole one)"},
    {.name = "json",
     .kind = OPTION_TEXT,
     .ret = &bench.json,
     .value = "FILE",
     .help = "write the report there as JSON too (default: no)"},
    {0},
};

int bench_rpc(int argc, char **argv)
{
    const struct options o = {
        .program = "sluice bench rpc",
        .operands = "",
        .summary =
            "Publishes 1 KiB messages, receives and acknowledges them, beside a gRPC server\n"
            "that answers the same requests with the same bytes and does nothing else.",
        .specs = specs,
    };
    int first;
    int rc = options_parse(&o, argc, argv, &first);
    if (rc != OPTIONS_RUN)
        return rc;
    if (bench.smoke) {
        bench.n_messages = SMOKE_MESSAGES;
        bench.n_runs = SMOKE_RUNS;
    }
    struct err e;
    return run(&bench, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

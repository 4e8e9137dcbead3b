/* A broker and the null server, ready to be measured. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/proto.h"
#include "tools/admin.h"
#include "tools/bench/null_server.h"
#include "tools/bench/rpc_wire.h"

enum { MESSAGES_PER_MS = 100, FILL_IN_FLIGHT = 8, MESSAGES_MIN = 2048 };

static int start_servers(struct rpc_pair *p, struct err *e)
{
    int rc = bench_start_null(&p->null_server, e);
    p->broker.endpoint = p->opt->endpoint;
    if (rc < 0 || p->broker.endpoint)
        return rc;
    rc = scratch_make(p->folder, p->opt->dir, e);
    if (rc == 0)
        rc = bench_start_broker(&p->own, p->folder, e);
    p->broker.endpoint = p->own.endpoint;
    return rc;
}

/* ---- topic and groups ---- */

static void name_group(const struct rpc_pair *p, unsigned i, char ret_name[RPC_NAME_BYTES])
{
    (void)snprintf(ret_name, RPC_NAME_BYTES, "%s-%u", p->topic, i);
}

static int make_topic(struct rpc_pair *p, struct err *e)
{
    Sluice__V1__Topic topic = SLUICE__V1__TOPIC__INIT;
    Sluice__V1__CreateTopicRequest request = SLUICE__V1__CREATE_TOPIC_REQUEST__INIT;
    (void)snprintf(p->topic, sizeof p->topic, "sluice-bench-%ld", (long)getpid());
    topic.name = p->topic;
    topic.type = SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL;
    topic.read_queues = RUN_QUEUES;
    request.topic = &topic;
    int rc = admin_tell(p->client, PROTO_CREATE_TOPIC, &request.base,
                        &sluice__v1__create_topic_response__descriptor, e);
    if (rc < 0)
        p->topic[0] = '\0'; /* so there is nothing to delete */
    return rc;
}

int rpc_pair_group(struct rpc_pair *p, enum rpc_begin begin, char ret_name[RPC_NAME_BYTES],
                   struct err *e)
{
    Sluice__V1__Group group = SLUICE__V1__GROUP__INIT;
    Sluice__V1__CreateGroupRequest create = SLUICE__V1__CREATE_GROUP_REQUEST__INIT;
    name_group(p, p->n_groups++, ret_name);
    group.name = ret_name;
    create.group = &group;
    int rc = admin_tell(p->client, PROTO_CREATE_GROUP, &create.base,
                        &sluice__v1__create_group_response__descriptor, e);
    if (rc < 0)
        return rc;
    Sluice__V1__SeekGroupRequest seek = SLUICE__V1__SEEK_GROUP_REQUEST__INIT;
    seek.group = ret_name;
    seek.topic = p->topic;
    seek.to_case = SLUICE__V1__SEEK_GROUP_REQUEST__TO_EDGE;
    seek.edge = begin == RPC_FIRST ? SLUICE__V1__SEEK_EDGE__SEEK_EARLIEST
                                   : SLUICE__V1__SEEK_EDGE__SEEK_LATEST;
    return admin_tell(p->client, PROTO_SEEK_GROUP, &seek.base,
                      &sluice__v1__seek_group_response__descriptor, e);
}

/* What we made in somebody else's broker goes; what cannot be deleted is named. */
static void delete_all(struct rpc_pair *p)
{
    struct err e;
    char name[RPC_NAME_BYTES];
    for (unsigned i = 0; i < p->n_groups; i++) {
        Sluice__V1__DeleteGroupRequest group = SLUICE__V1__DELETE_GROUP_REQUEST__INIT;
        name_group(p, i, name);
        group.name = name;
        (void)!admin_tell(p->client, PROTO_DELETE_GROUP, &group.base,
                          &sluice__v1__delete_group_response__descriptor, &e);
    }
    Sluice__V1__DeleteTopicRequest topic = SLUICE__V1__DELETE_TOPIC_REQUEST__INIT;
    topic.name = p->topic;
    if (admin_tell(p->client, PROTO_DELETE_TOPIC, &topic.base,
                   &sluice__v1__delete_topic_response__descriptor, &e) < 0)
        fprintf(stderr, "sluice bench: delete topic '%s': %s\n", p->topic, e.msg);
}

/* ---- requests and answers ---- */

static int fill(struct rpc_pair *p, const struct run_requests *requests, uint64_t n_requests,
                struct span *ret_reply, struct err *e)
{
    uint64_t n;
    const struct run_publish publish = {.requests = requests,
                                        .in_flight = FILL_IN_FLIGHT,
                                        .n_requests = n_requests,
                                        .reply = ret_reply};
    return run_publish(&p->ours, &publish, &n, e);
}

/* One receive of 32 and its ack, on a connection of its own. */
static int record_receive(struct rpc_pair *p, struct err *e)
{
    char group[RPC_NAME_BYTES];
    struct run_target target = {0};
    struct receiver *r = NULL;
    int rc = rpc_pair_group(p, RPC_FIRST, group, e);
    if (rc == 0)
        rc = run_target_open(&target, p->broker.endpoint, RUN_BROKER, e);
    const struct receive_options opt = {
        .group = group, .topic = p->topic, .n_loops = 1, .capture = &p->capture};
    if (rc == 0)
        rc = receiver_start(&r, &target, &opt, e);
    if (rc == 0)
        rc = receiver_drive(r, WIRE_BATCH, e);
    run_target_close(&target);
    receiver_free(r);
    return rc;
}

/* Fills the topic, and keeps what the broker answers. */
static int record_answers(struct rpc_pair *p, struct err *e)
{
    p->n_filled = p->opt->run_ms * MESSAGES_PER_MS;
    if (p->n_filled < MESSAGES_MIN)
        p->n_filled = MESSAGES_MIN;
    int rc = fill(p, &p->singles, RUN_QUEUES, &p->single_reply, e);
    if (rc == 0)
        rc = fill(p, &p->batches, p->n_filled / WIRE_BATCH, &p->batch_reply, e);
    if (rc == 0)
        rc = record_receive(p, e);
    return rc < 0 ? err_wrap(e, "record the broker's answers") : 0;
}

static int feed_null(struct rpc_pair *p, struct err *e)
{
    const struct null_answer answers[] = {
        {PROTO_SEND_MESSAGE, &p->single_reply, 1},
        {RUN_NULL_BATCH, &p->batch_reply, 1},
        {PROTO_RECEIVE_MESSAGE, p->capture.messages, p->capture.n_messages},
        {PROTO_ACK_MESSAGE, &p->capture.ack, 1},
    };
    return bench_feed_null(&p->null_server, answers, sizeof answers / sizeof answers[0], e);
}

static int prepare(struct rpc_pair *p, struct err *e)
{
    int rc = start_servers(p, e);
    if (rc == 0)
        rc = wire_connect(&p->client, &p->broker, e);
    if (rc == 0)
        rc = make_topic(p, e);
    if (rc == 0)
        rc = run_requests_make(&p->singles, p->topic, 1, RPC_BODY_BYTES, e);
    if (rc == 0)
        rc = run_requests_make(&p->batches, p->topic, WIRE_BATCH, RPC_BODY_BYTES, e);
    if (rc == 0)
        rc = run_target_open(&p->ours, p->broker.endpoint, RUN_BROKER, e);
    if (rc == 0)
        rc = record_answers(p, e);
    if (rc == 0)
        rc = feed_null(p, e);
    if (rc == 0)
        rc = run_target_open(&p->theirs, p->null_server.endpoint, RUN_NULL, e);
    if (rc == 0)
        rc = run_target_open(&p->ours_tls, p->broker.endpoint, RUN_BROKER_TLS, e);
    if (rc == 0)
        rc = run_target_open(&p->theirs_tls, p->null_server.tls_endpoint, RUN_NULL_TLS, e);
    return rc;
}

int rpc_pair_open(const struct bench_options *opt, void **ret_pair, struct err *e)
{
    struct rpc_pair *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "prepare a broker and the null server");
    p->opt = opt;
    int rc = prepare(p, e);
    if (rc < 0)
        rpc_pair_close(p);
    else
        *ret_pair = p;
    return rc;
}

void rpc_pair_close(void *pair)
{
    struct rpc_pair *p = pair;
    if (p->client && p->topic[0] && p->own.pid == 0)
        delete_all(p);
    run_target_close(&p->ours);
    run_target_close(&p->theirs);
    run_target_close(&p->ours_tls);
    run_target_close(&p->theirs_tls);
    client_close(p->client);
    bench_stop_server(&p->null_server);
    bench_stop_server(&p->own);
    scratch_remove(p->folder);
    run_requests_free(&p->singles);
    run_requests_free(&p->batches);
    free((void *)p->single_reply.ptr);
    free((void *)p->batch_reply.ptr);
    receive_capture_free(&p->capture);
    free(p);
}

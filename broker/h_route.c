/* QueryRoute and QueryAssignment (rocketmq-grpc 6.1, 6.2): where the queues of a topic are. There
 * is one broker; clients reach it as they reached it for the query. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <stdlib.h>

enum { ENDPOINTS_MAX = 1 };

/* The broker in a reply, and where it can be reached when the client did not say. */
struct place {
    V2(Broker) broker;
    V2(Endpoints) endpoints;
    V2(Address) address;
    V2(Address) *addresses[ENDPOINTS_MAX];
};

/* The addresses are sent back as the client wrote them, so that NAT and names keep working. */
static void init_place(struct place *p, const struct broker *b, V2(Endpoints) *asked)
{
    *p = (struct place){.broker = APACHE__ROCKETMQ__V2__BROKER__INIT,
                        .endpoints = APACHE__ROCKETMQ__V2__ENDPOINTS__INIT,
                        .address = APACHE__ROCKETMQ__V2__ADDRESS__INIT};
    p->broker.name = (char *)b->cfg.broker_name;
    p->broker.endpoints = asked && asked->n_addresses > 0 ? asked : &p->endpoints;
    p->address.host = (char *)b->cfg.broker_ip;
    p->address.port = broker_port(b);
    p->addresses[0] = &p->address;
    p->endpoints.scheme = strchr(b->cfg.broker_ip, ':')
                              ? APACHE__ROCKETMQ__V2__ADDRESS_SCHEME__IPv6
                              : APACHE__ROCKETMQ__V2__ADDRESS_SCHEME__IPv4;
    p->endpoints.addresses = p->addresses;
    p->endpoints.n_addresses = 1;
}

/* ---- QueryRoute ---- */

/* The message types of a queue, NULL-free and in the order of their numbers. */
struct accepted {
    V2(MessageType) types[4];
    size_t n;
};

static struct accepted accepted_types(enum topic_type type)
{
    if (type == TOPIC_MIXED)
        return (struct accepted){
            {APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL, APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO},
            2};
    return (struct accepted){{(V2(MessageType))type}, 1};
}

/* How many queues of each kind, in the order in which their ids run. */
struct kinds {
    uint32_t n_read, n_write, n_both, n_none;
};

static struct kinds count_kinds(const struct topic_info *topic)
{
    bool can_read = topic->perm & TOPIC_PERM_READ, can_write = topic->perm & TOPIC_PERM_WRITE;
    uint32_t n_read = can_read ? topic->n_read_queues : 0;
    uint32_t n_write = can_write ? topic->n_write_queues : 0;
    uint32_t n_both = n_read < n_write ? n_read : n_write;
    struct kinds k = {.n_read = n_read - n_both, .n_write = n_write - n_both, .n_both = n_both};
    if (!can_read && !can_write)
        k.n_none = topic->n_read_queues > 0 ? topic->n_read_queues : 1;
    return k;
}

static V2(Permission) permission_of(const struct kinds *k, uint32_t queue_id)
{
    if (k->n_none > 0)
        return APACHE__ROCKETMQ__V2__PERMISSION__NONE;
    if (queue_id < k->n_read)
        return APACHE__ROCKETMQ__V2__PERMISSION__READ;
    if (queue_id < k->n_read + k->n_write)
        return APACHE__ROCKETMQ__V2__PERMISSION__WRITE;
    return APACHE__ROCKETMQ__V2__PERMISSION__READ_WRITE;
}

/* One allocation: the pointers, then the queues. NULL: no memory. */
static V2(MessageQueue) **make_queues(size_t n)
{
    V2(MessageQueue) **list = calloc(n + 1, sizeof list[0] + sizeof *list[0]); /* n may be 0 */
    if (!list)
        return NULL;
    V2(MessageQueue) *queues = (void *)(list + n);
    for (size_t i = 0; i < n; i++) {
        list[i] = &queues[i];
        queues[i] = (V2(MessageQueue))APACHE__ROCKETMQ__V2__MESSAGE_QUEUE__INIT;
    }
    return list;
}

static void reply_route_status(struct rpc_call *call, struct status *st)
{
    V2(Status) status = handler_status(st);
    V2(QueryRouteResponse) reply = APACHE__ROCKETMQ__V2__QUERY_ROUTE_RESPONSE__INIT;
    reply.status = &status;
    handler_reply(call, &reply.base);
}

static void reply_route(struct broker *b, struct rpc_call *call, const V2(QueryRouteRequest) *req,
                        const struct topic_info *topic)
{
    struct kinds kinds = count_kinds(topic);
    struct accepted accepted = accepted_types(topic->type);
    size_t n = (size_t)kinds.n_read + kinds.n_write + kinds.n_both + kinds.n_none;
    V2(MessageQueue) **list = make_queues(n);
    if (!list) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the route");
        return;
    }
    struct place place;
    init_place(&place, b, req->endpoints);
    for (size_t i = 0; i < n; i++) {
        list[i]->topic = req->topic;
        list[i]->id = (int32_t)i;
        list[i]->permission = permission_of(&kinds, (uint32_t)i);
        list[i]->broker = &place.broker;
        list[i]->accept_message_types = accepted.types;
        list[i]->n_accept_message_types = accepted.n;
    }
    struct status st;
    status_ok(&st);
    V2(Status) status = handler_status(&st);
    V2(QueryRouteResponse) reply = APACHE__ROCKETMQ__V2__QUERY_ROUTE_RESPONSE__INIT;
    reply.status = &status;
    reply.message_queues = list;
    reply.n_message_queues = n;
    handler_reply(call, &reply.base);
    free(list);
}

void h_route_query(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct status st;
    struct span client_id;
    struct topic_info topic;
    V2(QueryRouteRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__query_route_request__descriptor);
    if (!req)
        return;
    int rc = handler_client_id(b, call, &client_id, &st);
    if (!rc)
        rc = handler_await_topic(b, call, handler_name(req->topic), &st);
    if (!rc)
        rc = handler_topic(b, handler_name(req->topic), &topic, &st);
    if (!rc)
        reply_route(b, call, req, &topic);
    else if (rc != HANDLER_PUT_OFF)
        reply_route_status(call, &st);
}

/* ---- QueryAssignment ---- */

static void reply_assignment_status(struct rpc_call *call, struct status *st)
{
    V2(Status) status = handler_status(st);
    V2(QueryAssignmentResponse) reply = APACHE__ROCKETMQ__V2__QUERY_ASSIGNMENT_RESPONSE__INIT;
    reply.status = &status;
    handler_reply(call, &reply.base);
}

/* One allocation: the pointers, then the assignments. NULL: no memory. */
static V2(Assignment) **make_assignments(V2(MessageQueue) **queues, size_t n)
{
    V2(Assignment) **list = calloc(n, sizeof list[0] + sizeof *list[0]);
    if (!list)
        return NULL;
    V2(Assignment) *assignments = (void *)(list + n);
    for (size_t i = 0; i < n; i++) {
        list[i] = &assignments[i];
        assignments[i] = (V2(Assignment))APACHE__ROCKETMQ__V2__ASSIGNMENT__INIT;
        assignments[i].message_queue = queues[i];
    }
    return list;
}

/* A plain group is given the whole topic as one entry: every receive takes from any queue. An
 * orderly group is given its queues one by one. */
static void reply_assignment(struct broker *b, struct rpc_call *call,
                             const V2(QueryAssignmentRequest) *req, const struct topic_info *topic,
                             bool is_fifo)
{
    size_t n = is_fifo ? topic->n_read_queues : 1;
    V2(MessageQueue) **queues = make_queues(n);
    V2(Assignment) **list = queues ? make_assignments(queues, n) : NULL;
    if (!list) {
        free(queues);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the assignment");
        return;
    }
    struct place place;
    init_place(&place, b, req->endpoints);
    for (size_t i = 0; i < n; i++) {
        queues[i]->topic = req->topic;
        queues[i]->id = is_fifo ? (int32_t)i : -1;
        queues[i]->permission = topic->perm & TOPIC_PERM_WRITE
                                    ? APACHE__ROCKETMQ__V2__PERMISSION__READ_WRITE
                                    : APACHE__ROCKETMQ__V2__PERMISSION__READ;
        queues[i]->broker = &place.broker;
    }
    struct status st;
    status_ok(&st);
    V2(Status) status = handler_status(&st);
    V2(QueryAssignmentResponse) reply = APACHE__ROCKETMQ__V2__QUERY_ASSIGNMENT_RESPONSE__INIT;
    reply.status = &status;
    reply.assignments = list;
    reply.n_assignments = n;
    handler_reply(call, &reply.base);
    free(list);
    free(queues);
}

static int find_assignment(struct broker *b, const V2(QueryAssignmentRequest) *req,
                           struct topic_info *topic, struct group_info *group, struct status *st)
{
    int rc = handler_topic(b, handler_name(req->topic), topic, st);
    if (!rc)
        rc = handler_group(b, handler_name(req->group), group, st);
    if (!rc && (!(topic->perm & TOPIC_PERM_READ) || topic->n_read_queues == 0))
        rc = status_set(st, CODE(FORBIDDEN), "no readable queue in topic '%s'", topic->name);
    return rc;
}

void h_route_assignment(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct status st;
    struct span client_id;
    struct topic_info topic;
    struct group_info group;
    V2(QueryAssignmentRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__query_assignment_request__descriptor);
    if (!req)
        return;
    int rc = handler_client_id(b, call, &client_id, &st);
    if (!rc)
        rc = handler_await_topic(b, call, handler_name(req->topic), &st);
    if (!rc)
        rc = find_assignment(b, req, &topic, &group, &st);
    if (!rc)
        reply_assignment(b, call, req, &topic, group.fifo);
    else if (rc != HANDLER_PUT_OFF)
        reply_assignment_status(call, &st);
}

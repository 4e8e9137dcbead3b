/* The table of served calls, and what all handlers need. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "broker/bounds.h"

#define UNARY(name, fn)                                                                            \
    {                                                                                              \
        .path = (name), .kind = RPC_UNARY, .on_request = (fn)                                      \
    }

const struct rpc_method handler_methods[] = {
    UNARY(PROTO_QUERY_ROUTE, h_route_query),
    UNARY(PROTO_QUERY_ASSIGNMENT, h_route_assignment),
    UNARY(PROTO_HEARTBEAT, h_session_heartbeat),
    UNARY(PROTO_NOTIFY_TERMINATION, h_session_termination),
    UNARY(PROTO_SEND_MESSAGE, h_send),
    UNARY(PROTO_ACK_MESSAGE, h_ack),
    UNARY(PROTO_CHANGE_INVISIBLE, h_ack_change_invisible),
    UNARY(PROTO_FORWARD_TO_DLQ, h_ack_forward_dead),
    UNARY(PROTO_CREATE_TOPIC, h_admin_create_topic),
    UNARY(PROTO_LIST_TOPICS, h_admin_list_topics),
    UNARY(PROTO_GET_TOPIC, h_admin_get_topic),
    UNARY(PROTO_DELETE_TOPIC, h_admin_delete_topic),
    UNARY(PROTO_CREATE_GROUP, h_admin_create_group),
    UNARY(PROTO_LIST_GROUPS, h_admin_list_groups),
    UNARY(PROTO_GET_GROUP, h_admin_get_group),
    UNARY(PROTO_DELETE_GROUP, h_admin_delete_group),
    UNARY(PROTO_SEEK_GROUP, h_admin_seek_group),
    UNARY(PROTO_GET_MEMORY, h_admin_get_memory),
    UNARY(PROTO_GET_STATS, h_admin_get_stats),
    UNARY(PROTO_FIND_MESSAGES, h_admin_find_messages),
    UNARY(PROTO_GET_ACTIVITY, h_admin_get_activity),
    {.path = PROTO_RECEIVE_MESSAGE,
     .kind = RPC_SERVER_STREAM,
     .on_request = h_receive,
     .on_end = h_receive_end},
    {.path = PROTO_TELEMETRY,
     .kind = RPC_BIDI,
     .on_open = h_session_telemetry_open,
     .on_request = h_session_telemetry,
     .on_end = h_session_telemetry_end},
};

const size_t handler_n_methods = sizeof handler_methods / sizeof handler_methods[0];

/* ---- requests ---- */

static void refuse(struct rpc_call *call, const struct err *e)
{
    rpc_finish(call, e->code == ERR_TOOBIG ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT, e->msg);
}

void *handler_unpack(struct rpc_call *call, const ProtobufCMessageDescriptor *type)
{
    struct err e;
    ProtobufCMessage *message = NULL;
    size_t n = 0;
    const struct span *slices = rpc_request(call, &n);
    if (proto_unpack_in(rpc_arena(call), type, slices, n, &message, &e))
        refuse(call, &e);
    return message;
}

void *handler_unpack_own(struct rpc_call *call, const ProtobufCMessageDescriptor *type)
{
    struct err e;
    ProtobufCMessage *message = NULL;
    size_t n = 0;
    const struct span *slices = rpc_request(call, &n);
    if (proto_unpack(type, slices, n, /* max_bytes = */ 0, &message, &e))
        refuse(call, &e);
    return message;
}

void handler_free(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

static bool is_blank(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ' && text.ptr[i] != '\t')
            return false;
    return true;
}

int handler_client_id(struct broker *b, const struct rpc_call *call, struct span *ret_id,
                      struct status *ret_status)
{
    struct span id = rpc_metadata(call, "x-mq-client-id");
    if (is_blank(id))
        return status_set(ret_status, CODE(CLIENT_ID_REQUIRED),
                          "the header 'x-mq-client-id' is missing or blank");
    (void)session_touch(b->sessions, id, handler_now_ms(b)); /* an unknown client is served too */
    *ret_id = id;
    return 0;
}

struct span handler_name(const V2(Resource) *resource)
{
    return resource ? span_str(resource->name) : (struct span){0};
}

int64_t handler_duration_ms(const Google__Protobuf__Duration *d)
{
    int64_t ms;
    if (!d)
        return 0;
    if (__builtin_mul_overflow(d->seconds, 1000, &ms) ||
        __builtin_add_overflow(ms, d->nanos / 1000000, &ms))
        return d->seconds < 0 ? INT64_MIN : INT64_MAX;
    return ms;
}

/* ---- what a request names ---- */

static int topic_not_found(struct span name, struct status *st)
{
    return status_set(
        st, CODE(TOPIC_NOT_FOUND),
        "CODE: 17  DESC: No topic route info in name server for the topic: %.*s\n"
        "See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.",
        (int)name.len, (const char *)name.ptr);
}

int handler_topic(struct broker *b, struct span name, struct topic_info *ret,
                  struct status *ret_status)
{
    int rc = bounds_check_topic(name, ret_status);
    if (rc)
        return rc;
    return topic_get(b->topics, name, ret) ? 0 : topic_not_found(name, ret_status);
}

/* ---- topics made on first use ---- */

/* A call that waits for its topic. */
struct making {
    struct broker *b;
    struct rpc_call *call; /* lives at least until it is taken up */
    struct topic_info want;
};

/* On the housekeeper, who may wait for the disk. */
static void make_topic(void *arg)
{
    struct making *m = arg;
    struct err e;
    int rc = topic_ensure(m->b->topics, &m->want, &e);
    if (rc)
        log_warn("make topic '%s' on first use: %s", m->want.name, e.msg);
    rpc_take_up(m->call, rc ? rc : 1);
    free(m);
}

static int say_not_made(struct span name, int rc, struct status *st)
{
    return status_set(st, status_code_of(rc),
                      "topic '%.*s' cannot be made, the broker's log says why", (int)name.len,
                      (const char *)name.ptr);
}

int handler_await_topic(struct broker *b, struct rpc_call *call, struct span name,
                        struct status *ret_status)
{
    struct err e;
    struct topic_info have;
    int outcome = rpc_outcome(call);
    if (!b->cfg.auto_create_topics || outcome > 0 || topic_get(b->topics, name, &have))
        return 0;
    int rc = bounds_check_topic(name, ret_status);
    if (rc)
        return rc;
    if (outcome < 0)
        return say_not_made(name, outcome, ret_status);
    struct making *m = malloc(sizeof *m);
    if (!m)
        return say_not_made(name, ERR_NOMEM, ret_status);
    *m = (struct making){.b = b,
                         .call = call,
                         .want = {.type = TOPIC_NORMAL,
                                  .n_read_queues = (uint32_t)b->cfg.default_queues,
                                  .n_write_queues = (uint32_t)b->cfg.default_queues,
                                  .perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE}};
    memcpy(m->want.name, name.ptr, name.len); /* checked: it fits */
    rpc_put_off(call);
    if (keeper_post(b->keeper, make_topic, m, &e)) {
        log_warn("make topic '%s' on first use: %s", m->want.name, e.msg);
        rpc_take_up(call, e.code);
        free(m);
    }
    return HANDLER_PUT_OFF;
}

int handler_group(struct broker *b, struct span name, struct group_info *ret,
                  struct status *ret_status)
{
    struct err e;
    int rc = bounds_check_group(name, ret_status);
    if (rc)
        return rc;
    if (group_get(b->groups, name, ret))
        return 0;
    if (!b->cfg.auto_create_groups)
        return status_set(ret_status, CODE(CONSUMER_GROUP_NOT_FOUND),
                          "consumer group '%.*s' does not exist", (int)name.len,
                          (const char *)name.ptr);
    rc = group_use(b->groups, name, ret, &e);
    return rc ? status_of_err(ret_status, &e) : 0;
}

int handler_lease(struct broker *b, const struct group_info *group, struct span topic,
                  struct lease **ret_lease, struct status *ret_status)
{
    struct err e;
    int rc = lease_get(b->leases, span_str(group->name), topic,
                       group->fifo ? LEASE_ORDERLY : LEASE_PLAIN, ret_lease, &e);
    return rc ? status_of_err(ret_status, &e) : 0;
}

/* ---- replies ---- */

V2(Status) handler_status(struct status *st)
{
    V2(Status) message = APACHE__ROCKETMQ__V2__STATUS__INIT;
    message.code = (V2(Code))st->code;
    message.message = st->text;
    return message;
}

bool handler_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    struct err e;
    uint8_t *buf = NULL;
    size_t len = 0;
    if (proto_pack(message, &buf, &len, &e)) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
        return false;
    }
    struct rpc_piece piece = {.bytes = span_of(buf, len), .release = free, .arg = buf};
    rpc_send(call, &piece, 1, /* more = */ false);
    return true;
}

void handler_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (handler_send(call, message))
        rpc_finish(call, RPC_OK, /* text = */ NULL);
}

uint64_t handler_now_ms(const struct broker *b)
{
    return steady_clock_now_ms(&b->clock);
}

uint64_t handler_mono_ms(const struct broker *b)
{
    return b->io->mono_ns(b->io) / 1000000;
}

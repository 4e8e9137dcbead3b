/* ReceiveMessage (rocketmq-grpc 6.5): reads and checks the request; receive.c does the rest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <string.h>

#include "broker/deliver.h"
#include "broker/bounds.h"
#include "broker/receive.h"

enum { REQUEST_TIMEOUT_MS = 3000 }; /* every official client's */

/* In the memory of the filter of the receive before, if there was one. */
static int compile_filter(const V2(FilterExpression) *expression, struct filter **filter,
                          struct status *st)
{
    struct err e;
    struct span text = expression ? span_str(expression->expression) : (struct span){0};
    if (expression && expression->type == APACHE__ROCKETMQ__V2__FILTER_TYPE__SQL)
        return status_set(st, CODE(NOT_IMPLEMENTED), "SQL filter expressions are not served yet");
    if (*filter ? filter_recompile_tags(*filter, text, &e) : filter_compile_tags(filter, text, &e))
        return status_set(st, CODE(ILLEGAL_FILTER_EXPRESSION), "%s", e.msg);
    return 0;
}

static int find_group_and_topic(struct receive *r, const V2(ReceiveMessageRequest) *req,
                                struct status *st)
{
    const V2(Resource) *topic = req->message_queue ? req->message_queue->topic : NULL;
    int rc = handler_topic(r->b, handler_name(topic), &r->topic, st);
    if (!rc)
        rc = handler_group(r->b, handler_name(req->group), &r->group, st);
    if (!rc && (!(r->topic.perm & TOPIC_PERM_READ) || r->topic.n_read_queues == 0))
        rc = status_set(st, CODE(FORBIDDEN), "no readable queue in topic '%s'", r->topic.name);
    if (!rc && !r->group.consume_enabled)
        rc = status_set(st, CODE(FORBIDDEN), "group '%s' is not allowed to consume", r->group.name);
    return rc;
}

/* A lease that the server renews ends with its client, so it needs one on record. */
static int set_invisible(struct receive *r, const V2(ReceiveMessageRequest) *req,
                         struct span client_id, struct status *st)
{
    struct lease_take *how = &r->take.how;
    if (req->auto_renew) {
        how->invisible_ms = r->b->cfg.renewed_invisible_ms;
        how->owner = session_touch(r->b->sessions, client_id, handler_now_ms(r->b))
                         ? session_owner(client_id)
                         : 0;
        return 0;
    }
    int64_t ms = req->_invisible_duration_case ? handler_duration_ms(req->invisible_duration) : 0;
    how->invisible_ms = (uint64_t)ms;
    return bounds_check_receive_invisible(&r->b->cfg, ms, st);
}

static int set_poll_time(struct receive *r, const V2(ReceiveMessageRequest) *req, struct status *st)
{
    uint64_t now_ms = handler_mono_ms(r->b), deadline_ms = rpc_deadline_ms(r->call), ms = 0;
    struct bounds_poll poll = {
        .asked_ms = -1, .remaining_ms = UINT64_MAX, .request_ms = REQUEST_TIMEOUT_MS};
    if (req->_long_polling_timeout_case)
        poll.asked_ms = handler_duration_ms(req->long_polling_timeout);
    if (deadline_ms != UINT64_MAX)
        poll.remaining_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    int rc = bounds_poll_time(&r->b->cfg, &poll, &ms, st);
    r->until_ms = now_ms + ms;
    return rc;
}

static size_t batch_of(int32_t asked)
{
    if (asked < 1)
        return 1;
    return asked > BOUNDS_BATCH_MAX ? BOUNDS_BATCH_MAX : (size_t)asked;
}

/* They stay as long as the receive waits, so they are short. */
static int copy_texts(struct receive *r, const V2(ReceiveMessageRequest) *req, struct status *st)
{
    const char *topic_namespace = req->message_queue->topic->resource_namespace;
    const char *attempt_id = req->_attempt_id_case ? req->attempt_id : "";
    if (strlen(topic_namespace) > BOUNDS_TEXT_BYTES)
        return status_set(st, CODE(ILLEGAL_TOPIC), "resource namespace has %zu bytes, more than %d",
                          strlen(topic_namespace), BOUNDS_TEXT_BYTES);
    if (strlen(attempt_id) > BOUNDS_TEXT_BYTES)
        return status_set(st, CODE(BAD_REQUEST), "attempt id has %zu bytes, more than %d",
                          strlen(attempt_id), BOUNDS_TEXT_BYTES);
    size_t namespace_bytes = strlen(topic_namespace) + 1, attempt_bytes = strlen(attempt_id) + 1;
    char *texts = idle_room_get(&r->texts, namespace_bytes + attempt_bytes);
    if (!texts)
        return status_set(st, CODE(TOO_MANY_REQUESTS), "no memory for the receive");
    r->topic_namespace = memcpy(texts, topic_namespace, namespace_bytes);
    r->take.how.attempt_id = span_str(memcpy(texts + namespace_bytes, attempt_id, attempt_bytes));
    return 0;
}

static int read_request(struct receive *r, const V2(ReceiveMessageRequest) *req, struct status *st)
{
    struct span client_id;
    const V2(Resource) *topic = req->message_queue ? req->message_queue->topic : NULL;
    int rc = handler_client_id(r->b, r->call, &client_id, st);
    if (!rc)
        rc = handler_await_topic(r->b, r->call, handler_name(topic), st);
    if (!rc)
        rc = find_group_and_topic(r, req, st);
    if (!rc)
        rc = compile_filter(req->filter_expression, &r->filter, st);
    if (!rc)
        rc = set_invisible(r, req, client_id, st);
    if (!rc)
        rc = set_poll_time(r, req, st);
    if (!rc)
        rc = copy_texts(r, req, st);
    if (!rc)
        rc = handler_lease(r->b, &r->group, span_str(r->topic.name), &r->lease, st);
    r->take.max = batch_of(req->batch_size);
    r->digest = digest_form_of(rpc_metadata(r->call, "x-mq-language"));
    return rc;
}

void h_receive(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct status st;
    V2(ReceiveMessageRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__receive_message_request__descriptor);
    if (!req)
        return;
    struct receive *r = receive_new(b, call);
    int rc = r ? read_request(r, req, &st) : 0;
    if (!r) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the receive");
    } else if (rc) {
        if (rc != HANDLER_PUT_OFF)
            deliver_status(b, call, &st);
        receive_unref(r);
    } else {
        rpc_set_data(call, r); /* the call's reference */
        receive_start(r);
    }
}

void h_receive_end(void *ctx, struct rpc_call *call, enum rpc_end end)
{
    (void)ctx;
    struct receive *r = rpc_data(call);
    if (!r)
        return; /* refused */
    receive_end(r, end);
    receive_unref(r);
}

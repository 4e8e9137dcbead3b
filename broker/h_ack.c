/* AckMessage, ChangeInvisibleDuration and ForwardMessageToDeadLetterQueue (rocketmq-grpc 6.7 to
 * 6.9): what becomes of a delivery. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <stdlib.h>

#include "broker/bounds.h"
#include "broker/dead_letter.h"
#include "broker/refused.h"

enum { FORWARD_MS = 60000 }; /* until a message whose move failed comes up again */

/* The deliveries of one group and topic that a request speaks of. */
struct target {
    struct broker *b;
    struct span group, topic;
    uint64_t group_hash, topic_hash;
    struct lease *lease; /* NULL: never received from */
    bool is_fifo;
    uint64_t now_ms;
};

static int find_target(struct broker *b, struct span group, struct span topic, struct target *ret,
                       struct status *st)
{
    struct group_info info;
    struct topic_info topic_info;
    struct target t = {.b = b,
                       .group = group,
                       .topic = topic,
                       .group_hash = receipt_hash(group),
                       .topic_hash = receipt_hash(topic),
                       .now_ms = handler_now_ms(b)};
    int rc = bounds_check_topic(topic, st);
    if (!rc)
        rc = bounds_check_group(group, st);
    if (rc)
        return rc;
    /* Else every handle is invalid, and nothing is kept of names that nobody made. */
    if (topic_get(b->topics, topic, &topic_info) && group_get(b->groups, group, &info)) {
        t.is_fifo = info.fifo;
        rc = handler_lease(b, &info, topic, &t.lease, st);
    }
    if (!rc)
        *ret = t;
    return rc;
}

/* The handle of a delivery of this group and topic; INVALID_RECEIPT_HANDLE otherwise. */
static int read_handle(const struct target *t, struct span text, struct receipt *ret,
                       struct status *st)
{
    struct err e;
    if (receipt_decode(t->b->receipts, text, ret, &e))
        return status_set(st, CODE(INVALID_RECEIPT_HANDLE), "INVALID_RECEIPT_HANDLE: %s", e.msg);
    if (!t->lease || ret->group_hash != t->group_hash || ret->topic_hash != t->topic_hash)
        return status_set(st, CODE(INVALID_RECEIPT_HANDLE),
                          "INVALID_RECEIPT_HANDLE: receipt handle is of another group or topic");
    return 0;
}

static struct lease_handle handle_of(const struct receipt *r)
{
    return (struct lease_handle){.queue_id = r->queue_id,
                                 .queue_off = r->queue_off,
                                 .nonce = r->nonce,
                                 .until_ms = r->until_ms};
}

static int say_expired(struct status *st)
{
    return status_set(st, CODE(INVALID_RECEIPT_HANDLE),
                      "INVALID_RECEIPT_HANDLE: receipt handle is expired");
}

/* ---- AckMessage ---- */

/* One request. Kept in the broker from one to the next, with its memory. */
struct ack {
    struct idle_item idle; /* first */
    struct proto_ack *walker;
    struct proto_ack_request req; /* the walker's */
    struct proto_ack_result *results;
    struct refused *refused;
    struct idle_room results_room, reply_room;
};

static void free_ack(struct idle_item *item)
{
    struct ack *a = (struct ack *)item;
    proto_ack_free(a->walker);
    idle_room_fini(&a->results_room);
    idle_room_fini(&a->reply_room);
    free(a);
}

void h_ack_free_idle(struct broker *b)
{
    idle_fini(&b->acks, free_ack);
}

/* NULL: no memory. */
static struct ack *take_ack(struct broker *b)
{
    struct err e;
    struct idle_item *item = idle_take(&b->acks);
    if (item)
        return (struct ack *)item;
    struct ack *a = calloc(1, sizeof *a);
    if (a && proto_ack_new(&a->walker, &e) == 0)
        return a;
    free(a);
    return NULL;
}

static void give_back(struct broker *b, struct ack *a)
{
    refused_clear(&a->refused);
    proto_ack_forget(a->walker);
    idle_room_trim(&a->results_room);
    idle_room_trim(&a->reply_room);
    if (!idle_keep(&b->acks, &a->idle))
        free_ack(&a->idle);
}

/* Not 0: `st` says why. */
static int ack_one(const struct target *t, struct span handle_text, struct status *st)
{
    struct receipt receipt;
    int rc = read_handle(t, handle_text, &receipt, st);
    if (rc)
        return rc;
    struct lease_handle handle = handle_of(&receipt);
    enum lease_outcome outcome = lease_ack(t->lease, &handle, t->now_ms);
    if (outcome == LEASE_EXPIRED)
        return say_expired(st);
    if (t->is_fifo || outcome == LEASE_FREED) /* the queue may be free now */
        (void)hold_notify_group(t->b->holds, t->group, t->topic);
    return 0;
}

static void ack_all(const struct target *t, struct ack *a)
{
    for (size_t i = 0; i < a->req.n; i++) {
        struct status st;
        struct proto_ack_result *r = &a->results[i];
        *r = (struct proto_ack_result){
            .code = CODE(OK), .text = span_str("OK"), .entry = a->req.entries[i]};
        if (ack_one(t, r->entry.receipt_handle, &st)) {
            r->code = st.code;
            r->text = refused_note(&a->refused, &st);
        }
    }
}

/* The common code; MULTIPLE_RESULTS when they differ. The text is that of the first failure. */
static struct proto_ack_result sum_up(const struct ack *a)
{
    struct proto_ack_result sum = {.code = a->results[0].code, .text = a->results[0].text};
    for (size_t i = 1; i < a->req.n; i++) {
        if (a->results[i].code == a->results[0].code)
            continue;
        sum.code = CODE(MULTIPLE_RESULTS);
        if (a->results[0].code == CODE(OK))
            sum.text = a->results[i].text;
        break;
    }
    return sum;
}

static void reply_ack(struct ack *a, struct rpc_call *call, const struct proto_ack_reply *reply)
{
    size_t room = proto_ack_reply_room(reply);
    uint8_t *bytes = idle_room_get(&a->reply_room, room);
    if (!bytes) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
        return;
    }
    struct rpc_piece piece = {.bytes = proto_ack_reply(reply, bytes, room)};
    rpc_send(call, &piece, 1, /* more = */ false);
    rpc_finish(call, RPC_OK, /* text = */ NULL);
}

static void ack_and_reply(struct broker *b, struct rpc_call *call, struct ack *a)
{
    struct status st;
    struct span client_id;
    struct target t = {0};
    int rc = handler_client_id(b, call, &client_id, &st);
    if (!rc)
        rc = find_target(b, a->req.group, a->req.topic, &t, &st);
    if (!rc && a->req.n == 0)
        rc = status_set(&st, CODE(INTERNAL_SERVER_ERROR), "the request has no entry to ack");
    if (!rc)
        a->results = idle_room_get(&a->results_room, a->req.n * sizeof a->results[0]);
    if (!rc && !a->results)
        rc = status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for the results");
    struct proto_ack_reply reply = {.results = a->results};
    if (rc) {
        reply.overall = (struct proto_ack_result){.code = st.code, .text = span_str(st.text)};
    } else {
        ack_all(&t, a);
        reply.overall = sum_up(a);
        reply.n = a->req.n;
    }
    reply_ack(a, call, &reply);
    lease_unref(t.lease);
}

void h_ack(void *ctx, struct rpc_call *call)
{
    struct err e;
    struct broker *b = ctx;
    size_t n_slices = 0;
    const struct span *slices = rpc_request(call, &n_slices);
    struct ack *a = take_ack(b);
    if (!a) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the request");
        return;
    }
    int rc = proto_ack_read(a->walker, slices, n_slices, &a->req, &e);
    if (rc)
        rpc_finish(call, rc == ERR_INVAL ? RPC_INVALID_ARGUMENT : RPC_RESOURCE_EXHAUSTED, e.msg);
    else
        ack_and_reply(b, call, a);
    give_back(b, a);
}

/* ---- ChangeInvisibleDuration ---- */

/* A shorter time than before must wake those who wait, at once or then. */
static void wake_waiting(const struct target *t, int64_t invisible_ms)
{
    if (invisible_ms == 0)
        (void)hold_notify_group(t->b->holds, t->group, t->topic); /* maybe nobody waits */
    else
        alarm_set(t->b->alarms, t->b->server, t->lease, t->group, t->topic);
}

static int change(const struct target *t, const V2(ChangeInvisibleDurationRequest) *req,
                  char *new_handle, struct status *st)
{
    struct receipt receipt;
    struct lease_entry entry;
    int64_t ms = handler_duration_ms(req->invisible_duration);
    int rc = bounds_check_change_invisible(&t->b->cfg, ms, st);
    if (!rc)
        rc = read_handle(t, span_str(req->receipt_handle), &receipt, st);
    if (rc)
        return rc;
    struct lease_handle handle = handle_of(&receipt);
    if (lease_change(t->lease, &handle, t->now_ms, (uint64_t)ms, &entry) != LEASE_OK)
        return say_expired(st);
    wake_waiting(t, ms);
    receipt.attempt = entry.attempt;
    receipt.nonce = entry.nonce;
    receipt.until_ms = entry.until_ms;
    receipt_encode(t->b->receipts, &receipt, new_handle);
    return 0;
}

void h_ack_change_invisible(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct status st;
    struct span client_id;
    struct target t = {0};
    char handle[RECEIPT_TEXT_BYTES + 1] = "";
    V2(ChangeInvisibleDurationRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__change_invisible_duration_request__descriptor);
    if (!req)
        return;
    int rc = handler_client_id(b, call, &client_id, &st);
    if (!rc)
        rc = find_target(b, handler_name(req->group), handler_name(req->topic), &t, &st);
    if (!rc)
        rc = change(&t, req, handle, &st);
    if (!rc)
        status_ok(&st);
    V2(Status) status = handler_status(&st);
    V2(ChangeInvisibleDurationResponse) reply =
        APACHE__ROCKETMQ__V2__CHANGE_INVISIBLE_DURATION_RESPONSE__INIT;
    reply.status = &status;
    reply.receipt_handle = handle;
    handler_reply(call, &reply.base);
    lease_unref(t.lease);
}

/* ---- ForwardMessageToDeadLetterQueue ---- */

/* The delivery is taken over from the client, which may have an answer lost and ask again: done
 * before is as good as OK. */
static int forward(const struct target *t, const V2(ForwardMessageToDeadLetterQueueRequest) *req,
                   struct status *st)
{
    struct err e;
    struct receipt receipt;
    int rc = read_handle(t, span_str(req->receipt_handle), &receipt, st);
    if (rc)
        return rc;
    struct lease_handle handle = handle_of(&receipt);
    struct dead_letter letter = {
        .lease = t->lease, .group = t->group, .topic = t->topic, .queue_id = receipt.queue_id};
    enum lease_outcome outcome =
        lease_change(t->lease, &handle, t->now_ms, FORWARD_MS, &letter.entry);
    if (outcome != LEASE_OK)
        return outcome == LEASE_AGAIN ? 0 : say_expired(st);
    rc = store_get(t->b->store, t->topic, receipt.queue_id, receipt.queue_off, &letter.slice, &e);
    if (rc)
        return status_of_err(st, &e);
    dead_letter_move(t->b, &letter);
    return 0;
}

void h_ack_forward_dead(void *ctx, struct rpc_call *call)
{
    struct status st;
    struct span client_id;
    struct target t = {0};
    V2(ForwardMessageToDeadLetterQueueRequest) *req = handler_unpack(
        call, &apache__rocketmq__v2__forward_message_to_dead_letter_queue_request__descriptor);
    if (!req)
        return;
    int rc = handler_client_id(ctx, call, &client_id, &st);
    if (!rc)
        rc = find_target(ctx, handler_name(req->group), handler_name(req->topic), &t, &st);
    if (!rc)
        rc = forward(&t, req, &st);
    if (!rc)
        status_ok(&st);
    V2(Status) status = handler_status(&st);
    V2(ForwardMessageToDeadLetterQueueResponse) reply =
        APACHE__ROCKETMQ__V2__FORWARD_MESSAGE_TO_DEAD_LETTER_QUEUE_RESPONSE__INIT;
    reply.status = &status;
    handler_reply(call, &reply.base);
    lease_unref(t.lease);
}

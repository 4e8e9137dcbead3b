/* AckMessage, ChangeInvisibleDuration and ForwardMessageToDeadLetterQueue (rocketmq-grpc 6.7 to
 * 6.9): what becomes of a delivery. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <stdlib.h>

#include "broker/bounds.h"
#include "broker/dead_letter.h"

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
static int read_handle(const struct target *t, const char *text, struct receipt *ret,
                       struct status *st)
{
    struct err e;
    if (receipt_decode(t->b->receipts, span_str(text), ret, &e))
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

static void ack_one(const struct target *t, const V2(AckMessageEntry) *entry, struct status *st)
{
    struct receipt receipt;
    if (read_handle(t, entry->receipt_handle, &receipt, st))
        return;
    struct lease_handle handle = handle_of(&receipt);
    enum lease_outcome outcome = lease_ack(t->lease, &handle, t->now_ms);
    if (outcome == LEASE_EXPIRED) {
        (void)say_expired(st);
        return;
    }
    if (t->is_fifo || outcome == LEASE_FREED) /* the queue may be free now */
        (void)hold_notify_group(t->b->holds, t->group, t->topic);
    status_ok(st);
}

struct ack_results {
    struct status *texts;
    V2(Status) *statuses;
    V2(AckMessageResultEntry) *entries;
    V2(AckMessageResultEntry) **list;
};

static void results_fini(struct ack_results *r)
{
    free(r->texts);
    free(r->statuses);
    free(r->entries);
    free(r->list);
}

static int results_init(struct ack_results *r, size_t n)
{
    r->texts = calloc(n, sizeof r->texts[0]);
    r->statuses = calloc(n, sizeof r->statuses[0]);
    r->entries = calloc(n, sizeof r->entries[0]);
    r->list = calloc(n, sizeof(V2(AckMessageResultEntry) *));
    return r->texts && r->statuses && r->entries && r->list ? 0 : ERR_NOMEM;
}

static void ack_all(const struct target *t, const V2(AckMessageRequest) *req, struct ack_results *r,
                    struct status *overall)
{
    for (size_t i = 0; i < req->n_entries; i++) {
        ack_one(t, req->entries[i], &r->texts[i]);
        r->statuses[i] = handler_status(&r->texts[i]);
        r->entries[i] =
            (V2(AckMessageResultEntry))APACHE__ROCKETMQ__V2__ACK_MESSAGE_RESULT_ENTRY__INIT;
        r->entries[i].message_id = req->entries[i]->message_id;
        r->entries[i].receipt_handle = req->entries[i]->receipt_handle;
        r->entries[i].status = &r->statuses[i];
        r->list[i] = &r->entries[i];
    }
    *overall = r->texts[0];
    for (size_t i = 1; i < req->n_entries; i++)
        if (r->texts[i].code != r->texts[0].code)
            (void)status_set(overall, CODE(MULTIPLE_RESULTS), "%s",
                             r->texts[0].code == CODE(OK) ? r->texts[i].text : r->texts[0].text);
}

static void reply_ack(struct rpc_call *call, struct status *st, const struct ack_results *r,
                      size_t n)
{
    V2(Status) status = handler_status(st);
    V2(AckMessageResponse) reply = APACHE__ROCKETMQ__V2__ACK_MESSAGE_RESPONSE__INIT;
    reply.status = &status;
    reply.entries = r ? r->list : NULL;
    reply.n_entries = n;
    handler_reply(call, &reply.base);
}

static void ack_and_reply(struct broker *b, struct rpc_call *call, const V2(AckMessageRequest) *req)
{
    struct status st;
    struct span client_id;
    struct target t = {0};
    struct ack_results results = {0};
    int rc = handler_client_id(b, call, &client_id, &st);
    if (!rc)
        rc = find_target(b, handler_name(req->group), handler_name(req->topic), &t, &st);
    if (!rc && req->n_entries == 0)
        rc = status_set(&st, CODE(INTERNAL_SERVER_ERROR), "the request has no entry to ack");
    if (!rc && results_init(&results, req->n_entries))
        rc = status_set(&st, CODE(TOO_MANY_REQUESTS), "no memory for the results");
    if (rc) {
        reply_ack(call, &st, /* r = */ NULL, 0);
    } else {
        ack_all(&t, req, &results, &st);
        reply_ack(call, &st, &results, req->n_entries);
    }
    results_fini(&results);
    lease_unref(t.lease);
}

void h_ack(void *ctx, struct rpc_call *call)
{
    V2(AckMessageRequest) *req =
        handler_unpack(call, &apache__rocketmq__v2__ack_message_request__descriptor);
    if (!req)
        return;
    ack_and_reply(ctx, call, req);
    handler_free(req);
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
        rc = read_handle(t, req->receipt_handle, &receipt, st);
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
    handler_free(req);
}

/* ---- ForwardMessageToDeadLetterQueue ---- */

/* The delivery is taken over from the client, which may have an answer lost and ask again: done
 * before is as good as OK. */
static int forward(const struct target *t, const V2(ForwardMessageToDeadLetterQueueRequest) *req,
                   struct status *st)
{
    struct err e;
    struct receipt receipt;
    int rc = read_handle(t, req->receipt_handle, &receipt, st);
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
    handler_free(req);
}

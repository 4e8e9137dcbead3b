/* SendMessage (rocketmq-grpc 6.4): each message of a request is checked, converted and appended on
 * its own; the request is walked in place, and a body goes from its slices into the log. With sync
 * flush the request is kept until its messages are on disk, and answered then; no worker waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <stdlib.h>

#include "broker/convert.h"
#include "broker/bounds.h"

/* Up to so many messages of a request are brought into their queues by the worker; it costs less
 * than to wake the dispatcher, which is left the many, as it does them on another core. */
enum { DISPATCH_HERE_MAX = 8 };

/* What became of one message. */
struct outcome {
    struct status status;
    struct span message_id; /* into the walker; empty on failure */
    uint64_t queue_off;
};

/* One request. */
struct send {
    struct broker *b;
    struct rpc_call *call;
    struct proto_send *walker;
    struct convert_origin origin;
    struct convert_properties *props; /* while it is appended */
    struct store_ticket ticket;       /* of all its messages */
    struct rpc_kept *kept; /* while it waits for the disk; with a reference to the call */
    struct err refusal;    /* code 0: none; the request as a whole */
    struct err failure;    /* code 0: none; of the disk, for what was appended */
    size_t n;
    struct outcome outcomes[];
};

/* ---- where to ---- */

/* FNV-1a: any spread will do, but the same group must always go to the same queue. */
static uint32_t hash_group(struct span group)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < group.len; i++)
        hash = (hash ^ group.ptr[i]) * 16777619u;
    return hash;
}

static int32_t choose_queue(struct broker *b, const struct topic_info *topic,
                            const struct proto_message *m)
{
    if (m->has & PROTO_HAS_MESSAGE_GROUP)
        return (int32_t)(hash_group(m->message_group) % topic->n_write_queues);
    /* relaxed: any order of queues will do */
    uint32_t turn = atomic_fetch_add_explicit(&b->next_write_queue, 1, memory_order_relaxed);
    return (int32_t)(turn % topic->n_write_queues);
}

static int check_type(const struct topic_info *topic, const struct proto_message *m,
                      struct status *st)
{
    struct err e;
    int rc = topic_check_send(topic->type, bounds_message_type(m), &e);
    if (!rc)
        return 0;
    int32_t code =
        rc == ERR_UNSUPPORTED ? CODE(NOT_IMPLEMENTED) : CODE(MESSAGE_PROPERTY_CONFLICT_WITH_TYPE);
    return status_set(st, code, "%s", e.msg);
}

static int find_topic(struct broker *b, const struct proto_message *m, struct topic_info *ret,
                      struct status *st)
{
    int rc = handler_topic(b, m->topic, ret, st);
    if (!rc && (!(ret->perm & TOPIC_PERM_WRITE) || ret->n_write_queues == 0))
        rc = status_set(st, CODE(FORBIDDEN), "no writable queue in topic '%s'", ret->name);
    return rc;
}

/* ---- one message ---- */

static int append(struct send *s, const struct proto_message *m, struct outcome *o)
{
    struct err e;
    struct topic_info topic;
    struct store_message record;
    struct store_appended appended;
    int rc = find_topic(s->b, m, &topic, &o->status);
    if (!rc)
        rc = bounds_check_message(m, s->b->cfg.max_message_bytes, &o->status);
    if (!rc)
        rc = check_type(&topic, m, &o->status);
    if (!rc)
        rc = convert_to_record(m, &s->origin, s->props, &record, &o->status);
    if (rc)
        return rc;
    record.queue_id = choose_queue(s->b, &topic, m);
    record.defers_dispatch = s->n <= DISPATCH_HERE_MAX;
    rc = store_submit(s->b->store, &record, &s->ticket, &appended, &e);
    if (rc)
        return status_of_err(&o->status, &e);
    o->message_id = m->message_id;
    o->queue_off = appended.queue_off;
    status_ok(&o->status);
    return 0;
}

static int append_all(struct send *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        struct proto_message m;
        bool found = false;
        int rc = proto_send_next(s->walker, &m, &found, e);
        if (rc)
            return rc;
        (void)append(s, &m, &s->outcomes[i]); /* its outcome says how it went */
    }
    return 0;
}

/* ---- the request ---- */

static int check_whole(size_t n, bool same, struct status *st)
{
    if (n == 0)
        return status_set(st, CODE(MESSAGE_CORRUPTED), "the request has no message");
    if (!same)
        return status_set(st, CODE(MESSAGE_CORRUPTED),
                          "the messages of the request have different topics");
    return 0;
}

/* A look at the whole request before anything is appended: nothing of a malformed one is, nor of
 * one with messages for several topics. */
static int survey(struct broker *b, struct rpc_call *call, size_t *ret_n, struct status *st,
                  struct err *e)
{
    size_t n_slices = 0;
    const struct span *slices = rpc_request(call, &n_slices);
    struct proto_send *walker = NULL;
    struct proto_message m;
    struct span topic = {0}, resource_namespace = {0};
    bool found = true, same = true;
    size_t n = 0;
    int rc = proto_send_new(&walker, slices, n_slices, e);
    while (!rc && found) {
        rc = proto_send_next(walker, &m, &found, e);
        if (rc || !found)
            break;
        if (n++ == 0) {
            topic = m.topic;
            resource_namespace = m.topic_namespace;
        }
        same =
            same && span_equal(topic, m.topic) && span_equal(resource_namespace, m.topic_namespace);
    }
    if (!rc)
        rc = check_whole(n, same, st);
    if (!rc)
        rc = handler_await_topic(b, call, topic, st);
    proto_send_free(walker); /* `topic` may be its memory */
    *ret_n = n;
    return rc;
}

/* ---- the reply ---- */

/* The common code; MULTIPLE_RESULTS when they differ. The text is that of the first failure. */
static void sum_up(const struct send *s, struct status *ret)
{
    *ret = s->outcomes[0].status;
    for (size_t i = 1; i < s->n; i++) {
        const struct status *st = &s->outcomes[i].status;
        if (st->code == s->outcomes[0].status.code)
            continue;
        (void)status_set(ret, CODE(MULTIPLE_RESULTS), "%s",
                         ret->code == CODE(OK) ? st->text : s->outcomes[0].status.text);
        return;
    }
}

/* The generated form of the entries, and the ids as C strings: one allocation. */
struct entries {
    V2(SendResultEntry) **list;
    V2(SendResultEntry) *entries;
    V2(Status) *statuses;
    char *ids;
};

static int make_entries(struct entries *t, struct send *s)
{
    size_t id_bytes = 0;
    for (size_t i = 0; i < s->n; i++)
        id_bytes += s->outcomes[i].message_id.len + 1;
    t->list = calloc(1, s->n * (sizeof t->list[0] + sizeof t->entries[0] + sizeof t->statuses[0]) +
                            id_bytes);
    if (!t->list)
        return ERR_NOMEM;
    t->entries = (void *)(t->list + s->n);
    t->statuses = (void *)(t->entries + s->n);
    t->ids = (void *)(t->statuses + s->n);
    return 0;
}

static void fill_entries(struct entries *t, struct send *s)
{
    char *id = t->ids;
    for (size_t i = 0; i < s->n; i++) {
        struct outcome *o = &s->outcomes[i];
        t->list[i] = &t->entries[i];
        t->entries[i] = (V2(SendResultEntry))APACHE__ROCKETMQ__V2__SEND_RESULT_ENTRY__INIT;
        t->statuses[i] = handler_status(&o->status);
        t->entries[i].status = &t->statuses[i];
        if (o->message_id.len > 0)
            memcpy(id, o->message_id.ptr, o->message_id.len);
        t->entries[i].message_id = id;
        t->entries[i].transaction_id = id; /* the same for every type of message */
        t->entries[i].offset = (int64_t)o->queue_off;
        id += o->message_id.len + 1;
    }
}

static void reply_all(struct send *s)
{
    struct entries t;
    struct status st;
    if (make_entries(&t, s)) {
        rpc_finish(s->call, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
        return;
    }
    fill_entries(&t, s);
    sum_up(s, &st);
    V2(Status) status = handler_status(&st);
    V2(SendMessageResponse) reply = APACHE__ROCKETMQ__V2__SEND_MESSAGE_RESPONSE__INIT;
    reply.status = &status;
    reply.entries = t.list;
    reply.n_entries = s->n;
    handler_reply(s->call, &reply.base);
    free(t.list);
}

static void reply_status(struct rpc_call *call, struct status *st)
{
    V2(Status) status = handler_status(st);
    V2(SendMessageResponse) reply = APACHE__ROCKETMQ__V2__SEND_MESSAGE_RESPONSE__INIT;
    reply.status = &status;
    handler_reply(call, &reply.base);
}

/* ---- the call ---- */

static void refuse(struct rpc_call *call, const struct err *e)
{
    rpc_finish(call, e->code == ERR_INVAL ? RPC_INVALID_ARGUMENT : RPC_RESOURCE_EXHAUSTED, e->msg);
}

/* What was appended may be stored or not. */
static void note_failure(struct send *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct outcome *o = &s->outcomes[i];
        if (o->status.code != CODE(OK))
            continue;
        (void)status_of_err(&o->status, &s->failure);
        o->message_id = (struct span){0};
    }
}

/* Answers the request, and is through with it. */
static void finish(struct send *s)
{
    if (s->failure.code)
        note_failure(s);
    if (s->refusal.code)
        refuse(s->call, &s->refusal);
    else
        reply_all(s);
    if (s->n <= DISPATCH_HERE_MAX)
        store_dispatch(s->b->store); /* after the reply, which does not wait for it */
    proto_send_free(s->walker);
    if (s->kept) {
        rpc_unref(s->call);
        rpc_kept_drop(s->kept); /* last: a stop of the server waits for it */
    }
    free(s);
}

static void finish_later(void *arg)
{
    finish(arg);
}

/* On a thread of the store, which has other requests to tell. */
static void on_settled(void *arg, const struct err *failure)
{
    struct send *s = arg;
    if (failure)
        s->failure = *failure;
    rpc_post(s->b->server, finish_later, s);
}

/* Answers when all that was appended is acknowledged: now, or from on_settled. */
static void settle(struct send *s)
{
    enum store_settled settled = STORE_NOW;
    struct err e;
    if (store_ticket_waits(&s->ticket)) {
        s->kept = rpc_keep_request(s->call); /* first: it may be finished before this returns */
        (void)rpc_ref(s->call);
        if (store_settle(s->b->store, &s->ticket, &settled, &e))
            s->failure = e;
    }
    if (settled == STORE_NOW)
        finish(s);
}

static void send_all(struct broker *b, struct rpc_call *call, size_t n)
{
    size_t n_slices;
    const struct span *slices = rpc_request(call, &n_slices);
    struct convert_properties props; /* 32 KiB of a worker's stack */
    struct send *s = calloc(1, sizeof *s + n * sizeof s->outcomes[0]);
    if (!s) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the messages");
        return;
    }
    s->b = b;
    s->call = call;
    s->origin = (struct convert_origin){.peer = rpc_peer(call), .now_ms = b->io->now_ms(b->io)};
    s->ticket = (struct store_ticket){.on_settled = on_settled, .arg = s};
    s->n = n;
    s->props = &props;
    if (proto_send_new(&s->walker, slices, n_slices, &s->refusal) == 0)
        (void)append_all(s, &s->refusal); /* its code says how it went */
    s->props = NULL;
    settle(s);
}

void h_send(void *ctx, struct rpc_call *call)
{
    struct broker *b = ctx;
    struct err e = {0};
    struct status st;
    struct span client_id;
    size_t n = 0;
    int rc = handler_client_id(b, call, &client_id, &st);
    if (!rc)
        rc = survey(b, call, &n, &st, &e);
    if (!rc)
        send_all(b, call, n);
    else if (e.code)
        refuse(call, &e);
    else if (rc != HANDLER_PUT_OFF)
        reply_status(call, &st);
}

/* SendMessage (rocketmq-grpc 6.4): each message of a request is checked, converted and appended on
 * its own, to the topic that all of them have. The request is read in place, and a body goes from
 * its slices into the log. With sync flush the request is kept until its messages are on disk, and
 * answered then; no worker waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handler.h"

#include <stdlib.h>

#include "base/arena.h"
#include "broker/bounds.h"
#include "broker/convert.h"
#include "broker/refused.h"

/* One request. Kept in the broker from one to the next, with its memory. */
struct send {
    struct idle_item idle; /* first */
    struct broker *b;
    struct rpc_call *call;
    struct proto_send *walker;
    const struct proto_message *messages; /* the walker's */
    struct proto_result *results;         /* of each message; texts are static, or in `refused` */
    size_t n;
    struct refused *refused;
    struct topic_info topic; /* of all of them */
    struct convert_origin origin;
    struct store_ticket ticket; /* of all its messages */
    struct rpc_kept *kept;      /* while it waits for the disk */
    struct err failure;         /* code 0: none; of the disk, for what was appended */
    struct idle_room results_room, reply_room;
    struct convert_properties *props; /* scratch, while its messages are appended */
};

static void note_failed(struct send *s, struct proto_result *ret, const struct status *st)
{
    *ret = (struct proto_result){.code = st->code, .text = refused_note(&s->refused, st)};
}

/* ---- idle ones ---- */

static void free_send(struct idle_item *item)
{
    struct send *s = (struct send *)item;
    proto_send_free(s->walker);
    idle_room_fini(&s->results_room);
    idle_room_fini(&s->reply_room);
    free(s);
}

static struct send *new_send(struct broker *b)
{
    struct err e;
    struct send *s = calloc(1, sizeof *s);
    if (s && proto_send_new(&s->walker, NULL, 0, &e) == 0) {
        s->b = b;
        return s;
    }
    free(s);
    return NULL;
}

/* NULL: no memory. */
static struct send *take_send(struct broker *b)
{
    struct idle_item *item = idle_take(&b->sends);
    return item ? (struct send *)item : new_send(b);
}

static void give_back(struct send *s)
{
    refused_clear(&s->refused);
    proto_send_forget(s->walker);
    idle_room_trim(&s->results_room);
    idle_room_trim(&s->reply_room);
    s->kept = NULL;
    s->failure.code = 0;
    if (!idle_keep(&s->b->sends, &s->idle))
        free_send(&s->idle);
}

void h_send_free_idle(struct broker *b)
{
    idle_fini(&b->sends, free_send);
}

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

static int find_topic(struct send *s, struct status *st)
{
    int rc = handler_topic(s->b, s->messages[0].topic, &s->topic, st);
    if (!rc && (!(s->topic.perm & TOPIC_PERM_WRITE) || s->topic.n_write_queues == 0))
        rc = status_set(st, CODE(FORBIDDEN), "no writable queue in topic '%s'", s->topic.name);
    return rc;
}

/* ---- one message ---- */

static int append(struct send *s, const struct proto_message *m, struct store_appended *ret,
                  struct status *st)
{
    struct err e;
    struct store_message record;
    int rc = bounds_check_message(m, s->b->cfg.max_message_bytes, st);
    if (!rc)
        rc = check_type(&s->topic, m, st);
    if (!rc)
        rc = convert_to_record(m, &s->origin, s->props, &record, st);
    if (rc)
        return rc;
    record.queue_id = choose_queue(s->b, &s->topic, m);
    record.defers_dispatch = true;
    rc = store_submit(s->b->store, &record, &s->ticket, ret, &e);
    return rc ? status_of_err(st, &e) : 0;
}

static void append_all(struct send *s)
{
    struct status st;
    int rc = find_topic(s, &st);
    for (size_t i = 0; i < s->n; i++) {
        struct store_appended at;
        if (rc || append(s, &s->messages[i], &at, &st))
            note_failed(s, &s->results[i], &st);
        else
            s->results[i] = (struct proto_result){.code = CODE(OK),
                                                  .text = span_str("OK"),
                                                  .message_id = s->messages[i].message_id,
                                                  .queue_off = (int64_t)at.queue_off};
    }
}

/* ---- the request ---- */

/* Looks at the whole request before anything is appended: nothing of one with messages for several
 * topics is. */
static int survey(const struct send *s, struct status *st)
{
    if (s->n == 0)
        return status_set(st, CODE(MESSAGE_CORRUPTED), "the request has no message");
    for (size_t i = 1; i < s->n; i++)
        if (!span_equal(s->messages[0].topic, s->messages[i].topic) ||
            !span_equal(s->messages[0].topic_namespace, s->messages[i].topic_namespace))
            return status_set(st, CODE(MESSAGE_CORRUPTED),
                              "the messages of the request have different topics");
    return handler_await_topic(s->b, s->call, s->messages[0].topic, st);
}

static int make_room(struct send *s, struct err *e)
{
    s->results = idle_room_get(&s->results_room, s->n * sizeof s->results[0]);
    s->props = arena_take(rpc_arena(s->call), sizeof *s->props);
    if ((s->results || s->n == 0) && s->props)
        return 0;
    return err_set(e, ERR_NOMEM, "no memory for %zu messages", s->n);
}

/* ---- the reply ---- */

/* The common code; MULTIPLE_RESULTS when they differ. The text is that of the first failure. */
static struct proto_result sum_up(const struct send *s)
{
    struct proto_result sum = s->results[0];
    for (size_t i = 1; i < s->n; i++) {
        if (s->results[i].code == sum.code)
            continue;
        if (sum.code == CODE(OK))
            sum.text = s->results[i].text;
        sum.code = CODE(MULTIPLE_RESULTS);
        break;
    }
    return sum;
}

static void reply(struct send *s, const struct proto_reply *what)
{
    size_t room = proto_send_reply_room(what);
    uint8_t *bytes = idle_room_get(&s->reply_room, room);
    if (!bytes) {
        rpc_finish(s->call, RPC_RESOURCE_EXHAUSTED, "no memory for the reply");
        return;
    }
    struct rpc_piece piece = {.bytes = proto_send_reply(what, bytes, room)};
    rpc_send(s->call, &piece, 1, /* more = */ false);
    rpc_finish(s->call, RPC_OK, /* text = */ NULL);
}

static void reply_all(struct send *s)
{
    reply(s, &(struct proto_reply){.overall = sum_up(s), .results = s->results, .n = s->n});
}

static void reply_status(struct send *s, const struct status *st)
{
    reply(s, &(struct proto_reply){.overall = {.code = st->code, .text = span_str(st->text)}});
}

/* ---- the call ---- */

static void refuse(struct rpc_call *call, const struct err *e)
{
    rpc_finish(call, e->code == ERR_INVAL ? RPC_INVALID_ARGUMENT : RPC_RESOURCE_EXHAUSTED, e->msg);
}

/* What was appended may be stored or not. */
static void fail_all(struct send *s)
{
    struct status st;
    (void)status_of_err(&st, &s->failure);
    for (size_t i = 0; i < s->n; i++)
        if (s->results[i].code == CODE(OK))
            note_failed(s, &s->results[i], &st);
}

/* Answers the request, and is through with it. */
static void finish(struct send *s)
{
    struct rpc_kept *kept = s->kept;
    if (s->failure.code)
        fail_all(s);
    reply_all(s);
    store_dispatch(s->b->store); /* after the reply, which does not wait for it */
    give_back(s);
    rpc_kept_drop(kept); /* last: a stop of the server waits for it */
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
        if (store_settle(s->b->store, &s->ticket, &settled, &e))
            s->failure = e;
    }
    if (settled == STORE_NOW)
        finish(s);
}

static void send_all(struct send *s)
{
    struct broker *b = s->b;
    struct store_batch batch;
    s->origin = convert_origin_of(rpc_peer(s->call), b->io->now_ms(b->io));
    s->ticket = (struct store_ticket){.on_settled = on_settled, .arg = s};
    store_batch_begin(b->store, STORE_PATH_APPEND, &batch);
    append_all(s);
    store_batch_end(b->store, &batch);
    settle(s);
}

/* Reads and checks the request. HANDLER_PUT_OFF; a failure is in `st`, or, if it is the call's, in
 * `e`, whose code is 0 otherwise. */
static int prepare(struct send *s, struct status *st, struct err *e)
{
    struct span client_id;
    size_t n_slices = 0;
    const struct span *slices = rpc_request(s->call, &n_slices);
    int rc = handler_client_id(s->b, s->call, &client_id, st);
    if (rc)
        return rc;
    rc = proto_send_read(s->walker, slices, n_slices, &s->messages, &s->n, e);
    if (!rc)
        rc = make_room(s, e);
    return rc ? rc : survey(s, st);
}

void h_send(void *ctx, struct rpc_call *call)
{
    struct err e = {0};
    struct status st;
    struct send *s = take_send(ctx);
    if (!s) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "no memory for the messages");
        return;
    }
    s->call = call;
    int rc = prepare(s, &st, &e);
    if (!rc) {
        send_all(s);
        return;
    }
    if (e.code)
        refuse(call, &e);
    else if (rc != HANDLER_PUT_OFF)
        reply_status(s, &st);
    give_back(s);
}

/* Drives the load generator. Every reply is looked at: an error would be fast, and no figure. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "proto/proto.h"
#include "tools/bench/load.h"
#include "tools/bench/rpc_wire.h"

enum { POLL_MS = 100 };
#define NS_PER_MS UINT64_C(1000000)
#define STALL_NS (UINT64_C(30) * 1000000000)

int run_target_open(struct run_target *ret_target, const char *endpoint, enum run_kind kind,
                    struct err *e)
{
    struct run_target t = {0};
    int rc = load_open(&t.load, endpoint, e);
    if (rc < 0)
        return rc;
    t.publish = load_path(t.load, PROTO_SEND_MESSAGE);
    t.publish_batch = load_path(t.load, kind == RUN_NULL ? RUN_NULL_BATCH : PROTO_SEND_MESSAGE);
    t.receive = load_path(t.load, PROTO_RECEIVE_MESSAGE);
    t.ack = load_path(t.load, PROTO_ACK_MESSAGE);
    if (!t.publish || !t.publish_batch || !t.receive || !t.ack) {
        load_close(t.load);
        return err_set(e, ERR_NOMEM, "prepare calls");
    }
    *ret_target = t;
    return 0;
}

void run_target_close(struct run_target *t)
{
    load_close(t->load);
    *t = (struct run_target){0};
}

static uint64_t now_ns(void)
{
    return io_posix()->mono_ns(io_posix());
}

static void copy_span(struct span *to, struct span from)
{
    uint8_t *bytes = malloc(from.len ? from.len : 1);
    if (!bytes)
        return;
    memcpy(bytes, from.ptr, from.len);
    free((void *)to->ptr);
    *to = span_of(bytes, from.len);
}

static int drive(struct load *l, const uint64_t *progress, struct err *e)
{
    uint64_t seen = *progress, since = now_ns();
    while (load_n_running(l) > 0) {
        if (load_poll(l, POLL_MS) && seen == *progress)
            continue;
        uint64_t now = now_ns();
        if (seen != *progress)
            since = now;
        else if (now - since > STALL_NS)
            return err_set(e, ERR_FAILED, "no answer from the server");
        seen = *progress;
    }
    return 0;
}

/* ---- publish ---- */

int run_requests_make(struct run_requests *ret, const char *topic, size_t n_each, size_t body_bytes,
                      struct err *e)
{
    struct message_id_maker ids;
    uint8_t *body = malloc(body_bytes);
    if (!body)
        return err_set(e, ERR_NOMEM, "make a body");
    message_id_init(&ids);
    memset(body, 'b', body_bytes);
    ret->n_each = n_each;
    const struct rpc_wire_publish p = {
        .ids = &ids, .topic = topic, .n = n_each, .body = span_of(body, body_bytes)};
    int rc = 0;
    for (int i = 0; i < RUN_REQUESTS && rc == 0; i++)
        rc = rpc_wire_publish(&p, i % RUN_QUEUES, &ret->spans[i], e);
    free(body);
    return rc;
}

void run_requests_free(struct run_requests *r)
{
    for (int i = 0; i < RUN_REQUESTS; i++)
        free((void *)r->spans[i].ptr);
    *r = (struct run_requests){0};
}

struct publishing {
    struct run_target *target;
    const struct run_publish *p;
    uint64_t end_ns; /* 0: no limit */
    uint64_t n_started;
    uint64_t n_done;
    bool is_reply_ok; /* of the call whose end is reported next */
    struct err error; /* the first one; code 0: none */
};

static void start_publish(struct publishing *run);

static bool is_over(const struct publishing *run)
{
    return run->error.code < 0 || (run->p->n_requests && run->n_started >= run->p->n_requests) ||
           (run->end_ns && now_ns() >= run->end_ns);
}

static void on_publish_reply(void *arg, struct span message)
{
    struct publishing *run = arg;
    if (rpc_wire_is_ok(message)) {
        run->is_reply_ok = true;
        if (run->p->reply)
            copy_span(run->p->reply, message);
    }
}

static void on_published(void *arg, int status)
{
    struct publishing *run = arg;
    if ((status != 0 || !run->is_reply_ok) && run->error.code == 0)
        (void)err_set(&run->error, ERR_FAILED, "a publish was refused (gRPC status %d)", status);
    run->is_reply_ok = false;
    run->n_done++;
    if (!is_over(run))
        start_publish(run);
}

static void start_publish(struct publishing *run)
{
    const struct load_call call = {
        .path = run->p->requests->n_each > 1 ? run->target->publish_batch : run->target->publish,
        .request = run->p->requests->spans[run->n_started % RUN_REQUESTS],
        .on_message = on_publish_reply,
        .on_done = on_published,
        .arg = run,
    };
    struct err e;
    run->n_started++;
    if (load_start(run->target->load, &call, &e) < 0 && run->error.code == 0)
        run->error = e;
}

int run_publish(struct run_target *t, const struct run_publish *p, uint64_t *ret_n_messages,
                struct err *e)
{
    struct publishing run = {
        .target = t, .p = p, .end_ns = p->run_ms ? now_ns() + p->run_ms * NS_PER_MS : 0};
    for (size_t i = 0; i < p->in_flight && !is_over(&run); i++)
        start_publish(&run);
    int rc = drive(t->load, &run.n_done, e);
    if (rc < 0)
        return rc;
    if (run.error.code < 0) {
        *e = run.error;
        return e->code;
    }
    *ret_n_messages = run.n_done * p->requests->n_each;
    return 0;
}

/* ---- receive and acknowledge ---- */

struct receiving;

/* One loop: a receive, then the ack of what it brought. */
struct receive_loop {
    struct receiving *run;
    struct span request;
    struct rpc_wire_ack ack;
    bool is_reply_ok;
};

struct receiving {
    struct run_target *target;
    const struct run_receive *r;
    struct receive_loop *loops;
    uint64_t n_acked;
    uint64_t n_events;
    struct err error;
};

static void receive_failed(struct receiving *run, const char *what, int status)
{
    if (run->error.code == 0)
        (void)err_set(&run->error, ERR_FAILED, "%s (gRPC status %d)", what, status);
}

static void start_call(struct receiving *run, const struct load_call *call)
{
    struct err e;
    if (load_start(run->target->load, call, &e) < 0 && run->error.code == 0)
        run->error = e;
}

static void on_received(void *arg, struct span message)
{
    struct receive_loop *loop = arg;
    struct run_capture *capture = loop->run->r->capture;
    struct span id, handle;
    loop->run->n_events++;
    if (rpc_wire_message(message, &id, &handle) && !rpc_wire_ack_add(&loop->ack, id, handle))
        receive_failed(loop->run, "an ack is too long", 0);
    if (capture && capture->n_messages < RUN_CAPTURE_MAX)
        copy_span(&capture->messages[capture->n_messages++], message);
}

static void start_receive(struct receive_loop *loop);

static void on_ack_reply(void *arg, struct span message)
{
    struct receive_loop *loop = arg;
    loop->is_reply_ok = rpc_wire_is_ok(message);
    if (loop->run->r->capture)
        copy_span(&loop->run->r->capture->ack, message);
}

static void on_acked(void *arg, int status)
{
    struct receive_loop *loop = arg;
    struct receiving *run = loop->run;
    run->n_acked += loop->ack.n;
    run->n_events++;
    if (status != 0 || !loop->is_reply_ok)
        receive_failed(run, "an ack was refused", status);
    else if (run->n_acked < run->r->n_messages)
        start_receive(loop);
}

static void on_receive_done(void *arg, int status)
{
    struct receive_loop *loop = arg;
    struct receiving *run = loop->run;
    if (status != 0 || run->error.code < 0) {
        receive_failed(run, "a receive was refused", status);
        return;
    }
    if (loop->ack.n == 0) {
        receive_failed(run, "a receive brought no message", status);
        return;
    }
    loop->is_reply_ok = false;
    start_call(run, &(struct load_call){
                        .path = run->target->ack,
                        .request = span_of(loop->ack.bytes, loop->ack.len),
                        .on_message = on_ack_reply,
                        .on_done = on_acked,
                        .arg = loop,
                    });
}

static void start_receive(struct receive_loop *loop)
{
    struct receiving *run = loop->run;
    rpc_wire_ack_begin(&loop->ack, run->r->group, run->r->topic);
    start_call(run, &(struct load_call){
                        .path = run->target->receive,
                        .request = loop->request,
                        .streams = true,
                        .on_message = on_received,
                        .on_done = on_receive_done,
                        .arg = loop,
                    });
}

static int make_loops(struct receiving *run, size_t n, struct err *e)
{
    run->loops = calloc(n, sizeof *run->loops);
    if (!run->loops)
        return err_set(e, ERR_NOMEM, "make receive loops");
    for (size_t i = 0; i < n; i++) {
        run->loops[i].run = run;
        int rc = rpc_wire_receive(run->r->group, run->r->topic, (int)i, &run->loops[i].request, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void free_loops(struct receiving *run, size_t n)
{
    for (size_t i = 0; run->loops && i < n; i++)
        free((void *)run->loops[i].request.ptr);
    free(run->loops);
}

int run_receive(struct run_target *t, const struct run_receive *r, uint64_t *ret_n_messages,
                struct err *e)
{
    struct receiving run = {.target = t, .r = r};
    size_t n = r->capture ? 1 : RUN_QUEUES;
    int rc = make_loops(&run, n, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        start_receive(&run.loops[i]);
    if (rc == 0)
        rc = drive(t->load, &run.n_events, e);
    if (rc == 0 && run.error.code < 0) {
        *e = run.error;
        rc = e->code;
    }
    if (rc == 0)
        *ret_n_messages = run.n_acked;
    if (load_n_running(t->load) == 0) /* else the calls still use them */
        free_loops(&run, n);
    return rc;
}

void run_capture_free(struct run_capture *c)
{
    for (size_t i = 0; i < c->n_messages; i++)
        free((void *)c->messages[i].ptr);
    free((void *)c->ack.ptr);
    *c = (struct run_capture){0};
}

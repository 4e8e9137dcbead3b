/* Drives the load generator. Every reply is looked at: an error would be fast, and no figure. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_run.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "proto/proto.h"
#include "tools/bench/load.h"
#include "tools/bench/rpc_wire.h"

enum { POLL_NS = 100000000 };
#define NS_PER_MS UINT64_C(1000000)
#define STALL_NS (UINT64_C(30) * 1000000000)

int run_target_open(struct run_target *ret_target, const char *endpoint, enum run_kind kind,
                    struct err *e)
{
    struct run_target t = {.endpoint = endpoint, .kind = kind};
    bool is_null = kind == RUN_NULL || kind == RUN_NULL_TLS;
    bool is_tls = kind == RUN_BROKER_TLS || kind == RUN_NULL_TLS;
    int rc = load_open(&t.load, endpoint, is_tls ? LOAD_TLS : LOAD_PLAIN, e);
    if (rc < 0)
        return rc;
    t.publish = load_path(t.load, PROTO_SEND_MESSAGE);
    t.publish_batch = load_path(t.load, is_null ? RUN_NULL_BATCH : PROTO_SEND_MESSAGE);
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

uint64_t run_now_ns(void)
{
    return io_posix()->mono_ns(io_posix());
}

void run_copy_span(struct span *to, struct span from)
{
    uint8_t *bytes = malloc(from.len ? from.len : 1);
    if (!bytes)
        return;
    memcpy(bytes, from.ptr, from.len);
    free((void *)to->ptr);
    *to = span_of(bytes, from.len);
}

int run_drive(struct run_target *t, const uint64_t *n_events, uint64_t enough,
              const struct err *error, struct err *e)
{
    uint64_t seen = *n_events, since = run_now_ns();
    while (*n_events < enough && load_n_running(t->load) > 0) {
        bool is_idle = !load_poll(t->load, POLL_NS);
        if (error && error->code < 0) {
            *e = *error;
            return e->code;
        }
        if (seen != *n_events) {
            seen = *n_events;
            since = 0;
        } else if (is_idle && since == 0) {
            since = run_now_ns();
        } else if (is_idle && run_now_ns() - since > STALL_NS) {
            return err_set(e, ERR_FAILED, "no answer from the server");
        }
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
           (run->end_ns && run_now_ns() >= run->end_ns);
}

static void on_publish_reply(void *arg, struct span message)
{
    struct publishing *run = arg;
    if (rpc_wire_is_ok(message)) {
        run->is_reply_ok = true;
        if (run->p->reply)
            run_copy_span(run->p->reply, message);
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
        .target = t, .p = p, .end_ns = p->run_ms ? run_now_ns() + p->run_ms * NS_PER_MS : 0};
    for (size_t i = 0; i < p->in_flight && !is_over(&run); i++)
        start_publish(&run);
    int rc = 0;
    while (rc == 0 && run.n_done < run.n_started) /* an end starts the next one */
        rc = run_drive(t, &run.n_done, run.n_started, /* error = */ NULL, e);
    if (rc < 0)
        return rc;
    if (run.error.code < 0) {
        *e = run.error;
        return e->code;
    }
    *ret_n_messages = run.n_done * p->requests->n_each;
    return 0;
}

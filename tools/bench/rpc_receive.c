/* Receive and acknowledge, with every reply looked at. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_receive.h"

#include <stdlib.h>

#include "tools/bench/load.h"
#include "tools/bench/rpc_wire.h"

/* One loop: a receive, then the ack of what it brought. */
struct receive_loop {
    struct receiver *run;
    struct span request;
    struct rpc_wire_ack ack;
    bool is_reply_ok;
};

struct receiver {
    struct run_target *target;
    struct receive_options opt;
    struct receive_loop *loops;
    uint64_t n_acked;
    struct err error;
};

static void receive_failed(struct receiver *run, const char *what, int status)
{
    if (run->error.code == 0)
        (void)err_set(&run->error, ERR_FAILED, "%s (gRPC status %d)", what, status);
}

static void start_call(struct receiver *run, const struct load_call *call)
{
    struct err e;
    if (load_start(run->target->load, call, &e) < 0 && run->error.code == 0)
        run->error = e;
}

static void note_latency(struct timings *t, struct span message)
{
    uint64_t stamp, now = run_now_ns();
    if (rpc_wire_stamp(message, &stamp) && stamp <= now)
        timings_add(t, stamp, now - stamp);
}

static void on_received(void *arg, struct span message)
{
    struct receive_loop *loop = arg;
    const struct receive_options *opt = &loop->run->opt;
    struct span id, handle;
    bool is_message = rpc_wire_message(message, &id, &handle);
    if (is_message && !rpc_wire_ack_add(&loop->ack, id, handle))
        receive_failed(loop->run, "an ack is too long", 0);
    if (is_message && opt->timings)
        note_latency(opt->timings, message);
    if (opt->capture && opt->capture->n_messages < RECEIVE_CAPTURE_MAX)
        run_copy_span(&opt->capture->messages[opt->capture->n_messages++], message);
}

static void start_receive(struct receive_loop *loop);

static void on_ack_reply(void *arg, struct span message)
{
    struct receive_loop *loop = arg;
    loop->is_reply_ok = rpc_wire_is_ok(message);
    if (loop->run->opt.capture)
        run_copy_span(&loop->run->opt.capture->ack, message);
}

static void on_acked(void *arg, int status)
{
    struct receive_loop *loop = arg;
    struct receiver *run = loop->run;
    run->n_acked += loop->ack.n;
    if (status != 0 || !loop->is_reply_ok)
        receive_failed(run, "an ack was refused", status);
    else if (!run->opt.capture)
        start_receive(loop);
}

static void on_receive_done(void *arg, int status)
{
    struct receive_loop *loop = arg;
    struct receiver *run = loop->run;
    if (status != 0 || run->error.code < 0) {
        receive_failed(run, "a receive was refused", status);
        return;
    }
    if (loop->ack.n == 0) { /* none within the long poll */
        start_receive(loop);
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
    struct receiver *run = loop->run;
    rpc_wire_ack_begin(&loop->ack, run->opt.group, run->opt.topic);
    start_call(run, &(struct load_call){
                        .path = run->target->receive,
                        .request = loop->request,
                        .streams = true,
                        .on_message = on_received,
                        .on_done = on_receive_done,
                        .arg = loop,
                    });
}

static int make_loops(struct receiver *run, struct err *e)
{
    const struct receive_options *opt = &run->opt;
    run->loops = calloc(opt->n_loops, sizeof *run->loops);
    if (!run->loops)
        return err_set(e, ERR_NOMEM, "make receive loops");
    for (size_t i = 0; i < opt->n_loops; i++) {
        const struct rpc_wire_receive r = {.group = opt->group,
                                           .topic = opt->topic,
                                           .broker = opt->broker,
                                           .queue = (int)(i % RUN_QUEUES)};
        run->loops[i].run = run;
        int rc = rpc_wire_receive(&r, &run->loops[i].request, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int receiver_start(struct receiver **ret_receiver, struct run_target *t,
                   const struct receive_options *opt, struct err *e)
{
    struct receiver *run = calloc(1, sizeof *run);
    if (!run)
        return err_set(e, ERR_NOMEM, "make a receiver");
    run->target = t;
    run->opt = *opt;
    int rc = make_loops(run, e);
    if (rc < 0) {
        receiver_free(run);
        return rc;
    }
    for (size_t i = 0; i < opt->n_loops; i++)
        start_receive(&run->loops[i]);
    *ret_receiver = run;
    return 0;
}

int receiver_drive(struct receiver *r, uint64_t n_messages, struct err *e)
{
    return run_drive(r->target, &r->n_acked, n_messages, &r->error, e);
}

const uint64_t *receiver_n_acked(const struct receiver *r)
{
    return &r->n_acked;
}

const struct err *receiver_error(const struct receiver *r)
{
    return &r->error;
}

void receiver_free(struct receiver *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->loops && i < r->opt.n_loops; i++)
        free((void *)r->loops[i].request.ptr);
    free(r->loops);
    free(r);
}

void receive_capture_free(struct receive_capture *c)
{
    for (size_t i = 0; i < c->n_messages; i++)
        free((void *)c->messages[i].ptr);
    free((void *)c->ack.ptr);
    *c = (struct receive_capture){0};
}

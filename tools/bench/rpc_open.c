/* The open loop of publishes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_open.h"

#include <stdlib.h>

#include "tools/bench/load.h"
#include "tools/bench/rpc_wire.h"

enum { OPEN_MAX = 65536 }; /* unanswered at once: by then the server is overwhelmed */
#define NS_PER_S 1e9
#define NS_PER_MS UINT64_C(1000000)

struct opening;

struct open_call {
    struct opening *run;
    struct open_call *next_free;
    uint64_t intended_ns;
    bool is_reply_ok;
};

struct opening {
    struct run_target *target;
    const struct run_open *o;
    struct open_call *calls;
    struct open_call *free;
    uint64_t begun_ns;
    uint64_t n_started, n_done;
    struct err error;
};

static void on_reply(void *arg, struct span message)
{
    struct open_call *call = arg;
    call->is_reply_ok = rpc_wire_is_ok(message);
}

static void on_done(void *arg, int status)
{
    struct open_call *call = arg;
    struct opening *run = call->run;
    if ((status != 0 || !call->is_reply_ok) && run->error.code == 0)
        (void)err_set(&run->error, ERR_FAILED, "a publish was refused (gRPC status %d)", status);
    if (run->o->timings)
        timings_add(run->o->timings, call->intended_ns, run_now_ns() - call->intended_ns);
    run->n_done++;
    call->next_free = run->free;
    run->free = call;
}

static void start(struct opening *run, uint64_t intended_ns)
{
    struct open_call *call = run->free;
    struct span request = run->o->requests->spans[run->n_started % RUN_REQUESTS];
    if (!call) {
        (void)err_set(&run->error, ERR_FAILED, "%d publishes are unanswered", OPEN_MAX);
        return;
    }
    run->free = call->next_free;
    call->intended_ns = intended_ns;
    call->is_reply_ok = false;
    if (run->o->stamp_bytes)
        rpc_wire_set_stamp(request, run->o->stamp_bytes, intended_ns);
    run->n_started++;
    struct err e;
    if (load_start(run->target->load,
                   &(struct load_call){.path = run->target->publish,
                                       .request = request,
                                       .on_message = on_reply,
                                       .on_done = on_done,
                                       .arg = call},
                   &e) < 0 &&
        run->error.code == 0)
        run->error = e;
}

static void run_until(struct opening *run, uint64_t end_ns)
{
    double interval_ns = NS_PER_S / run->o->rate;
    while (run->error.code == 0) {
        uint64_t due = run->begun_ns + (uint64_t)((double)run->n_started * interval_ns);
        if (due >= end_ns)
            return;
        uint64_t now = run_now_ns();
        if (now >= due)
            start(run, due);
        /* when late too: answers come meanwhile */
        (void)load_poll(run->target->load, now < due ? due - now : 0);
    }
}

/* Memory that calls under way still use must stay. */
static int end_run(struct opening *run, struct err *e)
{
    int rc = run_drive(run->target, &run->n_done, run->n_started, &run->error, e);
    if (rc == 0 && run->error.code < 0) {
        *e = run->error;
        rc = e->code;
    }
    if (run->n_done == run->n_started)
        free(run->calls);
    return rc;
}

int run_open(struct run_target *t, const struct run_open *o, uint64_t *ret_n_messages,
             struct err *e)
{
    struct opening run = {.target = t, .o = o, .calls = calloc(OPEN_MAX, sizeof *run.calls)};
    if (!run.calls)
        return err_set(e, ERR_NOMEM, "make calls");
    for (size_t i = OPEN_MAX; i-- > 0;) {
        run.calls[i] = (struct open_call){.run = &run, .next_free = run.free};
        run.free = &run.calls[i];
    }
    run.begun_ns = run_now_ns();
    run_until(&run, run.begun_ns + o->run_ms * NS_PER_MS);
    int rc = end_run(&run, e);
    if (rc == 0)
        *ret_n_messages = run.n_done;
    return rc;
}

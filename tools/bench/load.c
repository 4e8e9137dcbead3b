/* The load generator. A unary call is one batch and one event. A streaming one has its status in
 * one batch and reads message by message in others. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "tools/client_core.h"

enum { N_METADATA = 6, CALL_S = 60 };

struct load_path {
    void *registered;
    struct load_path *next;
};

struct load {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    grpc_metadata metadata[N_METADATA]; /* what clients send with each call */
    struct load_path *paths;
    struct running *free; /* to be used again */
    struct running *running;
    size_t n_running;
    uint8_t *flat; /* a message in several slices, in one piece */
    size_t flat_max;
};

enum event_kind { EVENT_WHOLE, EVENT_OPENED, EVENT_READ, EVENT_STATUS };

struct event_tag {
    enum event_kind kind;
    struct running *call;
};

struct running {
    struct load *load;
    struct load_call call;
    struct running *next;
    struct running *prev;
    grpc_call *grpc;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_byte_buffer *reply;
    grpc_status_code status;
    grpc_slice details;
    unsigned n_pending; /* batches under way */
    struct event_tag whole;
    struct event_tag opened;
    struct event_tag read;
    struct event_tag ended;
};

/* ---- opening ---- */

static void set_metadata(struct load *l)
{
    static const char *const pairs[N_METADATA][2] = {
        {"x-mq-client-id", LOAD_CLIENT_ID},
        {"x-mq-language", "CPP"},
        {"x-mq-client-version", "5.1.0"},
        {"x-mq-protocol", "v2"},
        {"x-mq-date-time", "20250101T000000Z"},
        {"x-mq-request-id", "00000000-0000-0000-0000-000000000000"},
    };
    for (size_t i = 0; i < N_METADATA; i++) {
        l->metadata[i].key = grpc_slice_from_static_string(pairs[i][0]);
        l->metadata[i].value = grpc_slice_from_static_string(pairs[i][1]);
    }
}

int load_open(struct load **ret_load, const char *endpoint, enum load_security security,
              struct err *e)
{
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "make a load generator");
    grpc_init();
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
         .value.integer = 1},
    };
    const grpc_channel_args list = {.num_args = sizeof args / sizeof args[0], .args = args};
    grpc_channel_credentials *credentials =
        security == LOAD_PLAIN ? grpc_insecure_credentials_create() : client_tls_credentials();
    l->channel = grpc_channel_create(endpoint, credentials, &list);
    grpc_channel_credentials_release(credentials);
    l->queue = grpc_completion_queue_create_for_next(NULL);
    set_metadata(l);
    *ret_load = l;
    return 0;
}

struct load_path *load_path(struct load *l, const char *path)
{
    struct load_path *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->registered = grpc_channel_register_call(l->channel, path, /* host = */ NULL, NULL);
    p->next = l->paths;
    l->paths = p;
    return p;
}

/* ---- calls ---- */

static struct running *take_running(struct load *l)
{
    struct running *r = l->free;
    if (r) {
        l->free = r->next;
        return r;
    }
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->load = l;
    r->whole = (struct event_tag){EVENT_WHOLE, r};
    r->opened = (struct event_tag){EVENT_OPENED, r};
    r->read = (struct event_tag){EVENT_READ, r};
    r->ended = (struct event_tag){EVENT_STATUS, r};
    return r;
}

static void link_running(struct load *l, struct running *r)
{
    r->prev = NULL;
    r->next = l->running;
    if (r->next)
        r->next->prev = r;
    l->running = r;
    l->n_running++;
}

static void give_back(struct load *l, struct running *r)
{
    *(r->prev ? &r->prev->next : &l->running) = r->next;
    if (r->next)
        r->next->prev = r->prev;
    l->n_running--;
    grpc_slice_unref(r->details);
    grpc_call_unref(r->grpc);
    r->next = l->free;
    l->free = r;
}

static void start_batch(struct running *r, const grpc_op *ops, size_t n, struct event_tag *tag)
{
    grpc_call_error rc = grpc_call_start_batch(r->grpc, ops, n, tag, NULL);
    assert(rc == GRPC_CALL_OK); /* anything else is our misuse */
    (void)rc;
    r->n_pending++;
}

static void set_status_op(struct running *r, grpc_op *op)
{
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &r->trailing;
    op->data.recv_status_on_client.status = &r->status;
    op->data.recv_status_on_client.status_details = &r->details;
}

static void start_read(struct running *r)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &r->reply;
    start_batch(r, &op, 1, &r->read);
}

/* The request and everything up to its end; returns how many operations. */
static size_t set_request_ops(struct running *r, grpc_byte_buffer *request, grpc_op ops[4])
{
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = N_METADATA;
    ops[0].data.send_initial_metadata.metadata = r->load->metadata;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = request;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &r->initial;
    return 4;
}

int load_start(struct load *l, const struct load_call *call, struct err *e)
{
    struct running *r = take_running(l);
    if (!r)
        return err_set(e, ERR_NOMEM, "start a call");
    r->call = *call;
    r->reply = NULL;
    r->details = grpc_empty_slice();
    r->n_pending = 0;
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_seconds(call->limit_s ? call->limit_s : CALL_S, GPR_TIMESPAN));
    r->grpc = grpc_channel_create_registered_call(l->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                  l->queue, call->path->registered, deadline, NULL);
    link_running(l, r);
    grpc_slice slice = grpc_slice_from_static_buffer(call->request.ptr, call->request.len);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_op ops[6] = {0};
    size_t n = set_request_ops(r, request, ops);
    if (call->streams) {
        start_batch(r, ops, n, &r->opened);
        grpc_op status = {0};
        set_status_op(r, &status);
        start_batch(r, &status, 1, &r->ended);
        start_read(r);
    } else {
        ops[n].op = GRPC_OP_RECV_MESSAGE;
        ops[n++].data.recv_message.recv_message = &r->reply;
        set_status_op(r, &ops[n++]);
        start_batch(r, ops, n, &r->whole);
    }
    grpc_byte_buffer_destroy(request); /* the batch has taken its slices */
    return 0;
}

/* ---- events ---- */

static struct span flatten(struct load *l, grpc_byte_buffer *b)
{
    const grpc_slice_buffer *slices = &b->data.raw.slice_buffer;
    if (slices->count == 1)
        return span_of(GRPC_SLICE_START_PTR(slices->slices[0]),
                       GRPC_SLICE_LENGTH(slices->slices[0]));
    if (slices->length > l->flat_max) {
        free(l->flat);
        l->flat = malloc(slices->length);
        l->flat_max = l->flat ? slices->length : 0;
    }
    size_t len = 0;
    for (size_t i = 0; i < slices->count && l->flat; i++) {
        memcpy(l->flat + len, GRPC_SLICE_START_PTR(slices->slices[i]),
               GRPC_SLICE_LENGTH(slices->slices[i]));
        len += GRPC_SLICE_LENGTH(slices->slices[i]);
    }
    return span_of(l->flat, len);
}

/* Whether there was a message. */
static bool hand_out(struct running *r)
{
    if (!r->reply)
        return false;
    if (r->call.on_length)
        r->call.on_length(r->call.arg, grpc_byte_buffer_length(r->reply));
    else
        r->call.on_message(r->call.arg, flatten(r->load, r->reply));
    grpc_byte_buffer_destroy(r->reply);
    r->reply = NULL;
    return true;
}

static void finish(struct running *r)
{
    struct load_call call = r->call;
    int status = (int)r->status;
    grpc_metadata_array_destroy(&r->initial);
    grpc_metadata_array_destroy(&r->trailing);
    memset(&r->initial, 0, sizeof r->initial);
    memset(&r->trailing, 0, sizeof r->trailing);
    give_back(r->load, r);
    call.on_done(call.arg, status);
}

static void handle(struct event_tag *tag, bool ok)
{
    struct running *r = tag->call;
    r->n_pending--;
    bool has_message = tag->kind == EVENT_WHOLE || tag->kind == EVENT_READ ? hand_out(r) : false;
    if (tag->kind == EVENT_READ && has_message && ok)
        start_read(r);
    if (r->n_pending == 0)
        finish(r);
}

bool load_poll(struct load *l, uint64_t wait_ns)
{
    gpr_timespec until = gpr_inf_past(GPR_CLOCK_MONOTONIC); /* C-core rounds up to milliseconds */
    if (wait_ns > 0)
        until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                             gpr_time_from_nanos((int64_t)wait_ns, GPR_TIMESPAN));
    grpc_event event = grpc_completion_queue_next(l->queue, until, NULL);
    if (event.type != GRPC_OP_COMPLETE)
        return false;
    handle(event.tag, event.success);
    return true;
}

size_t load_n_running(const struct load *l)
{
    return l->n_running;
}

/* ---- closing ---- */

static void ignore_message(void *arg, struct span message)
{
    (void)arg;
    (void)message;
}

static void ignore_done(void *arg, int status)
{
    (void)arg;
    (void)status;
}

void load_close(struct load *l)
{
    if (!l)
        return;
    for (struct running *r = l->running; r; r = r->next) {
        r->call.on_message = ignore_message;
        r->call.on_length = NULL;
        r->call.on_done = ignore_done;
        (void)grpc_call_cancel(r->grpc, NULL);
    }
    enum { WAIT_NS = 100000000 };
    while (l->n_running > 0)
        (void)load_poll(l, WAIT_NS);
    while (l->free) {
        struct running *r = l->free;
        l->free = r->next;
        free(r);
    }
    while (l->paths) {
        struct load_path *p = l->paths;
        l->paths = p->next;
        free(p);
    }
    grpc_completion_queue_shutdown(l->queue);
    while (grpc_completion_queue_next(l->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(l->queue);
    grpc_channel_destroy(l->channel);
    free(l->flat);
    free(l);
    grpc_shutdown();
}

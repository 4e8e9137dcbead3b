/* One call from its acceptance to its end.
 *
 *   offered --accepted--> open --rpc_finish--> finishing --status given--> closing --> ended
 *                          `------- cancelled by the client, connection lost ---------^
 *
 * The worker that accepted a call runs all its callbacks. Other threads only queue messages and the
 * status, under the call's lock; whoever finds no write in gRPC's hands starts the next batch.
 *
 * C1  At most one batch with a write is in gRPC's hands (is_sending).
 * C2  The close operation is in gRPC's hands from the first return of on_request (for RPC_BIDI:
 * from the acceptance), so a cancelled call is noticed at once. A reply made inside on_request
 * takes the close operation into its own batch: one event less for every short call. C3  A call
 * ends when the close operation has come back and n_ops is 0: gRPC then refers to nothing of it.
 * on_end runs there and only there.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "broker/tsan.h"

/* A client that sends requests and does not read replies is not read from either beyond this. */
enum { QUEUED_MAX = 64 };

enum { BATCH_OPS = 4 };

enum { SPARE_MAX = 64 }; /* outgoing messages kept with a call */

/* Ended calls. Of the process, as gRPC is: the last reference to a call may outlive its server. */
static struct idle idle_calls;

/* Operations put together under the call's lock and started outside it. */
struct batch {
    grpc_op ops[BATCH_OPS];
    size_t n;
    grpc_slice details; /* of the status */
    bool has_details;
};

static enum rpc_kind kind_of(const struct rpc_call *call)
{
    return call->method ? call->method->kind : RPC_UNARY;
}

static grpc_op *batch_add(struct batch *b, grpc_op_type type)
{
    assert(b->n < BATCH_OPS);
    grpc_op *op = &b->ops[b->n++];
    *op = (grpc_op){.op = type};
    return op;
}

static void batch_start(struct rpc_call *call, struct batch *b, struct rpc_tag *tag)
{
    grpc_call *grpc = call->grpc;
    tsan_hand_over(tag); /* from here on the worker may end the call */
    grpc_call_error rc = grpc_call_start_batch(grpc, b->ops, b->n, tag, NULL);
    assert(rc == GRPC_CALL_OK); /* anything else is our misuse */
    (void)rc;
    if (b->has_details)
        grpc_slice_unref(b->details);
}

static void add_close(struct rpc_call *call, struct batch *b)
{
    batch_add(b, GRPC_OP_RECV_CLOSE_ON_SERVER)->data.recv_close_on_server.cancelled =
        &call->was_cancelled;
    call->watches_close = true;
}

static void add_status(struct rpc_call *call, struct batch *b)
{
    grpc_op *op = batch_add(b, GRPC_OP_SEND_STATUS_FROM_SERVER);
    op->data.send_status_from_server.status = (grpc_status_code)call->status;
    b->details = call->text;
    b->has_details = true;
    op->data.send_status_from_server.status_details = &b->details;
    call->text = grpc_empty_slice();
    call->has_status = true;
}

/* Keeps it for the next message. */
static void keep_outgoing(struct rpc_call *call, struct rpc_outgoing *out)
{
    lock_assert_held(&call->lock);
    if (call->n_spare == SPARE_MAX) {
        gpr_free(out);
        return;
    }
    out->next = call->spare;
    call->spare = out;
    call->n_spare++;
}

/* A kept one, else a new one. Locks: drops and takes the call's again in the second case. */
static struct rpc_outgoing *get_outgoing(struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    struct rpc_outgoing *out = call->spare;
    if (out) {
        call->spare = out->next;
        call->n_spare--;
        return out;
    }
    lock_drop(&call->lock);
    out = gpr_malloc(sizeof *out);
    lock_take(&call->lock);
    return out;
}

static void add_message(struct rpc_call *call, struct batch *b)
{
    struct rpc_outgoing *out = call->head;
    call->head = out->next;
    if (!call->head)
        call->tail = NULL;
    call->n_queued--;
    grpc_op *op = batch_add(b, GRPC_OP_SEND_MESSAGE);
    op->data.send_message.send_message = out->buffer;
    bool is_last = !call->head && (call->is_finishing || !out->more);
    /* A held-back message would hold back the headers of its batch, and never come back. */
    bool has_headers_with_it = b->n > 1;
    op->flags = is_last || has_headers_with_it ? 0 : GRPC_WRITE_BUFFER_HINT;
    call->writing = out->buffer;
    keep_outgoing(call, out);
}

/* Fills in what can be written now; false when that is nothing. */
static bool next_batch(struct rpc_call *call, struct batch *b)
{
    lock_assert_held(&call->lock);
    b->n = 0;
    b->has_details = false;
    if (call->is_sending || call->is_closed || call->has_failed || call->has_status)
        return false;
    bool is_whole = call->is_finishing || kind_of(call) != RPC_UNARY; /* unary: all in one batch */
    bool has_message = is_whole && call->head;
    bool has_end = call->is_finishing && (!call->head || !call->head->next);
    if (!has_message && !has_end)
        return false;
    if (!call->has_headers)
        batch_add(b, GRPC_OP_SEND_INITIAL_METADATA);
    call->has_headers = true;
    if (has_message)
        add_message(call, b);
    if (has_end)
        add_status(call, b);
    if (has_end && !call->watches_close) {
        add_close(call, b);
        call->close_in_batch = true;
    }
    call->is_sending = true;
    call->n_ops++;
    return true;
}

/* Takes what is queued off the call; the caller frees it outside the lock, for it runs releases. */
static struct rpc_outgoing *take_queued(struct rpc_call *call)
{
    struct rpc_outgoing *first = call->head;
    call->head = NULL;
    call->tail = NULL;
    call->n_queued = 0;
    return first;
}

static void free_queued(struct rpc_outgoing *out)
{
    while (out) {
        struct rpc_outgoing *next = out->next;
        grpc_byte_buffer_destroy(out->buffer);
        gpr_free(out);
        out = next;
    }
}

static bool is_over(struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    return call->is_closed || call->has_failed;
}

static uint64_t lent_bytes(const struct rpc_piece *pieces, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].release ? pieces[i].bytes.len : 0;
    return bytes;
}

void rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more)
{
    struct rpc_server *server = call->server;
    grpc_byte_buffer *buffer = rpc_message_build(pieces, n);
    struct batch b = {.n = 0};
    struct peer *slow = NULL;
    lock_take(&call->lock);
    struct rpc_outgoing *out = get_outgoing(call);
    *out = (struct rpc_outgoing){.buffer = buffer, .more = more};
    bool is_taken = !is_over(call) && !call->is_finishing;
    if (is_taken) {
        slow = rpc_unread_add(call, lent_bytes(pieces, n));
        *(call->tail ? &call->tail->next : &call->head) = out;
        call->tail = out;
        call->n_queued++;
    }
    bool starts = is_taken && next_batch(call, &b);
    lock_drop(&call->lock);
    if (starts)
        batch_start(call, &b, &call->sent);
    if (!is_taken)
        free_queued(out);
    rpc_unread_watch(server, slow);
}

void rpc_finish(struct rpc_call *call, int status, const char *text)
{
    struct batch b = {.n = 0};
    struct rpc_outgoing *dropped = NULL;
    bool starts = false;
    lock_take(&call->lock);
    if (!call->is_finishing && !is_over(call)) {
        call->is_finishing = true;
        call->status = status;
        call->text = text ? grpc_slice_from_copied_string(text) : grpc_empty_slice();
        if (kind_of(call) == RPC_UNARY && status != RPC_OK)
            dropped = take_queued(call);
        assert(kind_of(call) != RPC_UNARY || status != RPC_OK || call->n_queued == 1);
        starts = next_batch(call, &b);
    }
    lock_drop(&call->lock);
    if (starts)
        batch_start(call, &b, &call->sent);
    free_queued(dropped);
}

bool rpc_is_lost(const struct rpc_call *call)
{
    return atomic_load_explicit(&call->is_lost, memory_order_acquire); /* pairs with note_lost */
}

/* ---- the end ---- */

void rpc_call_init(void)
{
    idle_init(&idle_calls, IDLE_REQUESTS);
}

/* Keeps a call's memory, with that of its messages. */
static void call_free(struct rpc_call *call)
{
    assert(!call->head && !call->writing && !call->grpc);
    lock_fini(&call->lock);
    rpc_message_trim(&call->request);
    if (idle_keep(&idle_calls, &call->idle))
        return;
    rpc_message_fini(&call->request);
    while (call->spare) {
        struct rpc_outgoing *next = call->spare->next;
        gpr_free(call->spare);
        call->spare = next;
    }
    gpr_free(call);
}

static struct rpc_call *call_new(void)
{
    struct idle_item *item = idle_take(&idle_calls);
    if (!item)
        return gpr_zalloc(sizeof(struct rpc_call));
    struct rpc_call *call = (struct rpc_call *)item;
    *call = (struct rpc_call){
        .spare = call->spare,
        .n_spare = call->n_spare,
        .request = {.many = call->request.many, .n_many = call->request.n_many},
    };
    return call;
}

struct rpc_call *rpc_ref(struct rpc_call *call)
{
    /* relaxed: the caller has a reference, so nobody frees meanwhile */
    atomic_fetch_add_explicit(&call->n_refs, 1, memory_order_relaxed);
    return call;
}

void rpc_unref(struct rpc_call *call)
{
    /* acq_rel: the last one sees what the others did before they let go */
    if (atomic_fetch_sub_explicit(&call->n_refs, 1, memory_order_acq_rel) == 1)
        call_free(call);
}

static void drop_grpc(struct rpc_call *call)
{
    grpc_metadata_array_destroy(&call->metadata);
    if (!call->method) {
        grpc_slice_unref(call->details.method);
        grpc_slice_unref(call->details.host);
    }
    if (call->grpc)
        grpc_call_unref(call->grpc); /* a connection lives as long as its last call */
    call->grpc = NULL;
}

static void end_if_done(struct rpc_call *call)
{
    lock_take(&call->lock);
    bool is_done = call->is_closed && call->n_ops == 0;
    lock_drop(&call->lock);
    if (!is_done)
        return;
    enum rpc_end end = rpc_is_lost(call) ? RPC_END_LOST : RPC_END_WRITTEN;
    if (call->method && call->method->on_end)
        call->method->on_end(call->server->ctx, call, end);
    rpc_message_drop(&call->request);
    grpc_slice_unref(call->text);
    call->text = grpc_empty_slice();
    drop_grpc(call);
    rpc_unread_end(call);
    rpc_unref(call);
}

static void note_lost(struct rpc_call *call)
{
    atomic_store_explicit(&call->is_lost, true, memory_order_release); /* see rpc_is_lost */
}

/* The close operation has come back. */
static void note_closed(struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    call->is_closed = true;
    if (call->was_cancelled || !call->has_status)
        note_lost(call);
}

static void on_closed(void *owner, bool ok)
{
    (void)ok; /* this operation always succeeds; was_cancelled has the answer */
    struct rpc_call *call = owner;
    lock_take(&call->lock);
    call->n_ops--;
    note_closed(call);
    struct rpc_outgoing *dropped = take_queued(call);
    lock_drop(&call->lock);
    free_queued(dropped);
    end_if_done(call);
}

/* ---- receiving ---- */

static void start_receiving(struct rpc_call *call)
{
    struct batch b = {.n = 0};
    batch_add(&b, GRPC_OP_RECV_MESSAGE)->data.recv_message.recv_message = &call->request.buffer;
    batch_start(call, &b, &call->received);
}

/* Whether the next message may be asked for; the caller then does. */
static bool may_receive(struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    if (kind_of(call) != RPC_BIDI || call->is_receiving || call->is_finishing || is_over(call) ||
        call->n_queued > QUEUED_MAX)
        return false;
    call->is_receiving = true;
    call->n_ops++;
    return true;
}

static void deliver(struct rpc_call *call)
{
    rpc_message_view(&call->request);
    call->method->on_request(call->server->ctx, call);
    if (!call->is_put_off)
        rpc_message_drop(&call->request);
}

static void half_close(struct rpc_call *call)
{
    if (call->method->on_half_close)
        call->method->on_half_close(call->server->ctx, call);
    else
        rpc_finish(call, RPC_OK, NULL);
}

static bool is_cut_off(struct rpc_call *call)
{
    lock_take(&call->lock);
    bool is_cut = call->is_finishing || is_over(call);
    lock_drop(&call->lock);
    return is_cut;
}

static void on_received(void *owner, bool ok)
{
    struct rpc_call *call = owner;
    bool has_message = ok && call->request.buffer;
    if (is_cut_off(call))
        rpc_message_drop(&call->request);
    else if (has_message)
        deliver(call);
    else if (ok)
        half_close(call);
    lock_take(&call->lock);
    call->is_receiving = !has_message; /* after the last one, never again */
    bool again = may_receive(call);
    call->n_ops--;
    lock_drop(&call->lock);
    if (again)
        start_receiving(call);
    end_if_done(call);
}

/* ---- putting off ---- */

/* Counts as an operation, so that the call does not end meanwhile (C3). */
void rpc_put_off(struct rpc_call *call)
{
    assert(kind_of(call) != RPC_BIDI && !call->is_put_off);
    call->is_put_off = true;
    lock_take(&call->lock);
    call->n_ops++;
    lock_drop(&call->lock);
}

/* The queue is open: a server goes down after its last call. */
void rpc_take_up(struct rpc_call *call, int outcome)
{
    grpc_call *bell = call->worker->bell;
    call->outcome = outcome;
    tsan_hand_over(&call->taken_up);
    (void)grpc_call_start_batch(bell, NULL, 0, &call->taken_up, NULL);
}

int rpc_outcome(const struct rpc_call *call)
{
    return call->outcome;
}

static void on_taken_up(void *owner, bool ok)
{
    struct rpc_call *call = owner;
    (void)ok; /* a bell always rings */
    call->is_put_off = false;
    if (!is_cut_off(call))
        call->method->on_request(call->server->ctx, call);
    if (!call->is_put_off)
        rpc_message_drop(&call->request);
    lock_take(&call->lock);
    call->n_ops--;
    lock_drop(&call->lock);
    end_if_done(call);
}

/* ---- sending ---- */

static void on_sent(void *owner, bool ok)
{
    struct rpc_call *call = owner;
    struct batch b;
    struct rpc_outgoing *dropped = NULL;
    lock_take(&call->lock);
    grpc_byte_buffer *written = call->writing;
    call->writing = NULL;
    call->is_sending = false;
    call->n_ops--;
    if (!ok) {
        call->has_failed = true;
        note_lost(call);
        dropped = take_queued(call);
    }
    if (call->close_in_batch)
        note_closed(call);
    bool starts = next_batch(call, &b);
    bool receives = call->method && may_receive(call);
    lock_drop(&call->lock);
    if (written)
        grpc_byte_buffer_destroy(written);
    free_queued(dropped);
    if (starts)
        batch_start(call, &b, &call->sent);
    if (receives)
        start_receiving(call);
    end_if_done(call);
}

static void send_headers(struct rpc_call *call)
{
    struct batch b = {.n = 0};
    lock_take(&call->lock);
    batch_add(&b, GRPC_OP_SEND_INITIAL_METADATA);
    call->has_headers = true;
    call->is_sending = true;
    call->n_ops++;
    lock_drop(&call->lock);
    batch_start(call, &b, &call->sent);
}

/* ---- acceptance ---- */

static void watch_close(struct rpc_call *call)
{
    struct batch b = {.n = 0};
    lock_take(&call->lock);
    bool starts = !call->watches_close;
    if (starts) {
        add_close(call, &b);
        call->n_ops++;
    }
    lock_drop(&call->lock);
    if (starts)
        batch_start(call, &b, &call->closed);
}

static void note_peer(struct rpc_call *call)
{
    char *name = grpc_call_get_peer(call->grpc);
    call->from = acceptor_peer(call->server->acceptor, name, call->peer, sizeof call->peer);
    gpr_free(name);
}

static void begin_bidi(struct rpc_call *call)
{
    watch_close(call);
    send_headers(call);
    if (call->method->on_open)
        call->method->on_open(call->server->ctx, call);
    lock_take(&call->lock);
    bool receives = may_receive(call);
    lock_drop(&call->lock);
    if (receives)
        start_receiving(call);
}

static void begin_single(struct rpc_call *call)
{
    if (call->request.buffer)
        deliver(call);
    else
        rpc_finish(call, RPC_INTERNAL, "the request message is missing");
    watch_close(call);
}

static void on_accepted(void *owner, bool ok)
{
    struct rpc_call *call = owner;
    if (!ok) { /* the server is shutting down */
        call->grpc = NULL;
        grpc_metadata_array_destroy(&call->metadata);
        rpc_unref(call);
        return;
    }
    rpc_call_offer(call->worker, call->method, call->registered);
    note_peer(call);
    if (!call->method)
        rpc_finish(call, RPC_UNIMPLEMENTED, "the method is not served");
    else if (call->method->kind == RPC_BIDI)
        begin_bidi(call);
    else
        begin_single(call);
}

static void init_tags(struct rpc_call *call)
{
    call->accepted = (struct rpc_tag){on_accepted, call};
    call->taken_up = (struct rpc_tag){on_taken_up, call};
    call->received = (struct rpc_tag){on_received, call};
    call->sent = (struct rpc_tag){on_sent, call};
    call->closed = (struct rpc_tag){on_closed, call};
}

void rpc_call_offer(struct rpc_worker *worker, const struct rpc_method *method, void *registered)
{
    struct rpc_call *call = call_new();
    call->server = worker->server;
    call->worker = worker;
    call->method = method;
    call->registered = registered;
    call->text = grpc_empty_slice();
    atomic_init(&call->n_refs, 1);
    lock_init(&call->lock, LOCK_CALL);
    init_tags(call);
    tsan_hand_over(&call->accepted);
    grpc_server *server = worker->server->grpc;
    grpc_call_error rc;
    if (method)
        rc = grpc_server_request_registered_call(
            server, registered, &call->grpc, &call->deadline, &call->metadata,
            method->kind == RPC_BIDI ? NULL : &call->request.buffer, worker->queue, worker->queue,
            &call->accepted);
    else
        rc = grpc_server_request_call(server, &call->grpc, &call->details, &call->metadata,
                                      worker->queue, worker->queue, &call->accepted);
    assert(rc == GRPC_CALL_OK); /* anything else is our misuse */
    (void)rc;
}

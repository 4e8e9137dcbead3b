/* One call from its acceptance to its end.
 *
 *   offered --accepted--> open --rpc_finish--> finishing --status given--> closing --> ended
 *                          `------- cancelled by the client, connection lost ---------^
 *
 * The worker that accepted a call runs all its callbacks. Other threads only queue messages and the
 * status (rpc_send.h).
 *
 * C1: at most one batch with a write is in gRPC's hands (sending.is_writing).
 *
 * C2: the close operation is in gRPC's hands from the first return of on_request (for RPC_BIDI:
 * from the acceptance), so a cancelled call is noticed at once. A reply made inside on_request
 * takes the close operation into its own batch: one event less for every short call.
 *
 * C3: a call ends when the close operation has come back and n_ops is 0: gRPC then refers to
 * nothing of it. on_end runs there and only there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <assert.h>
#include <stdatomic.h>

#include <grpc/support/alloc.h>

#include "broker/tsan.h"

/* A client that sends requests and does not read replies is not read from either beyond this. */
enum { QUEUED_MAX = 64 };

/* Ended calls. Of the process, as gRPC is: the last reference to a call may outlive its server. */
static struct idle idle_calls;

enum rpc_kind rpc_call_kind(const struct rpc_call *call)
{
    return call->method ? call->method->kind : RPC_UNARY;
}

bool rpc_call_is_over(const struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    return call->is_closed || call->sending.has_failed;
}

static void add_close(struct rpc_call *call, struct rpc_batch *b)
{
    rpc_batch_add(b, GRPC_OP_RECV_CLOSE_ON_SERVER)->data.recv_close_on_server.cancelled =
        &call->was_cancelled;
    call->watches_close = true;
}

void rpc_call_close_with(struct rpc_call *call, struct rpc_batch *b)
{
    lock_assert_held(&call->lock);
    if (call->watches_close)
        return;
    add_close(call, b);
    call->close_in_batch = true;
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
    assert(!call->sending.head && !call->sending.writing && !call->grpc);
    lock_fini(&call->lock);
    rpc_message_trim(&call->request);
    if (idle_keep(&idle_calls, &call->idle))
        return;
    rpc_message_fini(&call->request);
    rpc_sending_fini(&call->sending);
    gpr_free(call);
}

static struct rpc_call *call_new(void)
{
    struct idle_item *item = idle_take(&idle_calls);
    if (!item)
        return gpr_zalloc(sizeof(struct rpc_call));
    struct rpc_call *call = (struct rpc_call *)item;
    *call = (struct rpc_call){
        .sending = call->sending,
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
        grpc_call_unref(call->grpc);
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
    grpc_slice_unref(call->sending.text);
    call->sending.text = grpc_empty_slice();
    drop_grpc(call);
    rpc_unread_end(call);
    struct rpc_server *server = call->server;
    rpc_unref(call);
    rpc_server_note_closed(server);
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
    if (call->was_cancelled || !call->sending.has_status)
        note_lost(call);
}

static void on_closed(void *owner, bool ok)
{
    (void)ok; /* this operation always succeeds; was_cancelled has the answer */
    struct rpc_call *call = owner;
    struct rpc_gone gone = {0};
    lock_take(&call->lock);
    call->n_ops--;
    note_closed(call);
    rpc_sending_drop(&call->sending, &gone);
    lock_drop(&call->lock);
    rpc_gone_free(&gone);
    end_if_done(call);
}

/* ---- receiving ---- */

static void start_receiving(struct rpc_call *call)
{
    struct rpc_batch b = {.n = 0};
    rpc_batch_add(&b, GRPC_OP_RECV_MESSAGE)->data.recv_message.recv_message = &call->request.buffer;
    rpc_batch_start(call, &b, &call->received);
}

/* Whether the next message may be asked for; the caller then does. */
static bool may_receive(struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    if (rpc_call_kind(call) != RPC_BIDI || call->is_receiving || call->sending.is_finishing ||
        rpc_call_is_over(call) || call->sending.n_queued > QUEUED_MAX)
        return false;
    call->is_receiving = true;
    call->n_ops++;
    return true;
}

static void ask_handler(struct rpc_call *call)
{
    call->method->on_request(call->server->ctx, call);
    arena_forget(&call->worker->arena);
}

static void deliver(struct rpc_call *call)
{
    rpc_message_view(&call->request);
    ask_handler(call);
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
    bool is_cut = call->sending.is_finishing || rpc_call_is_over(call);
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
    assert(rpc_call_kind(call) != RPC_BIDI && !call->is_put_off);
    call->is_put_off = true;
    lock_take(&call->lock);
    call->n_ops++;
    lock_drop(&call->lock);
}

/* The queue is open: a stop closes it after the last call has ended. */
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
        ask_handler(call);
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
    struct rpc_batch b;
    struct rpc_gone gone = {0};
    lock_take(&call->lock);
    rpc_sending_done(call, ok, &gone);
    if (!ok)
        note_lost(call);
    if (call->close_in_batch)
        note_closed(call);
    bool starts = rpc_sending_next(call, &b);
    bool receives = call->method && may_receive(call);
    lock_drop(&call->lock);
    rpc_gone_free(&gone);
    if (starts)
        rpc_batch_start(call, &b, &call->sent);
    if (receives)
        start_receiving(call);
    end_if_done(call);
}

static void send_headers(struct rpc_call *call)
{
    struct rpc_batch b = {.n = 0};
    lock_take(&call->lock);
    rpc_sending_headers(call, &b);
    lock_drop(&call->lock);
    rpc_batch_start(call, &b, &call->sent);
}

/* ---- acceptance ---- */

static void watch_close(struct rpc_call *call)
{
    struct rpc_batch b = {.n = 0};
    lock_take(&call->lock);
    bool starts = !call->watches_close;
    if (starts) {
        add_close(call, &b);
        call->n_ops++;
    }
    lock_drop(&call->lock);
    if (starts)
        rpc_batch_start(call, &b, &call->closed);
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
        struct rpc_server *server = call->server;
        rpc_unref(call);
        rpc_server_note_closed(server);
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
    rpc_sending_init(&call->sending);
    atomic_init(&call->n_refs, 1);
    lock_init(&call->lock, LOCK_CALL);
    init_tags(call);
    rpc_server_note_opened(call->server);
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

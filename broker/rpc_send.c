/* What a call has to send.
 *
 * A message that another follows at once goes out with a hint, so that gRPC holds it back and
 * writes both together. A unary reply waits for its status: all of it is one batch. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_send.h"

#include <assert.h>

#include <grpc/byte_buffer.h>
#include <grpc/support/alloc.h>

#include "broker/rpc_internal.h"

enum { SPARE_MAX = 64 }; /* outgoing messages kept with a call */

/* ---- memory ---- */

void rpc_sending_init(struct rpc_sending *s)
{
    *s = (struct rpc_sending){.spare = s->spare, .n_spare = s->n_spare, .text = grpc_empty_slice()};
}

void rpc_sending_fini(struct rpc_sending *s)
{
    while (s->spare) {
        struct rpc_outgoing *next = s->spare->next;
        gpr_free(s->spare);
        s->spare = next;
    }
}

/* Keeps it for the next message. */
static void keep_outgoing(struct rpc_sending *s, struct rpc_outgoing *out)
{
    if (s->n_spare == SPARE_MAX) {
        gpr_free(out);
        return;
    }
    out->next = s->spare;
    s->spare = out;
    s->n_spare++;
}

/* A kept one, else a new one. Locks: drops and takes the call's again in the second case. */
static struct rpc_outgoing *get_outgoing(struct rpc_call *call)
{
    lock_assert_held(&call->lock);
    struct rpc_outgoing *out = call->sending.spare;
    if (out) {
        call->sending.spare = out->next;
        call->sending.n_spare--;
        return out;
    }
    lock_drop(&call->lock);
    out = gpr_malloc(sizeof *out);
    lock_take(&call->lock);
    return out;
}

void rpc_sending_drop(struct rpc_sending *s, struct rpc_gone *gone)
{
    gone->queued = s->head;
    s->head = NULL;
    s->tail = NULL;
    s->n_queued = 0;
}

void rpc_gone_free(const struct rpc_gone *gone)
{
    struct rpc_outgoing *out = gone->queued;
    if (gone->written)
        grpc_byte_buffer_destroy(gone->written);
    while (out) {
        struct rpc_outgoing *next = out->next;
        grpc_byte_buffer_destroy(out->buffer);
        gpr_free(out);
        out = next;
    }
}

/* ---- batches ---- */

static void add_headers(struct rpc_sending *s, struct rpc_batch *b)
{
    rpc_batch_add(b, GRPC_OP_SEND_INITIAL_METADATA);
    s->has_headers = true;
}

static void add_status(struct rpc_sending *s, struct rpc_batch *b)
{
    grpc_op *op = rpc_batch_add(b, GRPC_OP_SEND_STATUS_FROM_SERVER);
    op->data.send_status_from_server.status = (grpc_status_code)s->status;
    b->details = s->text;
    b->has_details = true;
    op->data.send_status_from_server.status_details = &b->details;
    s->text = grpc_empty_slice();
    s->has_status = true;
}

static void add_message(struct rpc_sending *s, struct rpc_batch *b)
{
    struct rpc_outgoing *out = s->head;
    s->head = out->next;
    if (!s->head)
        s->tail = NULL;
    s->n_queued--;
    grpc_op *op = rpc_batch_add(b, GRPC_OP_SEND_MESSAGE);
    op->data.send_message.send_message = out->buffer;
    bool is_last = !s->head && (s->is_finishing || !out->more);
    /* A held-back message would hold back the headers of its batch, and never come back. */
    bool has_headers_with_it = b->n > 1;
    op->flags = is_last || has_headers_with_it ? 0 : GRPC_WRITE_BUFFER_HINT;
    s->writing = out->buffer;
    keep_outgoing(s, out);
}

static void note_started(struct rpc_call *call)
{
    call->sending.is_writing = true;
    call->n_ops++;
}

bool rpc_sending_next(struct rpc_call *call, struct rpc_batch *b)
{
    lock_assert_held(&call->lock);
    struct rpc_sending *s = &call->sending;
    b->n = 0;
    b->has_details = false;
    if (s->is_writing || rpc_call_is_over(call) || s->has_status)
        return false;
    bool is_whole = s->is_finishing || rpc_call_kind(call) != RPC_UNARY; /* unary: in one batch */
    bool has_message = is_whole && s->head;
    bool has_end = s->is_finishing && (!s->head || !s->head->next);
    if (!has_message && !has_end)
        return false;
    if (!s->has_headers)
        add_headers(s, b);
    if (has_message)
        add_message(s, b);
    if (has_end) {
        add_status(s, b);
        rpc_call_close_with(call, b);
    }
    note_started(call);
    return true;
}

void rpc_sending_headers(struct rpc_call *call, struct rpc_batch *b)
{
    lock_assert_held(&call->lock);
    add_headers(&call->sending, b);
    note_started(call);
}

void rpc_sending_done(struct rpc_call *call, bool ok, struct rpc_gone *gone)
{
    lock_assert_held(&call->lock);
    struct rpc_sending *s = &call->sending;
    gone->written = s->writing;
    s->writing = NULL;
    s->is_writing = false;
    call->n_ops--;
    if (ok)
        return;
    s->has_failed = true;
    rpc_sending_drop(s, gone);
}

/* ---- what a handler does ---- */

static uint64_t lent_bytes(const struct rpc_piece *pieces, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].release ? pieces[i].bytes.len : 0;
    return bytes;
}

static void put(struct rpc_sending *s, struct rpc_outgoing *out)
{
    *(s->tail ? &s->tail->next : &s->head) = out;
    s->tail = out;
    s->n_queued++;
}

void rpc_send(struct rpc_call *call, const struct rpc_piece *pieces, size_t n, bool more)
{
    struct rpc_server *server = call->server;
    grpc_byte_buffer *buffer = rpc_message_build(pieces, n);
    struct rpc_batch b;
    struct rpc_gone gone = {0};
    struct peer *slow = NULL;
    lock_take(&call->lock);
    struct rpc_outgoing *out = get_outgoing(call);
    *out = (struct rpc_outgoing){.buffer = buffer, .more = more};
    if (rpc_call_is_over(call) || call->sending.is_finishing) {
        gone.queued = out;
    } else {
        slow = rpc_unread_add(call, lent_bytes(pieces, n));
        put(&call->sending, out);
    }
    bool starts = !gone.queued && rpc_sending_next(call, &b);
    lock_drop(&call->lock);
    if (starts)
        rpc_batch_start(call, &b, &call->sent);
    rpc_gone_free(&gone);
    rpc_unread_watch(server, slow);
}

void rpc_finish(struct rpc_call *call, int status, const char *text)
{
    struct rpc_sending *s = &call->sending;
    struct rpc_batch b;
    struct rpc_gone gone = {0};
    bool starts = false;
    lock_take(&call->lock);
    if (!s->is_finishing && !rpc_call_is_over(call)) {
        bool is_unary = rpc_call_kind(call) == RPC_UNARY;
        s->is_finishing = true;
        s->status = status;
        s->text = text ? grpc_slice_from_copied_string(text) : grpc_empty_slice();
        if (is_unary && status != RPC_OK)
            rpc_sending_drop(s, &gone);
        assert(!is_unary || status != RPC_OK || s->n_queued == 1);
        starts = rpc_sending_next(call, &b);
    }
    lock_drop(&call->lock);
    if (starts)
        rpc_batch_start(call, &b, &call->sent);
    rpc_gone_free(&gone);
}

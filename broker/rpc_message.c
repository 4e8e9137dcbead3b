/* Messages between spans and gRPC's byte buffers, without copying what need not be. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <stdatomic.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/alloc.h>

#include "broker/tsan.h"

enum { MANY_KEPT = 256 }; /* spans, of a request of 2 MiB: 4 KiB of them */

/* atomic, relaxed: a counter that orders nothing */
static _Atomic uint64_t copied_bytes;

uint64_t rpc_copied_bytes(void)
{
    return atomic_load_explicit(&copied_bytes, memory_order_relaxed);
}

static grpc_slice copy_piece(const struct rpc_piece *piece)
{
    atomic_fetch_add_explicit(&copied_bytes, piece->bytes.len, memory_order_relaxed);
    return grpc_slice_from_copied_buffer((const char *)piece->bytes.ptr, piece->bytes.len);
}

#if TSAN_ON
/* The release runs where libgrpc drops the slice, which the sanitizer cannot follow. */
static void release_piece(void *arg)
{
    tsan_take_over(arg);
    struct rpc_piece piece = *(struct rpc_piece *)arg;
    gpr_free(arg);
    piece.release(piece.arg);
}

static grpc_slice lend_piece(const struct rpc_piece *piece)
{
    struct rpc_piece *kept = gpr_malloc(sizeof *kept);
    *kept = *piece;
    tsan_hand_over(kept);
    return grpc_slice_new_with_user_data((void *)piece->bytes.ptr, piece->bytes.len, release_piece,
                                         kept);
}
#else
static grpc_slice lend_piece(const struct rpc_piece *piece)
{
    return grpc_slice_new_with_user_data((void *)piece->bytes.ptr, piece->bytes.len, piece->release,
                                         piece->arg);
}
#endif

grpc_byte_buffer *rpc_message_build(const struct rpc_piece *pieces, size_t n)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(NULL, 0);
    grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
    for (size_t i = 0; i < n; i++) {
        if (pieces[i].bytes.len == 0) {
            if (pieces[i].release)
                pieces[i].release(pieces[i].arg);
            continue;
        }
        grpc_slice_buffer_add(slices,
                              pieces[i].release ? lend_piece(&pieces[i]) : copy_piece(&pieces[i]));
    }
    return buffer;
}

static struct span *room_for(struct rpc_message *m, size_t n)
{
    if (n <= RPC_INLINE_SPANS)
        return m->few;
    if (n > m->n_many) {
        gpr_free(m->many);
        m->many = gpr_malloc(n * sizeof *m->many);
        m->n_many = n;
    }
    return m->many;
}

void rpc_message_view(struct rpc_message *m)
{
    const grpc_slice_buffer *slices = &m->buffer->data.raw.slice_buffer;
    m->n_spans = slices->count;
    m->spans = room_for(m, m->n_spans);
    for (size_t i = 0; i < m->n_spans; i++)
        m->spans[i] =
            span_of(GRPC_SLICE_START_PTR(slices->slices[i]), GRPC_SLICE_LENGTH(slices->slices[i]));
}

grpc_byte_buffer *rpc_message_release(struct rpc_message *m)
{
    grpc_byte_buffer *buffer = m->buffer;
    m->buffer = NULL;
    return buffer;
}

void rpc_message_drop(struct rpc_message *m)
{
    if (!m->buffer)
        return;
    grpc_byte_buffer_destroy(m->buffer);
    m->buffer = NULL;
    m->spans = NULL;
    m->n_spans = 0;
    rpc_message_trim(m);
}

void rpc_message_trim(struct rpc_message *m)
{
    if (m->n_many > MANY_KEPT)
        rpc_message_fini(m);
}

void rpc_message_fini(struct rpc_message *m)
{
    gpr_free(m->many);
    m->many = NULL;
    m->n_many = 0;
}

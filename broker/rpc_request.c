/* What a handler may ask about its call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <assert.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

const struct span *rpc_request(const struct rpc_call *call, size_t *ret_n)
{
    *ret_n = call->request.n_spans;
    return call->request.spans;
}

struct arena *rpc_arena(struct rpc_call *call)
{
    return &call->worker->arena;
}

struct rpc_kept *rpc_keep_request(struct rpc_call *call)
{
    assert(call->method->kind != RPC_BIDI && call->request.buffer);
    call->kept = (struct rpc_kept){rpc_ref(call), rpc_message_release(&call->request)};
    rpc_server_note_opened(call->server);
    return &call->kept;
}

void rpc_kept_drop(struct rpc_kept *kept)
{
    if (!kept)
        return;
    struct rpc_server *server = kept->call->server;
    grpc_byte_buffer_destroy(kept->buffer);
    kept->buffer = NULL;
    rpc_unref(kept->call);
    rpc_server_note_closed(server); /* last: a stop waits for it */
}

struct span rpc_metadata(const struct rpc_call *call, const char *name)
{
    struct span wanted = span_str(name);
    for (size_t i = 0; i < call->metadata.count; i++) {
        const grpc_metadata *m = &call->metadata.metadata[i];
        struct span key = span_of(GRPC_SLICE_START_PTR(m->key), GRPC_SLICE_LENGTH(m->key));
        if (span_equal(key, wanted))
            return span_of(GRPC_SLICE_START_PTR(m->value), GRPC_SLICE_LENGTH(m->value));
    }
    return (struct span){0};
}

uint64_t rpc_deadline_ms(const struct rpc_call *call)
{
    gpr_timespec at = gpr_convert_clock_type(call->deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(at, gpr_inf_future(GPR_CLOCK_MONOTONIC)) >= 0)
        return UINT64_MAX;
    if (at.tv_sec < 0)
        return 0;
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

const char *rpc_peer(const struct rpc_call *call)
{
    return call->peer;
}

void rpc_set_data(struct rpc_call *call, void *data)
{
    call->data = data;
}

void *rpc_data(const struct rpc_call *call)
{
    return call->data;
}

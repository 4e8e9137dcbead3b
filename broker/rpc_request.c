/* What a handler may ask about its call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

const struct span *rpc_request(const struct rpc_call *call, size_t *ret_n)
{
    *ret_n = call->request.n_spans;
    return call->request.spans;
}

struct rpc_kept {
    struct rpc_server *server;
    struct rpc_message message;
};

struct rpc_kept *rpc_keep_request(struct rpc_call *call)
{
    struct rpc_kept *kept = gpr_malloc(sizeof *kept);
    kept->server = call->server;
    rpc_message_move(&call->request, &kept->message);
    rpc_server_note_kept(kept->server);
    return kept;
}

void rpc_kept_drop(struct rpc_kept *kept)
{
    if (!kept)
        return;
    struct rpc_server *server = kept->server;
    rpc_message_drop(&kept->message);
    gpr_free(kept);
    rpc_server_note_dropped(server); /* last: a server that stops waits for it */
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

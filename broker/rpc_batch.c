/* Batches of operations. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_batch.h"

#include <assert.h>

#include "broker/rpc_internal.h"
#include "broker/tsan.h"

grpc_op *rpc_batch_add(struct rpc_batch *b, grpc_op_type type)
{
    assert(b->n < RPC_BATCH_OPS);
    grpc_op *op = &b->ops[b->n++];
    *op = (grpc_op){.op = type};
    return op;
}

void rpc_batch_start(struct rpc_call *call, struct rpc_batch *b, struct rpc_tag *tag)
{
    grpc_call *grpc = call->grpc;
    tsan_hand_over(tag); /* from here on the worker may end the call */
    grpc_call_error rc = grpc_call_start_batch(grpc, b->ops, b->n, tag, NULL);
    assert(rc == GRPC_CALL_OK); /* anything else is our misuse */
    (void)rc;
    if (b->has_details)
        grpc_slice_unref(b->details);
}

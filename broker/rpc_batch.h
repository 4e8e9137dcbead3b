/* Operations on a call, put together under its lock and started outside it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RPC_BATCH_H
#define BROKER_RPC_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <grpc/grpc.h>

struct rpc_call;
struct rpc_tag;

enum { RPC_BATCH_OPS = 4 };

/* Zeroed: none. */
struct rpc_batch {
    grpc_op ops[RPC_BATCH_OPS];
    size_t n;
    grpc_slice details; /* of the status */
    bool has_details;
};

/* One more operation, to be filled in. */
grpc_op *rpc_batch_add(struct rpc_batch *b, grpc_op_type type);

/* Gives it to gRPC, which will hand back `tag`; the call may have ended when this returns. */
void rpc_batch_start(struct rpc_call *call, struct rpc_batch *b, struct rpc_tag *tag);

#endif

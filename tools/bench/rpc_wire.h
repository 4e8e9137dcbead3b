/* The requests of `sluice bench rpc`, and as much of the replies as the load needs: little, so that
 * the server is what is measured. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_WIRE_H
#define TOOLS_BENCH_RPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tools/message_id.h"

enum { WIRE_BATCH = 32, WIRE_ACK_BYTES = 16 * 1024 };

/* A SendMessage of `n` messages, each with the body, a tag and a key. The caller frees
 * ret_request's bytes. */
struct rpc_wire_publish {
    struct message_id_maker *ids;
    const char *topic;
    size_t n; /* 1 to WIRE_BATCH */
    struct span body;
};
int rpc_wire_publish(const struct rpc_wire_publish *p, int queue, struct span *ret_request,
                     struct err *e) MUST_CHECK;

/* A ReceiveMessage of WIRE_BATCH messages from one queue, freed likewise. */
struct rpc_wire_receive {
    const char *group;
    const char *topic;
    const char *broker; /* its name in the route; NULL: left out */
    int queue;
};
int rpc_wire_receive(const struct rpc_wire_receive *r, struct span *ret_request,
                     struct err *e) MUST_CHECK;

/* Puts a time into the body of a publish of one message, whose last `body_bytes` are the body. */
void rpc_wire_set_stamp(struct span request, size_t body_bytes, uint64_t ns);

/* Whether a SendMessage or AckMessage was answered with OK. */
bool rpc_wire_is_ok(struct span reply);

/* Finds what an ack of a received message needs; false when the reply holds no message. */
bool rpc_wire_message(struct span reply, struct span *ret_message_id, struct span *ret_handle);

/* The time in a received message's body; false when there is no room for one. */
bool rpc_wire_stamp(struct span reply, uint64_t *ret_ns);

/* An AckMessage request under construction. */
struct rpc_wire_ack {
    uint8_t bytes[WIRE_ACK_BYTES];
    size_t len;
    size_t n;
};

void rpc_wire_ack_begin(struct rpc_wire_ack *ack, const char *group, const char *topic);

/* False when it does not fit. */
bool rpc_wire_ack_add(struct rpc_wire_ack *ack, struct span message_id, struct span handle);

#endif

/* The reply of a receive: a status, messages around their mapped bodies, the time of delivery. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_DELIVER_H
#define BROKER_DELIVER_H

#include <stddef.h>

#include "base/bytes.h"
#include "broker/broker.h"
#include "broker/digest.h"
#include "broker/rpc.h"
#include "broker/status.h"
#include "broker/take.h"

/* To whom, and what is the same for all messages. */
struct deliver {
    struct broker *b;
    struct rpc_call *call;
    struct span group, topic;
    struct span topic_namespace; /* of the request: sent back */
    uint64_t invisible_ms;
    enum digest_form digest;
};

/* Sends OK, `n` messages (their pins become gRPC's) and the time, and finishes the call. A message
 * that memory is lacking for is given back to `lease`. */
void deliver_messages(const struct deliver *d, struct lease *lease, const struct taken *messages,
                      size_t n);

/* Sends the status and the time, and finishes the call. */
void deliver_status(struct broker *b, struct rpc_call *call, const struct status *st);

/* Frees what is kept from one reply to the next (stop, after the server). */
void deliver_free_idle(struct broker *b);

#endif

/* What a call has to send: messages in order, then the status. Any thread queues, under the call's
 * lock; whoever finds no write in gRPC's hands starts the next one.
 *
 * Where a call is named its lock is held. What is let go is freed outside the lock, for that runs
 * releases. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RPC_SEND_H
#define BROKER_RPC_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>

#include "broker/rpc_batch.h"

struct rpc_call;

/* One message waiting to be written. */
struct rpc_outgoing {
    struct rpc_outgoing *next;
    grpc_byte_buffer *buffer;
    bool more;
};

/* Guarded by the call's lock. */
struct rpc_sending {
    struct rpc_outgoing *head;
    struct rpc_outgoing *tail;
    unsigned n_queued;
    struct rpc_outgoing *spare; /* written, kept for the next messages, of the next calls too */
    unsigned n_spare;
    grpc_byte_buffer *writing; /* the message that gRPC is writing */
    grpc_slice text;
    int status;
    bool has_headers;  /* the initial metadata was given to gRPC */
    bool is_writing;   /* a batch is in gRPC's hands (C1) */
    bool is_finishing; /* rpc_finish was called */
    bool has_status;   /* the status was given to gRPC */
    bool has_failed;   /* a write failed: the rest would too */
};

/* Let go by a call. Zeroed: nothing. */
struct rpc_gone {
    struct rpc_outgoing *queued;
    grpc_byte_buffer *written;
};

void rpc_gone_free(const struct rpc_gone *gone);

/* `s` zeroed, or that of a call that has ended, whose spare memory goes on. */
void rpc_sending_init(struct rpc_sending *s);

/* Frees the spare memory; nothing is queued. */
void rpc_sending_fini(struct rpc_sending *s);

/* Fills in what can be written now; false when that is nothing. The caller starts it with the tag
 * `sent`. */
bool rpc_sending_next(struct rpc_call *call, struct rpc_batch *b);

/* The same of the headers alone, before anything else. */
void rpc_sending_headers(struct rpc_call *call, struct rpc_batch *b);

/* The batch has come back; after a failure nothing more is written. */
void rpc_sending_done(struct rpc_call *call, bool ok, struct rpc_gone *gone);

/* Gives up what is queued. */
void rpc_sending_drop(struct rpc_sending *s, struct rpc_gone *gone);

#endif

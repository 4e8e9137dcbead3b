/* What the unary and the streaming half of the client share, and the load generator of benchmarks.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_CLIENT_CORE_H
#define TOOLS_CLIENT_CORE_H

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { CLIENT_N_METADATA = 4 };

/* What an event of the completion queue stands for. */
struct client_tag {
    void (*fn)(void *arg, bool ok);
    void *arg;
};

struct client {
    grpc_completion_queue *cq;
    grpc_channel *channel;
    struct client_unary *unaries; /* running, a doubly linked list */
    size_t n_unaries;
    struct client_stream *streams;             /* open, a doubly linked list */
    grpc_metadata metadata[CLIENT_N_METADATA]; /* sent with each call */
    char id[128];
    char endpoint[300];
};

/* For TLS without a look at who the server is; the caller releases them. */
grpc_channel_credentials *client_tls_credentials(void);

/* A call on the client's channel and queue; the caller unrefs it. */
grpc_call *client_make_call(struct client *c, const char *path, uint64_t timeout_ms);

/* A copy of the bytes; the caller destroys it. */
grpc_byte_buffer *client_buffer_of(struct span s);

/* The whole buffer as one piece the caller frees; NULL when it is empty or cannot be read. */
uint8_t *client_flatten(grpc_byte_buffer *buffer, size_t *ret_len);

#endif

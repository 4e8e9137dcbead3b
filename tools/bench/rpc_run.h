/* The closed loops of `sluice bench rpc`: publish at a fixed depth, and receive and acknowledge. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_RUN_H
#define TOOLS_BENCH_RPC_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { RUN_QUEUES = 8, RUN_REQUESTS = 1024 };

/* One server and the paths called on it. */
struct run_target {
    struct load *load;
    struct load_path *publish;
    struct load_path *receive;
    struct load_path *ack;
};

int run_target_open(struct run_target *ret_target, const char *endpoint, struct err *e) MUST_CHECK;
void run_target_close(struct run_target *t); /* a zeroed one is fine */

/* Requests made beforehand; they are taken in turn. */
struct run_publish {
    struct span requests[RUN_REQUESTS];
    size_t in_flight;
    uint64_t n_messages; /* to send */
    struct span *reply;  /* not NULL: a copy of the last reply, the caller frees its bytes */
};

/* Sends; fails with the first reply that is not OK. */
int run_publish(struct run_target *t, const struct run_publish *p, double *ret_rate,
                struct err *e) MUST_CHECK;

enum { RUN_CAPTURE_MAX = 64 };

/* The replies of one receive and of its ack, to be given by the null server. */
struct run_capture {
    struct span messages[RUN_CAPTURE_MAX]; /* copies, freed by run_capture_free */
    size_t n_messages;
    struct span ack;
};

void run_capture_free(struct run_capture *c);

struct run_receive {
    const char *group;
    const char *topic;
    uint64_t n_messages;         /* to receive and acknowledge, at least */
    struct run_capture *capture; /* not NULL: one receive from queue 0, and its replies */
};

/* One loop for each queue: receive 32, acknowledge them in one request. */
int run_receive(struct run_target *t, const struct run_receive *r, double *ret_rate,
                struct err *e) MUST_CHECK;

#endif

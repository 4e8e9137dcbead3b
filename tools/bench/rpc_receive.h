/* Receive and acknowledge: loops that each receive up to 32 messages, then acknowledge them in one
 * request. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_RECEIVE_H
#define TOOLS_BENCH_RPC_RECEIVE_H

#include "tools/bench/rpc_run.h"
#include "tools/bench/timings.h"

enum { RECEIVE_CAPTURE_MAX = 64 };

/* The replies of one receive and of its ack, to be given by the null server. */
struct receive_capture {
    struct span messages[RECEIVE_CAPTURE_MAX]; /* copies, freed by receive_capture_free */
    size_t n_messages;
    struct span ack;
};

void receive_capture_free(struct receive_capture *c);

struct receive_options {
    const char *group;
    const char *topic;
    const char *broker;              /* the name in the route; NULL: none is said */
    size_t n_loops;                  /* a queue each, in turn */
    struct receive_capture *capture; /* not NULL: what is received is kept */
    struct timings *timings;         /* not NULL: from the time in the body (run_stamp) until now */
};

struct receiver;

/* Starts the loops, which go on until the target's load is closed. */
int receiver_start(struct receiver **ret_receiver, struct run_target *t,
                   const struct receive_options *opt, struct err *e) MUST_CHECK;

/* Polls until so many messages are acknowledged. */
int receiver_drive(struct receiver *r, uint64_t n_messages, struct err *e) MUST_CHECK;

/* For a caller that polls itself: acknowledged so far, and the first failure (code 0: none). */
const uint64_t *receiver_n_acked(const struct receiver *r);
const struct err *receiver_error(const struct receiver *r);

/* After the load has been closed. NULL is fine. */
void receiver_free(struct receiver *r);

#endif

/* The open loop: publishes begin at their time, whatever became of the earlier ones, and their
 * latency counts from that time. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_OPEN_H
#define TOOLS_BENCH_RPC_OPEN_H

#include "tools/bench/rpc_run.h"
#include "tools/bench/timings.h"

struct run_open {
    const struct run_requests *requests; /* of one message each */
    double rate;                         /* a second */
    uint64_t run_ms;
    size_t stamp_bytes;      /* not 0: the intended time goes into bodies of this length */
    struct timings *timings; /* not NULL: of the publishes */
};

/* Returns when all are answered. Sleeps until the next is due or an answer comes: gRPC's timer is
 * coarse, up to a millisecond, which counts as latency where answers are rare. Fails with the first
 * reply that is not OK, or when thousands are unanswered. */
int run_open(struct run_target *t, const struct run_open *o, uint64_t *ret_n_messages,
             struct err *e) MUST_CHECK;

#endif

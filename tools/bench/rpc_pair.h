/* A broker and the null server, ready to be measured: the topic made and filled, the requests made,
 * the answers of the broker given to the null server. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_PAIR_H
#define TOOLS_BENCH_RPC_PAIR_H

#include "tools/bench/frame.h"
#include "tools/bench/rpc_receive.h"
#include "tools/bench/rpc_run.h"
#include "tools/bench/rpc_servers.h"
#include "tools/bench/scratch.h"
#include "tools/options.h"

enum { RPC_BODY_BYTES = 1024, RPC_NAME_BYTES = 96 };

struct rpc_pair {
    const struct bench_options *opt;
    struct options_broker broker;
    char folder[SCRATCH_PATH_BYTES];
    char topic[64];
    struct bench_server own; /* the broker that was started, if it was */
    struct bench_server null_server;
    struct client *client;    /* for what is not measured */
    struct run_target ours;   /* the broker */
    struct run_target theirs; /* the null server */
    struct run_target ours_tls, theirs_tls;
    struct run_requests singles; /* a message each */
    struct run_requests batches; /* WIRE_BATCH each */
    struct span single_reply, batch_reply;
    struct receive_capture capture;
    unsigned n_groups;
    uint64_t n_filled;    /* messages in the topic at least */
    double publish_rate;  /* the maximum of a closed loop; 0: not measured yet */
    double delivery_rate; /* the same with a group that receives and acknowledges */
};

/* Of the type that struct bench_set wants. */
int rpc_pair_open(const struct bench_options *opt, void **ret_pair, struct err *e) MUST_CHECK;
void rpc_pair_close(void *pair);

enum rpc_begin { RPC_FIRST, RPC_NEXT };

/* Makes a new group that begins with the first message there is or the next to come, and writes its
 * name. */
int rpc_pair_group(struct rpc_pair *p, enum rpc_begin begin, char ret_name[RPC_NAME_BYTES],
                   struct err *e) MUST_CHECK;

#endif

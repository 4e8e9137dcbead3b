/* The two processes that `sluice bench rpc` measures: a broker of its own, and the null server. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_SERVERS_H
#define TOOLS_BENCH_RPC_SERVERS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct null_answer;

struct bench_server {
    pid_t pid;         /* 0: none */
    char endpoint[64]; /* once it is ready */
    int feed_fd;       /* of the null server, until it has its answers */
    int ready_fd;
};

/* Runs the `sluiced` beside this program on the store folder, and waits until it serves. Before
 * anything of gRPC is used: it forks. */
int bench_start_broker(struct bench_server *ret_server, const char *store,
                       struct err *e) MUST_CHECK;

/* Forks the null server, which waits for its answers. Before anything of gRPC is used. */
int bench_fork_null(struct bench_server *ret_server, struct err *e) MUST_CHECK;

/* Gives the null server its answers and waits until it serves. */
int bench_feed_null(struct bench_server *server, const struct null_answer *answers, size_t n,
                    struct err *e) MUST_CHECK;

/* Ends the process and waits for it. A zeroed server is fine. */
void bench_stop(struct bench_server *server);

#endif

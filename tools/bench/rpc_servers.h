/* The two processes that `sluice bench rpc` measures: a broker of its own, and the null server. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_SERVERS_H
#define TOOLS_BENCH_RPC_SERVERS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct null_answer;

struct bench_server {
    pid_t pid;             /* 0: none */
    char endpoint[64];     /* once it is ready */
    char tls_endpoint[64]; /* of the null server; the broker has one for both */
    int feed_fd;           /* of the null server, until it has its answers */
    int ready_fd;
};

/* Runs the `sluiced` beside this program on the store folder, and waits until it serves. */
int bench_start_broker(struct bench_server *ret_server, const char *store,
                       struct err *e) MUST_CHECK;

/* Starts the null server, which waits for its answers: this program once more, with a word of its
 * own. */
#define BENCH_NULL_WORD "null-server"
int bench_start_null(struct bench_server *ret_server, struct err *e) MUST_CHECK;

/* Gives the null server its answers and waits until it serves. */
int bench_feed_null(struct bench_server *server, const struct null_answer *answers, size_t n,
                    struct err *e) MUST_CHECK;

/* The null server's process: answers from stdin, the port to stdout. */
int bench_null_main(void);

/* Ends the process and waits for it. A zeroed server is fine. */
void bench_stop_server(struct bench_server *server);

#endif

/* Counts the system calls that gRPC makes in this process. The program defines the functions of the
 * C library by which gRPC makes them, so that the dynamic linker gives gRPC these. Counted are
 * sendmsg, recvmsg, epoll_wait, epoll_ctl and the reads and writes of an eventfd, whoever calls
 * them. Not counted: futex, by which its threads wait for each other, inside the C library. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_GRPC_CALLS_H
#define TOOLS_BENCH_GRPC_CALLS_H

#include <stdint.h>

struct grpc_calls {
    uint64_t n;
    uint64_t sent_bytes; /* by sendmsg: what the kernel copied */
};

/* Since the last call of this function; a sanitized build, whose runtime defines the same
 * functions, counts none. */
struct grpc_calls grpc_calls_take(void);

#endif

/* The other end of a transfer: a process of its own that connects, reads and discards. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_DRAIN_H
#define TOOLS_BENCH_DRAIN_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum drain_kind {
    DRAIN_PLAIN,
    DRAIN_TLS, /* shakes hands, then reads what is encrypted and leaves it so */
    DRAIN_GRPC,
    DRAIN_GRPC_TLS, /* gRPC decrypts */
};

struct drain {
    pid_t pid; /* 0: none */
};

/* Starts this program once more, with a word of its own, to connect to the port on loopback. */
#define DRAIN_WORD "drain"
int drain_start(struct drain *d, enum drain_kind kind, uint16_t port, struct err *e) MUST_CHECK;

/* Ends the process and waits for it. A zeroed one is fine. */
void drain_stop(struct drain *d);

/* The receiver's process; `argv` is its kind and the port. */
int drain_main(char **argv);

#endif

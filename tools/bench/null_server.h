/* A gRPC server that does nothing: each call gets the bytes it was started with. The limit beside
 * which the broker is measured, so it shares no code with it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_NULL_SERVER_H
#define TOOLS_BENCH_NULL_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* What the calls of one path are answered with, whatever they ask. */
struct null_answer {
    const char *path; /* "/package.Service/Method" */
    const struct span *messages;
    size_t n_messages; /* at least 1 */
};

/* The ports it serves on loopback: one in plaintext, one over TLS with a certificate made for this
 * run. */
struct null_ports {
    uint16_t plain;
    uint16_t tls;
};

/* Serves the answers, which stay where they are, with one thread: this one. Calls on_ready once it
 * serves, and never returns but with an error. */
int null_server_run(const struct null_answer *answers, size_t n_answers,
                    void (*on_ready)(void *arg, struct null_ports ports), void *arg,
                    struct err *e) MUST_CHECK;

#endif

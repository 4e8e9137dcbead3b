/* The load generator: a gRPC client that costs little. Requests are made beforehand, calls of one
 * path are registered once, and one thread drives one connection. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_LOAD_H
#define TOOLS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct load;
struct load_path;

/* Whom the calls come from. */
#define LOAD_CLIENT_ID "bench@1@1@load"

enum load_security { LOAD_PLAIN, LOAD_TLS }; /* no certificate is checked */

/* ERR_NOMEM. Thread: everything here belongs to the thread that opened the load. */
int load_open(struct load **ret_load, const char *endpoint, enum load_security security,
              struct err *e) MUST_CHECK;

/* Cancels what is under way, without calling back, and frees. NULL is fine. */
void load_close(struct load *l);

/* A path to call, freed with the load. `path` outlives it. NULL: no memory. */
struct load_path *load_path(struct load *l, const char *path);

/* One call: the request, its replies, its end. */
struct load_call {
    struct load_path *path;
    struct span request; /* used in place: it outlives the call */
    bool streams;        /* the reply is a stream */
    /* For each message, whole, valid during the call only. */
    void (*on_message)(void *arg, struct span message);
    /* Instead of on_message: only how long it is; it is not put into one piece. */
    void (*on_length)(void *arg, size_t len);
    void (*on_done)(void *arg, int status);
    void *arg;
    unsigned limit_s; /* it ends after that; 0: after a minute */
};

/* Starts a call. Callbacks come from load_poll. */
int load_start(struct load *l, const struct load_call *call, struct err *e) MUST_CHECK;

/* Handles one event; false when none came within `wait_ns`. */
bool load_poll(struct load *l, uint64_t wait_ns);

size_t load_n_running(const struct load *l);

#endif

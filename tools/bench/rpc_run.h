/* What a load is made of: the server and its paths, requests made beforehand; and the closed loop
 * of publishes at a fixed depth. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RPC_RUN_H
#define TOOLS_BENCH_RPC_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { RUN_QUEUES = 8, RUN_REQUESTS = 512 };

/* The null server tells by the path how many messages a request has. */
#define RUN_NULL_BATCH "/null/SendBatch"

enum run_kind { RUN_BROKER, RUN_BROKER_TLS, RUN_NULL, RUN_NULL_TLS, RUN_PEER };

/* One server and the paths called on it. */
struct run_target {
    const char *endpoint;
    enum run_kind kind;
    struct load *load;
    struct load_path *publish;
    struct load_path *publish_batch;
    struct load_path *receive;
    struct load_path *ack;
};

/* A connection of its own; the endpoint outlives it. */
int run_target_open(struct run_target *ret_target, const char *endpoint, enum run_kind kind,
                    struct err *e) MUST_CHECK;
void run_target_close(struct run_target *t); /* a zeroed one is fine */

/* Requests made beforehand; they are taken in turn. */
struct run_requests {
    struct span spans[RUN_REQUESTS];
    size_t n_each; /* messages in one request */
};

/* RUN_REQUESTS requests of `n_each` messages of `body_bytes` to the queues of the topic in turn. */
int run_requests_make(struct run_requests *ret, const char *topic, size_t n_each, size_t body_bytes,
                      struct err *e) MUST_CHECK;
void run_requests_free(struct run_requests *r); /* zeroed or half made is fine */

struct run_publish {
    const struct run_requests *requests;
    size_t in_flight;
    uint64_t n_requests; /* to send at most; 0: no limit */
    uint64_t run_ms;     /* begins no request after it; 0: no limit */
    struct span *reply;  /* not NULL: a copy of the last reply, the caller frees its bytes */
};

/* Sends; fails with the first reply that is not OK. */
int run_publish(struct run_target *t, const struct run_publish *p, uint64_t *ret_n_messages,
                struct err *e) MUST_CHECK;

/* Polls until *n_events has reached `enough`, or nothing is under way; `error` (may be NULL) ends
 * it too. Fails when nothing happens for long. */
int run_drive(struct run_target *t, const uint64_t *n_events, uint64_t enough,
              const struct err *error, struct err *e) MUST_CHECK;

void run_copy_span(struct span *to, struct span from); /* frees what was there */
uint64_t run_now_ns(void);

#endif

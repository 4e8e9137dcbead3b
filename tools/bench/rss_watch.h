/* The most memory that this process had resident while it was watched. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RSS_WATCH_H
#define TOOLS_BENCH_RSS_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

struct rss_watch {
    pthread_t thread;
    _Atomic int is_over; /* relaxed: set by the watched, looked at by the thread */
    /* the thread's; afterwards anybody's: when the sum was highest */
    uint64_t all_bytes, anon_bytes, file_bytes;
    uint64_t n_samples;
};

/* Looks every few milliseconds, on a thread of its own. */
int rss_watch_start(struct rss_watch *w, struct err *e) MUST_CHECK;

void rss_watch_stop(struct rss_watch *w);

#endif

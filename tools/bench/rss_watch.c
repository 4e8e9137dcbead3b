/* The most memory that this process had resident while it was watched. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rss_watch.h"

#include <time.h>

#include "store/store.h"

enum { SAMPLE_NS = 3000000 };

static void sample(struct rss_watch *w)
{
    struct store_memory m;
    struct err e;
    if (store_memory(&m, &e) < 0)
        return; /* /proc does not tell: n_samples stays 0 */
    uint64_t all = m.rss_anon_bytes + m.rss_file_bytes + m.rss_shmem_bytes;
    w->n_samples++;
    if (all <= w->all_bytes)
        return;
    w->all_bytes = all;
    w->anon_bytes = m.rss_anon_bytes;
    w->file_bytes = m.rss_file_bytes;
}

static void *watch(void *arg)
{
    struct rss_watch *w = arg;
    const struct timespec pause = {.tv_nsec = SAMPLE_NS};
    while (!atomic_load_explicit(&w->is_over, memory_order_relaxed)) {
        sample(w);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, /* rem = */ NULL); /* shorter is fine */
    }
    sample(w);
    return NULL;
}

int rss_watch_start(struct rss_watch *w, struct err *e)
{
    *w = (struct rss_watch){.n_samples = 0};
    int rc = pthread_create(&w->thread, /* attr = */ NULL, watch, w);
    return rc != 0 ? err_sys(e, rc, "start watching memory") : 0;
}

void rss_watch_stop(struct rss_watch *w)
{
    atomic_store_explicit(&w->is_over, 1, memory_order_relaxed);
    (void)pthread_join(w->thread, NULL);
}

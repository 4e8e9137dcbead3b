/* One thread a processor, pinned to it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/hiccups.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

enum { PRIORITY = 50 };
#define NS_PER_S UINT64_C(1000000000)

struct watcher {
    struct hiccups *in;
    unsigned cpu;
    pthread_t thread;
    /* the thread's; afterwards anybody's */
    struct latency wakes;
    struct pauses pauses;
};

struct hiccups {
    _Atomic int is_over; /* relaxed: set once, looked at by the watchers */
    bool is_running;
    uint64_t begun_ns, ended_ns;
    struct latency wakes;
    struct pauses pauses;
    size_t n_watchers;
    struct watcher watchers[];
};

static bool take_place(unsigned cpu)
{
    const struct sched_param priority = {.sched_priority = PRIORITY};
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 &&
           sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
}

static void *watch(void *arg)
{
    struct watcher *w = arg;
    struct io *io = io_posix();
    if (!take_place(w->cpu))
        return NULL;
    uint64_t due_ns = io->mono_ns(io);
    while (!atomic_load_explicit(&w->in->is_over, memory_order_relaxed)) {
        due_ns += HICCUPS_PERIOD_NS;
        const struct timespec due = {.tv_sec = (time_t)(due_ns / NS_PER_S),
                                     .tv_nsec = (long)(due_ns % NS_PER_S)};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, /* rem = */ NULL);
        uint64_t woke_ns = io->mono_ns(io);
        latency_add(&w->wakes, woke_ns - due_ns);
        if (woke_ns - due_ns > HICCUPS_PAUSE_NS)
            pauses_add(&w->pauses, due_ns - HICCUPS_PERIOD_NS, woke_ns);
    }
    return NULL;
}

int hiccups_start(struct hiccups **ret_hiccups, struct err *e)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n_cpus = n > 0 ? (size_t)n : 1;
    struct hiccups *h = calloc(1, sizeof *h + n_cpus * sizeof h->watchers[0]);
    if (!h)
        return err_set(e, ERR_NOMEM, "watch for pauses");
    h->begun_ns = io_posix()->mono_ns(io_posix());
    h->is_running = true;
    int rc = 0;
    for (size_t i = 0; i < n_cpus && rc == 0; i++) {
        h->watchers[i] = (struct watcher){.in = h, .cpu = (unsigned)i};
        rc = pthread_create(&h->watchers[i].thread, /* attr = */ NULL, watch, &h->watchers[i]);
        h->n_watchers += rc == 0;
    }
    if (rc == 0) {
        *ret_hiccups = h;
        return 0;
    }
    hiccups_free(h);
    return err_sys(e, rc, "start watching for pauses");
}

void hiccups_stop(struct hiccups *h)
{
    if (!h->is_running)
        return;
    h->is_running = false;
    atomic_store_explicit(&h->is_over, 1, memory_order_relaxed);
    for (size_t i = 0; i < h->n_watchers; i++) {
        (void)pthread_join(h->watchers[i].thread, NULL);
        latency_merge(&h->wakes, &h->watchers[i].wakes);
        pauses_take(&h->pauses, &h->watchers[i].pauses);
    }
    h->ended_ns = io_posix()->mono_ns(io_posix());
    pauses_settle(&h->pauses);
}

const struct latency *hiccups_wakes(const struct hiccups *h)
{
    return &h->wakes;
}

const struct pauses *hiccups_pauses(const struct hiccups *h)
{
    return &h->pauses;
}

double hiccups_share(const struct hiccups *h)
{
    return (double)h->pauses.total_ns / (double)(h->ended_ns - h->begun_ns);
}

void hiccups_free(struct hiccups *h)
{
    if (!h)
        return;
    hiccups_stop(h);
    pauses_free(&h->pauses);
    free(h);
}

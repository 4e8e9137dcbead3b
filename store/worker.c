/* Threads made of steps: sleeping, waking and stopping them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/worker.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void worker_init(struct worker *w, worker_step_fn step, void *arg)
{
    *w = (struct worker){.step = step, .arg = arg};
    lock_init(&w->lock, LOCK_LEAF);
    lock_cond_init(&w->cond);
}

enum {
    NAP_NS = 200000, /* and the kernel's slack of 50 us */
    REST_MS = 5,
};

static void nap(void)
{
    const struct timespec length = {.tv_nsec = NAP_NS};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &length, /* rem = */ NULL); /* shorter is fine */
}

/* Sleeps until woken, at most for `delay_ms`. Locks: holds w->lock. */
static void sleep_for(struct worker *w, int delay_ms)
{
    atomic_store_explicit(&w->asleep, true, memory_order_seq_cst); /* see struct worker */
    if (!atomic_load_explicit(&w->woken, memory_order_seq_cst))
        lock_wait(&w->lock, &w->cond, delay_ms); /* an early return costs one idle step */
    atomic_store_explicit(&w->asleep, false, memory_order_seq_cst);
}

/* Sleeps as long as the step said; false when the worker is to end. */
static bool rest(struct worker *w, int delay_ms)
{
    if (delay_ms == WORKER_NAP)
        nap(); /* not marked asleep, and too short for a stop to end it */
    lock_take(&w->lock);
    if (!w->stopping && delay_ms == WORKER_REST)
        lock_wait(&w->lock, &w->cond, REST_MS); /* not marked asleep either; a stop ends it */
    else if (!w->stopping && delay_ms != WORKER_AT_ONCE && delay_ms != WORKER_NAP)
        sleep_for(w, delay_ms);
    bool go_on = !w->stopping;
    lock_drop(&w->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    int delay_ms;
    atomic_store_explicit(&w->tid, gettid(), memory_order_release); /* pairs with page_faults.c */
    if (w->niceness > 0) /* of this thread alone; refused, it only takes its full share */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), w->niceness);
    do {
        /* cleared before the step: whatever is stored after it makes another step due */
        atomic_store_explicit(&w->woken, false, memory_order_seq_cst);
        delay_ms = w->step(w->arg);
    } while (rest(w, delay_ms));
    return NULL;
}

int worker_start(struct worker *w, const char *name, struct err *e)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGBUS); /* read faults are answered on the thread that meets them */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int rc = pthread_create(&w->thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return err_sys(e, rc, "start thread '%s'", name);
    (void)pthread_setname_np(w->thread, name); /* only for the reader of ps */
    w->started = true;
    return 0;
}

void worker_wake(struct worker *w)
{
    if (atomic_load_explicit(&w->woken, memory_order_seq_cst))
        return;
    atomic_store_explicit(&w->woken, true, memory_order_seq_cst);
    if (!atomic_load_explicit(&w->asleep, memory_order_seq_cst))
        return;
    lock_take(&w->lock);
    (void)pthread_cond_signal(&w->cond);
    lock_drop(&w->lock);
}

void worker_stop(struct worker *w)
{
    if (!w->started)
        return;
    lock_take(&w->lock);
    w->stopping = true;
    (void)pthread_cond_signal(&w->cond);
    lock_drop(&w->lock);
    (void)pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_fini(struct worker *w)
{
    (void)pthread_cond_destroy(&w->cond);
    lock_fini(&w->lock);
}

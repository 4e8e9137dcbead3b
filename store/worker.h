/* A background thread made of steps: the thread only decides when the next step is due, so that a
 * test can drive the same steps by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_WORKER_H
#define STORE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/lock.h"

enum {
    WORKER_AT_ONCE = 0,
    WORKER_WHEN_WOKEN = -1,
    WORKER_NAP = -2,  /* in some 250 us; wakes until then cost the waker no system call */
    WORKER_REST = -3, /* the same in some 5 ms */
};

/* One piece of work; returns the milliseconds until the next is due unless woken before. */
typedef int (*worker_step_fn)(void *arg);

struct worker {
    /* set before start, then constant */
    worker_step_fn step;
    void *arg;
    int niceness; /* 0: as urgent as who appends; more: when others leave time */
    /* guarded by lock (LOCK_LEAF) */
    struct lock lock;
    pthread_cond_t cond;
    bool stopping;
    pthread_t thread;
    bool started; /* owner only */
    /* atomic: stored by the thread as it begins (release), loaded by any (acquire); 0 before */
    _Atomic int tid;
    /* atomic, seq_cst on both sides: a waker stores `woken` and then loads `asleep`, the thread
     * stores `asleep` and then loads `woken`; with less, both could miss the other */
    _Atomic bool woken;
    _Atomic bool asleep;
};

void worker_init(struct worker *w, worker_step_fn step, void *arg);

/* `name` shows in ps: at most 15 characters. */
int worker_start(struct worker *w, const char *name, struct err *e) MUST_CHECK;

/* Makes the next step due now. Takes the worker's lock only when the thread sleeps. Everything the
 * caller stored with seq_cst before is seen by that step. Thread: any; holding LOCK_LEAF: no. */
void worker_wake(struct worker *w);

/* Ends the thread after the step it is in. A worker that was not started is fine. */
void worker_stop(struct worker *w);

void worker_fini(struct worker *w); /* after stop */

#endif

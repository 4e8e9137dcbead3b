/* Ranked mutexes. Debug builds keep the ranks a thread holds and abort on an order breach. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { HELD_MAX = 16 };

#ifndef NDEBUG
static _Thread_local const struct lock *held[HELD_MAX];
static _Thread_local int n_held;

static void note_taken(const struct lock *l)
{
    if (n_held > 0 && held[n_held - 1]->rank >= l->rank) {
        fprintf(stderr, "lock order: rank %d taken while holding rank %d\n", (int)l->rank,
                (int)held[n_held - 1]->rank);
        abort();
    }
    assert(n_held < HELD_MAX);
    held[n_held++] = l;
}

static void note_dropped(const struct lock *l)
{
    for (int i = n_held - 1; i >= 0; i--) {
        if (held[i] != l)
            continue;
        for (int j = i; j + 1 < n_held; j++)
            held[j] = held[j + 1];
        n_held--;
        return;
    }
    assert(0 && "dropped a lock that was not held");
}

void lock_assert_held(const struct lock *l)
{
    for (int i = 0; i < n_held; i++)
        if (held[i] == l)
            return;
    assert(0 && "lock not held");
}
#else
static void note_taken(const struct lock *l)
{
    (void)l;
}

static void note_dropped(const struct lock *l)
{
    (void)l;
}

void lock_assert_held(const struct lock *l)
{
    (void)l;
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    (void)pthread_mutex_init(&l->mutex, NULL); /* cannot fail with default attributes */
    l->rank = rank;
}

void lock_fini(struct lock *l)
{
    (void)pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
    note_taken(l);
    (void)pthread_mutex_lock(&l->mutex);
}

int lock_try(struct lock *l)
{
    if (pthread_mutex_trylock(&l->mutex) != 0)
        return 0;
    note_taken(l);
    return 1;
}

void lock_drop(struct lock *l)
{
    note_dropped(l);
    (void)pthread_mutex_unlock(&l->mutex);
}

void lock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}

void lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms)
{
    note_dropped(l);
    if (timeout_ms < 0) {
        (void)pthread_cond_wait(cond, &l->mutex);
    } else {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        (void)pthread_cond_timedwait(cond, &l->mutex, &until);
    }
    note_taken(l);
}

/* The housekeeper: a queue of jobs and a round of chores on one thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/keeper.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/lock.h"

enum { KEEPER_JOBS_MAX = 65536 };

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
};

struct keeper {
    /* set before start, then constant */
    struct keeper_options opt;
    pthread_t thread;

    struct lock lock; /* LOCK_LEAF */
    pthread_cond_t changed;
    /* guarded by lock */
    struct job *head;
    struct job **tail;
    size_t n_jobs;
    bool is_stopping;
};

static uint64_t mono_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct job *pop_job(struct keeper *k)
{
    struct job *job = k->head;
    if (job) {
        k->head = job->next;
        k->n_jobs--;
        if (!k->head)
            k->tail = &k->head;
    }
    return job;
}

/* The next job, or NULL: a round is due or the end has come. */
static struct job *wait_for_job(struct keeper *k, uint64_t round_at_ms)
{
    lock_take(&k->lock);
    struct job *job;
    while (!(job = pop_job(k)) && !k->is_stopping) {
        uint64_t now = mono_ms();
        if (now >= round_at_ms)
            break;
        uint64_t left = round_at_ms - now;
        lock_wait(&k->lock, &k->changed, left > 60000 ? 60000 : (int)left);
    }
    lock_drop(&k->lock);
    return job;
}

static bool is_over(struct keeper *k)
{
    lock_take(&k->lock);
    bool over = k->is_stopping && !k->head;
    lock_drop(&k->lock);
    return over;
}

static void *run(void *arg)
{
    struct keeper *k = arg;
    uint64_t round_at_ms = mono_ms() + k->opt.round(k->opt.arg);
    while (!is_over(k)) {
        struct job *job = wait_for_job(k, round_at_ms);
        if (job) {
            job->fn(job->arg);
            free(job);
        }
        if (mono_ms() >= round_at_ms)
            round_at_ms = mono_ms() + k->opt.round(k->opt.arg);
    }
    return NULL;
}

int keeper_start(struct keeper **ret_keeper, const struct keeper_options *opt, struct err *e)
{
    struct keeper *k = calloc(1, sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "make the housekeeper");
    k->opt = *opt;
    k->tail = &k->head;
    lock_init(&k->lock, LOCK_LEAF);
    lock_cond_init(&k->changed);
    int failure = pthread_create(&k->thread, NULL, run, k);
    if (failure) {
        (void)pthread_cond_destroy(&k->changed); /* nobody waits */
        lock_fini(&k->lock);
        free(k);
        return err_sys(e, failure, "start the housekeeper");
    }
    *ret_keeper = k;
    return 0;
}

int keeper_post(struct keeper *k, void (*fn)(void *arg), void *arg, struct err *e)
{
    struct job *job = malloc(sizeof *job);
    if (!job)
        return err_set(e, ERR_NOMEM, "hand work to the housekeeper");
    *job = (struct job){.fn = fn, .arg = arg};
    lock_take(&k->lock);
    bool full = k->n_jobs >= KEEPER_JOBS_MAX;
    if (!full) {
        *k->tail = job;
        k->tail = &job->next;
        k->n_jobs++;
        (void)pthread_cond_signal(&k->changed);
    }
    lock_drop(&k->lock);
    if (!full)
        return 0;
    free(job);
    return err_set(e, ERR_BUSY, "%d jobs wait for the disk", KEEPER_JOBS_MAX);
}

void keeper_stop(struct keeper *k)
{
    if (!k)
        return;
    lock_take(&k->lock);
    k->is_stopping = true;
    (void)pthread_cond_signal(&k->changed);
    lock_drop(&k->lock);
    (void)pthread_join(k->thread, NULL); /* cannot fail: joinable, joined once */
    assert(!k->head);
    (void)pthread_cond_destroy(&k->changed);
    lock_fini(&k->lock);
    free(k);
}

/* Timers: a heap and one thread that posts what is due to the workers. The thread runs no callback,
 * so a slow one delays nobody's timer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rpc_internal.h"

#include <limits.h>

#include <grpc/support/alloc.h>

#include "base/io.h"

enum { KEPT_MAX = 1024 }; /* timers kept for the next */

struct rpc_timer {
    struct idle_item idle; /* first: one that is over is kept for the next */
    struct rpc_timers *owner;
    uint64_t at_ms;
    void (*fn)(void *arg, bool fired);
    void *arg;
    size_t pos;     /* in the heap; NOT_IN_HEAP once it was posted */
    bool has_fired; /* settled before it is posted */
};

#define NOT_IN_HEAP SIZE_MAX

struct rpc_timers {
    struct rpc_server *server;
    struct idle over; /* timers whose function has returned */
    pthread_t thread;
    struct lock lock; /* rank LOCK_LEAF */
    pthread_cond_t changed;
    /* guarded by lock */
    struct rpc_timer **heap; /* earliest first: a parent is never later than its two children */
    size_t n;
    size_t capacity;
    bool is_stopping;
};

static uint64_t now_ms(void)
{
    struct io *io = io_posix();
    return io->mono_ns(io) / 1000000;
}

static void put_at(struct rpc_timers *t, size_t pos, struct rpc_timer *timer)
{
    t->heap[pos] = timer;
    timer->pos = pos;
}

static void sift_up(struct rpc_timers *t, size_t pos)
{
    struct rpc_timer *timer = t->heap[pos];
    while (pos > 0 && t->heap[(pos - 1) / 2]->at_ms > timer->at_ms) {
        put_at(t, pos, t->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    put_at(t, pos, timer);
}

static void sift_down(struct rpc_timers *t, size_t pos)
{
    struct rpc_timer *timer = t->heap[pos];
    for (;;) {
        size_t child = 2 * pos + 1;
        if (child + 1 < t->n && t->heap[child + 1]->at_ms < t->heap[child]->at_ms)
            child++;
        if (child >= t->n || t->heap[child]->at_ms >= timer->at_ms)
            break;
        put_at(t, pos, t->heap[child]);
        pos = child;
    }
    put_at(t, pos, timer);
}

static void heap_add(struct rpc_timers *t, struct rpc_timer *timer)
{
    if (t->n == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        t->heap = gpr_realloc(t->heap, t->capacity * sizeof(struct rpc_timer *));
    }
    t->heap[t->n] = timer;
    sift_up(t, t->n++);
}

static void heap_remove(struct rpc_timers *t, struct rpc_timer *timer)
{
    size_t pos = timer->pos;
    struct rpc_timer *last = t->heap[--t->n];
    timer->pos = NOT_IN_HEAP;
    if (last == timer)
        return;
    put_at(t, pos, last);
    sift_down(t, pos);
    sift_up(t, last->pos);
}

static void free_timer(struct idle_item *item)
{
    gpr_free(item);
}

static void run(void *arg)
{
    struct rpc_timer *timer = arg;
    timer->fn(timer->arg, timer->has_fired);
    if (!idle_keep(&timer->owner->over, &timer->idle))
        free_timer(&timer->idle);
}

/* The first timer, once it is due or the server stops; NULL when none is left then. */
static struct rpc_timer *await_first(struct rpc_timers *t)
{
    lock_assert_held(&t->lock);
    for (;;) {
        uint64_t now = now_ms();
        if (t->n == 0 && t->is_stopping)
            return NULL;
        if (t->n > 0 && (t->is_stopping || t->heap[0]->at_ms <= now))
            return t->heap[0];
        int wait_ms = -1;
        if (t->n > 0) {
            uint64_t left = t->heap[0]->at_ms - now;
            wait_ms = left > INT_MAX ? INT_MAX : (int)left;
        }
        lock_wait(&t->lock, &t->changed, wait_ms);
    }
}

static void *timer_main(void *arg)
{
    struct rpc_timers *t = arg;
    struct rpc_timer *timer;
    lock_take(&t->lock);
    while ((timer = await_first(t)) != NULL) {
        heap_remove(t, timer);
        timer->has_fired = timer->at_ms <= now_ms();
        lock_drop(&t->lock);
        rpc_post(t->server, run, timer);
        lock_take(&t->lock);
    }
    lock_drop(&t->lock);
    return NULL;
}

void rpc_timers_free(struct rpc_timers *t)
{
    if (!t)
        return;
    (void)pthread_cond_destroy(&t->changed);
    lock_fini(&t->lock);
    idle_fini(&t->over, free_timer);
    gpr_free(t->heap);
    gpr_free(t);
}

struct rpc_timers *rpc_timers_start(struct rpc_server *server)
{
    struct rpc_timers *t = gpr_zalloc(sizeof *t);
    t->server = server;
    idle_init(&t->over, KEPT_MAX);
    lock_init(&t->lock, LOCK_LEAF);
    lock_cond_init(&t->changed);
    if (pthread_create(&t->thread, NULL, timer_main, t) == 0)
        return t;
    rpc_timers_free(t);
    return NULL;
}

void rpc_timers_stop(struct rpc_timers *t)
{
    lock_take(&t->lock);
    t->is_stopping = true;
    (void)pthread_cond_signal(&t->changed);
    lock_drop(&t->lock);
    (void)pthread_join(t->thread, NULL);
}

struct rpc_timer *rpc_timer_start(struct rpc_server *server, uint64_t at_ms,
                                  void (*fn)(void *arg, bool fired), void *arg)
{
    struct rpc_timers *t = server->timers;
    struct idle_item *item = idle_take(&t->over);
    struct rpc_timer *timer = item ? (struct rpc_timer *)item : gpr_malloc(sizeof *timer);
    *timer =
        (struct rpc_timer){.owner = t, .at_ms = at_ms, .fn = fn, .arg = arg, .pos = NOT_IN_HEAP};
    lock_take(&t->lock);
    bool is_late = t->is_stopping;
    if (!is_late)
        heap_add(t, timer);
    if (timer->pos == 0)
        (void)pthread_cond_signal(&t->changed);
    lock_drop(&t->lock);
    if (is_late)
        rpc_post(server, run, timer);
    return timer;
}

void rpc_timer_cancel(struct rpc_timer *timer)
{
    struct rpc_timers *t = timer->owner;
    lock_take(&t->lock);
    bool was_waiting = timer->pos != NOT_IN_HEAP;
    if (was_waiting)
        heap_remove(t, timer);
    lock_drop(&t->lock);
    if (was_waiting)
        rpc_post(t->server, run, timer);
}

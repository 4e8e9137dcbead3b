/* Writes, syncs, publishes, acknowledges: in that order, a group at a time.
 *
 * A group is what was appended while the one before was on its way. Those whose records the last
 * group had are likely to send again as soon as they are told: the committer waits a moment for
 * them, or half of all senders would be in each group and wait for two. It waits for a part of the
 * time that the last group took, and where they do not come it tries that again only now and then.
 * Publishing comes after the sync, so what a consumer sees is on disk, and a consumer's
 * position is never ahead of a log that lost its end. Groups are written in the order of the log,
 * so what is on disk is always a prefix of it. The first failure is the last word (I5): everything
 * on its way is given up and its senders are told that they cannot know, and nothing is written any
 * more. A record that was given up is not looked at again, since its body goes back to the caller
 * then. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/group_commit.h"

#include <sched.h>
#include <stddef.h>

enum {
    WAIT_MS = 1000,   /* only against a lost thread: what moves wakes the waiters */
    GATHER_SHARE = 4, /* of the time that the last group took, one part is waited at most */
    GATHER_MAX_NS = 200000,
    SKIPPED_MAX = 63,
};

void group_commit_init(struct group_commit *g, struct commit_log *log, struct worker *dispatcher,
                       _Atomic uint64_t *flushed, int64_t pending_max_bytes)
{
    *g = (struct group_commit){
        .log = log,
        .dispatcher = dispatcher,
        .flushed = flushed,
        .pending_max_bytes = pending_max_bytes,
    };
    log_writer_init(&g->writer, &log->files);
    lock_init(&g->lock, LOCK_LEAF);
    lock_cond_init(&g->moved);
    worker_init(&g->committer, group_commit_step, g);
    worker_init(&g->teller, group_commit_tell_step, g);
}

int group_commit_begin(struct group_commit *g, uint64_t synced, uint64_t tail, struct err *e)
{
    return log_writer_sync(&g->writer, synced, tail, e);
}

int group_commit_start(struct group_commit *g, struct err *e)
{
    int rc = worker_start(&g->teller, "store-tell", e);
    return rc == 0 ? worker_start(&g->committer, "store-commit", e) : rc;
}

/* ---- appenders ---- */

static bool is_full(struct group_commit *g)
{
    return atomic_load_explicit(&g->pending_bytes, memory_order_relaxed) > g->pending_max_bytes;
}

int group_commit_wait_room(struct group_commit *g, struct err *e)
{
    int rc = 0;
    if (!is_full(g))
        return 0;
    struct io *io = g->log->io;
    uint64_t begun_ns = io->mono_ns(io);
    atomic_fetch_add_explicit(&g->log->n_waits, 1, memory_order_relaxed); /* a count */
    lock_take(&g->lock);
    g->n_waiting++;
    while (is_full(g) && g->failure.code == 0)
        lock_wait(&g->lock, &g->moved, WAIT_MS);
    g->n_waiting--;
    if (g->failure.code != 0)
        rc = err_set(e, ERR_FAILED, "append: a write failed while it waited");
    lock_drop(&g->lock);
    timing_add(&g->log->stalls, io->mono_ns(io) - begun_ns);
    return rc;
}

void group_commit_note(struct group_commit *g, const struct store_appended *at,
                       struct store_ticket *t)
{
    if (at->log_off + at->size > t->end)
        t->end = at->log_off + at->size;
    atomic_fetch_add_explicit(&g->pending_bytes, at->size, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->n_pending, 1, memory_order_relaxed);
    worker_wake(&g->committer);
}

int group_commit_settle(struct group_commit *g, struct store_ticket *t, enum store_settled *ret,
                        struct err *e)
{
    int rc = 0;
    lock_take(&g->lock);
    if (t->end <= commit_log_published(g->log)) {
        *ret = STORE_NOW;
    } else if (g->failure.code != 0) {
        *e = g->failure;
        rc = e->code;
    } else {
        t->next = g->waiting;
        g->waiting = t;
        *ret = STORE_LATER;
    }
    lock_drop(&g->lock);
    return rc;
}

struct sleeper {
    struct lock lock; /* LOCK_LEAF */
    pthread_cond_t woken;
    /* guarded by lock */
    bool is_done;
    struct err failure; /* code 0: none */
};

static void wake_sleeper(void *arg, const struct err *failure)
{
    struct sleeper *s = arg;
    lock_take(&s->lock);
    s->is_done = true;
    if (failure)
        s->failure = *failure;
    (void)pthread_cond_signal(&s->woken);
    lock_drop(&s->lock);
}

static int sleep_until_told(struct sleeper *s, struct err *e)
{
    lock_take(&s->lock);
    while (!s->is_done)
        lock_wait(&s->lock, &s->woken, /* timeout_ms = */ -1);
    if (s->failure.code != 0)
        *e = s->failure;
    lock_drop(&s->lock);
    return s->failure.code;
}

int group_commit_await(struct group_commit *g, uint64_t end, struct err *e)
{
    struct sleeper s = {.is_done = false};
    struct store_ticket t = {.on_settled = wake_sleeper, .arg = &s, .end = end};
    enum store_settled settled = STORE_NOW;
    lock_init(&s.lock, LOCK_LEAF);
    lock_cond_init(&s.woken);
    int rc = group_commit_settle(g, &t, &settled, e);
    if (rc == 0 && settled == STORE_LATER)
        rc = sleep_until_told(&s, e);
    (void)pthread_cond_destroy(&s.woken);
    lock_fini(&s.lock);
    return rc;
}

/* ---- telling ---- */

/* The failure is constant once a ticket has failed. */
static void tell(const struct group_commit *g, struct store_ticket *t)
{
    while (t) {
        struct store_ticket *next = t->next; /* the ticket is the caller's again */
        t->on_settled(t->arg, t->has_failed ? &g->failure : NULL);
        t = next;
    }
}

int group_commit_tell_step(void *arg)
{
    struct group_commit *g = arg;
    lock_take(&g->lock);
    struct store_ticket *settled = g->settled;
    g->settled = NULL;
    lock_drop(&g->lock);
    tell(g, settled);
    return WORKER_WHEN_WOKEN;
}

/* Takes the tickets that end at or below `upto` off those that wait. */
static struct store_ticket *take_settled(struct group_commit *g, uint64_t upto)
{
    lock_assert_held(&g->lock);
    struct store_ticket *settled = NULL;
    for (struct store_ticket **at = &g->waiting; *at;) {
        struct store_ticket *t = *at;
        if (t->end > upto) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        t->next = settled;
        settled = t;
    }
    return settled;
}

/* Hands the tickets that end at or below `upto` to the teller; a lone one is told here, which costs
 * no more than to wake the teller. */
static void settle_upto(struct group_commit *g, uint64_t upto)
{
    lock_take(&g->lock);
    struct store_ticket *settled = take_settled(g, upto);
    bool is_lone = settled && !settled->next;
    for (struct store_ticket *t = settled, *next; t && !is_lone; t = next) {
        next = t->next;
        t->next = g->settled;
        g->settled = t;
    }
    if (g->n_waiting > 0)
        (void)pthread_cond_broadcast(&g->moved);
    lock_drop(&g->lock);
    if (is_lone)
        tell(g, settled);
    else if (settled)
        worker_wake(&g->teller);
}

/* ---- the committer ---- */

/* Gives up the records from `first` to `end`. */
static void drop_records(struct group_commit *g, struct outgoing *first, struct outgoing *end)
{
    int64_t bytes = 0, n = 0;
    for (const struct outgoing *out = first; out != end; out = out->next) {
        bytes += out->plan.size;
        n++;
    }
    outgoing_drop(&g->log->spent, first, end);
    atomic_fetch_sub_explicit(&g->pending_bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&g->n_pending, n, memory_order_relaxed);
}

/* Nothing is acknowledged any more. */
static void give_up(struct group_commit *g, const struct err *why)
{
    commit_log_fail(g->log);
    drop_records(g, g->first, NULL);
    g->first = NULL;
    lock_take(&g->lock);
    if (g->failure.code == 0)
        (void)err_set(&g->failure, ERR_UNKNOWN, "%s; the message may be stored", why->msg);
    for (struct store_ticket *t = g->waiting; t; t = t->next)
        t->has_failed = true;
    lock_drop(&g->lock);
    settle_upto(g, UINT64_MAX);
}

static int64_t n_pending(struct group_commit *g)
{
    return atomic_load_explicit(&g->n_pending, memory_order_relaxed);
}

/* Waits until as many records are there as were at the last group, or for so long. */
static bool has_gathered(struct group_commit *g, uint64_t wait_ns)
{
    struct io *io = g->log->io;
    uint64_t until_ns = io->mono_ns(io) + wait_ns;
    while (n_pending(g) < g->n_expected) {
        if (io->mono_ns(io) >= until_ns)
            return false;
        (void)sched_yield(); /* to those who are just told */
    }
    return true;
}

/* See the head of this file. */
static void gather(struct group_commit *g)
{
    uint64_t wait_ns = g->last_ns / GATHER_SHARE;
    if (n_pending(g) <= 0 || n_pending(g) >= g->n_expected)
        return;
    if (g->n_to_skip > 0) {
        g->n_to_skip--;
        return;
    }
    if (has_gathered(g, wait_ns < GATHER_MAX_NS ? wait_ns : GATHER_MAX_NS))
        g->n_skipped = 0;
    else
        g->n_skipped = g->n_skipped >= SKIPPED_MAX ? SKIPPED_MAX : 2 * g->n_skipped + 1;
    g->n_to_skip = g->n_skipped;
}

struct group {
    struct outgoing *end; /* the first record that is not in it */
    uint64_t upto;        /* log_off behind the last one that is */
    uint64_t n_records, bytes;
};

/* As much as one write of one file may take; `g->first` is there. */
static struct group choose_group(const struct group_commit *g)
{
    struct group group = {.end = g->first};
    struct outgoing *out = g->first;
    do {
        group.n_records++;
        group.bytes += out->plan.size;
        group.upto = out->log_off + out->plan.size;
        out = out->next;
    } while (out && out->log_off == group.upto && out->filler_bytes == 0 &&
             group.bytes + out->plan.size <= GROUP_MAX_BYTES);
    group.end = out;
    return group;
}

static void count_group(struct group_commit *g, const struct group *group)
{
    /* relaxed: counts; the committer alone stores them */
    uint64_t max = atomic_load_explicit(&g->max_grouped, memory_order_relaxed);
    uint64_t filler = g->first->filler_bytes > 0 ? FORMAT_FILLER_BYTES : 0;
    atomic_fetch_add_explicit(&g->n_groups, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->n_grouped, group->n_records, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->written_bytes, group->bytes + filler, memory_order_relaxed);
    if (group->n_records > max)
        atomic_store_explicit(&g->max_grouped, group->n_records, memory_order_relaxed);
}

/* Writes and syncs one group, then says so. */
static int commit_group(struct group_commit *g, struct err *e)
{
    if (commit_log_has_failed(g->log))
        return err_set(e, ERR_FAILED, "append: a sync failed earlier");
    struct io *io = g->log->io;
    struct group group = choose_group(g);
    uint64_t begun_ns = io->mono_ns(io);
    int rc = log_writer_commit(&g->writer, g->first, group.end, e);
    if (rc == 0 && commit_log_has_failed(g->log)) /* the flusher's; nothing is acknowledged (I5) */
        rc = err_set(e, ERR_FAILED, "append: a sync failed meanwhile");
    if (rc < 0)
        return rc;
    count_group(g, &group);
    struct outgoing *first = g->first;
    g->first = group.end;
    commit_log_publish(g->log, group.upto);
    atomic_store_explicit(g->flushed, group.upto,
                          memory_order_release); /* pairs with reclaimer.c */
    drop_records(g, first, group.end);
    g->last_ns = io->mono_ns(io) - begun_ns;
    timing_add(&g->log->syncs, g->last_ns);
    g->n_expected = (int64_t)group.n_records + n_pending(g);
    settle_upto(g, group.upto);
    if (g->dispatcher)
        worker_wake(g->dispatcher);
    return 0;
}

int group_commit_step(void *arg)
{
    struct group_commit *g = arg;
    struct err e;
    if (!g->first) {
        gather(g);
        g->first = commit_log_take(g->log);
    }
    if (!g->first)
        return WORKER_WHEN_WOKEN;
    if (commit_group(g, &e) < 0)
        give_up(g, &e);
    return WORKER_AT_ONCE;
}

/* ---- the end ---- */

void group_commit_stop(struct group_commit *g)
{
    worker_stop(&g->committer);
    while (group_commit_step(g) == WORKER_AT_ONCE)
        continue;
    worker_stop(&g->teller);
    (void)group_commit_tell_step(g);
}

void group_commit_fini(struct group_commit *g)
{
    if (!g->log)
        return;
    log_writer_fini(&g->writer);
    worker_fini(&g->committer);
    worker_fini(&g->teller);
    (void)pthread_cond_destroy(&g->moved);
    lock_fini(&g->lock);
    g->log = NULL;
}

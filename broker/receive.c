/* One receive from its request to its end.
 *
 *   SCANNING --(found)-------------------> FINISHED   reply
 *   SCANNING --(more to look at)---------> SCANNING   park_or_repost: posts the next step
 *   SCANNING --(nothing, time left)------> PARKED     park
 *   SCANNING --(nothing, time over,
 *               or group or topic gone)--> FINISHED   reply_empty
 *   PARKED   --(woken)-------------------> SCANNING   on_wake
 *   PARKED   --(found by the look after parking, timer, client gone)--> FINISHED
 *
 * The lock serialises step, wake, timer and end, which come on any worker. No arrival is lost: a
 * receive parks first and looks once more afterwards. A wake that comes to a finished receive is
 * passed on to the next one of its group. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/receive.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "broker/deliver.h"

static void run_step(void *arg);
static void wake(void *arg);

/* ---- lifetime ---- */

static struct receive *ref(struct receive *r)
{
    /* relaxed: whoever adds one holds one */
    atomic_fetch_add_explicit(&r->n_refs, 1, memory_order_relaxed);
    return r;
}

static void free_receive(struct idle_item *item)
{
    struct receive *r = (struct receive *)item;
    filter_free(r->filter);
    idle_room_fini(&r->texts);
    free(r);
}

static void free_delivered(struct idle_item *item)
{
    free(item);
}

struct receive *receive_new(struct broker *b, struct rpc_call *call)
{
    struct idle_item *item = idle_take(&b->receives);
    struct receive *r = item ? (struct receive *)item : calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct receive){.filter = r->filter, .texts = r->texts, .b = b, .call = rpc_ref(call)};
    atomic_init(&r->n_refs, 1);
    lock_init(&r->lock, LOCK_RECEIVE);
    return r;
}

void receive_unref(struct receive *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    struct broker *b = r->b;
    rpc_unref(r->call);
    lease_unref(r->lease);
    if (r->delivered && !idle_keep(&b->delivered, &r->delivered->idle))
        free_delivered(&r->delivered->idle);
    filter_trim(r->filter);
    lock_fini(&r->lock);
    if (!idle_keep(&b->receives, &r->idle))
        free_receive(&r->idle);
}

void receive_free_idle(struct broker *b)
{
    idle_fini(&b->receives, free_receive);
    idle_fini(&b->delivered, free_delivered);
}

static struct span group_of(const struct receive *r)
{
    return span_str(r->group.name);
}

static struct span topic_of(const struct receive *r)
{
    return span_str(r->topic.name);
}

/* Somebody else of the group may have use for what this one leaves. */
static void wake_next(struct receive *r)
{
    (void)hold_notify_group(r->b->holds, group_of(r), topic_of(r)); /* maybe nobody waits */
}

/* ---- ends ---- */

static void finish(struct receive *r)
{
    lock_assert_held(&r->lock);
    r->state = RECEIVE_FINISHED;
    if (r->timer)
        rpc_timer_cancel(r->timer); /* its function drops the timer's reference */
    r->timer = NULL;
}

/* Notes what is to be given back if the client is lost; unnoted it comes again in its time. */
static void note_delivered(struct receive *r)
{
    struct idle_item *item = idle_take(&r->b->delivered);
    struct delivered *d = item ? (struct delivered *)item : malloc(sizeof *d);
    if (!d)
        return;
    d->n = r->take.n;
    memcpy(d->messages, r->take.taken, d->n * sizeof d->messages[0]);
    r->delivered = d;
}

static void reply(struct receive *r)
{
    struct deliver d = {.b = r->b,
                        .call = r->call,
                        .group = group_of(r),
                        .topic = topic_of(r),
                        .topic_namespace = span_str(r->topic_namespace),
                        .invisible_ms = r->take.how.invisible_ms,
                        .digest = r->digest};
    finish(r);
    note_delivered(r);
    deliver_messages(&d, r->lease, r->take.taken, r->take.n);
    alarm_set(r->b->alarms, r->b->server, r->lease, group_of(r), topic_of(r));
    if (r->take.n == r->take.max)
        wake_next(r);
}

static void reply_empty(struct receive *r)
{
    struct status st;
    finish(r);
    (void)status_set(&st, CODE(MESSAGE_NOT_FOUND), "no new message");
    deliver_status(r->b, r->call, &st);
}

static void reply_busy(struct receive *r, const struct err *e)
{
    struct status st;
    finish(r);
    (void)status_set(&st, CODE(TOO_MANY_REQUESTS), "%s", e->msg);
    deliver_status(r->b, r->call, &st);
}

/* A client that does not read what it has been sent gets no more: others of the
 * group do. */
static void reply_unread(struct receive *r)
{
    struct status st;
    finish(r);
    atomic_fetch_add_explicit(&r->b->n_unread_refused, 1, memory_order_relaxed); /* a count */
    (void)status_set(&st, CODE(TOO_MANY_REQUESTS),
                     "more than maxUnreadPerConnection (%" PRIu64
                     ") bytes sent over this connection are not read yet",
                     r->b->cfg.max_unread_bytes);
    deliver_status(r->b, r->call, &st);
    wake_next(r);
}

/* ---- scanning ---- */

/* Whether nothing more is to be waited for, after a look that ended so. */
static bool is_over(const struct receive *r, enum take_end end)
{
    if (end == TAKE_GONE)
        return true;
    if (r->b->io->mono_ns(r->b->io) / 1000000 >= r->until_ms)
        return true;
    /* seq_cst: see broker.is_stopping */
    return atomic_load_explicit(&r->b->is_stopping, memory_order_seq_cst);
}

/* One pass; what it found is whole. It lies in `room`, so that a receive that waits is small. */
static enum take_end look(struct receive *r, struct taken room[BOUNDS_BATCH_MAX])
{
    struct store_batch batch;
    r->take.taken = room;
    store_batch_begin(r->b->store, STORE_PATH_READ, &batch);
    enum take_end end = take_pass(&r->take);
    size_t n = r->take.n;
    take_check_bodies(&r->take);
    store_batch_end(r->b->store, &batch);
    return r->take.n < n ? TAKE_AGAIN : end; /* a damaged one leaves room */
}

static void post_step(struct receive *r)
{
    r->state = RECEIVE_SCANNING;
    rpc_post(r->b->server, run_step, ref(r));
}

/* Takes the entry out of the hold table; false: its wake is on the way and goes on from here. */
static bool unpark(struct receive *r)
{
    if (!hold_remove(r->b->holds, &r->entry))
        return false;
    receive_unref(r); /* the parked entry's */
    return true;
}

static void on_timer(void *arg, bool fired)
{
    struct receive *r = arg;
    lock_take(&r->lock);
    r->timer = NULL; /* fired, cancelled or ended by a stop, it is gone after this */
    if (fired && r->state == RECEIVE_PARKED && unpark(r))
        reply_empty(r);
    lock_drop(&r->lock);
    receive_unref(r);
}

/* Goes on after the look that follows parking. */
static void settle_parked(struct receive *r, enum take_end end)
{
    bool is_mine = (r->take.n > 0 || end == TAKE_AGAIN || is_over(r, end)) && unpark(r);
    if (r->take.n > 0)
        reply(r); /* not mine: the wake finds it finished and is passed on */
    else if (is_mine && is_over(r, end))
        reply_empty(r);
    else if (is_mine)
        post_step(r);
    else
        alarm_set(r->b->alarms, r->b->server, r->lease, group_of(r), topic_of(r));
}

static void park(struct receive *r)
{
    struct err e;
    struct taken room[BOUNDS_BATCH_MAX];
    if (hold_park(r->b->holds, &r->entry, &e)) {
        reply_busy(r, &e);
        return;
    }
    (void)ref(r); /* the parked entry's */
    r->state = RECEIVE_PARKED;
    if (!r->timer)
        r->timer = rpc_timer_start(r->b->server, r->until_ms, on_timer, ref(r));
    settle_parked(r, look(r, room));
}

static void advance(struct receive *r)
{
    lock_assert_held(&r->lock);
    struct taken room[BOUNDS_BATCH_MAX];
    if (rpc_has_unread(r->call)) {
        reply_unread(r);
        return;
    }
    enum take_end end = look(r, room);
    if (r->take.n > 0)
        reply(r);
    else if (is_over(r, end))
        reply_empty(r);
    else if (end == TAKE_AGAIN)
        post_step(r);
    else
        park(r);
}

static void run_step(void *arg)
{
    struct receive *r = arg;
    lock_take(&r->lock);
    if (r->state == RECEIVE_SCANNING)
        advance(r);
    lock_drop(&r->lock);
    receive_unref(r);
}

/* ---- wakes ---- */

static void on_wake(void *arg)
{
    struct receive *r = arg;
    lock_take(&r->lock);
    bool has_use = r->state == RECEIVE_PARKED;
    if (has_use) {
        r->state = RECEIVE_SCANNING;
        advance(r);
    }
    lock_drop(&r->lock);
    if (!has_use)
        wake_next(r);
    receive_unref(r); /* the parked entry's */
}

/* On any thread, maybe under LOCK_ROLE or another receive's lock (hold.h): the work, which takes
 * this one's, is left to a worker. */
static void wake(void *arg)
{
    struct receive *r = arg;
    rpc_post(r->b->server, on_wake, r);
}

static bool match(void *arg, int64_t tag_code)
{
    const struct receive *r = arg;
    return filter_is_all(r->filter) || filter_match_code(r->filter, tag_code);
}

/* ---- the call ---- */

void receive_start(struct receive *r)
{
    r->take.b = r->b;
    r->take.group = &r->group;
    r->take.topic = &r->topic;
    r->take.lease = r->lease;
    r->take.filter = r->filter;
    r->take.how.max_attempts = r->group.max_attempts;
    r->entry = (struct hold_entry){
        .topic = topic_of(r), .group = group_of(r), .match = match, .wake = wake, .arg = r};
    lock_take(&r->lock);
    r->state = RECEIVE_SCANNING;
    advance(r);
    lock_drop(&r->lock);
}

void receive_end(struct receive *r, enum rpc_end end)
{
    lock_take(&r->lock);
    if (r->state == RECEIVE_PARKED)
        (void)unpark(r); /* if its wake is on the way, that finds it finished */
    finish(r);
    lock_drop(&r->lock);
    if (end == RPC_END_WRITTEN)
        return;
    if (r->delivered)
        take_give_back(r->b, r->lease, r->delivered->messages, r->delivered->n);
    wake_next(r);
}

/* Leases: who has which message until when. A queue's position and slots say it all: an entry below
 * the position is in flight (a slot), or acked or passed over (none).
 *
 * L1: the invariants of every queue (lease_queue.c) hold whenever LOCK_LEASE is free.
 * L2: one scan at a time runs on a queue; the position only moves under it, or by a seek, which
 * raises the generation so that the scan finds out. L3: a delivery has a nonce of its own; a handle
 * acts only on the delivery whose nonce it has, and only until that is visible again. L4: an
 * orderly queue with an invisible message delivers nothing, but for the last batch to the attempt
 * that had it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lease.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "broker/lease_table.h"

/* ---- taking ---- */

static struct lease_queue *find_queue(const struct lease *l, int32_t queue_id)
{
    return queue_id >= 0 && (size_t)queue_id < l->n_queues ? l->queues[queue_id] : NULL;
}

/* 0: no attempt id, which is equal to none. */
static uint64_t hash_attempt(struct span attempt_id)
{
    if (attempt_id.len == 0)
        return 0;
    uint64_t hash = XXH3_64bits(attempt_id.ptr, attempt_id.len);
    return hash ? hash : 1;
}

static bool is_same_attempt(const struct lease_queue *q, const struct lease_take *take)
{
    uint64_t hash = hash_attempt(take->attempt_id);
    return hash != 0 && hash == q->attempt_hash;
}

/* Whether the first un-acked message may be delivered to this attempt (L4). */
static bool is_blocked(struct lease_queue *q, const struct lease_take *take)
{
    bool is_same = is_same_attempt(q, take);
    bool is_invisible = false;
    size_t pos = 0;
    for (struct lease_slot *slot; (slot = lease_queue_next(q, &pos)) != NULL;) {
        if (is_same && slot->is_in_batch)
            return false;
        is_invisible |= slot->visible_ms > take->now_ms;
    }
    return is_invisible;
}

static enum lease_begin judge(struct lease *l, struct lease_queue *q, const struct lease_take *take)
{
    if (l->is_dropped)
        return LEASE_GONE;
    if (q->is_scanned)
        return LEASE_BUSY;
    if (l->order == LEASE_ORDERLY && is_blocked(q, take))
        return LEASE_BLOCKED;
    q->was_full = lease_queue_in_flight(q) >= l->table->max_in_flight;
    return q->was_full ? LEASE_FULL : LEASE_READY;
}

uint32_t lease_turn(struct lease *l)
{
    return atomic_fetch_add_explicit(&l->next_turn, 1, memory_order_relaxed);
}

int lease_begin(struct lease *l, int32_t queue_id, const struct lease_take *take,
                enum lease_begin *ret_begin, struct lease_scan *ret_scan, struct err *e)
{
    struct lease_queue *q;
    lock_take(&l->lock);
    int rc = lease_queue_of(l, queue_id, &q, e);
    if (rc == 0) {
        enum lease_begin begin = judge(l, q, take);
        if (begin == LEASE_READY || begin == LEASE_FULL) {
            q->is_scanned = true;
            *ret_scan = (struct lease_scan){.lease = l,
                                            .queue_id = queue_id,
                                            .position = q->position,
                                            .generation = q->generation};
        }
        *ret_begin = begin;
    }
    lock_drop(&l->lock);
    return rc;
}

void lease_end(struct lease_scan *scan)
{
    struct lease *l = scan->lease;
    lock_take(&l->lock);
    struct lease_queue *q = find_queue(l, scan->queue_id);
    assert(q != NULL && q->is_scanned);
    q->is_scanned = false;
    lock_drop(&l->lock);
}

static uint64_t fresh_nonce(struct lease_table *t)
{
    return atomic_fetch_add_explicit(&t->next_nonce, 1, memory_order_relaxed);
}

static uint64_t add_ms(uint64_t now_ms, uint64_t more_ms)
{
    return now_ms > UINT64_MAX - more_ms ? UINT64_MAX : now_ms + more_ms;
}

enum counting { COUNT_ATTEMPT, SAME_ATTEMPT };

/* Hands the slot out: a new nonce, hidden from now on (L3). */
static struct lease_entry deliver(struct lease *l, struct lease_queue *q, struct lease_slot *slot,
                                  const struct lease_take *take, enum counting counting)
{
    bool is_dead = counting == COUNT_ATTEMPT && slot->attempts >= take->max_attempts;
    if (counting == COUNT_ATTEMPT && !is_dead)
        slot->attempts++;
    slot->nonce = fresh_nonce(l->table);
    slot->owner = is_dead ? 0 : take->owner;
    slot->visible_ms = add_ms(take->now_ms, take->invisible_ms);
    slot->until_ms = slot->owner ? add_ms(take->now_ms, LEASE_RENEW_LIMIT_MS) : slot->visible_ms;
    slot->is_in_batch = l->order == LEASE_ORDERLY;
    q->has_owned |= slot->owner != 0;
    lease_queue_schedule(q, slot);
    return (struct lease_entry){.queue_off = slot->queue_off,
                                .nonce = slot->nonce,
                                .until_ms = slot->until_ms,
                                .attempt = slot->attempts,
                                .is_dead = is_dead};
}

/* The last batch is this attempt's from now on: what others had is none of it. */
static void begin_batch(struct lease_queue *q, const struct lease_take *take)
{
    if (is_same_attempt(q, take))
        return;
    size_t pos = 0;
    for (struct lease_slot *slot; (slot = lease_queue_next(q, &pos)) != NULL;)
        slot->is_in_batch = false;
    q->attempt_hash = hash_attempt(take->attempt_id);
}

static size_t take_back_orderly(struct lease *l, struct lease_queue *q,
                                const struct lease_take *take, struct lease_entry *ret_entries,
                                size_t max)
{
    bool is_same = is_same_attempt(q, take);
    begin_batch(q, take);
    size_t n = 0;
    size_t pos = 0;
    while (n < max) {
        struct lease_slot *slot = lease_queue_next(q, &pos);
        if (slot == NULL)
            break;
        bool is_again = is_same && slot->is_in_batch;
        if (!is_again && slot->visible_ms > take->now_ms)
            break;
        ret_entries[n++] = deliver(l, q, slot, take, is_again ? SAME_ATTEMPT : COUNT_ATTEMPT);
    }
    return n;
}

static int by_queue_off(const void *a, const void *b)
{
    uint64_t left = ((const struct lease_entry *)a)->queue_off;
    uint64_t right = ((const struct lease_entry *)b)->queue_off;
    return left < right ? -1 : left > right;
}

/* Those visible longest, put in queue order. The nonce of each is changed as it is found, so that a
 * second mention in the heap is out of date. */
static size_t take_back_plain(struct lease *l, struct lease_queue *q, const struct lease_take *take,
                              struct lease_entry *ret_entries, size_t max)
{
    size_t n = 0;
    while (n < max) {
        struct lease_slot *slot = lease_queue_pop(q, take->now_ms);
        if (slot == NULL)
            break;
        slot->nonce = fresh_nonce(l->table);
        ret_entries[n++].queue_off = slot->queue_off;
    }
    qsort(ret_entries, n, sizeof *ret_entries, by_queue_off);
    for (size_t i = 0; i < n; i++)
        ret_entries[i] =
            deliver(l, q, lease_queue_find(q, ret_entries[i].queue_off), take, COUNT_ATTEMPT);
    return n;
}

size_t lease_take_back(struct lease_scan *scan, const struct lease_take *take,
                       struct lease_entry *ret_entries, size_t max)
{
    struct lease *l = scan->lease;
    lock_take(&l->lock);
    struct lease_queue *q = find_queue(l, scan->queue_id);
    assert(q != NULL && q->is_scanned);
    size_t n = l->order == LEASE_ORDERLY ? take_back_orderly(l, q, take, ret_entries, max)
                                         : take_back_plain(l, q, take, ret_entries, max);
    if (n > 0)
        lease_changed(l);
    lock_drop(&l->lock);
    return n;
}

static void take_scanned(struct lease *l, struct lease_queue *q, const struct lease_take *take,
                         struct lease_entry *entries, size_t n, uint64_t next)
{
    if (l->order == LEASE_ORDERLY)
        begin_batch(q, take);
    for (size_t i = 0; i < n; i++) {
        assert(entries[i].queue_off >= q->position && entries[i].queue_off < next);
        struct lease_slot *slot = lease_queue_add(q, entries[i].queue_off);
        entries[i] = deliver(l, q, slot, take, COUNT_ATTEMPT);
    }
    q->position = next;
    q->is_known = true;
    lease_changed(l);
}

int lease_take_new(struct lease_scan *scan, const struct lease_take *take,
                   struct lease_entry *entries, size_t n, uint64_t next,
                   enum lease_taken *ret_taken, struct err *e)
{
    struct lease *l = scan->lease;
    int rc = 0;
    lock_take(&l->lock);
    struct lease_queue *q = find_queue(l, scan->queue_id);
    assert(q != NULL && q->is_scanned);
    if (q->generation != scan->generation) {
        *ret_taken = LEASE_STALE;
        goto out;
    }
    assert(next >= q->position);
    rc = lease_queue_reserve(q, n, e);
    if (rc < 0)
        goto out;
    if (next > q->position || !q->is_known)
        take_scanned(l, q, take, entries, n, next);
    scan->position = next;
    *ret_taken = LEASE_TAKEN;
out:
    lock_drop(&l->lock);
    return rc;
}

/* ---- what becomes of a delivery ---- */

/* The slot that the handle may act on; otherwise what to answer. */
static enum lease_outcome find_delivery(struct lease_queue *q, const struct lease_handle *h,
                                        uint64_t now_ms, struct lease_slot **ret_slot)
{
    if (q == NULL || h->queue_off >= q->position)
        return LEASE_EXPIRED;
    struct lease_slot *slot = lease_queue_find(q, h->queue_off);
    if (slot == NULL)
        return h->until_ms > now_ms ? LEASE_AGAIN : LEASE_EXPIRED;
    if (slot->nonce != h->nonce || slot->visible_ms <= now_ms)
        return LEASE_EXPIRED;
    *ret_slot = slot;
    return LEASE_OK;
}

enum lease_outcome lease_ack(struct lease *l, const struct lease_handle *h, uint64_t now_ms)
{
    struct lease_slot *slot;
    lock_take(&l->lock);
    struct lease_queue *q = find_queue(l, h->queue_id);
    enum lease_outcome outcome = find_delivery(q, h, now_ms, &slot);
    if (outcome == LEASE_OK) {
        lease_queue_ack(q, slot);
        lease_changed(l);
        if (q->was_full && lease_queue_in_flight(q) < l->table->max_in_flight) {
            q->was_full = false;
            outcome = LEASE_FREED;
        }
    }
    lock_drop(&l->lock);
    return outcome;
}

enum lease_outcome lease_change(struct lease *l, const struct lease_handle *h, uint64_t now_ms,
                                uint64_t invisible_ms, struct lease_entry *ret)
{
    struct lease_slot *slot;
    lock_take(&l->lock);
    struct lease_queue *q = find_queue(l, h->queue_id);
    enum lease_outcome outcome = find_delivery(q, h, now_ms, &slot);
    if (outcome == LEASE_OK) {
        slot->nonce = fresh_nonce(l->table);
        slot->visible_ms = add_ms(now_ms, invisible_ms);
        slot->until_ms = slot->visible_ms;
        slot->owner = 0;
        lease_queue_schedule(q, slot);
        lease_changed(l);
        *ret = (struct lease_entry){.queue_off = slot->queue_off,
                                    .nonce = slot->nonce,
                                    .until_ms = slot->until_ms,
                                    .attempt = slot->attempts};
    }
    lock_drop(&l->lock);
    return outcome;
}

static size_t give_back_one(struct lease *l, struct lease_queue *q, const struct lease_entry *entry,
                            uint64_t visible_ms)
{
    struct lease_slot *slot = lease_queue_find(q, entry->queue_off);
    if (slot == NULL || slot->nonce != entry->nonce)
        return 0;
    if (!entry->is_dead && slot->attempts > 0)
        slot->attempts--;
    slot->nonce = fresh_nonce(l->table);
    slot->visible_ms = visible_ms;
    slot->until_ms = visible_ms;
    slot->owner = 0;
    slot->is_in_batch = false;
    lease_queue_schedule(q, slot);
    return 1;
}

size_t lease_give_back(struct lease *l, int32_t queue_id, const struct lease_entry *entries,
                       size_t n, uint64_t visible_ms)
{
    size_t n_given = 0;
    lock_take(&l->lock);
    struct lease_queue *q = find_queue(l, queue_id);
    for (size_t i = 0; q != NULL && i < n; i++)
        n_given += give_back_one(l, q, &entries[i], visible_ms);
    if (n_given > 0)
        lease_changed(l);
    lock_drop(&l->lock);
    return n_given;
}

/* ---- time ---- */

/* When an orderly queue is free again: its un-acked messages must all be visible. */
static uint64_t orderly_visible_ms(struct lease_queue *q)
{
    uint64_t latest = 0;
    size_t pos = 0;
    for (struct lease_slot *slot; (slot = lease_queue_next(q, &pos)) != NULL;)
        if (slot->visible_ms > latest)
            latest = slot->visible_ms;
    return lease_queue_in_flight(q) > 0 ? latest : UINT64_MAX;
}

uint64_t lease_next_visible_ms(struct lease *l)
{
    uint64_t earliest = UINT64_MAX;
    lock_take(&l->lock);
    for (size_t i = 0; i < l->n_queues; i++) {
        if (l->queues[i] == NULL)
            continue;
        uint64_t at = l->order == LEASE_ORDERLY ? orderly_visible_ms(l->queues[i])
                                                : lease_queue_earliest(l->queues[i]);
        if (at < earliest)
            earliest = at;
    }
    lock_drop(&l->lock);
    return earliest;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Sets visible_ms, and whether there is still an owner, of one owned delivery. */
static void renew_slot(struct lease_queue *q, struct lease_slot *slot,
                       const struct lease_renewal *by)
{
    bool is_alive = by->n_owners > 0 && bsearch(&slot->owner, by->owners, by->n_owners,
                                                sizeof *by->owners, by_number) != NULL;
    uint64_t now_ms = by->now_ms;
    uint64_t visible_ms = slot->visible_ms;
    if (!is_alive) {
        slot->owner = 0;
        if (visible_ms > add_ms(now_ms, 1000))
            visible_ms = add_ms(now_ms, 1000);
    } else if (visible_ms > now_ms && visible_ms - now_ms < by->invisible_ms / 3) {
        uint64_t renewed = add_ms(now_ms, by->invisible_ms);
        visible_ms = renewed < slot->until_ms ? renewed : slot->until_ms;
    }
    if (visible_ms != slot->visible_ms) {
        slot->visible_ms = visible_ms;
        lease_queue_schedule(q, slot);
    }
}

static void renew_queue(struct lease_queue *q, const struct lease_renewal *by)
{
    bool has_owned = false;
    size_t pos = 0;
    for (struct lease_slot *slot; (slot = lease_queue_next(q, &pos)) != NULL;) {
        if (slot->owner == 0)
            continue;
        renew_slot(q, slot, by);
        has_owned |= slot->owner != 0;
    }
    q->has_owned = has_owned;
}

static void renew_lease(struct lease *l, const struct lease_renewal *by)
{
    lock_take(&l->lock);
    for (size_t i = 0; i < l->n_queues; i++) {
        if (l->queues[i] == NULL || !l->queues[i]->has_owned)
            continue;
        renew_queue(l->queues[i], by);
        lease_changed(l);
    }
    lock_drop(&l->lock);
}

int lease_renew(struct lease_table *t, const struct lease_renewal *renewal, struct err *e)
{
    struct lease **leases;
    size_t n;
    int rc = lease_table_refs(t, &leases, &n, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        renew_lease(leases[i], renewal);
        lease_unref(leases[i]);
    }
    free(leases);
    return 0;
}

/* ---- administration ---- */

int lease_seek(struct lease *l, int32_t queue_id, uint64_t queue_off, struct err *e)
{
    if (queue_off > INT64_MAX)
        return err_set(e, ERR_INVAL, "move a position to %" PRIu64 ": no such offset", queue_off);
    struct lease_queue *q;
    lock_take(&l->lock);
    int rc = lease_queue_of(l, queue_id, &q, e);
    if (rc == 0) {
        lease_queue_seek(q, queue_off);
        lease_changed(l);
    }
    lock_drop(&l->lock);
    return rc;
}

void lease_progress(struct lease *l, int32_t queue_id, struct lease_progress *ret)
{
    *ret = (struct lease_progress){0};
    lock_take(&l->lock);
    const struct lease_queue *q = find_queue(l, queue_id);
    if (q != NULL)
        *ret = (struct lease_progress){.position = q->position,
                                       .lowest = lease_queue_lowest(q),
                                       .n_in_flight = lease_queue_in_flight(q)};
    lock_drop(&l->lock);
}

void lease_check(struct lease *l)
{
    lock_take(&l->lock);
    for (size_t i = 0; i < l->n_queues; i++)
        if (l->queues[i] != NULL)
            lease_queue_check(l->queues[i]); /* L1 */
    lock_drop(&l->lock);
}

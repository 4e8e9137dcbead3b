/* What is in flight in one queue: an array of slots in queue order, and a heap that says which
 * becomes visible first. Entries of the heap are not removed when their slot changes: they are out
 * of date then and passed over; when the heap is full it is made anew from the slots.
 *
 * Q1: slots rise strictly in queue_off, all below the position.
 * Q2: the first slot, if there is one, is not acked.
 * Q3: n_acked counts the acked ones.
 * Q4: every un-acked slot has an entry in the heap with its nonce and visible_ms.
 * Q5: the heap has room for twice as many entries as there is room for slots. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/lease_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 16 };

void lease_queue_fini(struct lease_queue *q)
{
    free(q->slots);
    free(q->due);
    memset(q, 0, sizeof *q);
}

/* ---- slots ---- */

/* Index of the first slot at or above `queue_off`, from q->first. */
static size_t lower_bound(const struct lease_queue *q, uint64_t queue_off)
{
    size_t low = 0;
    size_t high = q->n_slots;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (q->slots[q->first + mid].queue_off < queue_off)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Moves the un-acked slots to the front of the array. */
static void sweep(struct lease_queue *q)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_slots; i++)
        if (!q->slots[q->first + i].is_acked)
            q->slots[n++] = q->slots[q->first + i];
    q->first = 0;
    q->n_slots = n;
    q->n_acked = 0;
}

int lease_queue_reserve(struct lease_queue *q, size_t n, struct err *e)
{
    size_t n_live = q->n_slots - q->n_acked;
    if (q->first + q->n_slots + n <= q->n_room)
        return 0;
    if ((n_live + n) * 2 <= q->n_room) {
        sweep(q);
        return 0;
    }
    size_t n_room = q->n_room ? q->n_room : FIRST_ROOM;
    while (n_room < (n_live + n) * 2)
        n_room *= 2;
    struct lease_due *due = realloc(q->due, n_room * 2 * sizeof *due);
    if (due == NULL)
        return err_set(e, ERR_NOMEM, "make room for %zu leases", n_room);
    q->due = due;
    struct lease_slot *slots = realloc(q->slots, n_room * sizeof *slots);
    if (slots == NULL)
        return err_set(e, ERR_NOMEM, "make room for %zu leases", n_room);
    q->slots = slots;
    q->n_room = n_room;
    sweep(q);
    return 0;
}

struct lease_slot *lease_queue_add(struct lease_queue *q, uint64_t queue_off)
{
    assert(q->first + q->n_slots < q->n_room);
    struct lease_slot *slot = &q->slots[q->first + q->n_slots++];
    *slot = (struct lease_slot){.queue_off = queue_off};
    return slot;
}

struct lease_slot *lease_queue_find(struct lease_queue *q, uint64_t queue_off)
{
    size_t i = lower_bound(q, queue_off);
    if (i == q->n_slots)
        return NULL;
    struct lease_slot *slot = &q->slots[q->first + i];
    return slot->queue_off == queue_off && !slot->is_acked ? slot : NULL;
}

struct lease_slot *lease_queue_next(struct lease_queue *q, size_t *pos)
{
    while (*pos < q->n_slots) {
        struct lease_slot *slot = &q->slots[q->first + (*pos)++];
        if (!slot->is_acked)
            return slot;
    }
    return NULL;
}

/* Drops acked slots at the front (Q2). */
static void trim(struct lease_queue *q)
{
    while (q->n_slots > 0 && q->slots[q->first].is_acked) {
        q->first++;
        q->n_slots--;
        q->n_acked--;
    }
    if (q->n_slots == 0) {
        q->first = 0;
        q->n_due = 0;
        q->has_owned = false;
    }
}

void lease_queue_ack(struct lease_queue *q, struct lease_slot *slot)
{
    slot->is_acked = true;
    q->n_acked++;
    trim(q);
}

void lease_queue_forget_below(struct lease_queue *q, uint64_t queue_off)
{
    for (size_t i = 0; i < q->n_slots; i++) {
        struct lease_slot *slot = &q->slots[q->first + i];
        if (slot->queue_off >= queue_off)
            break;
        q->n_acked += !slot->is_acked;
        slot->is_acked = true;
    }
    trim(q);
}

void lease_queue_forget_from(struct lease_queue *q, uint64_t queue_off)
{
    while (q->n_slots > 0 && q->slots[q->first + q->n_slots - 1].queue_off >= queue_off) {
        q->n_slots--;
        q->n_acked -= q->slots[q->first + q->n_slots].is_acked;
    }
    trim(q);
}

void lease_queue_seek(struct lease_queue *q, uint64_t queue_off)
{
    lease_queue_forget_below(q, UINT64_MAX);
    q->position = queue_off;
    q->attempt_hash = 0;
    q->is_known = true;
    q->generation++;
}

size_t lease_queue_in_flight(const struct lease_queue *q)
{
    return q->n_slots - q->n_acked;
}

uint64_t lease_queue_lowest(const struct lease_queue *q)
{
    return q->n_slots > 0 ? q->slots[q->first].queue_off : q->position;
}

/* ---- the heap ---- */

static bool is_before(const struct lease_due *a, const struct lease_due *b)
{
    if (a->visible_ms != b->visible_ms)
        return a->visible_ms < b->visible_ms;
    return a->queue_off < b->queue_off;
}

static void sift_up(struct lease_due *heap, size_t i)
{
    struct lease_due moved = heap[i];
    for (; i > 0 && is_before(&moved, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = moved;
}

static void sift_down(struct lease_due *heap, size_t n, size_t i)
{
    struct lease_due moved = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_before(&heap[child + 1], &heap[child]))
            child++;
        if (!is_before(&heap[child], &moved))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

static struct lease_due due_of(const struct lease_slot *slot)
{
    return (struct lease_due){
        .visible_ms = slot->visible_ms, .queue_off = slot->queue_off, .nonce = slot->nonce};
}

/* Makes the heap anew: one entry for each un-acked slot. */
static void rebuild(struct lease_queue *q)
{
    q->n_due = 0;
    for (size_t i = 0; i < q->n_slots; i++)
        if (!q->slots[q->first + i].is_acked)
            q->due[q->n_due++] = due_of(&q->slots[q->first + i]);
    for (size_t i = q->n_due / 2; i-- > 0;)
        sift_down(q->due, q->n_due, i);
}

void lease_queue_schedule(struct lease_queue *q, const struct lease_slot *slot)
{
    if (q->n_due == 2 * q->n_room) {
        rebuild(q); /* takes the slot in as it is now */
        return;
    }
    q->due[q->n_due] = due_of(slot);
    sift_up(q->due, q->n_due++);
}

static void drop_top(struct lease_queue *q)
{
    q->due[0] = q->due[--q->n_due];
    if (q->n_due > 0)
        sift_down(q->due, q->n_due, 0);
}

/* The slot that becomes visible first; entries out of date above it are dropped. */
static struct lease_slot *top(struct lease_queue *q)
{
    while (q->n_due > 0) {
        const struct lease_due *due = &q->due[0];
        struct lease_slot *slot = lease_queue_find(q, due->queue_off);
        if (slot != NULL && slot->nonce == due->nonce && slot->visible_ms == due->visible_ms)
            return slot;
        drop_top(q);
    }
    return NULL;
}

uint64_t lease_queue_earliest(struct lease_queue *q)
{
    const struct lease_slot *slot = top(q);
    return slot ? slot->visible_ms : UINT64_MAX;
}

struct lease_slot *lease_queue_pop(struct lease_queue *q, uint64_t now_ms)
{
    struct lease_slot *slot = top(q);
    if (slot == NULL || slot->visible_ms > now_ms)
        return NULL;
    drop_top(q);
    return slot;
}

/* ---- invariants ---- */

static bool is_scheduled(const struct lease_queue *q, const struct lease_slot *slot)
{
    for (size_t i = 0; i < q->n_due; i++)
        if (q->due[i].queue_off == slot->queue_off && q->due[i].nonce == slot->nonce &&
            q->due[i].visible_ms == slot->visible_ms)
            return true;
    return false;
}

void lease_queue_check(const struct lease_queue *q)
{
    size_t n_acked = 0;
    assert(q->first + q->n_slots <= q->n_room);
    assert(q->n_due <= 2 * q->n_room); /* Q5 */
    for (size_t i = 0; i < q->n_slots; i++) {
        const struct lease_slot *slot = &q->slots[q->first + i];
        assert(slot->queue_off < q->position);                  /* Q1 */
        assert(i == 0 || slot[-1].queue_off < slot->queue_off); /* Q1 */
        assert(slot->is_acked || is_scheduled(q, slot));        /* Q4 */
        assert(slot->is_acked || slot->owner == 0 || q->has_owned);
        n_acked += slot->is_acked;
    }
    assert(n_acked == q->n_acked);                           /* Q3 */
    assert(q->n_slots == 0 || !q->slots[q->first].is_acked); /* Q2 */
    for (size_t i = 1; i < q->n_due; i++)
        assert(!is_before(&q->due[i], &q->due[(i - 1) / 2]));
    (void)n_acked;
    (void)is_scheduled;
}

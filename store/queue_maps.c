/* Keeps the number of queues with mapped files bounded.
 *
 * A queue's is_mapped is set before it is put on the list and cleared before its files are
 * unmapped: who maps one meanwhile puts it on the list again. So a mapped file's queue is on the
 * list, or is about to be. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_maps.h"

#include "store/consume_queue.h"

void queue_maps_init(struct queue_maps *m, size_t max, struct worker *worker)
{
    *m = (struct queue_maps){.max = max, .worker = worker};
    lock_init(&m->lock, LOCK_LEAF);
}

static struct consume_queue *take_first(struct queue_maps *m)
{
    struct consume_queue *q = m->first;
    if (q) {
        m->first = q->next_mapped;
        m->last = m->first ? m->last : NULL;
        m->n--;
    }
    return q;
}

void queue_maps_fini(struct queue_maps *m)
{
    if (m->max == 0)
        return;
    for (struct consume_queue *q; (q = take_first(m));)
        consume_queue_unref(q);
    lock_fini(&m->lock);
    *m = (struct queue_maps){0};
}

/* Takes over the caller's reference; how many there are then. */
static size_t put_last(struct queue_maps *m, struct consume_queue *q)
{
    lock_take(&m->lock);
    q->next_mapped = NULL;
    if (m->last)
        m->last->next_mapped = q;
    else
        m->first = q;
    m->last = q;
    size_t n = ++m->n;
    lock_drop(&m->lock);
    return n;
}

static size_t count(struct queue_maps *m)
{
    lock_take(&m->lock);
    size_t n = m->n;
    lock_drop(&m->lock);
    return n;
}

/* The queue noted longest ago, when there are too many. */
static struct consume_queue *take_surplus(struct queue_maps *m)
{
    lock_take(&m->lock);
    struct consume_queue *q = m->n > m->max ? take_first(m) : NULL;
    lock_drop(&m->lock);
    return q;
}

/* Whether it was not on the list. */
static bool claim(struct consume_queue *q)
{
    return !atomic_exchange_explicit(&q->is_mapped, true, memory_order_acq_rel);
}

void queue_maps_trim(struct queue_maps *m)
{
    struct consume_queue *q;
    for (size_t left = count(m); left > 0 && (q = take_surplus(m)); left--) { /* each once */
        atomic_store_explicit(&q->is_mapped, false, memory_order_release);    /* see the head */
        if (mapped_files_unmap_all(&q->files) || !claim(q))
            consume_queue_unref(q);
        else
            (void)put_last(m, q); /* some are pinned */
    }
}

void queue_maps_note(struct queue_maps *m, struct consume_queue *q)
{
    if (atomic_load_explicit(&q->is_mapped, memory_order_acquire) || !claim(q))
        return;
    consume_queue_ref(q);
    if (put_last(m, q) > m->max)
        worker_wake(m->worker);
}

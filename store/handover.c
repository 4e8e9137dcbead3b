/* A ring with one side that puts, under the append lock, and one that takes, the dispatcher.
 *
 * Each side stores its own count and keeps what it last saw of the other's, so that a cache line
 * travels between them once for many records. A full ring loses nothing: all of it is in the log.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/handover.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 16384, /* what is appended while the dispatcher waits for a processor: 4 ms of 4 M/s */
    LINE_BYTES = 64,
};

struct handover {
    /* the putting side's */
    alignas(LINE_BYTES) _Atomic uint64_t n_put; /* stored by it (release), loaded by the dispatcher
                                                 * (acquire) */
    uint64_t seen_done;                         /* n_done, as it was when the ring seemed full */
    /* the dispatcher's */
    alignas(LINE_BYTES) _Atomic uint64_t n_done; /* stored by it (release), loaded by the putting
                                                  * side (acquire) */
    alignas(LINE_BYTES) struct handed slots[SLOTS];
};

int handover_new(struct handover **ret_h, struct err *e)
{
    struct handover *h = aligned_alloc(LINE_BYTES, sizeof *h);
    if (!h)
        return err_set(e, ERR_NOMEM, "make the ring between appenders and dispatcher");
    atomic_init(&h->n_put, 0);
    atomic_init(&h->n_done, 0);
    h->seen_done = 0;
    memset(h->slots, 0, sizeof h->slots); /* else puts would meet its page faults, under the lock */
    *ret_h = h;
    return 0;
}

void handover_free(struct handover *h)
{
    free(h);
}

void handover_put(struct handover *h, const struct handed *item)
{
    uint64_t n_put = atomic_load_explicit(&h->n_put, memory_order_relaxed); /* ours alone */
    if (n_put - h->seen_done == SLOTS)
        h->seen_done = atomic_load_explicit(&h->n_done, memory_order_acquire); /* pairs with done */
    if (n_put - h->seen_done == SLOTS)
        return;
    h->slots[n_put % SLOTS] = *item;
    atomic_store_explicit(&h->n_put, n_put + 1, memory_order_release); /* pairs with look */
}

size_t handover_look(struct handover *h, uint64_t log_off, const struct handed **ret_items)
{
    uint64_t n_put = atomic_load_explicit(&h->n_put, memory_order_acquire);   /* pairs with put */
    uint64_t n_done = atomic_load_explicit(&h->n_done, memory_order_relaxed); /* ours alone */
    uint64_t first = n_done;
    while (first < n_put && h->slots[first % SLOTS].log_off < log_off)
        first++;
    if (first > n_done)
        handover_done(h, first - n_done);
    if (first == n_put || h->slots[first % SLOTS].log_off != log_off)
        return 0;
    *ret_items = &h->slots[first % SLOTS];
    uint64_t to_wrap = SLOTS - first % SLOTS;
    return n_put - first < to_wrap ? n_put - first : to_wrap;
}

void handover_done(struct handover *h, size_t n)
{
    uint64_t n_done = atomic_load_explicit(&h->n_done, memory_order_relaxed); /* ours alone */
    /* pairs with put: the slots were read before they are written again */
    atomic_store_explicit(&h->n_done, n_done + n, memory_order_release);
}

/* Where a consume queue begins once the log has lost its oldest records. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/consume_queue.h"

/* Whether the entry points at what the log still has, or at what is behind it. A damaged one says
 * nothing: it counts as the next that does, so that the entries are in order for a search. */
static int is_kept(struct consume_queue *q, uint64_t queue_off, uint64_t end, uint64_t log_off,
                   bool *ret_kept, struct err *e)
{
    *ret_kept = true;
    for (; queue_off < end; queue_off++) {
        struct store_queue_entry entry;
        size_t n;
        int rc = consume_queue_read(q, queue_off, &entry, 1, &n, e);
        if (rc < 0 || n == 0)
            return rc;
        if (!consume_queue_is_real(&entry) || consume_queue_is_damaged(&entry))
            continue;
        *ret_kept = entry.log_off >= log_off;
        break;
    }
    return 0;
}

/* The first kept entry of [from, end), which may be `end`, behind one that is not: positions in the
 * log only rise. An entry that points before the one in front of it is wrong. */
static int find_first(struct consume_queue *q, uint64_t from, uint64_t end, uint64_t log_off,
                      uint64_t *ret, struct err *e)
{
    for (uint64_t behind = end; from < end;) {
        uint64_t mid = from + (end - from) / 2;
        bool kept;
        int rc = is_kept(q, mid, behind, log_off, &kept, e);
        if (rc == 0 && !kept)
            rc = is_kept(q, mid - 1, behind, log_off, &kept, e);
        if (rc < 0)
            return rc;
        if (kept)
            end = mid;
        else
            from = mid + 1;
    }
    *ret = from;
    return 0;
}

int consume_queue_trim(struct consume_queue *q, uint64_t log_off, struct err *e)
{
    int rc = consume_queue_need_files(q, e);
    if (rc < 0)
        return rc;
    lock_take(&q->lock); /* or the queue may be started again meanwhile */
    uint64_t min = atomic_load_explicit(&q->min_off, memory_order_acquire);
    uint64_t end = consume_queue_end(q), first = min;
    bool kept = true;
    if (min < end)
        rc = is_kept(q, min, end, log_off, &kept, e);
    if (rc == 0 && !kept)
        rc = find_first(q, min + 1, end, log_off, &first, e);
    if (rc == 0 && first > min)
        atomic_store_explicit(&q->min_off, first, memory_order_release); /* see there */
    lock_drop(&q->lock);
    return rc;
}

int consume_queue_drop_old(struct consume_queue *q, struct err *e)
{
    int rc = 0;
    bool has_more = true;
    lock_take(&q->lock);
    uint64_t below = atomic_load_explicit(&q->min_off, memory_order_acquire);
    while (rc == 0 && has_more)
        rc = mapped_files_drop_first(&q->files, below * STORE_QUEUE_ENTRY_BYTES, &has_more, e);
    lock_drop(&q->lock);
    return rc;
}

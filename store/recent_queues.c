/* A slot for each hash of a queue's name: a look costs a comparison, whoever comes later takes the
 * place. A queue that was dropped stays in its slot, in memory only, until another comes there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recent_queues.h"

/* Topics of one application differ in their last letters, if not in their length. */
static size_t slot_of(struct span topic, int32_t queue_id)
{
    uint32_t h = (uint32_t)queue_id + (uint32_t)topic.len * 37;
    for (size_t i = topic.len > 3 ? topic.len - 3 : 0; i < topic.len; i++)
        h = h * 31 + topic.ptr[i];
    return h % RECENT_QUEUES;
}

struct consume_queue *recent_queues_find(const struct recent_queues *r, struct span topic,
                                         int32_t queue_id)
{
    struct consume_queue *q = r->slots[slot_of(topic, queue_id)];
    if (!q || q->queue_id != queue_id || q->seq.dropped || !span_equal(q->topic, topic))
        return NULL;
    return q;
}

struct consume_queue *recent_queues_enter(struct recent_queues *r, struct consume_queue *q)
{
    struct consume_queue **slot = &r->slots[slot_of(q->topic, q->queue_id)];
    struct consume_queue *before = *slot;
    *slot = q;
    return before;
}

void recent_queues_fini(struct recent_queues *r)
{
    for (size_t i = 0; i < RECENT_QUEUES; i++)
        consume_queue_unref(r->slots[i]);
    *r = (struct recent_queues){0};
}

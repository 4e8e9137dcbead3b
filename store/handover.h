/* What appenders hand to the dispatcher of each record, so that it need not read it back. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_HANDOVER_H
#define STORE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct consume_queue;

/* All that a queue entry and its arrival are made of. */
struct handed {
    uint64_t log_off;
    uint64_t queue_off;
    uint64_t store_ms;
    int64_t tag_code;
    struct consume_queue *queue; /* no reference: it outlives its records, see store_drop_topic */
    uint32_t size;
};

struct handover;

int handover_new(struct handover **ret_h, struct err *e) MUST_CHECK;
void handover_free(struct handover *h); /* NULL is fine */

/* Hands over a record before it is published. One that does not fit in is left out: the dispatcher
 * finds it in the log. Thread: one at a time, in log order. */
void handover_put(struct handover *h, const struct handed *item);

/* The items from `log_off` on, as many as lie side by side; 0 when the record there was left out.
 * Those before it are dropped. Whoever saw a record published sees its item. Thread: dispatcher. */
size_t handover_look(struct handover *h, uint64_t log_off, const struct handed **ret_items);

/* Gives back the first `n` items that were looked at. Thread: dispatcher. */
void handover_done(struct handover *h, size_t n);

#endif

/* One pass of a receive over the queues of a topic: what is visible again first, then new messages
 * that match. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_TAKE_H
#define BROKER_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/broker.h"
#include "broker/lease.h"
#include "broker/bounds.h"
#include "filter/filter.h"
#include "store/store.h"

/* A message taken under a lease. */
struct taken {
    struct store_slice slice; /* the pin is the holder's */
    struct lease_entry entry;
    int32_t queue_id;
    uint32_t crc; /* of the body, all 32 bits: take_check_bodies */
};

struct take {
    /* set by the caller, then constant */
    struct broker *b;
    const struct group_info *group;
    const struct topic_info *topic;
    struct lease *lease;
    const struct filter *filter;
    size_t max;            /* messages, up to BOUNDS_BATCH_MAX */
    struct lease_take how; /* now_ms: set by take_pass */
    struct taken *taken;   /* room for `max` */

    /* the result */
    size_t n;
};

enum take_end {
    TAKE_NONE_LEFT, /* every queue was looked at to its end, or the batch is full */
    TAKE_AGAIN,     /* there is more to look at: another pass now */
    TAKE_GONE,      /* the group or topic was deleted: nothing will come any more */
};

/* Looks at a bounded number of entries and takes what it finds. Thread: one at a time for a `take`.
 */
enum take_end take_pass(struct take *t);

/* Checks the bodies of what was taken and fills in their CRCs; a damaged one is counted, logged,
 * acked and dropped. */
void take_check_bodies(struct take *t);

/* The message is dealt with: it will not come again. */
void take_ack(struct take *t, const struct taken *m);

/* Gives deliveries back that reached nobody: visible at once, the attempt not counted. */
void take_give_back(struct broker *b, struct lease *lease, const struct taken *messages, size_t n);

#endif

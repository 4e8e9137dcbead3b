/* The in-flight messages of one group and one queue, in memory. Pure: no lock, no clock, no file.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_LEASE_QUEUE_H
#define BROKER_LEASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* One message that was delivered; acked ones stay as marks until they are at the front or swept. */
struct lease_slot {
    uint64_t queue_off;
    uint64_t nonce;      /* of its last delivery */
    uint64_t visible_ms; /* hidden until then */
    uint64_t until_ms;   /* renewed up to then; visible_ms when it has no owner */
    uint64_t owner;      /* 0: not renewed */
    uint32_t attempts;   /* deliveries so far that count */
    bool is_acked;
    bool is_in_batch; /* orderly: part of the last delivery to attempt_hash */
};

/* When a slot becomes visible; out of date unless the slot still has this nonce and time. */
struct lease_due {
    uint64_t visible_ms;
    uint64_t queue_off;
    uint64_t nonce;
};

/* Zeroed memory is a queue that was never scanned. */
struct lease_queue {
    uint64_t position;     /* next entry to scan */
    uint64_t attempt_hash; /* orderly: who has the last batch; 0: unknown */
    uint64_t generation;   /* counts moves of the position other than by a scan */
    bool is_known;         /* it was scanned, or a position is on record */
    bool is_scanned;       /* a scan is running */
    bool has_owned;        /* some slot may have an owner */
    bool was_full;         /* a receive took nothing new since too much is in flight */

    struct lease_slot *slots; /* by queue_off, from `first` on; room for n_room in all */
    size_t first, n_slots, n_room;
    size_t n_acked; /* of n_slots */

    struct lease_due *due; /* a heap, earliest first, with room for 2 * n_room */
    size_t n_due;
};

void lease_queue_fini(struct lease_queue *q); /* leaves it zeroed */

/* Makes sure that `n` slots can be added. ERR_NOMEM leaves the queue as it was. */
int lease_queue_reserve(struct lease_queue *q, size_t n, struct err *e) MUST_CHECK;

/* Adds a slot above all others; room was reserved. The pointer is valid until the next reserve. */
struct lease_slot *lease_queue_add(struct lease_queue *q, uint64_t queue_off);

/* The slot that was delivered and is not acked, or NULL. */
struct lease_slot *lease_queue_find(struct lease_queue *q, uint64_t queue_off);

/* The first un-acked slot at or behind index *pos (from 0), which moves behind it; NULL at the end.
 */
struct lease_slot *lease_queue_next(struct lease_queue *q, size_t *pos);

void lease_queue_ack(struct lease_queue *q, struct lease_slot *slot);

/* Notes the slot's visible_ms, after any change of it or of the nonce. Never fails. */
void lease_queue_schedule(struct lease_queue *q, const struct lease_slot *slot);

/* When the earliest slot becomes visible; UINT64_MAX: none. */
uint64_t lease_queue_earliest(struct lease_queue *q);

/* Takes the earliest slot off the schedule if it is visible at `now_ms`, or NULL. The caller
 * schedules it again. */
struct lease_slot *lease_queue_pop(struct lease_queue *q, uint64_t now_ms);

/* Forgets what is in flight below `queue_off`. */
void lease_queue_forget_below(struct lease_queue *q, uint64_t queue_off);

/* Forgets what is in flight at `queue_off` and above. */
void lease_queue_forget_from(struct lease_queue *q, uint64_t queue_off);

/* Moves the position and forgets all that is in flight. */
void lease_queue_seek(struct lease_queue *q, uint64_t queue_off);

size_t lease_queue_in_flight(const struct lease_queue *q);

/* The lowest un-acked entry: of the first slot, or the position. */
uint64_t lease_queue_lowest(const struct lease_queue *q);

/* Asserts the invariants listed in lease_queue.c. */
void lease_queue_check(const struct lease_queue *q);

#endif

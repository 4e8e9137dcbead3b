/* Receives that wait for a message: parked until an arrival that their filter takes, or until a
 * message of their group is visible again. Deadlines are the caller's timers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_HOLD_H
#define BROKER_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct hold_table;
struct hold_group;

/* One waiting receive, embedded in the caller's memory. */
struct hold_entry {
    /* set by the caller before hold_park, then constant while parked; the bytes stay valid */
    struct span topic;
    struct span group;
    /* Whether an arrival's tag code can be of interest; NULL: any. Pure; called under LOCK_HOLD. */
    bool (*match)(void *arg, int64_t tag_code);
    /* Called once at most, on the thread of hold_notify*, without LOCK_HOLD but with what its
     * caller holds: LOCK_ROLE for an arrival, LOCK_RECEIVE of another receive that passes its wake
     * on. So it takes only locks that rank after LOCK_ROLE. The entry is no longer parked then and
     * may be parked again or freed in it. */
    void (*wake)(void *arg);
    void *arg;

    /* guarded by LOCK_HOLD, hold.c only */
    struct hold_entry *prev, *next;
    struct hold_group *parked_in; /* NULL: not parked */
};

int hold_table_open(struct hold_table **ret_table, size_t max_parked, size_t max_per_group,
                    struct err *e) MUST_CHECK;

/* Nothing may be parked. NULL is fine. */
void hold_table_close(struct hold_table *t);

/* Parks the entry behind those of its group and topic. ERR_BUSY: too many are parked.
 *
 * No arrival is missed by a caller that parks first and looks into the store once more afterwards
 * (what it then finds, it takes when hold_remove returns true). A woken caller that cannot use its
 * wake (the client is gone, others were faster with messages left) passes it on: hold_notify_group.
 * Thread: any. Locks: takes LOCK_HOLD. */
int hold_park(struct hold_table *t, struct hold_entry *entry, struct err *e) MUST_CHECK;

/* True: the entry was parked and will not be woken. False: it was not, or wake is being called or
 * about to be: the entry must live until wake was called. Thread: any. Locks: takes LOCK_HOLD. */
bool hold_remove(struct hold_table *t, struct hold_entry *entry);

/* A message arrived: in each group the first waiter whose filter takes it is woken; how many. Costs
 * one atomic operation when nobody waits. Thread: any. Locks: takes LOCK_HOLD; wakes without it. */
size_t hold_notify(struct hold_table *t, struct span topic, int64_t tag_code);

/* A message of the group is visible again, or an orderly queue is free: its first waiter is woken;
 * 0 or
 * 1. Thread and locks as hold_notify. */
size_t hold_notify_group(struct hold_table *t, struct span group, struct span topic);

/* Wakes everyone who waits at a topic, or of a group at any topic: it was deleted. How many. */
size_t hold_notify_topic(struct hold_table *t, struct span topic);
size_t hold_notify_whole_group(struct hold_table *t, struct span group);

/* Wakes everyone (broker stop); how many. */
size_t hold_notify_all(struct hold_table *t);

size_t hold_count(struct hold_table *t);

#endif

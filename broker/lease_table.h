/* The lease table's inside, shared by lease.c (what happens to leases) and lease_state.c (how they
 * are saved and loaded). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_LEASE_TABLE_H
#define BROKER_LEASE_TABLE_H

#include "base/lock.h"
#include "base/map.h"
#include "broker/lease.h"
#include "broker/lease_queue.h"
#include "broker/state.h"

enum { LEASE_QUEUES_MAX = 1024, LEASE_KEY_MAX = 1024 };

struct lease {
    /* constant */
    struct lease_table *table; /* outlives every use but lease_unref */
    struct span group, topic;  /* behind the struct */
    /* atomic: dropped with release, the last one out acquires before it frees */
    _Atomic uint32_t n_refs;

    /* atomic, relaxed: any order of queues will do */
    _Atomic uint32_t next_turn;

    struct lock lock; /* LOCK_LEASE; guards all below */
    enum lease_order order;
    bool is_dropped;             /* group or topic is gone: nothing more is taken */
    struct lease_queue **queues; /* by queue id; NULL: never scanned */
    size_t n_queues;
};

struct lease_table {
    struct io *io;
    const struct steady_clock *clock;
    size_t max_in_flight;
    /* atomic, relaxed: only that each is used once matters */
    _Atomic uint64_t next_nonce;
    /* atomic: added to after a change, under LOCK_LEASE (release); read before leases are copied
     * (acquire): a change that is not copied is seen as one later */
    _Atomic uint64_t n_changes;

    struct lock saving;       /* LOCK_STATE; guards the next two and the files */
    struct state_doc offsets; /* consumerOffset.json */
    uint64_t n_saved;         /* n_changes that the files hold */

    struct lock lock;  /* LOCK_LEASES */
    struct map leases; /* guarded by `lock`: topic '@' group to struct lease, one reference each */
};

/* The lease, made when absent, with a reference for the caller. Locks: takes LOCK_LEASES. */
int lease_table_get(struct lease_table *t, struct span group, struct span topic,
                    struct lease **ret_lease, struct err *e) MUST_CHECK;

/* The same without making one: ERR_NOTFOUND. */
int lease_table_find(struct lease_table *t, struct span group, struct span topic,
                     struct lease **ret_lease, struct err *e) MUST_CHECK;

/* The queue, made when absent. Locks: LOCK_LEASE is held. ERR_INVAL: no such queue id. */
int lease_queue_of(struct lease *l, int32_t queue_id, struct lease_queue **ret_queue,
                   struct err *e) MUST_CHECK;

/* References to all leases, each to be dropped, in an array to be freed. Locks: takes LOCK_LEASES.
 */
int lease_table_refs(struct lease_table *t, struct lease ***ret_leases, size_t *ret_n,
                     struct err *e) MUST_CHECK;

/* Writes both files when something changed. Locks: LOCK_STATE is held; takes LOCK_LEASES,
 * LOCK_LEASE. */
int lease_save_locked(struct lease_table *t, struct err *e) MUST_CHECK;

/* Notes that something is to be saved. Locks: LOCK_LEASE is held. */
void lease_changed(struct lease *l);

#endif

/* One receive from its request to its end: scanning, parked, finished. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RECEIVE_H
#define BROKER_RECEIVE_H

#include <stdint.h>

#include "base/idle.h"
#include "broker/bounds.h"
#include "broker/broker.h"
#include "broker/digest.h"
#include "broker/hold.h"
#include "broker/rpc.h"
#include "broker/take.h"
#include "filter/filter.h"

enum receive_state {
    RECEIVE_SCANNING, /* a step runs or is posted */
    RECEIVE_PARKED,   /* in the hold table, or its wake is on the way */
    RECEIVE_FINISHED, /* replied to, or the client is gone */
};

/* What was replied with, until it has left or was lost. */
struct delivered {
    struct idle_item idle; /* first: kept for the next reply, not with a receive that waits */
    size_t n;
    struct taken messages[BOUNDS_BATCH_MAX];
};

/* Made by h_receive.c, which fills in the first part. */
struct receive {
    struct idle_item idle; /* first: kept in the broker for the next, with filter and texts */
    /* set before receive_start, then constant */
    struct broker *b;
    struct rpc_call *call; /* a reference */
    struct group_info group;
    struct topic_info topic;
    struct idle_room texts;
    const char *topic_namespace; /* of the request; in texts */
    struct lease *lease;         /* a reference */
    struct filter *filter;       /* owned */
    uint64_t until_ms;           /* monotonic: when an empty answer is due */
    enum digest_form digest;

    /* atomic, acq_rel in receive_unref: the last one frees. Held by the call, a posted step, the
     * parked entry (until woken or removed), the timer */
    _Atomic unsigned n_refs;

    struct lock lock; /* LOCK_RECEIVE */
    /* guarded by lock */
    enum receive_state state;
    struct take take;
    struct rpc_timer *timer; /* fires at until_ms; NULL: not started, or over */
    struct hold_entry entry;
    struct delivered *delivered; /* owned; NULL: nothing, or no memory for it */
};

/* One with a reference, which is the caller's, to be filled in. NULL: no memory. */
struct receive *receive_new(struct broker *b, struct rpc_call *call);

/* Begins to scan. The call's reference is the caller's. Thread: the call's. */
void receive_start(struct receive *r);

/* The call has ended: what did not reach the client is given back. Thread: the call's. */
void receive_end(struct receive *r, enum rpc_end end);

void receive_unref(struct receive *r); /* NULL is fine */

/* Frees what is kept from one receive to the next (stop, after the server). */
void receive_free_idle(struct broker *b);

#endif

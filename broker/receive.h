/* One receive from its request to its end: scanning, parked, finished. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_RECEIVE_H
#define BROKER_RECEIVE_H

#include <stdint.h>

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

/* Made by h_receive.c, which fills in the first part. */
struct receive {
    /* set before receive_start, then constant */
    struct broker *b;
    struct rpc_call *call; /* a reference */
    struct group_info group;
    struct topic_info topic;
    char *topic_namespace; /* of the request; owned */
    char *attempt_id;      /* owned; may be NULL */
    struct lease *lease;   /* a reference */
    struct filter *filter; /* owned */
    uint64_t until_ms;     /* monotonic: when an empty answer is due */
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
    struct taken *delivered; /* what was replied with: owned; NULL: nothing, or no memory for it */
    size_t n_delivered;
};

/* Begins to scan. The call's reference is the caller's. Thread: the call's. */
void receive_start(struct receive *r);

/* The call has ended: what did not reach the client is given back. Thread: the call's. */
void receive_end(struct receive *r, enum rpc_end end);

void receive_unref(struct receive *r); /* NULL is fine */

#endif

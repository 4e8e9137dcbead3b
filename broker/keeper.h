/* The housekeeper: the one thread of the broker that may wait for the disk. It runs what handlers
 * hand over, and a round of chores every now and then. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_KEEPER_H
#define BROKER_KEEPER_H

#include <stdint.h>

#include "base/err.h"

struct keeper;

struct keeper_options {
    /* A round of chores; returns the ms until the next one. */
    uint64_t (*round)(void *arg);
    void *arg;
};

int keeper_start(struct keeper **ret_keeper, const struct keeper_options *opt,
                 struct err *e) MUST_CHECK;

/* Runs fn(arg) on the housekeeper, in the order of posting. ERR_NOMEM; ERR_BUSY: too many wait.
 * Thread: any. Locks: takes LOCK_LEAF. */
int keeper_post(struct keeper *k, void (*fn)(void *arg), void *arg, struct err *e) MUST_CHECK;

/* Runs what is still queued, ends the thread, frees. NULL is fine. */
void keeper_stop(struct keeper *k);

#endif

/* Mutexes with a rank; the rank enum is the lock order of the whole program. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>

/* Take only a higher rank than any you hold; a debug build aborts otherwise. */
enum lock_rank {
    LOCK_RECEIVE = 5,  /* broker: one receive, over a whole step of it */
    LOCK_SESSION = 10, /* broker: the session table */
    LOCK_STATE = 15,   /* broker: a registry's file is being changed and written */
    LOCK_TOPIC = 20,   /* broker: the topic registry */
    LOCK_GROUP = 30,   /* broker: the group registry */
    LOCK_ALARM = 32,   /* broker: when messages become visible again */
    LOCK_LEASES = 35,  /* broker: the table of leases */
    LOCK_LEASE = 40,   /* broker: leases of one group and topic */
    LOCK_ROLE = 45,    /* store: who dispatches; held over the arrival callback */
    LOCK_HOLD = 50,    /* broker: parked receives */
    LOCK_STREAM = 55,  /* broker: the open telemetry streams */
    LOCK_CALL = 60,    /* broker: one call's queue of outgoing messages */
    LOCK_ACCEPT = 65,  /* broker: the connection table */
    LOCK_QUEUES = 75,  /* store: the table of consume queues */
    LOCK_QUEUE = 80,   /* store: one consume queue */
    LOCK_APPEND = 85,  /* store: the append path */
    LOCK_FILES = 90,   /* store: the ordered files of one log */
    LOCK_LEAF = 100,   /* nothing else is taken under it */
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);

/* Whether the lock was free and is now held. */
int lock_try(struct lock *l);

/* Aborts in a debug build unless this thread holds the lock. */
void lock_assert_held(const struct lock *l);

/* Waits on `cond` with the lock released, until woken or `timeout_ms` have passed (negative: no
 * timeout). `cond` uses CLOCK_MONOTONIC: make it with lock_cond_init. Spurious returns happen. */
void lock_cond_init(pthread_cond_t *cond);
void lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms);

#endif

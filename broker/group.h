/* The consumer groups and how each retries; kept in config/subscriptionGroup.json in RocketMQ's
 * shape (rocketmq-store 12.2). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_GROUP_H
#define BROKER_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"

struct group_table;

enum {
    GROUP_NAME_MAX = 120,   /* of a name that a client may use */
    GROUP_STORED_MAX = 255, /* of a name in a store */
    GROUP_RETRY_STEPS_MAX = 32,
    GROUP_DEFAULT_ATTEMPTS = 17, /* the first delivery and RocketMQ's 16 retries */
    GROUP_ATTEMPTS_MAX = 10000,
};

enum group_retry_kind { GROUP_RETRY_CUSTOMIZED, GROUP_RETRY_EXPONENTIAL };

/* When a push client tries again: sent to it, not acted on here (rocketmq-grpc 6.13). */
struct group_retry {
    enum group_retry_kind kind;
    size_t n_steps;                          /* CUSTOMIZED */
    uint64_t step_ms[GROUP_RETRY_STEPS_MAX]; /* CUSTOMIZED */
    uint64_t initial_ms, max_ms;             /* EXPONENTIAL */
    uint32_t multiplier;                     /* EXPONENTIAL */
};

struct group_info {
    char name[GROUP_STORED_MAX + 1];
    bool fifo;             /* consumeMessageOrderly */
    bool consume_enabled;  /* consumeEnable */
    uint32_t max_attempts; /* retryMaxTimes + 1 */
    struct group_retry retry;
};

/* The defaults of a new group of that name; a longer name than GROUP_STORED_MAX is cut. */
void group_info_init(struct group_info *info, struct span name);

/* A name that clients may use: 1..120 of [%|a-zA-Z0-9_-], not the broker's own. ERR_INVAL. */
int group_check_name(struct span name, struct err *e) MUST_CHECK;

/* Loads `config_folder`/subscriptionGroup.json (made when first saved). ERR_CORRUPT: it and its
 * .bak are unreadable. `io` outlives the table. */
int group_table_open(struct group_table **ret_table, const char *config_folder, size_t max_groups,
                     struct io *io, struct err *e) MUST_CHECK;

void group_table_close(struct group_table *t); /* does not save; NULL is fine */

/* Makes a group and writes the file. Existing with the same order and attempts is 0, with others
 * ERR_EXISTS (says which differ). ERR_INVAL; ERR_BUSY: too many. On any error nothing changed.
 * Thread: any that may wait for the disk. Locks: takes LOCK_STATE, LOCK_GROUP. */
int group_create(struct group_table *t, const struct group_info *want, struct err *e) MUST_CHECK;

/* Whether the group exists; `ret` is filled if so. Never touches the disk.
 * Thread: any. Locks: takes LOCK_GROUP. */
bool group_get(struct group_table *t, struct span name, struct group_info *ret);

/* The group, made with defaults when absent: in memory at once, on disk at the next group_save, so
 * it may be called where the disk may not be waited for. ERR_INVAL: the name. ERR_BUSY: too many.
 * Thread: any. Locks: takes LOCK_GROUP. */
int group_use(struct group_table *t, struct span name, struct group_info *ret,
              struct err *e) MUST_CHECK;

/* Writes the file when group_use made groups since it was written. Call it every now and then, and
 * at stop. Thread and locks as group_create. */
int group_save(struct group_table *t, struct err *e) MUST_CHECK;

/* Forgets the group and writes the file. ERR_NOTFOUND. The caller drops its leases. */
int group_delete(struct group_table *t, struct span name, struct err *e) MUST_CHECK;

/* A copy of all groups by name, to be freed by the caller (NULL when there is none). */
int group_list(struct group_table *t, struct group_info **ret_groups, size_t *ret_n,
               struct err *e) MUST_CHECK;

#endif

/* The topics: names, types, queues, permissions; kept in config/topics.json in RocketMQ's shape, so
 * that each reads the other's (rocketmq-store 12.2). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_TOPIC_H
#define BROKER_TOPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"

struct topic_table;

enum {
    TOPIC_NAME_MAX = 127,   /* of a name that a client may create */
    TOPIC_STORED_MAX = 255, /* of a name in a store (retry topics) */
    TOPIC_QUEUES_MAX = 1024,
    TOPIC_PERM_WRITE = 2,
    TOPIC_PERM_READ = 4,
};

/* The values are those of apache.rocketmq.v2.MessageType where it has one. */
enum topic_type {
    TOPIC_NORMAL = 1,
    TOPIC_FIFO = 2,
    TOPIC_DELAY = 3,
    TOPIC_TRANSACTION = 4,
    TOPIC_LITE = 5,
    TOPIC_PRIORITY = 6,
    TOPIC_MIXED = 100, /* read from a RocketMQ store: takes NORMAL and FIFO */
};

struct topic_info {
    char name[TOPIC_STORED_MAX + 1];
    enum topic_type type;
    uint32_t n_read_queues;
    uint32_t n_write_queues;
    uint32_t perm;  /* TOPIC_PERM_* bits */
    bool is_system; /* the broker's own: not for clients (rocketmq-grpc 4) */
};

/* "NORMAL", "FIFO", ... */
const char *topic_type_name(enum topic_type type);

/* ERR_INVAL: no such type. */
int topic_type_parse(struct span text, enum topic_type *ret_type, struct err *e) MUST_CHECK;

/* Whether a message of type `message` may be sent to a topic of type `type`. 0 or ERR_UNSUPPORTED
 * (the type of message is not served yet, named) or ERR_INVAL (it does not fit the topic's type).
 */
int topic_check_send(enum topic_type type, enum topic_type message, struct err *e) MUST_CHECK;

/* A name that clients may use: 1..127 of [%|a-zA-Z0-9_-], not the broker's own. ERR_INVAL. */
int topic_check_name(struct span name, struct err *e) MUST_CHECK;

/* Whether the name is one of the broker's own topics. */
bool topic_is_system(struct span name);

/* The topics of `config_folder`/topics.json that have RocketMQ's batch queues (BatchCQ), NULL at
 * the end: what a store must know before it makes queues. Freed with topic_batch_free. ERR_CORRUPT
 * as topic_table_open; ERR_NOMEM. */
int topic_batch_names(const char *config_folder, struct io *io, char ***ret_names,
                      struct err *e) MUST_CHECK;
void topic_batch_free(char **names); /* NULL is fine */

/* Loads `config_folder`/topics.json (made when absent). ERR_CORRUPT: it and its .bak are
 * unreadable. `io` outlives the table. */
int topic_table_open(struct topic_table **ret_table, const char *config_folder, size_t max_topics,
                     struct io *io, struct err *e) MUST_CHECK;

void topic_table_close(struct topic_table *t); /* NULL is fine */

/* Removes what is left under the name of a deleted topic that is made again: records of it below
 * `*ret_below_log_off` are out of reach from then on (store_drop_topic). Locks: LOCK_STATE is held.
 */
typedef int (*topic_clear_fn)(void *arg, struct span name, uint64_t *ret_below_log_off,
                              struct err *e);

/* Before the table is shared. */
void topic_table_on_clear(struct topic_table *t, topic_clear_fn clear, void *arg);

/* Tells where the log begins and ends, before anybody appends to it: what is noted of topics that
 * were deleted is brought in line with that (topic_deleted.h), and the file written if it has to
 * be. Locks: takes LOCK_STATE. */
int topic_table_settle(struct topic_table *t, uint64_t log_begin, uint64_t log_end,
                       struct err *e) MUST_CHECK;

/* Makes a topic and writes the file; `is_system` is ignored. Existing with the same settings is 0,
 * with others ERR_EXISTS (says which differ). ERR_UNSUPPORTED: the type is not served yet.
 * ERR_INVAL: name, queues or permission. ERR_BUSY: too many topics. On any error nothing changed.
 * Thread: any that may wait for the disk. Locks: takes LOCK_STATE, LOCK_TOPIC. */
int topic_create(struct topic_table *t, const struct topic_info *want, struct err *e) MUST_CHECK;

/* The same for a topic the broker needs itself (dead letters): existing is 0 whatever its settings.
 */
int topic_ensure(struct topic_table *t, const struct topic_info *want, struct err *e) MUST_CHECK;

/* Whether the topic exists; `ret` is filled if so. Never touches the disk.
 * Thread: any. Locks: takes LOCK_TOPIC. */
bool topic_get(struct topic_table *t, struct span name, struct topic_info *ret);

/* Forgets the topic and writes the file, which says from then on that there was one (see
 * topic_deleted.h). ERR_NOTFOUND; ERR_INVAL: the broker's own. The caller drops its queues
 * (store_drop_topic) and leases. Thread and locks as topic_create. */
int topic_delete(struct topic_table *t, struct span name, struct err *e) MUST_CHECK;

/* A copy of all topics by name, to be freed by the caller (NULL when there is none). */
int topic_list(struct topic_table *t, struct topic_info **ret_topics, size_t *ret_n,
               struct err *e) MUST_CHECK;

#endif

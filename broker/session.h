/* What each client said about itself (rocketmq-grpc 6.3 and 6.13): its settings outlive its streams
 * and end with its termination or after some time without any call. In memory only. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_SESSION_H
#define BROKER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct session_table;

enum {
    SESSION_ID_MAX = 255,          /* bytes of a client id */
    SESSION_TOPICS_MAX = 1024,     /* topics of one client */
    SESSION_BLOB_MAX = 256 * 1024, /* bytes of its settings */
};

/* One client's settings. Immutable: new settings make a new one. */
struct session {
    struct span client_id;
    struct span blob;          /* the settings as they came, to be sent back */
    int32_t client_type;       /* apache.rocketmq.v2.ClientType */
    struct span group;         /* empty: a producer */
    bool is_consumer;          /* it sent a subscription rather than publishing settings */
    const struct span *topics; /* subscribed to or published to */
    size_t n_topics;
};

/* `expiry_ms`: a client not heard of for so long is forgotten. */
int session_table_open(struct session_table **ret_table, size_t max_sessions, uint64_t expiry_ms,
                       struct err *e) MUST_CHECK;

void session_table_close(struct session_table *t); /* NULL is fine */

/* Adds or replaces the client's settings; everything is copied. ERR_INVAL: an empty client id.
 * ERR_TOOBIG: one of the limits. ERR_BUSY: too many clients. Thread: any. Locks: takes
 * LOCK_SESSION. */
int session_put(struct session_table *t, const struct session *settings, uint64_t now_ms,
                struct err *e) MUST_CHECK;

/* The client's settings, kept alive until session_release, or NULL. Counts as hearing from it.
 * Thread: any. Locks: takes LOCK_SESSION. */
const struct session *session_get(struct session_table *t, struct span client_id, uint64_t now_ms);

void session_release(const struct session *s); /* NULL is fine. Thread: any */

/* Notes that the client was heard of; false: it is not known. */
bool session_touch(struct session_table *t, struct span client_id, uint64_t now_ms);

/* Forgets the client; false: it was not known. */
bool session_drop(struct session_table *t, struct span client_id);

/* Forgets clients not heard of for too long; how many. */
size_t session_expire(struct session_table *t, uint64_t now_ms);

size_t session_count(struct session_table *t);

/* The number that stands for a client id in leases (lease_take.owner); never 0. */
uint64_t session_owner(struct span client_id);

/* The owner numbers of all clients, sorted, for lease_renew; freed by the caller (NULL: none). */
int session_owners(struct session_table *t, uint64_t **ret_owners, size_t *ret_n,
                   struct err *e) MUST_CHECK;

#endif

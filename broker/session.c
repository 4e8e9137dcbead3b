/* The session table. A session is one block of memory with its strings behind it, shared by
 * reference count: a call may go on using settings that were replaced meanwhile. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/session.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/lock.h"
#include "base/map.h"

struct stored {
    struct session shown; /* constant; first, so that a session finds its block */
    /* atomic: the table's reference and those of session_get. Dropped with release; the last one
     * out acquires, so that its free comes after every use. */
    _Atomic uint32_t n_refs;
    uint64_t heard_ms; /* guarded by LOCK_SESSION */
    /* the topic spans, then the bytes */
    struct span topics[];
};

struct session_table {
    size_t max_sessions;
    uint64_t expiry_ms;
    struct lock lock;  /* LOCK_SESSION */
    struct map stored; /* guarded by `lock`: client id to struct stored */
};

int session_table_open(struct session_table **ret_table, size_t max_sessions, uint64_t expiry_ms,
                       struct err *e)
{
    struct session_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "open sessions");
    t->max_sessions = max_sessions;
    t->expiry_ms = expiry_ms;
    lock_init(&t->lock, LOCK_SESSION);
    *ret_table = t;
    return 0;
}

void session_table_close(struct session_table *t)
{
    if (t == NULL)
        return;
    const struct map_entry *at;
    for (size_t pos = 0; (at = map_next(&t->stored, &pos)) != NULL;)
        session_release(at->value);
    map_fini(&t->stored);
    lock_fini(&t->lock);
    free(t);
}

static int check_limits(const struct session *s, size_t *ret_bytes, struct err *e)
{
    if (s->client_id.len == 0)
        return err_set(e, ERR_INVAL, "keep client settings: no client id");
    if (s->client_id.len > SESSION_ID_MAX)
        return err_set(e, ERR_TOOBIG, "keep client settings: client id over %d bytes",
                       SESSION_ID_MAX);
    if (s->n_topics > SESSION_TOPICS_MAX)
        return err_set(e, ERR_TOOBIG, "keep client settings: more than %d topics",
                       SESSION_TOPICS_MAX);
    if (s->blob.len > SESSION_BLOB_MAX)
        return err_set(e, ERR_TOOBIG, "keep client settings: over %d bytes", SESSION_BLOB_MAX);
    size_t bytes = s->client_id.len + s->blob.len + s->group.len;
    for (size_t i = 0; i < s->n_topics; i++)
        bytes += s->topics[i].len;
    if (bytes > (size_t)2 * SESSION_BLOB_MAX)
        return err_set(e, ERR_TOOBIG, "keep client settings: names over %d bytes",
                       SESSION_BLOB_MAX);
    *ret_bytes = bytes;
    return 0;
}

static struct span copy_span(uint8_t **at, struct span from)
{
    struct span to = span_of(*at, from.len);
    if (from.len > 0)
        memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return to;
}

static int copy_settings(const struct session *from, uint64_t now_ms, struct stored **ret_stored,
                         struct err *e)
{
    size_t bytes = 0;
    int rc = check_limits(from, &bytes, e);
    if (rc < 0)
        return rc;
    size_t spans = from->n_topics * sizeof(struct span);
    struct stored *to = malloc(sizeof *to + spans + bytes);
    if (to == NULL)
        return err_set(e, ERR_NOMEM, "keep client settings");
    uint8_t *at = (uint8_t *)to->topics + spans;
    to->shown = *from;
    to->shown.client_id = copy_span(&at, from->client_id);
    to->shown.blob = copy_span(&at, from->blob);
    to->shown.group = copy_span(&at, from->group);
    to->shown.topics = to->topics;
    for (size_t i = 0; i < from->n_topics; i++)
        to->topics[i] = copy_span(&at, from->topics[i]);
    atomic_init(&to->n_refs, 1);
    to->heard_ms = now_ms;
    *ret_stored = to;
    return 0;
}

int session_put(struct session_table *t, const struct session *settings, uint64_t now_ms,
                struct err *e)
{
    struct stored *new = NULL;
    int rc = copy_settings(settings, now_ms, &new, e);
    if (rc < 0)
        return rc;
    lock_take(&t->lock);
    struct stored *old = map_get(&t->stored, settings->client_id);
    if (old == NULL && t->stored.n_used >= t->max_sessions)
        rc = err_set(e, ERR_BUSY,
                     "keep client settings: %zu clients are known, which is maxSessions",
                     t->stored.n_used);
    else
        rc = map_put(&t->stored, settings->client_id, new, e);
    lock_drop(&t->lock);
    session_release(rc < 0 ? &new->shown : old ? &old->shown : NULL);
    return rc;
}

/* The client unless it is unknown or was silent for too long; notes that it was heard of. */
static struct stored *hear(struct session_table *t, struct span client_id, uint64_t now_ms)
{
    lock_assert_held(&t->lock);
    struct stored *s = map_get(&t->stored, client_id);
    if (s == NULL || now_ms >= s->heard_ms + t->expiry_ms)
        return NULL;
    if (now_ms > s->heard_ms)
        s->heard_ms = now_ms;
    return s;
}

const struct session *session_get(struct session_table *t, struct span client_id, uint64_t now_ms)
{
    lock_take(&t->lock);
    struct stored *s = hear(t, client_id, now_ms);
    if (s != NULL) /* relaxed: the table's own reference keeps it alive under the lock */
        (void)atomic_fetch_add_explicit(&s->n_refs, 1, memory_order_relaxed);
    lock_drop(&t->lock);
    return s ? &s->shown : NULL;
}

void session_release(const struct session *session)
{
    if (session == NULL)
        return;
    struct stored *s = (struct stored *)session;
    if (atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) == 1)
        free(s);
}

bool session_touch(struct session_table *t, struct span client_id, uint64_t now_ms)
{
    lock_take(&t->lock);
    bool is_known = hear(t, client_id, now_ms) != NULL;
    lock_drop(&t->lock);
    return is_known;
}

bool session_drop(struct session_table *t, struct span client_id)
{
    lock_take(&t->lock);
    struct stored *s = map_remove(&t->stored, client_id);
    lock_drop(&t->lock);
    session_release(s ? &s->shown : NULL);
    return s != NULL;
}

/* One that is over, or NULL: the map does not allow a removal while it is walked. */
static struct stored *find_silent(struct session_table *t, uint64_t now_ms, size_t *pos)
{
    const struct map_entry *at;
    while ((at = map_next(&t->stored, pos)) != NULL) {
        struct stored *s = at->value;
        if (now_ms >= s->heard_ms + t->expiry_ms)
            return s;
    }
    return NULL;
}

size_t session_expire(struct session_table *t, uint64_t now_ms)
{
    size_t n = 0;
    struct stored *s;
    lock_take(&t->lock);
    for (size_t pos = 0; (s = find_silent(t, now_ms, &pos)) != NULL; n++) {
        (void)map_remove(&t->stored, s->shown.client_id); /* leaves a mark: `pos` stays good */
        session_release(&s->shown);
    }
    lock_drop(&t->lock);
    return n;
}

size_t session_count(struct session_table *t)
{
    lock_take(&t->lock);
    size_t n = t->stored.n_used;
    lock_drop(&t->lock);
    return n;
}

uint64_t session_owner(struct span client_id)
{
    uint64_t hash = XXH3_64bits(client_id.ptr, client_id.len);
    return hash ? hash : 1;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

int session_owners(struct session_table *t, uint64_t **ret_owners, size_t *ret_n, struct err *e)
{
    lock_take(&t->lock);
    size_t n = 0;
    uint64_t *owners = calloc(t->stored.n_used + 1, sizeof *owners);
    const struct map_entry *at;
    for (size_t pos = 0; owners && (at = map_next(&t->stored, &pos)) != NULL;)
        owners[n++] = session_owner(span_of(at->key, at->key_len));
    lock_drop(&t->lock);
    if (owners == NULL)
        return err_set(e, ERR_NOMEM, "list clients");
    qsort(owners, n, sizeof *owners, by_number);
    *ret_owners = owners;
    *ret_n = n;
    return 0;
}

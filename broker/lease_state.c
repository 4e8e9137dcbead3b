/* Leases on disk. Two files: consumerOffset.json has the lowest un-acked entry of each queue, as
 * RocketMQ keeps it; sluiceLeases has positions and what is in flight. The offsets are written
 * first, and win where the two disagree (after a crash between them, or when RocketMQ or an
 * operator changed them):
 *
 *  - an offset below our lowest entry: begin there, nothing is in flight;
 *  - an offset above it: entries below are acked, the rest stands;
 *  - no offset: the group or topic was deleted, or is unknown: our entry is dropped.
 *
 * So a crash brings back at most what was acked since the last save, and a handle given out before
 * it stays valid. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/lease_file.h"
#include "broker/lease_table.h"

static const char lease_file_name[] = "sluiceLeases";

enum { LEASE_FILE_MAX = 1 << 30 };

static int lease_path(const struct lease_table *t, char path[STATE_PATH_MAX], struct err *e)
{
    int n = snprintf(path, STATE_PATH_MAX, "%s/%s", t->offsets.folder, lease_file_name);
    if (n < 0 || n >= STATE_PATH_MAX)
        return err_set(e, ERR_TOOBIG, "name file '%s': folder name too long", lease_file_name);
    return 0;
}

/* ---- loading ---- */

/* A key that is all digits, as a queue id; -1 when it is none. */
static int32_t queue_id_of(const char *key)
{
    char *end;
    unsigned long id = strtoul(key, &end, 10);
    return key[0] >= '0' && key[0] <= '9' && *end == '\0' && id < LEASE_QUEUES_MAX ? (int32_t)id
                                                                                   : -1;
}

static int load_offset(struct lease *l, const char *key, const json_t *value, struct err *e)
{
    int32_t queue_id = queue_id_of(key);
    if (queue_id < 0 || !json_is_integer(value) || json_integer_value(value) < 0)
        return 0; /* kept in the file, of no use here */
    struct lease_queue *q;
    lock_take(&l->lock);
    int rc = lease_queue_of(l, queue_id, &q, e);
    if (rc == 0) {
        q->position = (uint64_t)json_integer_value(value);
        q->is_known = true;
    }
    lock_drop(&l->lock);
    return rc;
}

/* The offsets of one "topic@group". */
static int load_pair(struct lease_table *t, const char *pair, json_t *queues, struct err *e)
{
    const char *at = strchr(pair, '@');
    if (at == NULL || at == pair || at[1] == '\0' || strlen(pair) > 1000 ||
        !json_is_object(queues)) {
        log_warn("consumerOffset.json: '%.64s' is not topic@group with offsets, ignoring it", pair);
        return 0;
    }
    struct lease *l = NULL;
    int rc = lease_table_get(t, span_str(at + 1), span_of(pair, (size_t)(at - pair)), &l, e);
    const char *key;
    json_t *value;
    json_object_foreach(queues, key, value)
    {
        if (rc == 0)
            rc = load_offset(l, key, value, e);
    }
    lease_unref(l);
    return rc;
}

static int load_offsets(struct lease_table *t, struct err *e)
{
    const char *pair;
    json_t *queues;
    json_object_foreach(t->offsets.table, pair, queues)
    {
        int rc = load_pair(t, pair, queues, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Puts what was in flight beside the offset on record (the rules are at the top). */
static void merge_queue(struct lease_queue *q, struct lease_queue *loaded)
{
    uint64_t offset = q->position;
    if (offset < lease_queue_lowest(loaded))
        return;
    lease_queue_forget_below(loaded, offset);
    if (loaded->position < offset)
        loaded->position = offset;
    lease_queue_fini(q);
    *q = *loaded;
    memset(loaded, 0, sizeof *loaded);
}

static int take_loaded(void *arg, struct span group, struct span topic, int32_t queue_id,
                       struct lease_queue *loaded, struct err *e)
{
    struct lease *l;
    int rc = lease_table_find(arg, group, topic, &l, e);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    lock_take(&l->lock);
    bool has_offset =
        queue_id >= 0 && (size_t)queue_id < l->n_queues && l->queues[queue_id] != NULL;
    if (has_offset)
        merge_queue(l->queues[queue_id], loaded);
    lock_drop(&l->lock);
    lease_unref(l);
    return 0;
}

/* What is in flight only says what not to deliver yet: without it messages come again. */
static void load_in_flight(struct lease_table *t, uint64_t *ret_begun_ms)
{
    char path[STATE_PATH_MAX];
    uint8_t *buf = NULL;
    size_t len = 0;
    struct err e;
    int rc = lease_path(t, path, &e);
    if (rc == 0)
        rc = io_read_file(t->io, path, LEASE_FILE_MAX, &buf, &len, &e);
    if (rc == 0)
        rc = lease_file_read(span_of(buf, len), take_loaded, t, ret_begun_ms, &e);
    if (rc < 0 && rc != ERR_NOTFOUND)
        log_warn("%s, ignoring '%s': messages in flight are delivered again", e.msg, path);
    free(buf);
}

int lease_table_open(struct lease_table **ret_table, const char *config_folder,
                     size_t max_in_flight_per_queue, struct steady_clock *clock, struct err *e)
{
    struct io *io = clock->io;
    uint64_t nonce, begun_ms = 0;
    if (getentropy(&nonce, sizeof nonce) != 0)
        return err_set(e, ERR_IO, "open leases: no random bytes");
    struct lease_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "open leases");
    t->io = io;
    t->clock = clock;
    t->max_in_flight = max_in_flight_per_queue;
    atomic_init(&t->next_nonce, nonce);
    lock_init(&t->saving, LOCK_STATE);
    lock_init(&t->lock, LOCK_LEASES);
    int rc =
        state_doc_open(&t->offsets, io, config_folder, "consumerOffset.json", "offsetTable", e);
    if (rc == 0)
        rc = load_offsets(t, e);
    if (rc < 0) {
        lease_table_close(t);
        return err_wrap(e, "open leases");
    }
    load_in_flight(t, &begun_ms);
    steady_clock_not_before(clock, begun_ms);
    *ret_table = t;
    return 0;
}

void lease_table_close(struct lease_table *t)
{
    if (t == NULL)
        return;
    const struct map_entry *at;
    for (size_t pos = 0; (at = map_next(&t->leases, &pos)) != NULL;)
        lease_unref(at->value);
    map_fini(&t->leases);
    state_doc_close(&t->offsets);
    lock_fini(&t->lock);
    lock_fini(&t->saving);
    free(t);
}

/* ---- saving ---- */

/* The lease's part of both files. */
static int copy_lease(struct lease *l, struct lease_file *file, json_t *offsets, struct err *e)
{
    lock_assert_held(&l->lock);
    for (size_t i = 0; i < l->n_queues; i++) {
        const struct lease_queue *q = l->queues[i];
        if (q == NULL || !q->is_known)
            continue;
        char key[24];
        (void)snprintf(key, sizeof key, "%zu", i);
        json_t *lowest = json_integer((json_int_t)lease_queue_lowest(q));
        if (json_object_set_new(offsets, key, lowest) != 0)
            return err_set(e, ERR_NOMEM, "save leases");
        int rc = lease_file_add(file, l->group, l->topic, (int32_t)i, q, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The member of the offset table for the lease; offsets of queues unknown here stay as they are. */
static json_t *offsets_of(struct lease_table *t, const struct lease *l)
{
    char key[LEASE_KEY_MAX + 1];
    (void)snprintf(key, sizeof key, "%.*s@%.*s", (int)l->topic.len, (const char *)l->topic.ptr,
                   (int)l->group.len, (const char *)l->group.ptr);
    json_t *offsets = json_object_get(t->offsets.table, key);
    if (json_is_object(offsets))
        return offsets;
    offsets = json_object();
    return json_object_set_new(t->offsets.table, key, offsets) == 0 ? offsets : NULL;
}

static int copy_leases(struct lease_table *t, struct lease **leases, size_t n,
                       struct lease_file *file, struct err *e)
{
    int rc = lease_file_begin(file, steady_clock_now_ms(t->clock), e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct lease *l = leases[i];
        lock_take(&l->lock);
        if (!l->is_dropped) {
            json_t *offsets = offsets_of(t, l);
            rc = offsets ? copy_lease(l, file, offsets, e) : err_set(e, ERR_NOMEM, "save leases");
        }
        lock_drop(&l->lock);
    }
    return rc == 0 ? lease_file_end(file, e) : rc;
}

static int write_files(struct lease_table *t, const struct lease_file *file, struct err *e)
{
    char path[STATE_PATH_MAX];
    int rc = lease_path(t, path, e);
    if (rc == 0)
        rc = state_doc_write(&t->offsets, e);
    if (rc == 0)
        rc = io_replace_file(t->io, path, file->bytes, file->len, /* keep_bak = */ false, e);
    return rc;
}

static int write_leases(struct lease_table *t, struct err *e)
{
    struct lease **leases;
    size_t n;
    struct lease_file file = {0};
    int rc = lease_table_refs(t, &leases, &n, e);
    if (rc < 0)
        return rc;
    rc = copy_leases(t, leases, n, &file, e);
    if (rc == 0)
        rc = write_files(t, &file, e);
    lease_file_fini(&file);
    for (size_t i = 0; i < n; i++)
        lease_unref(leases[i]);
    free(leases);
    return rc;
}

int lease_save_locked(struct lease_table *t, struct err *e)
{
    lock_assert_held(&t->saving);
    uint64_t n_changes = atomic_load_explicit(&t->n_changes, memory_order_acquire);
    if (n_changes == t->n_saved)
        return 0;
    int rc = write_leases(t, e);
    if (rc == 0)
        t->n_saved = n_changes;
    return rc;
}

int lease_save(struct lease_table *t, struct err *e)
{
    lock_take(&t->saving);
    int rc = lease_save_locked(t, e);
    lock_drop(&t->saving);
    return rc < 0 ? err_wrap(e, "save positions") : 0;
}

/* ---- a store that ends earlier ---- */

/* True: the queue's position was behind `end`. */
static bool limit_queue(struct lease *l, int32_t queue_id, uint64_t end)
{
    lock_take(&l->lock);
    struct lease_queue *q = l->queues[queue_id];
    bool is_behind = q != NULL && q->position > end;
    if (is_behind) {
        lease_queue_forget_from(q, end);
        q->position = end;
        q->generation++;
        lease_changed(l);
    }
    lock_drop(&l->lock);
    return is_behind;
}

static int32_t count_queues(struct lease *l)
{
    lock_take(&l->lock);
    size_t n = l->n_queues; /* it never shrinks */
    lock_drop(&l->lock);
    return (int32_t)n;
}

int lease_limit(struct lease_table *t, lease_end_fn end_of, void *arg, size_t *ret_n, struct err *e)
{
    struct lease **leases;
    size_t n_leases;
    size_t n = 0;
    int rc = lease_table_refs(t, &leases, &n_leases, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n_leases; i++) {
        struct lease *l = leases[i];
        for (int32_t id = 0, n_queues = count_queues(l); id < n_queues; id++)
            n += limit_queue(l, id, end_of(arg, l->topic, id));
        lease_unref(l);
    }
    free(leases);
    *ret_n = n;
    return 0;
}

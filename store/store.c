/* Opens, closes and measures a store.
 *
 * Start: lock, recover, then allocator, dispatcher, committer, flusher, reclaimer, retention. Stop
 * is the reverse: refuse appends, commit what is left, drain the dispatcher, flush all, remove the
 * abort file last, so that it is there at every instant at which a crash would leave work. A
 * half-built store is closed by the same function. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/checkpoint.h"
#include "store/format.h"
#include "store/guard.h"
#include "store/queue_roll.h"
#include "store/recovery.h"
#include "store/residency.h"
#include "store/store_inner.h"

enum { DEFAULT_WINDOW_BYTES = 64 << 20, DEFAULT_FLUSH_MS = 500, DEFAULT_FLUSH_BYTES = 64 << 20 };

/* ---- options ---- */

static int fill_options(struct store_options *opt, struct err *e)
{
    if (!opt->root || !opt->root[0])
        return err_set(e, ERR_INVAL, "open a store without a root");
    if (opt->file_bytes == 0)
        opt->file_bytes = FORMAT_LOG_FILE_BYTES;
    if (opt->file_bytes % MAPPED_PAGE_BYTES != 0 || opt->file_bytes > INT32_MAX)
        return err_set(e, ERR_INVAL,
                       "open '%s': commit-log files of %" PRIu64
                       " bytes: not a multiple of 4096 below 2 GiB",
                       opt->root, opt->file_bytes);
    if (opt->queue_file_bytes == 0)
        opt->queue_file_bytes = FORMAT_QUEUE_FILE_BYTES;
    if (opt->queue_file_bytes > INT32_MAX)
        return err_set(e, ERR_INVAL, "open '%s': consume-queue files of %" PRIu64 " bytes",
                       opt->root, opt->queue_file_bytes);
    uint64_t over = opt->queue_file_bytes % STORE_QUEUE_ENTRY_BYTES;
    if (over > 0)
        opt->queue_file_bytes += STORE_QUEUE_ENTRY_BYTES - over;
    if (opt->max_message_bytes == 0)
        opt->max_message_bytes = FORMAT_BODY_MAX;
    if (opt->flush_interval_ms == 0)
        opt->flush_interval_ms = DEFAULT_FLUSH_MS;
    if (opt->flush_bytes == 0)
        opt->flush_bytes = DEFAULT_FLUSH_BYTES;
    if (opt->populate_window_bytes == 0)
        opt->populate_window_bytes = DEFAULT_WINDOW_BYTES;
    if (opt->host.addr_len == 0)
        opt->host = (struct store_host){.addr = {127, 0, 0, 1}, .addr_len = 4};
    if (opt->host.addr_len != 4 && opt->host.addr_len != 16)
        return err_set(e, ERR_INVAL, "open '%s': a store host of %u bytes", opt->root,
                       (unsigned)opt->host.addr_len);
    return 0;
}

/* ---- small files under the root ---- */

static int name_file(const struct store *s, const char *name, char **ret_path, struct err *e)
{
    if (asprintf(ret_path, "%s/%s", s->root, name) < 0)
        return err_set(e, ERR_NOMEM, "name '%s' in '%s'", name, s->root);
    return 0;
}

static int take_lock_file(struct store *s, const char *path, struct err *e)
{
    int fd = s->io->open(s->io, path, O_RDWR | O_CREAT, 0644);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    s->lock_fd = fd;
    int rc = s->io->lock_file(s->io, fd);
    if (rc == -EWOULDBLOCK)
        return err_set(e, ERR_BUSY, "open '%s': another process has it open", s->root);
    if (rc < 0)
        return err_sys(e, -rc, "lock '%s'", path);
    int64_t n = s->io->pwrite(s->io, fd, FORMAT_LOCK_TEXT, strlen(FORMAT_LOCK_TEXT), 0);
    return n < 0 ? err_sys(e, (int)-n, "write '%s'", path) : 0;
}

static int lock_root(struct store *s, struct err *e)
{
    char *path = NULL;
    int rc = io_make_dirs(s->io, s->root, e);
    if (rc == 0)
        rc = name_file(s, FORMAT_FILE_LOCK, &path, e);
    if (rc < 0)
        return rc;
    rc = take_lock_file(s, path, e);
    free(path);
    return rc;
}

/* Whether the last owner closed the store; from now on it counts as not closed. */
static int raise_abort(struct store *s, struct err *e)
{
    char *path, pid[24];
    int rc = name_file(s, FORMAT_FILE_ABORT, &path, e);
    if (rc < 0)
        return rc;
    int fd = s->io->open(s->io, path, O_RDONLY, 0);
    s->report.was_clean = fd == -ENOENT;
    if (fd >= 0)
        (void)s->io->close(s->io, fd); /* only looked whether it is there */
    else if (fd != -ENOENT)
        rc = err_sys(e, -fd, "look for '%s'", path);
    int len = snprintf(pid, sizeof pid, "%ld", (long)getpid());
    if (rc == 0)
        rc = io_replace_file(s->io, path, pid, (size_t)len, /* keep_bak = */ false, e);
    free(path);
    return rc;
}

static int lower_abort(struct store *s, struct err *e)
{
    char *path;
    int rc = name_file(s, FORMAT_FILE_ABORT, &path, e);
    if (rc < 0)
        return rc;
    rc = s->io->unlink(s->io, path);
    if (rc < 0)
        rc = err_sys(e, -rc, "remove '%s'", path);
    free(path);
    if (rc < 0)
        return rc;
    rc = s->io->sync_dir(s->io, s->root);
    return rc < 0 ? err_sys(e, -rc, "sync folder '%s'", s->root) : 0;
}

/* ---- open ---- */

static int init_parts(struct store *s, const struct store_options *opt, struct err *e)
{
    char *folder = NULL;
    reclaimer_init(&s->reclaimer, &s->log.files, opt->mapped_budget_bytes, &s->flusher.flushed);
    reclaimer_bound(&s->reclaimer, opt->resident_budget_bytes, s->io);
    s->has_reclaimer = true;
    int rc =
        consume_queues_init(&s->queues, s->io, s->root, opt->queue_file_bytes, &s->reclaimer, e);
    s->reclaimer.maps = &s->queues.maps;
    for (size_t i = 0; rc == 0 && opt->batch_topics && opt->batch_topics[i]; i++)
        rc = consume_queues_note_batch(&s->queues, opt->batch_topics[i], e);
    for (size_t i = 0; rc == 0 && i < opt->n_deleted; i++)
        rc = consume_queues_note_deleted(&s->queues, opt->deleted[i].topic,
                                         opt->deleted[i].below_log_off, e);
    if (rc == 0)
        rc = name_file(s, FORMAT_DIR_LOG, &folder, e);
    if (rc < 0)
        return rc;
    struct commit_log_options log_opt = {
        .folder = folder,
        .file_bytes = opt->file_bytes,
        .max_message_bytes = opt->max_message_bytes,
        .window_bytes = opt->populate_window_bytes,
        .is_written = opt->flush == STORE_FLUSH_SYNC,
        .host = opt->host,
        .queues = &s->queues,
    };
    rc = commit_log_init(&s->log, &log_opt, s->io, &s->reclaimer, e);
    free(folder);
    if (rc < 0)
        return rc;
    dispatcher_init(&s->dispatcher, &s->log, &s->queues, opt);
    s->has_dispatcher = true;
    if (s->log.is_written)
        group_commit_init(&s->commit, &s->log, &s->dispatcher.worker, &s->flusher.flushed,
                          (int64_t)opt->flush_bytes);
    rc = indexer_init(&s->indexer, opt, s->io, &s->log, &s->dispatcher.dispatched, e);
    if (rc == 0)
        rc = flusher_init(&s->flusher, opt, s->io, &s->log, &s->queues, &s->dispatcher, e);
    if (rc < 0)
        return rc;
    s->log.follower = &s->dispatcher.worker;
    s->dispatcher.follower = &s->indexer.worker;
    s->flusher.indexer = &s->indexer;
    if (opt->retention.is_on) {
        retention_init(&s->retention, opt, s->io, &s->log, &s->queues);
        s->retention.checkpoint = &s->flusher.checkpoint;
        s->retention.indexer = &s->indexer.worker;
    }
    return 0;
}

/* Looks at the index; what it lacks the indexer adds while the store is in use. */
static int begin_index(struct store *s, const struct store_checkpoint *cp, uint64_t tail,
                       struct err *e)
{
    struct key_index_start start = {.was_clean = s->report.was_clean,
                                    .mark = {.log_off = cp->index_off,
                                             .name = cp->index_name,
                                             .n_next = cp->n_index_next,
                                             .end_ms = cp->index_ms},
                                    .index_ms = cp->index_ms,
                                    .tail = tail};
    uint64_t end;
    mapped_files_bounds(&s->log.files, &start.first_off, &end);
    return indexer_begin(&s->indexer, &start, e);
}

static int recover(struct store *s, const struct store_options *opt, struct err *e)
{
    struct store_checkpoint cp;
    struct recovered rec = {0};
    const struct recovery_start start = {.cp = &cp,
                                         .checkpoint_fd = s->flusher.checkpoint_fd,
                                         .on_progress = opt->on_recovery,
                                         .progress_arg = opt->recovery_arg};
    uint64_t began_ns = s->io->mono_ns(s->io);
    struct store_fault_mark began = page_faults_now();
    int rc = checkpoint_read(s->root, s->io, &cp, e);
    if (rc == 0)
        rc = raise_abort(s, e);
    if (rc == 0)
        rc = recovery_run(&s->log, &s->queues, &start, &s->report, &rec, e);
    if (rc == 0)
        rc = commit_log_begin(&s->log, rec.tail, rec.last_ms, e);
    if (rc == 0 && s->log.is_written) {
        rc = group_commit_begin(&s->commit, rec.synced, rec.tail, e);
        rec.synced = rec.tail;
    }
    if (rc < 0)
        return rc;
    dispatcher_begin(&s->dispatcher, rec.tail, rec.last_ms);
    rc = begin_index(s, &cp, rec.tail, e);
    if (rc < 0)
        return rc;
    flusher_begin(&s->flusher, rec.synced, &rec.cp);
    reclaimer_follow(&s->reclaimer, &s->dispatcher.dispatched, rec.tail);
    s->report.elapsed_ms = (s->io->mono_ns(s->io) - began_ns) / 1000000;
    page_faults_add(&s->faults[STORE_PATH_RECOVERY], &began);
    return 0;
}

static int start(struct store *s, struct err *e)
{
    int rc = commit_log_start(&s->log, e);
    if (rc == 0)
        rc = worker_start(&s->dispatcher.worker, "store-dispatch", e);
    if (rc == 0 && s->log.is_written)
        rc = group_commit_start(&s->commit, e);
    if (rc == 0)
        rc = worker_start(&s->indexer.worker, "store-index", e);
    if (rc == 0)
        rc = worker_start(&s->flusher.worker, "store-flush", e);
    if (rc == 0)
        rc = worker_start(&s->reclaimer.worker, "store-reclaim", e);
    if (rc == 0 && s->retention.io)
        rc = worker_start(&s->retention.worker, "store-retain", e);
    return rc;
}

/* Ends the threads and frees everything, also what is half built. The first failure is told. */
static int dismantle(struct store *s, struct err *e)
{
    int rc = 0;
    struct err later;
    if (s->retention.io)
        worker_stop(&s->retention.worker);
    if (s->commit.log)
        group_commit_stop(&s->commit);
    if (s->has_dispatcher)
        dispatcher_stop(&s->dispatcher);
    if (s->indexer.log)
        indexer_stop(&s->indexer);
    if (s->flusher.io)
        worker_stop(&s->flusher.worker);
    if (s->log.active) {
        rc = flusher_all(&s->flusher, e);
        int stop_rc = commit_log_stop(&s->log, rc < 0 ? &later : e);
        rc = rc < 0 ? rc : stop_rc;
        if (rc == 0) /* only the speed of the next start hangs on it */
            (void)queue_roll_write(&s->queues, &s->flusher.cp, &later);
    }
    if (s->has_reclaimer)
        worker_stop(&s->reclaimer.worker);
    retention_fini(&s->retention);
    group_commit_fini(&s->commit);
    flusher_fini(&s->flusher);
    indexer_fini(&s->indexer);
    if (s->has_dispatcher)
        dispatcher_fini(&s->dispatcher);
    commit_log_fini(&s->log);
    consume_queues_fini(&s->queues);
    if (s->has_reclaimer)
        reclaimer_fini(&s->reclaimer);
    return rc;
}

static void release(struct store *s)
{
    if (s->lock_fd >= 0)
        (void)s->io->close(s->io, s->lock_fd); /* gives the lock back */
    free(s->root);
    free(s);
}

int store_open(struct store **ret_store, const struct store_options *opt, struct io *io,
               struct err *e)
{
    struct store_options full = *opt;
    int rc = fill_options(&full, e);
    if (rc < 0)
        return rc;
    struct store *s = calloc(1, sizeof *s);
    if (!s || !(s->root = strdup(full.root))) {
        free(s);
        return err_set(e, ERR_NOMEM, "open '%s'", full.root);
    }
    s->io = io;
    s->lock_fd = -1;
    rc = guard_install(e);
    if (rc == 0)
        rc = lock_root(s, e);
    if (rc == 0)
        rc = init_parts(s, &full, e);
    if (rc == 0)
        rc = recover(s, &full, e);
    if (rc == 0)
        rc = start(s, e);
    if (rc < 0) {
        struct err later;
        (void)dismantle(s, &later); /* the failure before is the one to tell */
        release(s);
        return rc;
    }
    *ret_store = s;
    return 0;
}

int store_close(struct store *s, struct err *e)
{
    if (!s)
        return 0;
    struct err later;
    commit_log_close(&s->log);
    if (s->commit.log)
        group_commit_stop(&s->commit);
    int rc = dispatcher_wait(&s->dispatcher, commit_log_published(&s->log), e);
    int stop_rc = dismantle(s, rc < 0 ? &later : e);
    rc = rc < 0 ? rc : stop_rc;
    if (rc == 0)
        rc = lower_abort(s, e);
    if (rc < 0)
        rc = err_wrap(e, "close '%s'", s->root);
    release(s);
    return rc;
}

void store_recovery_report(const struct store *s, struct store_recovery *ret)
{
    *ret = s->report;
}

/* ---- append and drop ---- */

/* Waits for what an append needs, outside every lock: room on the way to the disk (I7). */
static int wait_for_room(struct store *s, struct err *e)
{
    return s->log.is_written ? group_commit_wait_room(&s->commit, e) : flusher_wait(&s->flusher, e);
}

int store_submit(struct store *s, const struct store_message *m, struct store_ticket *t,
                 struct store_appended *ret, struct err *e)
{
    if (consume_queues_is_batch(&s->queues, m->topic))
        return err_set(e, ERR_UNSUPPORTED, "append to '%.*s': its queues are batch queues",
                       (int)m->topic.len, (const char *)m->topic.ptr);
    int rc = wait_for_room(s, e);
    if (rc == 0)
        rc = commit_log_append(&s->log, /* seq = */ NULL, m, ret, e);
    if (rc < 0)
        return rc;
    if (s->log.is_written) {
        group_commit_note(&s->commit, ret, t);
    } else {
        if (!m->defers_dispatch)
            worker_wake(&s->dispatcher.worker);
        flusher_nudge(&s->flusher, ret->log_off + ret->size);
    }
    return 0;
}

int store_settle(struct store *s, struct store_ticket *t, enum store_settled *ret, struct err *e)
{
    *ret = STORE_NOW;
    return s->log.is_written ? group_commit_settle(&s->commit, t, ret, e) : 0;
}

int store_append(struct store *s, const struct store_message *m, struct store_appended *ret,
                 struct err *e)
{
    struct store_ticket t = {.end = 0};
    struct store_appended at;
    int rc = store_submit(s, m, &t, &at, e);
    if (rc == 0 && s->log.is_written)
        rc = group_commit_await(&s->commit, t.end, e);
    if (rc == 0)
        *ret = at;
    return rc;
}

void store_dispatch(struct store *s)
{
    struct store_batch b;
    store_batch_begin(s, STORE_PATH_DISPATCH, &b);
    dispatcher_try(&s->dispatcher);
    store_batch_end(s, &b);
}

/* Refuses appends to the queues of `l`; returns the log's end then. */
static uint64_t refuse_appends(struct store *s, const struct queue_list *l)
{
    lock_take(&s->log.lock);
    for (size_t i = 0; i < l->n; i++)
        l->queues[i]->seq.dropped = true;
    uint64_t end = s->log.tail;
    lock_drop(&s->log.lock);
    return end;
}

int store_drop_topic(struct store *s, struct span topic, uint64_t *ret_below_log_off, struct err *e)
{
    if (topic.len == 0)
        return err_set(e, ERR_INVAL, "drop a topic without a name");
    struct queue_list l;
    int rc = consume_queues_list(&s->queues, topic, &l, e);
    if (rc < 0)
        return rc;
    /* what was appended before must not come to a queue made anew */
    uint64_t below = refuse_appends(s, &l);
    rc = dispatcher_wait(&s->dispatcher, below, e);
    if (rc == 0 && l.n > 0) {
        dispatcher_count_out(&s->dispatcher, &l);
        flusher_forget_count(&s->flusher);
    }
    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = consume_queues_drop(&s->queues, l.queues[i], e);
    queue_list_fini(&l);
    if (rc < 0)
        return err_wrap(e, "drop topic '%.*s'", (int)topic.len, (const char *)topic.ptr);
    *ret_below_log_off = below;
    return 0;
}

/* ---- statistics ---- */

/* `path` is commitlog/<start> or consumequeue/<topic>/<queue id>/<start>; others have no pins. */
static uint64_t pins_of_path(void *arg, const char *path)
{
    struct store *s = arg;
    const char *name = strrchr(path, '/');
    if (!name)
        return 0;
    uint64_t start = strtoull(name + 1, /* endptr = */ NULL, 10);
    if (strncmp(path, FORMAT_DIR_LOG "/", strlen(FORMAT_DIR_LOG "/")) == 0)
        return mapped_files_pins_at(&s->log.files, start);
    if (strncmp(path, FORMAT_DIR_QUEUES "/", strlen(FORMAT_DIR_QUEUES "/")) != 0)
        return 0;
    const char *topic = path + strlen(FORMAT_DIR_QUEUES "/");
    const char *id = strchr(topic, '/');
    if (!id || id == name)
        return 0;
    struct consume_queue *q = consume_queues_get(&s->queues, span_of(topic, (size_t)(id - topic)),
                                                 (int32_t)strtol(id + 1, /* endptr = */ NULL, 10));
    uint64_t n = q ? mapped_files_pins_at(&q->files, start) : 0;
    consume_queue_unref(q);
    return n;
}

int store_each_file(struct store *s, store_file_fn fn, void *arg, struct err *e)
{
    return residency_each_file(s->root, pins_of_path, s, fn, arg, s->io, e);
}

static void log_stats(struct store *s, struct store_stats *ret)
{
    lock_take(&s->log.lock);
    ret->reserved = s->log.tail;
    ret->n_appended = s->log.n_appended;
    ret->appended_bytes = s->log.appended_bytes;
    ret->published = commit_log_published(&s->log);
    const struct mapped_file *f = s->log.active;
    uint64_t populated = atomic_load_explicit(&f->populated, memory_order_acquire);
    ret->populated = f->start + populated;
    if (populated == f->bytes) /* and on in the file that follows */
        ret->populated += allocator_ready_bytes(&s->log.allocator);
    lock_drop(&s->log.lock);
    uint64_t rate = allocator_rate(&s->log.allocator);
    ret->lead_bytes = s->log.is_written ? 0 : ret->populated - ret->reserved;
    ret->lead_ms = rate > 0 ? ret->lead_bytes * 1000 / rate : 0;
    ret->n_append_waits = atomic_load_explicit(&s->log.n_waits, memory_order_relaxed); /* count */
    ret->failed = commit_log_has_failed(&s->log);
}

void store_timings(struct store *s, struct store_timings *ret)
{
    timing_read(&s->log.syncs, &ret->syncs);
    timing_read(&s->log.stalls, &ret->stalls);
}

static void commit_stats(struct group_commit *g, struct store_stats *ret)
{
    /* relaxed: counts */
    ret->n_groups = atomic_load_explicit(&g->n_groups, memory_order_relaxed);
    ret->n_grouped = atomic_load_explicit(&g->n_grouped, memory_order_relaxed);
    ret->max_grouped = atomic_load_explicit(&g->max_grouped, memory_order_relaxed);
    ret->written_bytes = atomic_load_explicit(&g->written_bytes, memory_order_relaxed);
    ret->n_flushes += ret->n_groups;
    ret->flushed_bytes += ret->written_bytes;
}

void store_stats(struct store *s, struct store_stats *ret)
{
    struct store_stats st = {0};
    struct mapped_files_usage u;
    struct flusher *fl = &s->flusher;
    /* lowest first: each only grows, so the order of I1 holds in what is read */
    st.checkpoint = atomic_load_explicit(&fl->checkpoint, memory_order_acquire);
    st.flushed = atomic_load_explicit(&fl->flushed, memory_order_acquire);
    st.dispatched = atomic_load_explicit(&s->dispatcher.dispatched, memory_order_acquire);
    st.indexed = atomic_load_explicit(&s->indexer.indexed, memory_order_acquire);
    log_stats(s, &st);
    mapped_files_bounds(&s->log.files, &st.log_min, &st.allocated);
    mapped_files_usage(&s->log.files, &u);
    st.n_files = u.n_files;
    st.n_mapped_files = u.n_mapped;
    st.mapped_bytes = u.mapped_bytes;
    st.n_pins = u.n_pins + reclaimer_n_pins(&s->reclaimer);
    st.n_bad_files = u.n_bad;
    st.n_queues = consume_queues_count(&s->queues);
    /* relaxed: counts */
    st.n_flushes = atomic_load_explicit(&fl->n_flushes, memory_order_relaxed);
    st.flushed_bytes = atomic_load_explicit(&fl->flushed_bytes, memory_order_relaxed);
    if (s->log.is_written)
        commit_stats(&s->commit, &st);
    st.n_expired = atomic_load_explicit(&s->retention.n_expired, memory_order_relaxed); /* count */
    st.n_unmapped = atomic_load_explicit(&s->reclaimer.n_unmapped, memory_order_relaxed);
    st.n_relaxed = atomic_load_explicit(&s->reclaimer.n_relaxed, memory_order_relaxed);
    st.n_forgotten = atomic_load_explicit(&s->reclaimer.n_forgotten, memory_order_relaxed);
    st.n_damaged = atomic_load_explicit(&s->n_damaged, memory_order_relaxed) +
                   atomic_load_explicit(&s->dispatcher.n_damaged, memory_order_relaxed);
    st.n_index_dropped = atomic_load_explicit(&s->indexer.n_dropped, memory_order_relaxed);
    st.index_failed = atomic_load_explicit(&s->indexer.is_failed, memory_order_acquire);
    *ret = st;
}

/* Removes the oldest files of the log by age and by space, and then what pointed at them
 * (rocketmq-store 6.3, 6.4).
 *
 * Only what is durable and queued may go, and never the last file, so that the numbers of records
 * and entries go on. Keys of records that are not indexed yet never will be. Everything removed is
 * derived from the removed files, or is them: a crash in the middle leaves entries that point
 * before the log, which the next start trims, or files that the next step removes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/retention.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "store/reclaimer.h"

enum {
    DEFAULT_INTERVAL_MS = 10000,
    FILES_MAX = 10,         /* removed in a step: RocketMQ's deleteFileBatchMax */
    MORE_AFTER_MS = 100,    /* between two such steps */
    FORCED_AFTER_MS = 1000, /* between two files that go for want of space */
};

/* ---- the rules ---- */

enum retention_verdict retention_judge(const struct store_retention *rules,
                                       const struct retention_look *look)
{
    bool is_old =
        look->now_ms >= look->changed_ms && look->now_ms - look->changed_ms >= rules->keep_ms;
    bool is_hour = rules->hours >> look->hour & 1;
    bool is_full = rules->used_percent > 0 && look->used_percent >= rules->used_percent;
    if (is_old && (is_hour || is_full))
        return RETENTION_EXPIRED;
    bool is_forced = rules->force_percent > 0 && look->used_percent >= rules->force_percent;
    return is_forced ? RETENTION_FORCED : RETENTION_KEEP;
}

void retention_init(struct retention *r, const struct store_options *opt, struct io *io,
                    struct commit_log *log, struct consume_queues *queues)
{
    *r = (struct retention){.rules = opt->retention,
                            .io = io,
                            .log = log,
                            .queues = queues,
                            .on_expired = opt->on_expired,
                            .expired_arg = opt->expired_arg};
    if (r->rules.interval_ms == 0)
        r->rules.interval_ms = DEFAULT_INTERVAL_MS;
    worker_init(&r->worker, retention_step, r);
}

void retention_fini(struct retention *r)
{
    if (!r->io)
        return;
    worker_fini(&r->worker);
    *r = (struct retention){.io = NULL};
}

/* ---- looking ---- */

static int used_percent(struct retention *r, unsigned *ret, struct err *e)
{
    uint64_t free_bytes, total;
    int rc = r->io->free_space(r->io, r->log->files.folder, &free_bytes, &total);
    if (rc < 0)
        return err_sys(e, -rc, "look for free space in '%s'", r->log->files.folder);
    *ret = total > 0 ? (unsigned)(((total - free_bytes) * 100 + total - 1) / total) : 0;
    return 0;
}

static unsigned hour_of(uint64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    (void)localtime_r(&seconds, &tm); /* fails only for years that do not fit */
    return (unsigned)tm.tm_hour;
}

static int look_at(struct retention *r, uint64_t start, struct retention_look *look, struct err *e)
{
    char path[4096];
    struct timespec changed = {0};
    (void)snprintf(path, sizeof path, "%s/%020" PRIu64, r->log->files.folder, start);
    int rc = r->io->changed(r->io, path, &changed);
    if (rc < 0 && rc != -ENOENT) /* what is gone is old */
        return err_sys(e, -rc, "look at '%s'", path);
    look->changed_ms = (uint64_t)changed.tv_sec * 1000 + (uint64_t)changed.tv_nsec / 1000000;
    return 0;
}

/* Whether the file behind those of `x` may go too; then it is one of them. For want of space one
 * goes at a time, and none while another waits for its readers: the space comes with the last of
 * them. */
static int take_next(struct retention *r, struct retention_look *look, struct store_expired *x,
                     bool *ret_taken, struct err *e)
{
    int rc = look_at(r, x->upto_log_off, look, e);
    *ret_taken = false;
    if (rc < 0)
        return rc;
    enum retention_verdict verdict = retention_judge(&r->rules, look);
    bool is_forced = verdict == RETENTION_FORCED;
    if (verdict == RETENTION_KEEP || x->was_forced ||
        (is_forced && (x->n_files > 0 || reclaimer_n_log_pins(r->log->files.reclaimer) > 0)))
        return 0;
    x->was_forced = is_forced;
    x->upto_log_off += r->log->file_bytes;
    x->n_files++;
    *ret_taken = true;
    return 0;
}

/* Which files are to go. */
static int decide(struct retention *r, struct store_expired *x, struct err *e)
{
    struct retention_look look = {.now_ms = r->io->now_ms(r->io)};
    uint64_t start, end, durable = atomic_load_explicit(r->checkpoint, memory_order_acquire);
    mapped_files_bounds(&r->log->files, &start, &end);
    end -= end > 0 ? r->log->file_bytes : 0; /* the last stays */
    end = end < durable ? end : durable;
    x->from_log_off = x->upto_log_off = start;
    look.hour = hour_of(look.now_ms);
    int rc = used_percent(r, &look.used_percent, e);
    bool has_more = true;
    while (rc == 0 && has_more && x->n_files < FILES_MAX &&
           x->upto_log_off + r->log->file_bytes <= end)
        rc = take_next(r, &look, x, &has_more, e);
    return rc;
}

/* ---- acting ---- */

typedef int (*queue_fn)(struct consume_queue *q, uint64_t log_off, struct err *e);

static int drop_old(struct consume_queue *q, uint64_t log_off, struct err *e)
{
    (void)log_off;
    return consume_queue_drop_old(q, e);
}

/* Calls it for each queue; the first failure is told at the end, but for that of a queue that is
 * dropped meanwhile. */
static int each_queue(struct retention *r, queue_fn fn, uint64_t log_off, struct err *e)
{
    struct queue_list l;
    struct err later;
    int rc = consume_queues_list(r->queues, (struct span){0}, &l, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < l.n; i++) {
        int queue_rc = fn(l.queues[i], log_off, rc < 0 ? &later : e);
        if (rc == 0 && !consume_queue_is_gone(l.queues[i]))
            rc = queue_rc;
    }
    queue_list_fini(&l);
    return rc;
}

static int drop_files(struct retention *r, struct store_expired *x, struct err *e)
{
    int rc = 0;
    bool has_more = true;
    uint64_t start, end;
    while (rc == 0 && has_more)
        rc = mapped_files_drop_first(&r->log->files, x->upto_log_off, &has_more, e);
    mapped_files_bounds(&r->log->files, &start, &end);
    x->upto_log_off = start;
    x->n_files = (unsigned)((start - x->from_log_off) / r->log->file_bytes);
    atomic_fetch_add_explicit(&r->n_expired, x->n_files, memory_order_relaxed); /* a count */
    if (x->n_files > 0)
        worker_wake(r->indexer);
    return rc;
}

/* A queue that cannot be read holds up nothing: who scans it passes over what points before the
 * log. */
static int expire(struct retention *r, struct store_expired *x, struct err *e)
{
    struct err later;
    int rc = each_queue(r, consume_queue_trim, x->upto_log_off, e);
    int files_rc = drop_files(r, x, rc < 0 ? &later : e);
    if (files_rc < 0)
        return rc < 0 ? rc : files_rc;
    int queues_rc = each_queue(r, drop_old, x->upto_log_off, rc < 0 ? &later : e);
    return rc < 0 ? rc : queues_rc;
}

int retention_step(void *arg)
{
    struct retention *r = arg;
    struct store_expired x = {.n_files = 0};
    struct err e;
    int rc = decide(r, &x, &e);
    unsigned n_found = x.n_files;
    if (rc == 0 && n_found > 0)
        rc = expire(r, &x, &e);
    x.failure = rc < 0 ? e.msg : NULL;
    if (r->on_expired && (x.n_files > 0 || rc < 0))
        r->on_expired(r->expired_arg, &x);
    if (rc == 0 && n_found == FILES_MAX)
        return MORE_AFTER_MS;
    return x.was_forced && r->rules.interval_ms > FORCED_AFTER_MS ? FORCED_AFTER_MS
                                                                  : (int)r->rules.interval_ms;
}

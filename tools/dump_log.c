/* Shows the records of a commit log, or counts them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "tools/dump.h"
#include "tools/dump_place.h"
#include "tools/dump_record.h"
#include "tools/dump_stats.h"
#include "tools/hex.h"
#include "tools/json_line.h"
#include "tools/paint.h"
#include "tools/progress.h"

/* How long --follow waits at the end before it looks again. */
#define FOLLOW_NS 100000000

struct log_dump {
    struct dump *d;
    struct store_walk *walk;
    struct queue_files *queues; /* NULL: none are known */
    struct dump_stats *stats;   /* NULL: records are shown */
    struct dump_stats_rest rest;
    struct progress progress;
    uint64_t begin; /* log_off where the walk began */
    uint64_t n_shown, shown_bytes;
};

/* ---- items ---- */

static int show_json(struct log_dump *l, const struct store_walk_item *item, struct err *e)
{
    struct dump_place place = {0};
    int rc = l->queues ? dump_place_find(l->queues, &item->rec, &place, e) : 0;
    if (rc < 0)
        return rc;
    enum dump_body body = l->d->with_body ? DUMP_WITH_BODY : DUMP_WITHOUT_BODY;
    return json_line(dump_record_json(item, &place, body), e);
}

static int show_record(struct log_dump *l, const struct store_walk_item *item, struct err *e)
{
    struct dump *d = l->d;
    if (!dump_filter_record(&d->filter, &item->rec))
        return 0;
    d->n_damaged += !item->body_ok;
    d->limit--;
    l->n_shown++;
    l->shown_bytes += item->len;
    if (l->stats)
        return dump_stats_add(l->stats, item, e);
    if (d->format == DUMP_JSON)
        return show_json(l, item, e);
    dump_record_text(item);
    if (d->format == DUMP_HEX)
        hex_print(item->rec.raw, item->log_off);
    return 0;
}

static void show_damage(struct log_dump *l, const struct store_walk_item *item)
{
    l->rest.n_damaged++;
    l->rest.damaged_bytes += item->len;
    if (l->stats)
        l->d->n_damaged++;
    else
        dump_finding(l->d, "%12" PRIu64 "  DAMAGED, %" PRIu64 " bytes passed over: %s",
                     item->log_off, item->len, item->why);
}

/* What is no record is of interest when everything is shown. */
static void show_place(const struct log_dump *l, const struct store_walk_item *item)
{
    if (l->stats || l->d->format == DUMP_JSON || !dump_filter_is_open(&l->d->filter))
        return;
    if (item->kind == STORE_WALK_FILLER)
        printf("%12" PRIu64 "  filler, %" PRIu64 " bytes\n", item->log_off, item->len);
    else if (!l->d->follow)
        printf("%12" PRIu64 "  end\n", item->log_off);
}

static int show_item(struct log_dump *l, const struct store_walk_item *item, struct err *e)
{
    bool is_before = item->log_off + item->len <= l->d->filter.log.from;
    switch (item->kind) {
    case STORE_WALK_RECORD:
        return show_record(l, item, e);
    case STORE_WALK_DAMAGE:
        if (!is_before)
            show_damage(l, item);
        break;
    case STORE_WALK_FILLER:
        l->rest.filler_bytes += item->len;
        show_place(l, item);
        break;
    case STORE_WALK_END:
        show_place(l, item);
        break;
    }
    return 0;
}

/* ---- the walk ---- */

/* The end was reached: what is shown goes out, and after a while there may be more. */
static int wait_for_more(struct log_dump *l, struct err *e)
{
    static const struct timespec pause = {.tv_nsec = FOLLOW_NS};
    struct store_walk_bounds bounds;
    (void)fflush(stdout); /* failed: dump_goes_on sees it */
    (void)nanosleep(&pause, NULL);
    store_walk_bounds(l->walk, &bounds);
    if (bounds.file_bytes > 0)
        return 0;
    store_walk_close(l->walk); /* there was no file yet */
    l->walk = NULL;
    return store_walk_open(&l->walk, l->d->path, l->d->file_bytes, l->d->io, e);
}

static int walk_items(struct log_dump *l, struct err *e)
{
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    bool is_over = false;
    while (!is_over && dump_goes_on(l->d)) {
        int rc = store_walk_next(l->walk, &item, e);
        if (rc == 0 && dump_filter_is_past(&l->d->filter, &item))
            return 0;
        if (rc == 0)
            rc = show_item(l, &item, e);
        if (rc == 0 && item.kind == STORE_WALK_END && l->d->follow)
            rc = wait_for_more(l, e);
        if (rc < 0)
            return rc;
        is_over = item.kind == STORE_WALK_END && !l->d->follow;
        progress_set(&l->progress, item.log_off - l->begin);
    }
    return 0;
}

/* A bar is drawn only where it does not run between the lines that are shown. */
static void start_progress(struct log_dump *l)
{
    struct store_walk_bounds bounds;
    store_walk_bounds(l->walk, &bounds);
    uint64_t end = bounds.end < l->d->filter.log.to ? bounds.end : l->d->filter.log.to;
    if (l->stats && !l->d->follow && end > l->begin)
        progress_start_bytes(&l->progress, end - l->begin);
}

static int walk_from_start(struct log_dump *l, struct err *e)
{
    int rc = dump_filter_start(&l->d->filter, l->walk, &l->begin, e);
    if (rc == 0)
        rc = store_walk_seek(l->walk, l->begin, e);
    if (rc < 0)
        return rc;
    start_progress(l);
    rc = walk_items(l, e);
    progress_clear(&l->progress);
    return rc;
}

static int finish(struct log_dump *l, struct err *e)
{
    const struct dump *d = l->d;
    if (l->stats && d->format == DUMP_JSON)
        return dump_stats_json(l->stats, &l->rest, e);
    if (l->stats)
        dump_stats_print(l->stats, &l->rest);
    else if (d->format != DUMP_JSON)
        printf("%" PRIu64 " records of %" PRIu64 " bytes; %" PRIu64 " damaged\n", l->n_shown,
               l->shown_bytes, d->n_damaged);
    return 0;
}

int dump_log(struct dump *d, bool has_queues, struct err *e)
{
    struct log_dump l = {.d = d, .walk = NULL};
    int rc = store_walk_open(&l.walk, d->path, d->file_bytes, d->io, e);
    if (rc == 0 && has_queues && d->format == DUMP_JSON && !d->stats)
        rc = queue_files_open(&l.queues, d->path, d->io, e);
    if (rc == 0 && d->stats)
        rc = dump_stats_new(&l.stats, e);
    if (rc == 0)
        rc = walk_from_start(&l, e);
    if (rc == 0)
        rc = finish(&l, e);
    dump_stats_free(l.stats);
    queue_files_close(l.queues);
    store_walk_close(l.walk);
    return rc;
}

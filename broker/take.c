/* One pass of a receive over the queues of a topic.
 *
 * A pass holds the scan of one queue at a time (lease_begin .. lease_end), and looks at
 * PASS_ENTRIES_MAX entries at most, so that other receives get their turn. What it passed over is
 * behind the group's position at once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/take.h"

#include <inttypes.h>

#include "base/log.h"
#include "broker/convert.h"
#include "broker/dead_letter.h"

enum {
    PASS_ENTRIES_MAX = 65536,
    BATCH_BYTES_MAX = 32 * 1024 * 1024, /* of one reply; the first message is always taken */
};

struct pass {
    struct take *t;
    uint64_t n_entries_left;
    uint64_t n_bytes;
    bool again;
    bool is_gone;
};

static struct lease_handle handle_of(const struct taken *m)
{
    return (struct lease_handle){.queue_id = m->queue_id,
                                 .queue_off = m->entry.queue_off,
                                 .nonce = m->entry.nonce,
                                 .until_ms = m->entry.until_ms};
}

void take_ack(struct take *t, const struct taken *m)
{
    struct lease_handle handle = handle_of(m);
    (void)lease_ack(t->lease, &handle, t->how.now_ms); /* it is ours and fresh */
}

void take_give_back(struct broker *b, struct lease *lease, const struct taken *messages, size_t n)
{
    uint64_t now_ms = steady_clock_now_ms(&b->clock);
    for (size_t i = 0; i < n; i++) /* acked meanwhile: left alone */
        (void)lease_give_back(lease, messages[i].queue_id, &messages[i].entry, 1, now_ms);
}

/* ---- matching ---- */

static bool match_record(void *arg, const struct store_record *rec)
{
    return filter_match_tag(arg, convert_tag(rec));
}

static struct store_match match_of(const struct take *t)
{
    if (filter_is_all(t->filter))
        return (struct store_match){0};
    struct store_match match = {.record = match_record, .arg = (void *)t->filter};
    match.tag_codes = filter_codes(t->filter, &match.n_tag_codes);
    return match;
}

static void count_damage(struct take *t, const struct err *e)
{
    /* relaxed: a statistic */
    atomic_fetch_add_explicit(&t->b->n_damaged_bodies, 1, memory_order_relaxed);
    log_error("%s, passing over it", e->msg);
}

/* ---- messages visible again ---- */

/* Whether the entry's record is there and this subscriber's; if not, it is done with. */
static bool load(struct take *t, struct taken *m)
{
    struct err e;
    int rc = store_get(t->b->store, span_str(t->topic->name), m->queue_id, m->entry.queue_off,
                       &m->slice, &e);
    if (rc == ERR_CORRUPT)
        count_damage(t, &e);
    if (rc == ERR_CORRUPT || rc == ERR_NOTFOUND)
        take_ack(t, m);
    if (rc)
        return false; /* another failure may pass: the lease brings it up again */
    if (filter_match_tag(t->filter, convert_tag(&m->slice.rec)) || filter_is_all(t->filter))
        return true;
    store_unpin(m->slice.pin);
    take_ack(t, m);
    return false;
}

static void bury(struct take *t, const struct taken *m)
{
    struct dead_letter letter = {.lease = t->lease,
                                 .group = span_str(t->group->name),
                                 .topic = span_str(t->topic->name),
                                 .queue_id = m->queue_id,
                                 .entry = m->entry,
                                 .slice = m->slice};
    dead_letter_move(t->b, &letter);
}

/* Whether there may be more that is visible again. */
static bool take_back(struct pass *p, struct lease_scan *scan)
{
    struct take *t = p->t;
    struct lease_entry entries[BOUNDS_BATCH_MAX];
    size_t room = t->max - t->n;
    size_t n = lease_take_back(scan, &t->how, entries, room);
    for (size_t i = 0; i < n; i++) {
        struct taken m = {.entry = entries[i], .queue_id = scan->queue_id};
        if (!load(t, &m))
            continue;
        if (m.entry.is_dead) {
            bury(t, &m);
            continue;
        }
        p->n_bytes += m.slice.rec.size;
        t->taken[t->n++] = m;
    }
    return n == room;
}

/* ---- new messages ---- */

static void keep(struct pass *p, const struct lease_scan *scan, const struct store_slice *slices,
                 const struct lease_entry *entries, size_t n)
{
    struct take *t = p->t;
    for (size_t i = 0; i < n; i++) {
        p->n_bytes += slices[i].rec.size;
        t->taken[t->n++] =
            (struct taken){.slice = slices[i], .entry = entries[i], .queue_id = scan->queue_id};
    }
}

/* Puts what a scan found under the lease, and the position behind it. */
static void settle(struct pass *p, struct lease_scan *scan, struct store_slice *slices,
                   const struct store_scanned *found)
{
    struct err e;
    struct lease_entry entries[BOUNDS_BATCH_MAX] = {0};
    enum lease_taken taken = LEASE_STALE;
    for (size_t i = 0; i < found->n; i++)
        entries[i].queue_off = slices[i].rec.queue_off;
    int rc = lease_take_new(scan, &p->t->how, entries, found->n, found->next_queue_off, &taken, &e);
    if (rc == 0 && taken == LEASE_TAKEN) {
        keep(p, scan, slices, entries, found->n);
        return;
    }
    if (rc)
        log_warn("lease messages: %s, trying again", e.msg);
    for (size_t i = 0; i < found->n; i++)
        store_unpin(slices[i].pin);
    p->again = p->again || rc == 0; /* the position was moved meanwhile: look again from there */
}

static uint64_t bytes_left(const struct pass *p)
{
    return p->n_bytes < BATCH_BYTES_MAX ? BATCH_BYTES_MAX - p->n_bytes : 0;
}

static void take_new(struct pass *p, struct lease_scan *scan)
{
    struct take *t = p->t;
    struct err e;
    struct store_slice slices[BOUNDS_BATCH_MAX];
    struct store_scanned found;
    struct store_scan what = {.topic = span_str(t->topic->name),
                              .queue_id = scan->queue_id,
                              .from_queue_off = scan->position,
                              .max_messages = t->max - t->n,
                              .max_bytes = bytes_left(p),
                              .max_entries = p->n_entries_left,
                              .match = match_of(t)};
    if (store_scan(t->b->store, &what, slices, &found, &e)) {
        log_error("scan queue %" PRId32 " of topic '%s': %s, skipping it", scan->queue_id,
                  t->topic->name, e.msg);
        return;
    }
    if (found.n_damaged > 0)
        log_error("%" PRIu64 " damaged records in queue %" PRId32
                  " of topic '%s', passing over them",
                  found.n_damaged, scan->queue_id, t->topic->name);
    uint64_t n_looked = found.n_passed + found.n_damaged + found.n;
    p->n_entries_left -= n_looked < p->n_entries_left ? n_looked : p->n_entries_left;
    p->again = p->again || found.end == STORE_SCAN_MORE;
    if (found.next_queue_off != scan->position)
        settle(p, scan, slices, &found);
}

/* ---- the pass ---- */

static void take_from(struct pass *p, int32_t queue_id)
{
    struct take *t = p->t;
    struct err e;
    struct lease_scan scan;
    enum lease_begin begun;
    if (lease_begin(t->lease, queue_id, &t->how, &begun, &scan, &e)) {
        log_warn("begin with queue %" PRId32 " of topic '%s': %s, skipping it", queue_id,
                 t->topic->name, e.msg);
        return;
    }
    if (begun == LEASE_BUSY)
        p->again = true; /* the other may leave something behind */
    p->is_gone = p->is_gone || begun == LEASE_GONE;
    if (begun != LEASE_READY && begun != LEASE_FULL)
        return;
    bool more_back = take_back(p, &scan);
    p->again = p->again || (more_back && t->n < t->max); /* some of those were no good */
    if (begun == LEASE_READY && !more_back && bytes_left(p) > 0)
        take_new(p, &scan);
    lease_end(&scan);
}

enum take_end take_pass(struct take *t)
{
    struct pass p = {.t = t, .n_entries_left = PASS_ENTRIES_MAX};
    uint32_t n_queues = t->topic->n_read_queues;
    uint32_t first = lease_turn(t->lease);
    t->how.now_ms = steady_clock_now_ms(&t->b->clock);
    for (uint32_t i = 0; i < n_queues && t->n < t->max && p.n_entries_left > 0; i++)
        take_from(&p, (int32_t)((first % n_queues + i) % n_queues));
    if (p.n_entries_left == 0 && t->n < t->max)
        p.again = true;
    if (p.is_gone)
        return TAKE_GONE;
    return p.again ? TAKE_AGAIN : TAKE_NONE_LEFT;
}

void take_check_bodies(struct take *t)
{
    size_t n_good = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct taken *m = &t->taken[i];
        if (store_body_check(&m->slice.rec, &m->crc)) {
            t->taken[n_good++] = *m;
            continue;
        }
        struct err e;
        (void)err_set(&e, ERR_CORRUPT, "body at %" PRIu64 " of topic '%s' is damaged",
                      m->slice.rec.log_off, t->topic->name);
        count_damage(t, &e);
        take_ack(t, m);
        store_unpin(m->slice.pin);
    }
    t->n = n_good;
}

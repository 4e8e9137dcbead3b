/* What RocketMQ's broker had still to do in a store that was its own. Only looks.
 *
 *   topic                      done below                                        counted
 *   SCHEDULE_TOPIC_XXXX        delayOffset.json, by level (queue + 1)            entries
 *   RMQ_SYS_TRANS_HALF_TOPIC   consumerOffset.json                               entries
 *   rmq_sys_REVIVE_LOG_*       consumerOffset.json                               entries
 *   %RETRY%*                   consumerOffset.json                               entries
 *   rmq_sys_wheel_timer        lastReadTimeMs in timercheck: a time, not an      records due
 *                              entry                                             later, unless
 *                                                                                recalled
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/foreign.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "broker/name.h"
#include "broker/state.h"

enum {
    TIMER_CHECK_BYTES = 8, /* of the file, its first field */
    TIMER_CHECK_MAX = 65536,
    SCAN_ENTRIES = 4096,         /* in one go */
    TIMER_ENTRIES_MAX = 1000000, /* looked at; what is behind counts as waiting */
};

/* A timer is appended anew at least every two days until it is due: older records are done. */
#define TIMER_ROLLED_WITHIN_MS (7ull * 24 * 60 * 60 * 1000)

static const char schedule_topic[] = "SCHEDULE_TOPIC_XXXX";
static const char timer_topic[] = "rmq_sys_wheel_timer";
static const char half_topic[] = "RMQ_SYS_TRANS_HALF_TOPIC";
static const char revive_prefix[] = "rmq_sys_REVIVE_LOG_";
static const char retry_prefix[] = "%RETRY%";

/* One search. */
struct search {
    struct store *store;
    json_t *offsets;                 /* consumerOffset.json's table; NULL: none */
    json_t *delays;                  /* delayOffset.json's; NULL: none */
    uint64_t timers_at_ms;           /* timers due before it were delivered */
    struct map found[FOREIGN_KINDS]; /* by topic: uint64_t, owned */
};

const char *foreign_kind_name(enum foreign_kind kind)
{
    switch (kind) {
    case FOREIGN_DELAYED:
        return "delayed messages";
    case FOREIGN_TIMED:
        return "timed messages";
    case FOREIGN_POPPED:
        return "POP checkpoints and acks";
    case FOREIGN_HALF:
        return "half messages of transactions";
    case FOREIGN_RETRIED:
        return "messages to be retried";
    case FOREIGN_KINDS:
        break;
    }
    return "?";
}

/* ---- what was found ---- */

/* Adds what waits in one queue to what waits in its topic. */
static int add(struct search *f, struct span topic, enum foreign_kind kind, uint64_t n,
               struct err *e)
{
    if (n == 0)
        return 0;
    uint64_t *sum = map_get(&f->found[kind], topic);
    if (!sum) {
        sum = calloc(1, sizeof *sum);
        if (!sum)
            return err_set(e, ERR_NOMEM, "count what waits in the store");
        int rc = map_put(&f->found[kind], topic, sum, e);
        if (rc < 0) {
            free(sum);
            return rc;
        }
    }
    *sum += n;
    return 0;
}

static void tell(const struct search *f, foreign_fn fn, void *arg)
{
    for (int kind = 0; kind < FOREIGN_KINDS; kind++) {
        size_t pos = 0;
        for (const struct map_entry *at; (at = map_next(&f->found[kind], &pos));) {
            struct foreign_work work = {.topic = span_of(at->key, at->key_len),
                                        .kind = (enum foreign_kind)kind,
                                        .n = *(const uint64_t *)at->value};
            fn(arg, &work);
        }
    }
}

static void search_fini(struct search *f)
{
    for (int kind = 0; kind < FOREIGN_KINDS; kind++) {
        size_t pos = 0;
        for (const struct map_entry *at; (at = map_next(&f->found[kind], &pos));)
            free(at->value);
        map_fini(&f->found[kind]);
    }
    json_decref(f->offsets);
    json_decref(f->delays);
}

/* ---- RocketMQ's positions ---- */

/* The member "offsetTable" of a file; NULL when there is none to be had. */
static int read_offsets(struct io *io, const char *folder, const char *name, json_t **ret_table,
                        struct err *e)
{
    json_t *root = NULL;
    int rc = state_read(io, folder, name, &root, e);
    if (rc == ERR_NOMEM)
        return rc;
    if (rc < 0) { /* absent, or damaged: then everything waits */
        *ret_table = NULL;
        return 0;
    }
    *ret_table = json_incref(json_object_get(root, "offsetTable"));
    json_decref(root);
    return 0;
}

/* 0, when all timers wait, if the file cannot be read. */
static int read_timer_check(struct io *io, const char *folder, uint64_t *ret_ms, struct err *e)
{
    char path[STATE_PATH_MAX];
    uint8_t *buf = NULL;
    size_t len = 0;
    *ret_ms = 0;
    if (snprintf(path, sizeof path, "%s/timercheck", folder) >= (int)sizeof path)
        return 0;
    int rc = io_read_file(io, path, TIMER_CHECK_MAX, &buf, &len, e);
    if (rc < 0)
        return rc == ERR_NOMEM ? rc : 0;
    if (len >= TIMER_CHECK_BYTES)
        *ret_ms = be64_get(buf);
    free(buf);
    return 0;
}

/* The offset of a queue in a map from queue ids; 0 when it is not there. */
static uint64_t offset_in(const json_t *queues, int32_t queue_id)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%" PRId32, queue_id); /* it fits */
    json_int_t offset = json_integer_value(json_object_get(queues, key));
    return offset > 0 ? (uint64_t)offset : 0;
}

/* How far the group of a topic of which there is but one group has come. */
static uint64_t done_by_group(const struct search *f, struct span topic, int32_t queue_id)
{
    const char *key;
    json_t *queues;
    json_object_foreach(f->offsets, key, queues)
    {
        if (strncmp(key, (const char *)topic.ptr, topic.len) == 0 && key[topic.len] == '@')
            return offset_in(queues, queue_id);
    }
    return 0;
}

/* ---- timers ---- */

struct timers {
    uint64_t after_ms;
    uint64_t n_timed, n_popped, n_recalls;
};

static uint64_t parse_ms(struct span text)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9' && i < 18; i++)
        ms = ms * 10 + (uint64_t)(text.ptr[i] - '0');
    return ms;
}

/* Counts one record; none is to be handed out. */
static bool count_timer(void *arg, const struct store_record *rec)
{
    struct timers *t = arg;
    struct span value;
    if (!store_property_get(rec->properties, "TIMER_OUT_MS", &value) ||
        parse_ms(value) < t->after_ms)
        return false;
    if (store_property_get(rec->properties, "TIMER_DEL_UNIQKEY", &value))
        t->n_recalls++;
    else if (store_property_get(rec->properties, "REAL_TOPIC", &value) &&
             name_has_prefix(value, revive_prefix))
        t->n_popped++;
    else
        t->n_timed++;
    return false;
}

static int count_timers(const struct search *f, struct span topic, int32_t queue_id,
                        struct timers *t, struct err *e)
{
    uint64_t min, max, looked_at = 0;
    struct store_slice slice;
    struct store_scanned scanned = {.end = STORE_SCAN_MORE};
    struct store_scan scan = {.topic = topic,
                              .queue_id = queue_id,
                              .max_messages = 1,
                              .max_bytes = UINT64_MAX,
                              .max_entries = SCAN_ENTRIES,
                              .match = {.record = count_timer, .arg = t}};
    uint64_t from_ms =
        t->after_ms > TIMER_ROLLED_WITHIN_MS ? t->after_ms - TIMER_ROLLED_WITHIN_MS : 0;
    store_queue_bounds(f->store, topic, queue_id, &min, &max);
    int rc = store_queue_off_by_time(f->store, topic, queue_id, from_ms, &scan.from_queue_off, e);
    for (; rc == 0 && scanned.end == STORE_SCAN_MORE && looked_at < TIMER_ENTRIES_MAX;
         looked_at += SCAN_ENTRIES) {
        rc = store_scan(f->store, &scan, &slice, &scanned, e);
        if (rc == 0)
            scan.from_queue_off = scanned.next_queue_off;
    }
    if (rc == 0 && max > scan.from_queue_off)
        t->n_timed += max - scan.from_queue_off;
    return rc;
}

/* A recall and the timer it names are both done with. */
static int find_timers(struct search *f, struct span topic, int32_t queue_id, struct err *e)
{
    struct timers t = {.after_ms = f->timers_at_ms};
    int rc = count_timers(f, topic, queue_id, &t, e);
    if (rc == 0)
        rc = add(f, topic, FOREIGN_TIMED, t.n_timed > t.n_recalls ? t.n_timed - t.n_recalls : 0, e);
    return rc < 0 ? rc : add(f, topic, FOREIGN_POPPED, t.n_popped, e);
}

/* ---- topics ---- */

static int find_entries(struct search *f, struct span topic, int32_t queue_id,
                        enum foreign_kind kind, struct err *e)
{
    uint64_t min, max;
    uint64_t done = kind == FOREIGN_DELAYED ? offset_in(f->delays, queue_id + 1)
                                            : done_by_group(f, topic, queue_id);
    store_queue_bounds(f->store, topic, queue_id, &min, &max);
    if (done < min)
        done = min;
    return add(f, topic, kind, max > done ? max - done : 0, e);
}

static int find_in_queue(void *arg, struct span topic, int32_t queue_id, struct err *e)
{
    struct search *f = arg;
    if (span_equal(topic, span_str(timer_topic)))
        return find_timers(f, topic, queue_id, e);
    if (span_equal(topic, span_str(schedule_topic)))
        return find_entries(f, topic, queue_id, FOREIGN_DELAYED, e);
    if (span_equal(topic, span_str(half_topic)))
        return find_entries(f, topic, queue_id, FOREIGN_HALF, e);
    if (name_has_prefix(topic, revive_prefix))
        return find_entries(f, topic, queue_id, FOREIGN_POPPED, e);
    if (name_has_prefix(topic, retry_prefix))
        return find_entries(f, topic, queue_id, FOREIGN_RETRIED, e);
    return 0;
}

int foreign_find(struct store *s, const char *config_folder, struct io *io, foreign_fn fn,
                 void *arg, struct err *e)
{
    struct search f = {.store = s};
    int rc = read_offsets(io, config_folder, "consumerOffset.json", &f.offsets, e);
    if (rc == 0)
        rc = read_offsets(io, config_folder, "delayOffset.json", &f.delays, e);
    if (rc == 0)
        rc = read_timer_check(io, config_folder, &f.timers_at_ms, e);
    if (rc == 0)
        rc = store_each_queue(s, find_in_queue, &f, e);
    if (rc == 0)
        tell(&f, fn, arg);
    search_fini(&f);
    return rc;
}

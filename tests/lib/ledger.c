/* What was sent and promised, and what came: one table behind one lock.
 *
 * The rules for a delivery to the acknowledging group:
 *  - its id was handed out by ledger_next; body, tag and position agree with it;
 *  - acknowledged in this run of the broker: it must not come at all;
 *  - acknowledged in an earlier run: only when that was not saved before the kill;
 *  - attempts: one more than the last in the same run; after a kill at least that when the last one
 *    was saved, and at most one lost delivery more for each kill in between. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/ledger.h"

#include <check.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

enum { FAULT_BYTES = 512 };

struct entry {
    uint64_t queue_off;
    uint64_t delivered_ms; /* last to the acknowledging group */
    uint64_t acked_ms;     /* 0: not acknowledged */
    int32_t queue_id;      /* -1: not known */
    int32_t attempt;       /* of the last delivery; 0: none yet */
    uint32_t delivered_run, acked_run;
    uint32_t n_read;
    bool is_accepted; /* then queue_off is known */
};

/* How a run of the broker ended. */
struct run_end {
    uint64_t saved_ms; /* what was done before is known later */
    uint64_t killed_ms;
};

struct ledger {
    uint64_t seed; /* set before start, then constant */
    pthread_mutex_t lock;
    /* guarded by lock */
    struct entry *entries[LEDGER_PRODUCERS];
    uint64_t n[LEDGER_PRODUCERS], room[LEDGER_PRODUCERS];
    uint64_t read_end[LEDGER_QUEUES]; /* of the group that reads all: one past the highest */
    uint64_t n_read[LEDGER_QUEUES];
    uint32_t run;         /* of the broker, from 0 */
    struct run_end *ends; /* of the runs before */
    struct ledger_counts counts;
    char fault[FAULT_BYTES]; /* empty: none */
};

static uint64_t now_ms(void)
{
    struct io *io = io_posix();
    return io->now_ms(io);
}

struct ledger *ledger_new(uint64_t seed)
{
    struct ledger *l = calloc(1, sizeof *l);
    ck_assert_ptr_nonnull(l);
    l->seed = seed;
    (void)pthread_mutex_init(&l->lock, NULL); /* cannot fail for this kind */
    return l;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    for (int i = 0; i < LEDGER_PRODUCERS; i++)
        free(l->entries[i]);
    free(l->ends);
    (void)pthread_mutex_destroy(&l->lock); /* nobody holds it */
    free(l);
}

static void enter(struct ledger *l)
{
    (void)pthread_mutex_lock(&l->lock); /* cannot fail for this kind */
}

static void leave(struct ledger *l)
{
    (void)pthread_mutex_unlock(&l->lock); /* held */
}

/* ---- faults ---- */

/* False, for the caller to return. */
static bool __attribute__((format(printf, 2, 0)))
note(struct ledger *l, const char *fmt, va_list args)
{
    if (!l->fault[0])
        (void)vsnprintf(l->fault, sizeof l->fault, fmt, args);
    return false;
}

static bool fault_locked(struct ledger *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool fault_locked(struct ledger *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)note(l, fmt, args);
    va_end(args);
    return false;
}

void ledger_fault(struct ledger *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    enter(l);
    (void)note(l, fmt, args);
    leave(l);
    va_end(args);
}

const char *ledger_first_fault(struct ledger *l)
{
    enter(l);
    const char *fault = l->fault[0] ? l->fault : NULL;
    leave(l);
    return fault;
}

/* ---- what a message is ---- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

void ledger_id(struct ledger_key key, char id[LEDGER_ID_BYTES])
{
    (void)snprintf(id, LEDGER_ID_BYTES, "LEDGER%02d%012" PRIu64, key.producer, key.seq);
}

static bool key_of(const char *id, struct ledger_key *ret)
{
    int end = 0;
    struct ledger_key key;
    if (sscanf(id, "LEDGER%2d%12" SCNu64 "%n", &key.producer, &key.seq, &end) != 2 || id[end])
        return false;
    *ret = key;
    return key.producer >= 0 && key.producer < LEDGER_PRODUCERS;
}

void ledger_tag(struct ledger_key key, char tag[LEDGER_TAG_BYTES])
{
    (void)snprintf(tag, LEDGER_TAG_BYTES, "t%u", (unsigned)(key.seq % 5));
}

size_t ledger_body(const struct ledger *l, struct ledger_key key, char body[LEDGER_BODY_MAX])
{
    uint64_t x = mix(l->seed ^ mix(key.seq * LEDGER_PRODUCERS + (uint64_t)key.producer + 1));
    size_t bound = (size_t)1 << (x % 17); /* 1..65536 */
    size_t len = bound - (size_t)(x >> 8) % (bound / 2 + 1);
    for (size_t i = 0; i < len; i += sizeof x) {
        size_t n = len - i < sizeof x ? len - i : sizeof x;
        x = x * 6364136223846793005u + 1442695040888963407u;
        memcpy(body + i, &x, n);
    }
    return len;
}

/* ---- producers ---- */

static void grow(struct ledger *l, int producer)
{
    uint64_t room = l->room[producer] ? 2 * l->room[producer] : 1024;
    struct entry *entries = realloc(l->entries[producer], room * sizeof entries[0]);
    if (!entries)
        abort(); /* a thread cannot fail the test */
    l->entries[producer] = entries;
    l->room[producer] = room;
}

struct ledger_key ledger_next(struct ledger *l, int producer)
{
    enter(l);
    if (l->n[producer] == l->room[producer])
        grow(l, producer);
    struct ledger_key key = {.producer = producer, .seq = l->n[producer]++};
    l->entries[producer][key.seq] = (struct entry){.queue_id = -1};
    l->counts.sent++;
    leave(l);
    return key;
}

/* NULL: it was never sent. */
static struct entry *find(struct ledger *l, struct ledger_key key)
{
    return key.seq < l->n[key.producer] ? &l->entries[key.producer][key.seq] : NULL;
}

void ledger_accepted(struct ledger *l, struct ledger_key key, uint64_t queue_off)
{
    enter(l);
    struct entry *entry = find(l, key);
    if (entry->queue_id >= 0 && entry->queue_off != queue_off)
        (void)fault_locked(l,
                           "message %d/%" PRIu64 " came at %" PRIu64 ", but was answered %" PRIu64,
                           key.producer, key.seq, entry->queue_off, queue_off);
    entry->is_accepted = true;
    entry->queue_off = queue_off;
    l->counts.accepted++;
    leave(l);
}

/* ---- deliveries ---- */

static bool is_body_right(const struct ledger *l, struct ledger_key key, const V2(Message) *m)
{
    char body[LEDGER_BODY_MAX];
    size_t len = ledger_body(l, key, body);
    return m->body.len == len && memcmp(m->body.data, body, len) == 0;
}

/* The entry of a message whose content is right; the position must be the same every time. */
static struct entry *check_content(struct ledger *l, const V2(Message) *m, bool body_right,
                                   struct ledger_key key)
{
    const V2(SystemProperties) *s = m->system_properties;
    char tag[LEDGER_TAG_BYTES];
    struct entry *entry = find(l, key);
    if (!entry) {
        (void)fault_locked(l, "message %d/%" PRIu64 " came and was never sent", key.producer,
                           key.seq);
        return NULL;
    }
    ledger_tag(key, tag);
    if (!body_right || !s->tag || strcmp(s->tag, tag) != 0) {
        (void)fault_locked(l, "message %d/%" PRIu64 " came damaged: %zu bytes, tag '%s'",
                           key.producer, key.seq, m->body.len, s->tag ? s->tag : "");
        return NULL;
    }
    uint64_t queue_off = (uint64_t)s->queue_offset;
    if (s->queue_id < 0 || s->queue_id >= LEDGER_QUEUES ||
        (entry->queue_id >= 0 && entry->queue_id != s->queue_id) ||
        ((entry->queue_id >= 0 || entry->is_accepted) && entry->queue_off != queue_off)) {
        (void)fault_locked(l, "message %d/%" PRIu64 " came at %d:%" PRIu64 ", not at %d:%" PRIu64,
                           key.producer, key.seq, s->queue_id, queue_off, entry->queue_id,
                           entry->queue_off);
        return NULL;
    }
    entry->queue_id = s->queue_id;
    entry->queue_off = queue_off;
    return entry;
}

/* Whether what was done at `ms` in an earlier run was saved before that run was killed. */
static bool was_saved(const struct ledger *l, uint64_t ms, uint32_t run)
{
    return ms + LEDGER_MARGIN_MS < l->ends[run].saved_ms;
}

/* An acknowledged message came again. */
static bool check_ack_forgotten(struct ledger *l, struct ledger_key key, struct entry *entry)
{
    if (entry->acked_run == l->run)
        return fault_locked(l, "message %d/%" PRIu64 " came again after its acknowledgement",
                            key.producer, key.seq);
    const struct run_end *end = &l->ends[entry->acked_run];
    if (was_saved(l, entry->acked_ms, entry->acked_run))
        return fault_locked(l,
                            "message %d/%" PRIu64 " came again, acknowledged %" PRIu64
                            " ms before the positions were saved in run %u, now %u",
                            key.producer, key.seq, end->saved_ms - entry->acked_ms,
                            entry->acked_run, l->run);
    uint64_t before_ms = end->killed_ms - entry->acked_ms;
    if (before_ms > l->counts.longest_again_ms)
        l->counts.longest_again_ms = before_ms;
    l->counts.acked_again++;
    entry->acked_ms = 0;
    return true;
}

static bool check_attempt(struct ledger *l, struct ledger_key key, const struct entry *entry,
                          int32_t attempt)
{
    bool is_same_run = entry->attempt > 0 && entry->delivered_run == l->run;
    bool is_known = entry->attempt > 0 &&
                    (is_same_run || was_saved(l, entry->delivered_ms, entry->delivered_run));
    int32_t least = is_known ? entry->attempt + 1 : 1;
    int32_t most = entry->attempt + 1 + (int32_t)(l->run - entry->delivered_run);
    if (attempt >= least && attempt <= most)
        return true;
    return fault_locked(l,
                        "message %d/%" PRIu64 " came as attempt %d, not %d..%d (last %d, %u runs "
                        "ago)",
                        key.producer, key.seq, attempt, least, most, entry->attempt,
                        l->run - entry->delivered_run);
}

static bool check_delivery(struct ledger *l, struct ledger_key key, const V2(Message) *m,
                           bool body_right)
{
    struct entry *entry = check_content(l, m, body_right, key);
    if (!entry)
        return false;
    int32_t attempt = m->system_properties->delivery_attempt;
    bool is_first = entry->attempt == 0 && entry->acked_ms == 0;
    if (entry->acked_ms && !check_ack_forgotten(l, key, entry))
        return false;
    if (!check_attempt(l, key, entry, attempt))
        return false;
    entry->attempt = attempt;
    entry->delivered_run = l->run;
    entry->delivered_ms = now_ms();
    l->counts.delivered++;
    l->counts.again += !is_first;
    return true;
}

bool ledger_delivered(struct ledger *l, const V2(Message) *m, struct ledger_key *ret_key)
{
    struct ledger_key key;
    if (!key_of(m->system_properties->message_id, &key)) {
        ledger_fault(l, "a message came with the id '%.64s'", m->system_properties->message_id);
        return false;
    }
    bool body_right = is_body_right(l, key, m);
    enter(l);
    bool is_fine = check_delivery(l, key, m, body_right);
    leave(l);
    *ret_key = key;
    return is_fine;
}

void ledger_acked(struct ledger *l, struct ledger_key key)
{
    enter(l);
    struct entry *entry = find(l, key);
    entry->acked_ms = now_ms();
    entry->acked_run = l->run;
    l->counts.acked++;
    leave(l);
}

/* ---- all of it ---- */

void ledger_read(struct ledger *l, const V2(Message) *m)
{
    struct ledger_key key;
    if (!key_of(m->system_properties->message_id, &key)) {
        ledger_fault(l, "a message came with the id '%.64s'", m->system_properties->message_id);
        return;
    }
    bool body_right = is_body_right(l, key, m);
    enter(l);
    struct entry *entry = check_content(l, m, body_right, key);
    if (entry && entry->n_read++ > 0)
        (void)fault_locked(l, "message %d/%" PRIu64 " is there twice", key.producer, key.seq);
    if (entry) {
        uint64_t *end = &l->read_end[entry->queue_id];
        l->n_read[entry->queue_id]++;
        *end = entry->queue_off + 1 > *end ? entry->queue_off + 1 : *end;
        l->counts.unanswered_stored += !entry->is_accepted;
    }
    leave(l);
}

static void check_all(struct ledger *l, int producer)
{
    for (uint64_t seq = 0; seq < l->n[producer]; seq++) {
        const struct entry *entry = &l->entries[producer][seq];
        if (entry->is_accepted && entry->n_read == 0)
            (void)fault_locked(l, "message %d/%" PRIu64 " was accepted and is lost", producer, seq);
        if (entry->n_read > 0 && entry->attempt == 0 && entry->acked_ms == 0)
            (void)fault_locked(l, "message %d/%" PRIu64 " never came to the group that acks",
                               producer, seq);
    }
}

void ledger_check_complete(struct ledger *l, const uint64_t ends[LEDGER_QUEUES])
{
    enter(l);
    for (int i = 0; i < LEDGER_PRODUCERS; i++)
        check_all(l, i);
    for (int i = 0; i < LEDGER_QUEUES; i++)
        if (l->n_read[i] != ends[i] || l->read_end[i] != ends[i])
            (void)fault_locked(l,
                               "queue %d ends at %" PRIu64 ", but %" PRIu64
                               " messages up to %" PRIu64 " were read",
                               i, ends[i], l->n_read[i], l->read_end[i]);
    leave(l);
}

/* ---- crashes ---- */

void ledger_crashed(struct ledger *l, uint64_t saved_ms)
{
    enter(l);
    struct run_end *ends = realloc(l->ends, (l->run + 1) * sizeof ends[0]);
    if (!ends)
        abort(); /* see grow */
    l->ends = ends;
    l->ends[l->run++] = (struct run_end){.saved_ms = saved_ms, .killed_ms = now_ms()};
    leave(l);
}

static uint64_t accepted_bytes(const struct ledger *l, int producer)
{
    char body[LEDGER_BODY_MAX];
    uint64_t bytes = 0;
    for (uint64_t seq = 0; seq < l->n[producer]; seq++)
        if (l->entries[producer][seq].is_accepted)
            bytes += ledger_body(l, (struct ledger_key){producer, seq}, body);
    return bytes;
}

void ledger_counts(struct ledger *l, struct ledger_counts *ret)
{
    enter(l);
    *ret = l->counts;
    for (int i = 0; i < LEDGER_PRODUCERS; i++)
        ret->body_bytes += accepted_bytes(l, i);
    leave(l);
}

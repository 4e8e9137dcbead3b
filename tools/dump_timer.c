/* Shows RocketMQ's timer: its log, its wheel, and how far it came. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/quiet_file.h"
#include "tools/dump.h"
#include "tools/dump_record.h"
#include "tools/hex.h"
#include "tools/json_line.h"
#include "tools/timer_format.h"

enum {
    PIECE_SLOTS = 2048,
    FILE_BYTES_MAX = 1 << 30,  /* RocketMQ's logs have 100 MiB */
    WHEEL_PRECISION_MS = 1000, /* timerPrecisionMs' default; slots hold time divided by it */
};

/* ---- the log ---- */

struct timer_listing {
    struct dump *d;
    const char *path;
    uint64_t start; /* position of the file */
};

static int record_json(const struct timer_record *rec, uint64_t pos, struct err *e)
{
    return json_line(json_pack("{s:I, s:I, s:I, s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "position",
                               (json_int_t)pos, "previous", (json_int_t)rec->prev, "magic",
                               (json_int_t)rec->magic, "roll", (rec->magic & TIMER_ROLL) != 0,
                               "delete", (rec->magic & TIMER_DELETE) != 0, "writeTimestamp",
                               (json_int_t)rec->written_ms, "slotTimestamp",
                               (json_int_t)(rec->written_ms + rec->delay_ms), "physicalOffset",
                               (json_int_t)rec->log_off, "storeSize", (json_int_t)rec->size,
                               "topicHash", (json_int_t)rec->topic_hash),
                     e);
}

static void record_text(const struct timer_record *rec, uint64_t pos)
{
    char slot[DUMP_TIME_BYTES];
    dump_put_time(slot, (uint64_t)(rec->written_ms + rec->delay_ms));
    printf("%12" PRIu64 "  due %s  record at %" PRId64 ", %" PRId32 " bytes%s%s", pos, slot,
           rec->log_off, rec->size, rec->magic & TIMER_ROLL ? ", goes around again" : "",
           rec->magic & TIMER_DELETE ? ", recalls a message" : "");
    if (rec->prev >= 0)
        printf(", before it %" PRId64, rec->prev);
    putchar('\n');
}

static bool is_wanted(const struct dump_filter *f, const struct timer_record *rec)
{
    uint64_t log_off = (uint64_t)rec->log_off;
    return log_off >= f->log.from && log_off < f->log.to;
}

static int show_record(struct timer_listing *l, struct span bytes, uint64_t pos,
                       const struct timer_record *rec, struct err *e)
{
    if (!is_wanted(&l->d->filter, rec))
        return 0;
    l->d->limit--;
    if (l->d->format == DUMP_JSON)
        return record_json(rec, pos, e);
    record_text(rec, pos);
    if (l->d->format == DUMP_HEX)
        hex_print(span_of(bytes.ptr, TIMER_RECORD_BYTES), pos);
    return 0;
}

/* Where the damage that begins at `at` ends: at the next place, by the length of records, where a
 * whole one is, or at the end of the file. */
static size_t pass_damage(struct span bytes, size_t at)
{
    struct timer_record rec;
    size_t i = at + TIMER_RECORD_BYTES;
    while (i < bytes.len &&
           timer_record_decode(span_of(bytes.ptr + i, bytes.len - i), &rec) != TIMER_RECORD)
        i += TIMER_RECORD_BYTES;
    return i < bytes.len ? i : bytes.len;
}

static int show_log_bytes(struct timer_listing *l, struct span bytes, struct err *e)
{
    for (size_t at = 0; at < bytes.len && dump_goes_on(l->d);) {
        struct span rest = span_of(bytes.ptr + at, bytes.len - at);
        struct timer_record rec;
        switch (timer_record_decode(rest, &rec)) {
        case TIMER_RECORD: {
            int rc = show_record(l, rest, l->start + at, &rec, e);
            if (rc < 0)
                return rc;
            at += TIMER_RECORD_BYTES;
            break;
        }
        case TIMER_FILLER:
        case TIMER_EMPTY:
            return 0;
        case TIMER_BAD: {
            size_t end = pass_damage(bytes, at);
            dump_finding(l->d, "%12" PRIu64 "  DAMAGED, %zu bytes passed over in '%s'",
                         l->start + at, end - at, l->path);
            at = end;
            break;
        }
        }
    }
    return 0;
}

static int show_log_file(struct dump *d, const char *path, struct err *e)
{
    struct timer_listing l = {.d = d, .path = path};
    const char *slash = strrchr(path, '/');
    uint8_t *buf;
    size_t len;
    (void)store_parse_name(slash ? slash + 1 : path, &l.start);
    int rc = quiet_read_whole(d->io, path, FILE_BYTES_MAX, &buf, &len, e);
    if (rc < 0)
        return rc;
    rc = show_log_bytes(&l, span_of(buf, len), e);
    free(buf);
    return rc;
}

int dump_timer_log(struct dump *d, struct err *e)
{
    struct stat st;
    struct dirent **names;
    if (stat(d->path, &st) == 0 && !S_ISDIR(st.st_mode))
        return show_log_file(d, d->path, e);
    int n = scandir(d->path, &names, NULL, alphasort), rc = 0;
    if (n < 0)
        return err_sys(e, errno, "open folder '%s'", d->path);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        uint64_t start;
        bool is_file = store_parse_name(names[i]->d_name, &start);
        int len = snprintf(path, sizeof path, "%s/%s", d->path, names[i]->d_name);
        if (rc == 0 && is_file && len > 0 && (size_t)len < sizeof path && dump_goes_on(d))
            rc = show_log_file(d, path, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

/* ---- the wheel ---- */

static int show_slot(struct dump *d, const uint8_t *bytes, uint64_t i, struct err *e)
{
    struct timer_slot slot;
    char due[DUMP_TIME_BYTES];
    if (!timer_slot_decode(bytes, &slot))
        return 0;
    if (slot.unit < 0 || slot.unit > INT64_MAX / WHEEL_PRECISION_MS || slot.first > slot.last ||
        slot.last < -1) {
        dump_finding(d,
                     "%12" PRIu64 "  DAMAGED: a slot with time %" PRId64
                     " and log positions %" PRId64 " to %" PRId64,
                     i, slot.unit, slot.first, slot.last);
        return 0;
    }
    d->limit--;
    if (d->format == DUMP_JSON)
        return json_line(json_pack("{s:I, s:I, s:I, s:I, s:I}", "slot", (json_int_t)i, "timestamp",
                                   (json_int_t)(slot.unit * WHEEL_PRECISION_MS), "first",
                                   (json_int_t)slot.first, "last", (json_int_t)slot.last,
                                   "messages", (json_int_t)slot.n),
                         e);
    dump_put_time(due, (uint64_t)slot.unit * WHEEL_PRECISION_MS);
    printf("%12" PRIu64 "  due %s  %" PRId32 " messages, log %" PRId64 " to %" PRId64 "\n", i, due,
           slot.n, slot.first, slot.last);
    if (d->format == DUMP_HEX)
        hex_print(span_of(bytes, TIMER_SLOT_BYTES), i * TIMER_SLOT_BYTES);
    return 0;
}

int dump_timer_wheel(struct dump *d, struct err *e)
{
    static uint8_t piece[PIECE_SLOTS * TIMER_SLOT_BYTES];
    struct quiet_file f;
    int rc = quiet_open(&f, d->io, d->path, e);
    if (rc < 0)
        return rc;
    if (f.bytes % TIMER_SLOT_BYTES != 0)
        dump_finding(d, "DAMAGED: '%s' ends within a slot", d->path);
    for (uint64_t off = 0; rc == 0 && off < f.bytes && dump_goes_on(d);) {
        size_t n = 0;
        rc = quiet_read(&f, off, piece, sizeof piece, &n, e);
        for (size_t i = 0; rc == 0 && i + TIMER_SLOT_BYTES <= n && dump_goes_on(d);
             i += TIMER_SLOT_BYTES)
            rc = show_slot(d, piece + i, (off + i) / TIMER_SLOT_BYTES, e);
        off += n > 0 ? n : f.bytes;
    }
    quiet_close(&f);
    return rc < 0 ? err_wrap(e, "dump '%s'", d->path) : 0;
}

/* ---- how far it came ---- */

int dump_timer_check(struct dump *d, const char *path, struct err *e)
{
    struct timer_progress p;
    uint8_t *buf;
    size_t len;
    int rc = quiet_read_whole(d->io, path, FILE_BYTES_MAX, &buf, &len, e);
    if (rc < 0)
        return rc;
    if (!timer_progress_decode(span_of(buf, len), &p)) {
        dump_finding(d, "DAMAGED: '%s' has %zu bytes, at least %d are needed", path, len,
                     TIMER_CHECK_BYTES);
    } else if (d->format == DUMP_JSON) {
        rc = json_line(json_pack("{s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}", "lastReadTimeMs",
                                 (json_int_t)p.read_ms, "lastTimerLogFlushPos",
                                 (json_int_t)p.log_flushed, "lastTimerQueueOffset",
                                 (json_int_t)p.queue_off, "masterTimerQueueOffset",
                                 (json_int_t)p.master_queue_off, "dataVersion", "stateVersion",
                                 (json_int_t)p.version_state, "timestamp", (json_int_t)p.version_ms,
                                 "counter", (json_int_t)p.version_counter),
                       e);
    } else {
        char read_at[DUMP_TIME_BYTES];
        dump_put_time(read_at, (uint64_t)p.read_ms);
        printf("timer: delivered until %s, its log flushed to %" PRId64 ",\n"
               "       its queue read to %" PRId64 ", by the master to %" PRId64 "\n",
               read_at, p.log_flushed, p.queue_off, p.master_queue_off);
        if (d->format == DUMP_HEX)
            hex_print(span_of(buf, len), 0);
    }
    free(buf);
    return rc;
}

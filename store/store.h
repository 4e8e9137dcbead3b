/* The store: durable records in a mapped commit log, and the consume queues that point into it.
 * The only header of store/ that other folders include. Formats: rocketmq-store 1-5 and 17; the
 * page docs/disk-format.md is written from store/format.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"

struct store;
struct store_pin; /* keeps one mapped file mapped; see store_unpin */
struct store_walk;

/* ---- records ---- */

/* An IPv4 (4 bytes) or IPv6 (16 bytes) address and a port. */
struct store_host {
    uint8_t addr[16];
    uint8_t addr_len; /* 4 or 16 */
    uint32_t port;
};

enum {
    STORE_SYSFLAG_COMPRESSED = 0x1,
    STORE_SYSFLAG_TRANSACTION_MASK = 0xc, /* 0 none, 4 prepared, 8 commit, 0xc rollback */
    STORE_SYSFLAG_PREPARED = 0x4,
    STORE_SYSFLAG_ROLLBACK = 0xc,
    STORE_SYSFLAG_BORN_V6 = 0x10,
    STORE_SYSFLAG_STORE_V6 = 0x20,
};

/* One decoded record. The spans point into the bytes it was decoded from: a pinned mapping or a
 * caller's buffer. Field meanings: rocketmq-store 2.1. */
struct store_record {
    uint64_t log_off;  /* byte in the commit log, as stored in the record */
    uint32_t size;     /* whole record */
    uint32_t magic;    /* STORE_MAGIC_V1 or _V2 */
    uint32_t body_crc; /* as stored: 31 bits */
    int32_t queue_id;
    int32_t flag;
    uint64_t queue_off; /* entry number in the consume queue */
    int32_t sys_flag;
    uint64_t born_ms;
    struct store_host born_host;
    uint64_t store_ms;
    struct store_host store_host;
    int32_t reconsume_times;
    int64_t prepared_off;
    struct span body;
    struct span topic;      /* UTF-8 */
    struct span properties; /* name U+0001 value U+0002, repeated */
    struct span raw;        /* the whole record */
};

#define STORE_MAGIC_V1 0xdaa320a7u
#define STORE_MAGIC_V2 0xdaa320abu
#define STORE_MAGIC_BLANK 0xcbd43194u

/* Steps through properties: `*rest` starts as the whole text and shrinks. False at the end. Pieces
 * that are not `name U+0001 value` with both parts non-empty are passed over (rocketmq-store 2.3).
 */
bool store_property_next(struct span *rest, struct span *ret_name, struct span *ret_value);

/* Whether the property is there; the first of that name counts. */
bool store_property_get(struct span properties, const char *name, struct span *ret_value);

/* The tag code of a record's consume-queue entry: jhash of TAGS, sign-extended, 0 without; for a
 * delayed record of the schedule topic the time of its delivery (rocketmq-store 2.11). */
int64_t store_tag_code(const struct store_record *rec);

/* Whether the record gets a consume-queue entry: prepared and rolled back halves do not. */
bool store_is_queued(const struct store_record *rec);

/* Whether the body's CRC-32 agrees with the stored 31 bits (an empty body stores 0). `ret_crc`
 * (may be NULL) receives all 32 bits, computed in the same pass. */
bool store_body_check(const struct store_record *rec, uint32_t *ret_crc);

/* ---- opening ---- */

/* A record entered its consume queue and can be read. Spans are valid during the call. */
struct store_arrival {
    struct span topic;
    int32_t queue_id;
    uint64_t queue_off;
    int64_t tag_code;
};

/* When a record is acknowledged (docs/durability.md). */
enum store_flush {
    STORE_FLUSH_ASYNC, /* once it survives the process */
    STORE_FLUSH_SYNC,  /* once it is on disk */
};

/* Appends wait for the disk once this many times `flush_bytes` are unflushed. */
enum { STORE_BEHIND_MAX = 8 };

/* A topic that was deleted: records of its name below `below_log_off` are in no queue. */
struct store_deleted {
    const char *topic;
    uint64_t below_log_off; /* UINT64_MAX: all of them */
};

/* How far a recovery has come. */
struct store_progress {
    uint64_t done_bytes, total_bytes; /* of the log; the end of the last file may hold nothing */
    uint64_t elapsed_ms;
    uint64_t left_ms; /* at the rate so far */
};

/* When the oldest files of the log go, with the queue entries and keys that point at them. The last
 * file never does. All zero: nothing ever goes. */
struct store_retention {
    bool is_on;
    uint64_t keep_ms;       /* fileReservedTime: since the file changed last */
    uint32_t hours;         /* deleteWhen: bit h stands for hour h of the local day */
    unsigned used_percent;  /* diskMaxUsedSpaceRatio: from here on at any hour; 0: never */
    unsigned force_percent; /* diskSpaceCleanForciblyRatio: and whatever their age; 0: never */
    uint32_t interval_ms;   /* cleanResourceInterval, 10,000 */
};

/* What was removed, oldest first: files of the log with [from_log_off, upto_log_off). */
struct store_expired {
    uint64_t from_log_off, upto_log_off;
    unsigned n_files;
    bool was_forced;     /* for want of space, and not of age */
    const char *failure; /* why no more was, valid during the call; NULL: nothing went wrong */
};

/* All zero means all defaults, but for `root`. Option names in comments are RocketMQ's. */
struct store_options {
    const char *root;               /* storePathRootDir; made when absent */
    uint64_t file_bytes;            /* mappedFileSizeCommitLog, 1 GiB; a multiple of 4096 */
    uint64_t queue_file_bytes;      /* mappedFileSizeConsumeQueue, 6,000,000; rounded up to 20 */
    uint32_t max_message_bytes;     /* maxMessageSize, 4 MiB: bound of a body */
    enum store_flush flush;         /* flushDiskType */
    uint32_t flush_interval_ms;     /* flushIntervalCommitLog, 500 */
    uint64_t flush_bytes;           /* unflushed: flushed before the interval, 64 MiB */
    uint64_t populate_window_bytes; /* populated ahead of the writer at most, 64 MiB */
    uint64_t mapped_budget_bytes;   /* cold commit-log files beyond it are unmapped; 0: no limit */
    uint64_t resident_budget_bytes; /* of this process's memory; 0: no limit (docs/memory.md) */
    uint32_t index_slots;           /* maxHashSlotNum, 5,000,000 */
    uint32_t index_items;           /* maxIndexNum, 20,000,000 */
    bool without_index;             /* messageIndexEnable=false: no key is found later */
    struct store_host host;         /* store host of new records; zero: 127.0.0.1:0 */
    /* Topics with RocketMQ's batch queues, beside those of which it has some on disk: such queues
     * are left alone. NULL at the end; may be NULL. */
    const char *const *batch_topics;
    /* What recovery leaves out when it builds queues again. Read by store_open only. */
    const struct store_deleted *deleted;
    size_t n_deleted;
    /* Called by the dispatcher with no lock of the store held that an append or read needs; it must
     * be short and must not call back into the store but to read. May be NULL. */
    void (*on_arrival)(void *arg, const struct store_arrival *a);
    void *arrival_arg;
    struct store_retention retention;
    /* Called after files of the log were removed, or could not be, by the thread that does it. It
     * must be short. May be NULL. */
    void (*on_expired)(void *arg, const struct store_expired *x);
    void *expired_arg;
    /* Called by store_open about once a second while a recovery takes that long. May be NULL. */
    void (*on_recovery)(void *arg, const struct store_progress *p);
    void *recovery_arg;
};

/* What recovery found; printed by the broker at start. */
struct store_recovery {
    bool is_new;            /* there was no store: no abort file and no log */
    bool was_clean;         /* no abort file */
    uint64_t scanned_bytes; /* of the commit log */
    uint64_t n_records;     /* walked */
    uint64_t n_damaged;     /* places passed over because a check failed */
    uint64_t damaged_bytes;
    uint64_t n_requeued; /* consume-queue entries written again */
    uint64_t cut_bytes;  /* behind the last whole record, now free again */
    uint64_t elapsed_ms;
};

/* Opens or makes the store under opt->root, recovers it, and starts its background threads.
 * ERR_BUSY: another process has it. ERR_CORRUPT: a file has a wrong length or name (names it).
 * ERR_NOSPACE: the first commit-log file cannot be allocated. On failure nothing is left running.
 * `opt` and the strings in it need not outlive the call. */
int store_open(struct store **ret_store, const struct store_options *opt, struct io *io,
               struct err *e) MUST_CHECK;

/* Drains, flushes, writes the checkpoint, removes the abort file. NULL is fine. The store is gone
 * whatever is returned; an error says that it was not closed cleanly. No append or read may be
 * running, and every pin must have been dropped. */
int store_close(struct store *s, struct err *e);

void store_recovery_report(const struct store *s, struct store_recovery *ret);

/* ---- append ---- */

/* A message to be stored. Nothing is kept after the call. */
struct store_message {
    struct span topic; /* UTF-8, 1..255 bytes */
    int32_t queue_id;  /* >= 0 */
    int32_t flag;
    int32_t sys_flag; /* address family bits are set by the store */
    uint64_t born_ms;
    struct store_host born_host;
    int32_t reconsume_times;
    int64_t prepared_off;
    struct span properties;  /* encoded text, at most 32,767 bytes */
    const struct span *body; /* pieces; none is copied on its way to mapping or disk */
    size_t n_body;
    /* the caller calls store_dispatch soon: the dispatcher is woken only if the append waits */
    bool defers_dispatch;
};

struct store_appended {
    uint64_t log_off;
    uint32_t size;
    uint64_t queue_off;
    uint64_t store_ms; /* by the kernel's clock as of its last tick, up to 10 ms ago */
};

/* Appends one record; returns when it is acknowledged: published with async flush, on disk with
 * sync flush. ERR_TOOBIG: body, topic, properties or record over its limit. ERR_NOSPACE: no file
 * could be made ready. ERR_FAILED: a write or sync failed earlier. ERR_CLOSED. On error nothing was
 * written, but for ERR_UNKNOWN: the write or sync of this record failed, and only reopening the
 * store tells whether it is there.
 * Thread: any. Locks: takes LOCK_APPEND. */
int store_append(struct store *s, const struct store_message *m, struct store_appended *ret,
                 struct err *e) MUST_CHECK;

/* Records submitted together and acknowledged together: once all of them are. Embedded in the
 * caller's memory; all zero but for the first two before the first submit. */
struct store_ticket {
    /* Called once if store_settle said STORE_LATER, from a thread of the store that holds no lock;
     * it must be short. `failure` NULL: all is acknowledged; else as store_append's error. The
     * ticket is the caller's again. */
    void (*on_settled)(void *arg, const struct err *failure);
    void *arg;
    /* the store's */
    uint64_t end; /* of the last record submitted with it; 0: none, or async flush */
    struct store_ticket *next;
    bool has_failed;
};

/* As store_append, but with sync flush it does not wait for the disk: what `m->body` points to must
 * stay there until the ticket is settled, and it must be settled. Thread: any, one at a time for a
 * ticket. */
int store_submit(struct store *s, const struct store_message *m, struct store_ticket *t,
                 struct store_appended *ret, struct err *e) MUST_CHECK;

enum store_settled {
    STORE_NOW,   /* all is acknowledged; on_settled is not called */
    STORE_LATER, /* on_settled is called, perhaps before this returns */
};

/* Whether anything submitted with it has to wait for the disk; if not, it need not be settled. */
static inline bool store_ticket_waits(const struct store_ticket *t)
{
    return t->end > 0;
}

/* Asks to be told when everything submitted with the ticket is acknowledged. ERR_UNKNOWN: it will
 * not be; on_settled is not called then. */
int store_settle(struct store *s, struct store_ticket *t, enum store_settled *ret,
                 struct err *e) MUST_CHECK;

/* Brings what was appended with defers_dispatch into the consume queues on this thread, where that
 * waits for nothing; the dispatcher does the rest. It may call on_arrival. Thread: any. Locks:
 * takes LOCK_ROLE if it is free, and what on_arrival takes. */
void store_dispatch(struct store *s);

/* ---- reading ---- */

/* A record in the mapping and the pin that keeps it there. */
struct store_slice {
    struct store_record rec;
    struct store_pin *pin;
};

/* Drops a pin. Thread: any (a gRPC thread too); never blocks, never unmaps (I3). NULL is fine. */
void store_unpin(struct store_pin *pin);

/* Another pin on the same file: each is dropped on its own. */
struct store_pin *store_pin_again(struct store_pin *pin);

/* "Does this match?", asked twice: of the tag's code in the consume-queue entry, which the store
 * looks for by itself, then of the record in the mapping. */
struct store_match {
    /* Codes that may match, ascending, of which the low 32 bits are compared; NULL: all may. */
    const int32_t *tag_codes;
    size_t n_tag_codes;
    bool (*record)(void *arg, const struct store_record *rec); /* NULL: what is left matches */
    void *arg;
};

struct store_scan {
    struct span topic;
    int32_t queue_id;
    uint64_t from_queue_off;
    size_t max_messages;  /* slots in the caller's array */
    uint64_t max_bytes;   /* of whole records; the first match is always taken */
    uint64_t max_entries; /* consume-queue entries looked at before STORE_SCAN_MORE */
    struct store_match match;
};

enum store_scan_end {
    STORE_SCAN_FULL,     /* max_messages or max_bytes reached */
    STORE_SCAN_MORE,     /* max_entries looked at; go on from next_queue_off */
    STORE_SCAN_TAIL,     /* nothing behind next_queue_off yet */
    STORE_SCAN_NO_QUEUE, /* nothing was ever stored there */
};

struct store_scanned {
    enum store_scan_end end;
    size_t n; /* slices filled; each pin is the caller's to drop */
    uint64_t
        next_queue_off; /* first entry not looked at; >= from_queue_off, raised to the minimum */
    uint64_t n_passed;  /* entries that did not match */
    uint64_t n_damaged; /* entries whose record failed its check: never delivered (counted) */
};

/* Scans one consume queue for matching records. A from_queue_off below the minimum starts at the
 * minimum, above the maximum yields STORE_SCAN_TAIL with next_queue_off = from_queue_off. Header
 * and lengths of each hit are checked, its body CRC is not: store_body_check does it on the way
 * out. Thread: any. Locks: takes LOCK_QUEUES, LOCK_QUEUE, LOCK_FILES, each briefly. */
int store_scan(struct store *s, const struct store_scan *scan, struct store_slice *slices,
               struct store_scanned *ret, struct err *e) MUST_CHECK;

/* The record of one consume-queue entry. ERR_NOTFOUND: no such queue or entry, or the record is
 * gone; ERR_CORRUPT: it fails its check. */
int store_get(struct store *s, struct span topic, int32_t queue_id, uint64_t queue_off,
              struct store_slice *ret, struct err *e) MUST_CHECK;

/* First and one-past-last entry numbers; both 0 for a queue that does not exist. */
void store_queue_bounds(struct store *s, struct span topic, int32_t queue_id, uint64_t *ret_min,
                        uint64_t *ret_max);

/* One consume queue; the span is valid during the call. Non-zero stops. */
typedef int (*store_queue_fn)(void *arg, struct span topic, int32_t queue_id, struct err *e);

/* Every consume queue there is, in no order; stops when `fn` returns non-zero, returning that. The
 * function may read the store. ERR_NOMEM. */
int store_each_queue(struct store *s, store_queue_fn fn, void *arg, struct err *e) MUST_CHECK;

/* The first entry stored at or after `ms`; the maximum when there is none. */
int store_queue_off_by_time(struct store *s, struct span topic, int32_t queue_id, uint64_t ms,
                            uint64_t *ret_queue_off, struct err *e) MUST_CHECK;

/* Deletes the consume queues of a topic (its records stay in the log until they expire). Records of
 * its name below `*ret_below_log_off` are out of reach: a later store_open is to be told so, or it
 * may put them into queues again. */
int store_drop_topic(struct store *s, struct span topic, uint64_t *ret_below_log_off,
                     struct err *e) MUST_CHECK;

/* ---- statistics ---- */

/* Positions are bytes in the commit log: I1 checkpoint <= flushed <= published <= reserved <=
 * populated <= allocated. */
struct store_stats {
    uint64_t log_min, checkpoint, flushed, published, reserved, populated, allocated;
    uint64_t dispatched; /* consume queues hold every record below it */
    uint64_t indexed;    /* the key index holds every record below it; 0 without one */
    uint64_t n_files, n_mapped_files, mapped_bytes;
    uint64_t n_queues;
    uint64_t n_pins; /* held now; by a scan that goes on up to 33 for hits to come */
    uint64_t n_appended, appended_bytes;
    uint64_t n_flushes, flushed_bytes; /* of log and queues, by either engine */
    /* sync flush only */
    uint64_t n_groups, n_grouped; /* writes with a sync each; records in them */
    uint64_t max_grouped;         /* records in the largest group */
    uint64_t written_bytes;       /* of groups; with fillers */
    uint64_t n_unmapped;          /* cold files unmapped so far */
    uint64_t n_relaxed;           /* cold parts of files whose pages were given back */
    uint64_t n_forgotten;         /* of these: read from disk, dropped from the page cache too */
    uint64_t n_expired;           /* files of the log removed by the rules of retention */
    uint64_t lead_bytes;          /* populated ahead of the writer; 0 with sync flush */
    uint64_t lead_ms;             /* until it is used up at the rate of now; 0: no appends */
    uint64_t n_append_waits;      /* appends that waited for room or for the disk: stalls */
    uint64_t n_damaged;           /* records refused when read */
    uint64_t n_bad_files;         /* files with a read fault answered by a zero page (I4) */
    uint64_t n_index_dropped;     /* damaged files of the key index that were removed */
    bool index_failed;            /* the key index cannot be written until reopened */
    bool failed;                  /* a sync failed: no append until reopened */
};

void store_stats(struct store *s, struct store_stats *ret);

/* What a page fault is met for. */
enum store_path {
    STORE_PATH_APPEND,
    STORE_PATH_READ,
    STORE_PATH_DISPATCH,
    STORE_PATH_INDEX,
    STORE_PATH_POPULATE, /* pages and files made ready ahead of the writer */
    STORE_PATH_FLUSH,
    STORE_PATH_RECLAIM,
    STORE_PATH_RECOVERY, /* opening the store */
    STORE_N_PATHS,
};

const char *store_path_name(enum store_path path);

struct store_path_faults {
    uint64_t minor, major; /* since the store was opened */
    /* batches on threads that are not the store's, and those of them that were looked at, from
     * which the others are extrapolated; equal: the numbers are the kernel's own */
    uint64_t n_batches, n_sampled;
};

/* Page faults by path. ERR_UNSUPPORTED when /proc does not tell. */
int store_faults(struct store *s, struct store_path_faults ret[STORE_N_PATHS],
                 struct err *e) MUST_CHECK;

/* Page faults of one thread. */
struct store_fault_mark {
    uint64_t minor, major;
};

/* Appends or reads done together on one thread. */
struct store_batch {
    enum store_path path;
    bool is_sampled;
    struct store_fault_mark mark;
};

/* Around a batch: its page faults count for `path`. Costs a look at the clock, and for one batch in
 * 10 ms two system calls. Batches of one path do not nest. Thread: any, the same for both. */
void store_batch_begin(struct store *s, enum store_path path, struct store_batch *ret);
void store_batch_end(struct store *s, const struct store_batch *b);

/* What of a stretch of a file is in memory. */
struct store_residency {
    uint64_t resident_bytes; /* in the page cache, whole pages */
    uint64_t dirty_bytes; /* of those, not yet on the disk; UINT64_MAX: the kernel does not tell */
};

/* Of `len` bytes from `off`, a multiple of 4096, of an open file. Asks with cachestat, before Linux
 * 6.5 with mincore. */
int store_residency(int fd, uint64_t off, uint64_t len, struct store_residency *ret,
                    struct err *e) MUST_CHECK;

/* Durations since the store was opened, in buckets of which each is an eighth of its beginning wide
 * at most. */
enum { STORE_TIMING_SHIFT = 3, STORE_TIMING_BUCKETS = (64 - STORE_TIMING_SHIFT + 1) << 3 };

struct store_timing {
    uint64_t counts[STORE_TIMING_BUCKETS];
};

struct store_timings {
    struct store_timing syncs;  /* of the log: each msync, or each group's write and sync */
    struct store_timing stalls; /* of appends: n_append_waits in store_stats */
};

/* The longest duration that a bucket counts. */
uint64_t store_timing_end_ns(size_t bucket);

void store_timings(struct store *s, struct store_timings *ret);

/* One file on disk and what it costs in memory. */
struct store_file_info {
    char path[512];          /* relative to the store root */
    uint64_t bytes;          /* length of the file */
    uint64_t mapped_bytes;   /* mapped by this process (0 when read from outside) */
    uint64_t resident_bytes; /* in the page cache */
    uint64_t dirty_bytes;    /* in the page cache and not yet written; UINT64_MAX: unknown */
    uint64_t locked_bytes;
    uint64_t n_pins;
};

typedef int (*store_file_fn)(void *arg, const struct store_file_info *info);

/* Every file of an open store, in path order; stops when `fn` returns non-zero, returning that. */
int store_each_file(struct store *s, store_file_fn fn, void *arg, struct err *e) MUST_CHECK;

/* The same for a store that is not ours: read-only, live or not. */
int store_each_file_at(const char *root, store_file_fn fn, void *arg, struct io *io,
                       struct err *e) MUST_CHECK;

/* What this process costs, as the kernel counts it. */
struct store_memory {
    uint64_t rss_anon_bytes, rss_file_bytes, rss_shmem_bytes; /* resident, by what backs it */
    uint64_t page_table_bytes;
    uint64_t locked_bytes;
    uint64_t minor_faults, major_faults; /* since the process began */
};

/* ERR_UNSUPPORTED when /proc does not tell. */
int store_memory(struct store_memory *ret, struct err *e) MUST_CHECK;

/* ---- looking at files from outside: read-only, live or damaged ones too ---- */

enum store_walk_kind {
    STORE_WALK_RECORD,
    STORE_WALK_FILLER, /* the blank end of a file */
    STORE_WALK_DAMAGE, /* bytes passed over: `why` says what failed */
    STORE_WALK_END,    /* behind the last record of all files: zeros or the end of the file */
};

struct store_walk_item {
    enum store_walk_kind kind;
    uint64_t log_off; /* of its first byte */
    uint64_t len;
    struct store_record rec; /* RECORD only; spans valid until the next call */
    bool body_ok;            /* RECORD only: the body's CRC agrees */
    char why[ERR_MSG_BYTES]; /* DAMAGE only */
};

/* Opens a commit-log file, a commitlog folder or a store root. `file_bytes` 0: taken from the
 * files. Files are read with pread in pieces, never mapped, so a file cut meanwhile is an error
 * and not a fault, and leave no trace in the page cache. The position of a lone file is its name,
 * or else what its first record says. ERR_NOTFOUND; ERR_UNSUPPORTED: it is none of the three. */
int store_walk_open(struct store_walk **ret_walk, const char *path, uint64_t file_bytes,
                    struct io *io, struct err *e) MUST_CHECK;

/* The next item in physical order; items adjoin. END repeats: nothing but zeros lies behind it, as
 * far as was written when it was reached. */
int store_walk_next(struct store_walk *w, struct store_walk_item *ret, struct err *e) MUST_CHECK;

void store_walk_close(struct store_walk *w); /* NULL is fine */

/* Goes on at the start of the file that holds `log_off`, or of the first or last file. */
int store_walk_seek(struct store_walk *w, uint64_t log_off, struct err *e) MUST_CHECK;

/* Looks at one position: RECORD when one begins exactly there, else DAMAGE of no length. The walk
 * is somewhere else afterwards: seek before going on. */
int store_walk_look(struct store_walk *w, uint64_t log_off, struct store_walk_item *ret,
                    struct err *e) MUST_CHECK;

/* Where the files begin and end (not the records), and how long a file should be. All 0: there is
 * none. */
struct store_walk_bounds {
    uint64_t begin, end, file_bytes;
};

void store_walk_bounds(const struct store_walk *w, struct store_walk_bounds *ret);

/* ---- finding messages: read-only, in a store that is open, live or cold ---- */

struct store_find;

/* `root` is a store's folder; `index_slots` its maxHashSlotNum, 0: the default. Everything is read
 * with pread, a few pages for each record. ERR_NOTFOUND; ERR_UNSUPPORTED: it is no store. */
int store_find_open(struct store_find **ret_find, const char *root, uint32_t index_slots,
                    struct io *io, struct err *e) MUST_CHECK;

void store_find_close(struct store_find *f); /* NULL is fine */

enum store_find_by {
    STORE_FIND_BY_KEY,        /* a word of KEYS */
    STORE_FIND_BY_UNIQUE_KEY, /* UNIQ_KEY: the client's message id */
    STORE_FIND_BY_ID,         /* of RocketMQ, see store_parse_id, or else a unique key */
};

struct store_query {
    struct span topic; /* may be empty by id: then only a position is looked at */
    enum store_find_by by;
    struct span key;
    uint64_t begin_ms, end_ms; /* store times, both inclusive; end_ms 0: no end */
    uint64_t below_log_off;    /* only records before it, to go on from; 0: all */
    uint64_t max_items;        /* items of the index looked at; 0: a million */
};

enum store_query_end {
    STORE_QUERY_ALL,     /* there is no more */
    STORE_QUERY_STOPPED, /* the function said so */
    STORE_QUERY_LIMIT,   /* max_items were looked at */
};

/* A record that was found: spans are valid during the call. Non-zero stops. */
typedef int (*store_found_fn)(void *arg, const struct store_walk_item *item);

/* Finds the records that have a key, newest first. The index only proposes: topic, key, time and
 * lengths are checked in the record itself, so two keys of the same hash are never mixed up;
 * whether the body is whole is in item->body_ok. A record is found once it is indexed, which
 * follows its storing (struct store_stats). Thread: one at a time. */
int store_query(struct store_find *f, const struct store_query *q, store_found_fn fn, void *arg,
                enum store_query_end *ret_end, struct err *e) MUST_CHECK;

/* The record at a position. ERR_NOTFOUND: none is there. Thread: as above. */
int store_find_at(struct store_find *f, uint64_t log_off, struct store_walk_item *ret,
                  struct err *e) MUST_CHECK;

/* Takes a record's bytes apart that came from elsewhere. ERR_CORRUPT: they are no record. */
int store_item_decode(struct span record, struct store_walk_item *ret, struct err *e) MUST_CHECK;

/* RocketMQ's message id made of where a message is: store host and position in hex. False when
 * `text` is none. */
bool store_parse_id(struct span text, struct store_host *ret_host, uint64_t *ret_log_off);

/* Whether a name is that of a file of a log or queue: 20 digits; `*ret_start` is what it says, the
 * position of its first byte. */
bool store_parse_name(const char *name, uint64_t *ret_start);

enum { STORE_QUEUE_ENTRY_BYTES = 20, STORE_CHECKPOINT_BYTES = 4096 };

/* One 20-byte consume-queue entry (rocketmq-store 3.1). */
struct store_queue_entry {
    uint64_t log_off;
    uint32_t size;
    int64_t tag_code;
};

/* False when the entry is empty (the end of a queue) or a negative offset or size is in it. */
bool store_queue_entry_decode(const uint8_t bytes[STORE_QUEUE_ENTRY_BYTES],
                              struct store_queue_entry *ret);

enum {
    STORE_INDEX_HEADER_BYTES = 40,
    STORE_INDEX_SLOT_BYTES = 4,
    STORE_INDEX_ITEM_BYTES = 20,
    STORE_INDEX_SLOTS = 5000000,  /* maxHashSlotNum's default */
    STORE_INDEX_ITEMS = 20000000, /* maxIndexNum's default */
};

/* A file of the key index: this header, slots, items (rocketmq-store 4). A slot holds the number of
 * the newest item of its chain, 0 for none, as a big-endian 32-bit number. */
struct store_index_header {
    uint64_t begin_ms, end_ms; /* store times of the records of its first and last item */
    uint64_t begin_log_off, end_log_off;
    uint32_t n_used_slots;
    uint32_t n_next; /* number of the next item: there are 1 to n_next - 1, none is 0 */
};

/* False when a field is negative or the end lies before the beginning. A count below 1 reads as 1.
 */
bool store_index_header_decode(const uint8_t bytes[STORE_INDEX_HEADER_BYTES],
                               struct store_index_header *ret);

/* One key of one record. */
struct store_index_item {
    uint32_t hash; /* of `topic#key`; its slot is that modulo the number of slots */
    uint64_t log_off;
    uint32_t seconds; /* stored so long after begin_ms, rounded down */
    uint32_t prev;    /* number of the item before it in the chain; 0: none */
};

/* False when a field is negative. */
bool store_index_item_decode(const uint8_t bytes[STORE_INDEX_ITEM_BYTES],
                             struct store_index_item *ret);

/* How many item places a file of `file_bytes` has behind `n_slots` slots, number 0 among them; 0
 * when that is not the length of such a file. Item n is at store_index_item_at(n_slots, n). */
uint32_t store_index_items(uint64_t file_bytes, uint32_t n_slots);

static inline uint64_t store_index_item_at(uint32_t n_slots, uint32_t n)
{
    return STORE_INDEX_HEADER_BYTES + (uint64_t)n_slots * STORE_INDEX_SLOT_BYTES +
           (uint64_t)n * STORE_INDEX_ITEM_BYTES;
}

/* The checkpoint file's fields (rocketmq-store 5.1 and 17.1). */
struct store_checkpoint {
    uint64_t log_ms, queue_ms, index_ms;
    int64_t master_flushed_off, confirm_off, queue_off;
    /* Sluice's own: consume queues that have entries below `count_off`, and the sum of their ends;
     * of a clean stop all there are, else no more than that. Both 0: nothing is known of them */
    uint64_t n_queues, n_entries;
    uint64_t count_off; /* another than queue_off: they tell nothing; see checkpoint_has_count */
    /* ours: the key index is on disk for the log below index_off, when its last file was
     * index_name and n_index_next the number of its next item; index_off 0: nothing is known */
    uint64_t index_off, index_name, n_index_next;
};

/* ERR_CORRUPT when it is shorter than the six fields. */
int store_checkpoint_decode(struct span file, struct store_checkpoint *ret,
                            struct err *e) MUST_CHECK;

/* ---- writing files from outside: what is saved of a damaged store ---- */

void store_queue_entry_encode(uint8_t dst[STORE_QUEUE_ENTRY_BYTES],
                              const struct store_queue_entry *entry);

/* Whether `bytes` are one whole record; its body's CRC is not looked at. */
bool store_record_decode(struct span bytes, struct store_record *ret);

/* Writes all 4096 bytes. */
void store_checkpoint_encode(uint8_t dst[STORE_CHECKPOINT_BYTES],
                             const struct store_checkpoint *cp);

/* The least bytes of a cover, and the most a reader is sure to take. */
enum { STORE_COVER_MIN = 97, STORE_COVER_MAX = 4 << 20, STORE_FILLER_MIN = 8 };

#define STORE_COVER_TOPIC "%LOST%"

/* Writes a record of `size` bytes that holds the place of lost ones in the log: with a body of
 * zeros, rolled back, so that neither queue, index nor consumer gets it, here or in RocketMQ. */
void store_cover_write(uint8_t *dst, uint32_t size, uint64_t log_off, uint64_t store_ms);

/* Writes the 8 bytes that end a file of which `left` bytes remain. */
void store_filler_write(uint8_t *dst, uint32_t left);

/* Lengthens a whole record of `size` bytes at `bytes` by `n` bytes that add no property: `bytes`
 * has room for them. False when its properties would be too long. */
bool store_record_pad(uint8_t *bytes, uint32_t size, uint32_t n);

#endif

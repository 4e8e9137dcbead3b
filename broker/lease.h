/* What is in flight: for each group, topic and queue the position (next entry to scan) and the
 * entries below it that were handed out and not yet acked. Everything else below the position is
 * acked or was passed over. No I/O but for save and load; time is a parameter (ms since the epoch).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_LEASE_H
#define BROKER_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"
#include "broker/steady_clock.h"

struct lease_table;
struct lease; /* of one group and topic; reference-counted */

enum lease_order {
    LEASE_PLAIN,   /* each message on its own */
    LEASE_ORDERLY, /* a queue is blocked while one of its un-acked messages is invisible */
};

/* One delivery: what the receipt handle is made of. */
struct lease_entry {
    uint64_t queue_off;
    uint64_t nonce;    /* names this delivery; a later one has another */
    uint64_t until_ms; /* when its handle ends at the latest */
    uint32_t attempt;  /* 1: first delivery */
    bool is_dead;      /* delivered max_attempts times: move it to the dead letters, then ack it */
};

/* ---- the table ---- */

/* Loads `config_folder`/consumerOffset.json and sluiceLeases. Handles given out before stay valid.
 * ERR_CORRUPT: consumerOffset.json and its .bak are unreadable (unreadable leases alone are warned
 * of: groups then go on at their lowest un-acked message). The clock outlives the table; it is set
 * to when the leases were saved if it is behind that, so that none is longer than it was. */
int lease_table_open(struct lease_table **ret_table, const char *config_folder,
                     size_t max_in_flight_per_queue, struct steady_clock *clock,
                     struct err *e) MUST_CHECK;

/* Does not save. References may still be held: they are dropped later. NULL is fine. */
void lease_table_close(struct lease_table *t);

/* Writes both files when something changed since the last time. One caller at a time waits for the
 * other. Thread: any that may wait for the disk. Locks: LOCK_STATE, LOCK_LEASES, LOCK_LEASE. */
int lease_save(struct lease_table *t, struct err *e) MUST_CHECK;

/* One past the last entry that the store has in a queue; UINT64_MAX: leave that queue alone. */
typedef uint64_t (*lease_end_fn)(void *arg, struct span topic, int32_t queue_id);

/* Takes positions that are behind the end of their queue back to it, and forgets what was in flight
 * there: after a power loss the store may end before what was saved here, and the next messages
 * would be passed over. Call it once, after opening both. ERR_NOMEM only. `ret_n`: queues taken
 * back. Locks: calls `end_of` with none held. */
int lease_limit(struct lease_table *t, lease_end_fn end_of, void *arg, size_t *ret_n,
                struct err *e) MUST_CHECK;

/* The lease of a group and topic, made when absent; dropped with lease_unref. A new one starts at
 * the first message of each queue (position 0), or at RocketMQ's offset when it is on record.
 * ERR_NOMEM; ERR_INVAL: a name is empty or over 1,000 bytes. Thread: any. Locks: takes LOCK_LEASES,
 * LOCK_LEASE. */
int lease_get(struct lease_table *t, struct span group, struct span topic, enum lease_order order,
              struct lease **ret_lease, struct err *e) MUST_CHECK;

struct lease *lease_ref(struct lease *l);
void lease_unref(struct lease *l); /* NULL is fine */

/* Forget everything of a group or a topic, positions included; running scans find out
 * (LEASE_STALE), and references are of no use any more: get the lease again. The files are written
 * at once; when that fails (a warning) it is done at the next lease_save. Thread: any that may wait
 * for the disk. Locks: as lease_save. */
void lease_drop_group(struct lease_table *t, struct span group);
void lease_drop_topic(struct lease_table *t, struct span topic);

/* ---- one receive ---- */

/* Who takes, and for how long. */
struct lease_take {
    uint64_t now_ms;
    uint64_t invisible_ms;
    uint32_t max_attempts;
    uint64_t owner; /* not 0: renewed while that client lives (session_owner); lease_renew */
    struct span attempt_id; /* orderly only: of the request; empty: none */
};

enum lease_begin {
    LEASE_READY,   /* take back first, then scan from `position` */
    LEASE_FULL,    /* too much in flight: take back only */
    LEASE_BUSY,    /* another receive scans this queue: go to the next */
    LEASE_BLOCKED, /* orderly: un-acked messages are out */
    LEASE_GONE,    /* the group or topic was deleted: nothing will come of this lease again */
};

/* An exclusive scan of one queue; the caller's memory. */
struct lease_scan {
    struct lease *lease;
    int32_t queue_id;
    uint64_t position;   /* scan from here */
    uint64_t generation; /* lease.c only */
};

/* Where a receive begins with the queues of its topic: each starts one further than the one before,
 * so that a queue that is always full hides no other. Thread: any. */
uint32_t lease_turn(struct lease *l);

/* Begins a scan; after READY or FULL the caller must call lease_end. ERR_NOMEM; ERR_INVAL: queue_id
 * is not in 0..1023. Thread: any. Locks: this and all below take LOCK_LEASE. */
int lease_begin(struct lease *l, int32_t queue_id, const struct lease_take *take,
                enum lease_begin *ret_begin, struct lease_scan *ret_scan, struct err *e) MUST_CHECK;

/* Takes up to `max` messages that are visible again, in queue order; each counts one more attempt,
 * but for an orderly batch asked for again with its own attempt id, and for dead ones. A dead one
 * is invisible for `invisible_ms` too: when moving it fails it is reported again. How many. */
size_t lease_take_back(struct lease_scan *scan, const struct lease_take *take,
                       struct lease_entry *ret_entries, size_t max);

enum lease_taken {
    LEASE_TAKEN,
    LEASE_STALE, /* position was moved or the lease dropped meanwhile: nothing was taken */
};

/* Takes `n` newly scanned messages (rising queue_off in [position, next), set in
 * entries[].queue_off; the rest is filled in) and moves the position to `next`: what lies between
 * was passed over. `n` may be 0. With an orderly lease call it only when lease_take_back left
 * nothing behind (it returned less than its `max`). ERR_NOMEM: nothing was taken. */
int lease_take_new(struct lease_scan *scan, const struct lease_take *take,
                   struct lease_entry *entries, size_t n, uint64_t next,
                   enum lease_taken *ret_taken, struct err *e) MUST_CHECK;

void lease_end(struct lease_scan *scan);

/* ---- what becomes of a delivery ---- */

enum lease_outcome {
    LEASE_OK,
    LEASE_FREED,   /* as OK, and a queue that was full takes more: hold_notify_group (acks only) */
    LEASE_AGAIN,   /* was acked before: as good as OK */
    LEASE_EXPIRED, /* invisible time over, delivered again since, or handle replaced */
};

/* What a handle says. */
struct lease_handle {
    int32_t queue_id;
    uint64_t queue_off;
    uint64_t nonce;
    uint64_t until_ms;
};

/* After an OK on an orderly lease the queue may be free: hold_notify_group. */
enum lease_outcome lease_ack(struct lease *l, const struct lease_handle *h, uint64_t now_ms);

/* The message becomes visible `invisible_ms` from now (0: at once; then hold_notify_group); the old
 * handle is dead, `ret` is the new one. It is no longer renewed. */
enum lease_outcome lease_change(struct lease *l, const struct lease_handle *h, uint64_t now_ms,
                                uint64_t invisible_ms, struct lease_entry *ret);

/* Takes deliveries back that never reached the client: visible at `visible_ms`, and the attempt
 * does not count. Entries acked or delivered again meanwhile are left alone. How many. */
size_t lease_give_back(struct lease *l, int32_t queue_id, const struct lease_entry *entries,
                       size_t n, uint64_t visible_ms);

/* ---- time ---- */

/* When the next message of any queue becomes visible again (may be in the past); UINT64_MAX: none.
 */
uint64_t lease_next_visible_ms(struct lease *l);

enum { LEASE_RENEW_LIMIT_MS = 3 * 60 * 60 * 1000 };

struct lease_renewal {
    const uint64_t *owners; /* the clients that live, sorted */
    size_t n_owners;
    uint64_t now_ms;
    uint64_t invisible_ms; /* what is left after a renewal */
};

/* Renews what owned deliveries have left when it is under a third of `invisible_ms`, up to
 * LEASE_RENEW_LIMIT_MS after delivery, while their owner lives; those of others become visible in
 * one second, attempt counted. Call it a few times in that third. ERR_NOMEM only. */
int lease_renew(struct lease_table *t, const struct lease_renewal *renewal,
                struct err *e) MUST_CHECK;

/* ---- administration ---- */

/* Moves the position of one queue and forgets what is in flight there. ERR_NOMEM; ERR_INVAL. */
int lease_seek(struct lease *l, int32_t queue_id, uint64_t queue_off, struct err *e) MUST_CHECK;

struct lease_progress {
    uint64_t position;
    uint64_t lowest;      /* the lowest un-acked entry: what RocketMQ calls the consumer's offset */
    uint64_t n_in_flight; /* handed out and not acked */
};

/* All zero for a queue that was never scanned. */
void lease_progress(struct lease *l, int32_t queue_id, struct lease_progress *ret);

/* Asserts the invariants listed in lease.c; for tests. */
void lease_check(struct lease *l);

#endif

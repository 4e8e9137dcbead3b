/* One group, topic and queue with leases: the fixture of the lease tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_LEASE_CASE_H
#define TESTS_LIB_LEASE_CASE_H

#include <check.h>

#include "broker/lease.h"
#include "tests/lib/tmpdir.h"

enum { MAX = 64, INVISIBLE = 30000, START = 1000000 };

static char *folder;
static struct steady_clock steady;
static struct lease_table *table;
static struct lease *lease;
static struct lease_take take;
static struct err e;

static inline void open_table(struct io *io)
{
    steady_clock_init(&steady, io);
    ck_assert_msg(lease_table_open(&table, folder, /* max in flight = */ 100, &steady, &e) == 0,
                  "%s", e.msg);
}

static inline void get(enum lease_order order)
{
    ck_assert_int_eq(lease_get(table, span_str("g"), span_str("t"), order, &lease, &e), 0);
}

static inline void drop_all(void)
{
    lease_unref(lease);
    lease_table_close(table);
    lease = NULL;
    table = NULL;
}

static inline void reopen(enum lease_order order)
{
    drop_all();
    open_table(io_posix());
    get(order);
}

static inline void setup(void)
{
    folder = tmpdir_make();
    take = (struct lease_take){.now_ms = START, .invisible_ms = INVISIBLE, .max_attempts = 3};
    open_table(io_posix());
    get(LEASE_PLAIN);
}

static inline void teardown(void)
{
    drop_all();
    tmpdir_remove(folder);
}

static inline enum lease_begin begin(struct lease_scan *ret_scan)
{
    enum lease_begin begun;
    ck_assert_msg(lease_begin(lease, 0, &take, &begun, ret_scan, &e) == 0, "%s", e.msg);
    return begun;
}

/* Takes entries [from, from + n) of queue 0 as a scan that found each of them. */
static inline void deliver(uint64_t from, size_t n, struct lease_entry *entries)
{
    struct lease_scan scan;
    enum lease_taken taken;
    ck_assert_int_eq(begin(&scan), LEASE_READY);
    for (size_t i = 0; i < n; i++)
        entries[i].queue_off = from + i;
    ck_assert_int_eq(lease_take_new(&scan, &take, entries, n, from + n, &taken, &e), 0);
    ck_assert_int_eq(taken, LEASE_TAKEN);
    lease_end(&scan);
    lease_check(lease);
}

static inline size_t take_back(struct lease_entry *entries, size_t max)
{
    struct lease_scan scan;
    enum lease_begin begun = begin(&scan);
    ck_assert(begun == LEASE_READY || begun == LEASE_FULL);
    size_t n = lease_take_back(&scan, &take, entries, max);
    lease_end(&scan);
    lease_check(lease);
    return n;
}

static inline struct lease_handle handle_of(const struct lease_entry *entry)
{
    return (struct lease_handle){.queue_id = 0,
                                 .queue_off = entry->queue_off,
                                 .nonce = entry->nonce,
                                 .until_ms = entry->until_ms};
}

static inline enum lease_outcome ack(const struct lease_entry *entry)
{
    struct lease_handle handle = handle_of(entry);
    enum lease_outcome outcome = lease_ack(lease, &handle, take.now_ms);
    lease_check(lease);
    return outcome;
}

static inline enum lease_outcome change(const struct lease_entry *entry, uint64_t invisible_ms,
                                        struct lease_entry *ret)
{
    struct lease_handle handle = handle_of(entry);
    enum lease_outcome outcome = lease_change(lease, &handle, take.now_ms, invisible_ms, ret);
    lease_check(lease);
    return outcome;
}

static inline struct lease_progress progress(void)
{
    struct lease_progress p;
    lease_progress(lease, 0, &p);
    return p;
}

static inline void save(void)
{
    ck_assert_msg(lease_save(table, &e) == 0, "%s", e.msg);
}

#endif

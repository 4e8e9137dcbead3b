/* Fails the n-th call to the kernel, for every n, and looks at the error and at what is left. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fault.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_RECORDS = 20, BODY_BYTES = 9000, CALLS_MAX = 4000 };

/* A store with some records, closed well: what each run of the sweep opens is the same. */
static int run_scenario(struct store_fixture *f, int *ret_acked, struct err *e)
{
    static uint8_t body[BODY_BYTES];
    struct store_appended at;
    *ret_acked = 0;
    int rc = store_open(&f->store, &f->opt, f->io, e);
    if (rc < 0)
        return rc;
    for (int i = 0; rc == 0 && i < N_RECORDS; i++) {
        memset(body, 'a' + i, sizeof body);
        rc = store_fixture_try(f, "T", i % 2, span_of(body, sizeof body), &at, e);
        *ret_acked += rc == 0;
    }
    struct err later;
    int close_rc = store_close(f->store, rc < 0 ? &later : e);
    return rc < 0 ? rc : close_rc;
}

static void check_left(struct store_fixture *f, int n_acked)
{
    f->io = io_posix();
    store_fixture_open(f);
    for (int i = 0; i < n_acked; i++) {
        struct store_slice slice;
        struct err e = {0};
        int rc = store_get(f->store, span_str("T"), i % 2, (uint64_t)i / 2, &slice, &e);
        ck_assert_msg(rc == 0, "record %d of %d: %s", i, n_acked, e.msg);
        ck_assert_uint_eq(slice.rec.body.ptr[0], 'a' + i);
        ck_assert(store_body_check(&slice.rec, /* ret_crc = */ NULL));
        store_unpin(slice.pin);
    }
    (void)store_fixture_append(f, "T", 0, "after");
    store_fixture_close(f);
}

/* How each n-th call fails. */
struct sweep {
    enum store_flush flush;
    int errno_value;
    enum fault_span span;
    uint64_t stride;
};

/* False when the scenario made fewer than `n` calls. */
static bool fail_nth(const struct sweep *sweep, uint64_t n)
{
    struct store_fixture f;
    struct fault fault;
    struct err e = {0};
    int n_acked;
    store_fixture_init(&f);
    f.opt.flush = sweep->flush;
    f.opt.flush_interval_ms = 1;
    fault_init(&fault, io_posix());
    fault_arm(&fault, FAULT_ALL, n, sweep->errno_value, sweep->span);
    f.io = &fault.io;
    int rc = run_scenario(&f, &n_acked, &e);
    bool fired = fault_fired(&fault);
    if (!fired)
        ck_assert_msg(rc == 0, "without a fault: %s", e.msg);
    if (rc < 0)
        ck_assert_msg(e.code == rc && e.msg[0], "call %d failed without a story", (int)n);
    check_left(&f, n_acked);
    tmpdir_remove(f.root);
    return fired;
}

static void run_sweep(const struct sweep *sweep)
{
    uint64_t n = 1;
    while (fail_nth(sweep, n)) {
        n += sweep->stride;
        ck_assert_uint_lt(n, CALLS_MAX);
    }
    ck_assert_uint_gt(n, 50); /* it did reach something */
}

START_TEST(one_failing_call_leaves_a_store_that_opens)
{
    run_sweep(&(struct sweep){.errno_value = EIO, .span = FAULT_ONCE, .stride = 1});
}
END_TEST

/* What was acknowledged is there (I5), whichever call failed. */
START_TEST(with_sync_flush_one_failing_call_leaves_a_store_that_opens)
{
    run_sweep(&(struct sweep){
        .flush = STORE_FLUSH_SYNC, .errno_value = EIO, .span = FAULT_ONCE, .stride = 1});
}
END_TEST

/* A short write is no failure: the rest follows. */
START_TEST(with_sync_flush_a_call_that_does_half_leaves_a_store_that_opens)
{
    run_sweep(&(struct sweep){.flush = STORE_FLUSH_SYNC, .span = FAULT_ONCE, .stride = 1});
}
END_TEST

START_TEST(with_sync_flush_a_full_disk_leaves_a_store_that_opens)
{
    run_sweep(&(struct sweep){
        .flush = STORE_FLUSH_SYNC, .errno_value = ENOSPC, .span = FAULT_FROM_NOW, .stride = 3});
}
END_TEST

START_TEST(a_full_disk_leaves_a_store_that_opens)
{
    run_sweep(&(struct sweep){.errno_value = ENOSPC, .span = FAULT_FROM_NOW, .stride = 3});
}
END_TEST

/* Opens a store that was closed well while the n-th file may not be opened; false when fewer are.
 */
static bool deny_nth(uint64_t n)
{
    struct store_fixture f;
    struct fault fault;
    struct err e = {0};
    int n_acked;
    store_fixture_init(&f);
    ck_assert_int_eq(run_scenario(&f, &n_acked, &e), 0);
    ck_assert_int_eq(n_acked, N_RECORDS);
    fault_init(&fault, io_posix());
    fault_arm(&fault, FAULT_OPEN, n, EACCES, FAULT_ONCE);
    f.io = &fault.io;
    int rc = store_open(&f.store, &f.opt, f.io, &e);
    if (rc < 0)
        ck_assert_msg(strstr(e.msg, f.root) != NULL, "it names no file: %s", e.msg);
    else
        (void)store_close(f.store, &e); /* it may have been denied what it wants to write */
    check_left(&f, n_acked);
    tmpdir_remove(f.root);
    return fault_fired(&fault);
}

START_TEST(a_file_that_may_not_be_opened_costs_no_message)
{
    uint64_t n = 1;
    while (deny_nth(n))
        ck_assert_uint_lt(++n, CALLS_MAX);
    ck_assert_uint_gt(n, 5); /* log, queues, index, checkpoint, ... */
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("fault");
    TCase *tc = tcase_create("fault");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, one_failing_call_leaves_a_store_that_opens);
    tcase_add_test(tc, a_full_disk_leaves_a_store_that_opens);
    tcase_add_test(tc, a_file_that_may_not_be_opened_costs_no_message);
    tcase_add_test(tc, with_sync_flush_one_failing_call_leaves_a_store_that_opens);
    tcase_add_test(tc, with_sync_flush_a_call_that_does_half_leaves_a_store_that_opens);
    tcase_add_test(tc, with_sync_flush_a_full_disk_leaves_a_store_that_opens);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    tmpdir_use_memory();
    return suite_run(make_suite());
}

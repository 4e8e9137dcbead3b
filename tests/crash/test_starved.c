/* A store that gets no more descriptors or mappings for a while, or whose clock goes wrong: it says
 * so, reads what it has, and goes on when that is over. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/lib/fault.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"

enum { BODY_BYTES = 9000, RECORDS_MAX = 500 };

static struct store_fixture f;
static struct fault fault;
static uint64_t n_acked;

static const char *body_of(uint64_t n)
{
    static char body[BODY_BYTES];
    memset(body, 'a' + (int)(n % 26), sizeof body - 1);
    return body;
}

static void set_up(void)
{
    n_acked = 0;
    fault_init(&fault, io_posix());
    store_fixture_init(&f);
    f.io = &fault.io;
    f.opt.without_index = true;
    store_fixture_open(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static int append(struct err *e)
{
    struct store_appended at;
    int rc = store_fixture_try(&f, "T", 0, span_str(body_of(n_acked)), &at, e);
    if (rc == 0)
        ck_assert_uint_eq(at.queue_off, n_acked++);
    return rc;
}

static void expect_all(void)
{
    store_fixture_await(&f, "T", 0, n_acked);
    for (uint64_t i = 0; i < n_acked; i++)
        store_fixture_expect(&f, "T", 0, i, body_of(i));
}

/* Appends until there is no next file. */
static void append_until_refused(const char *expected)
{
    struct err e = {0};
    while (append(&e) == 0)
        ck_assert_uint_lt(n_acked, RECORDS_MAX);
    ck_assert_msg(strstr(e.msg, expected), "%s", e.msg);
}

static void append_again(void)
{
    struct err e;
    while (append(&e) < 0) /* the test's own limit is the timeout */
        (void)sched_yield();
}

START_TEST(without_descriptors_appends_are_refused_and_reads_go_on)
{
    struct rlimit was, none;
    for (int i = 0; i < 3; i++) {
        append_again();
        expect_all(); /* what is mapped needs none */
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
        none = was;
        none.rlim_cur = 0;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        append_until_refused("Too many open files");
        expect_all();
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &was), 0);
        append_again();
        expect_all();
    }
}
END_TEST

START_TEST(without_mappings_appends_are_refused_and_reads_go_on)
{
    append_again();
    expect_all();
    fault_arm(&fault, FAULT_MAP, 1, ENOMEM, FAULT_FROM_NOW);
    append_until_refused("Cannot allocate memory");
    fault_disarm(&fault);
    append_again();
    expect_all();
}
END_TEST

START_TEST(a_store_that_gets_no_memory_at_the_start_says_so)
{
    struct err e = {0};
    append_again();
    store_fixture_close(&f);
    fault_arm(&fault, FAULT_MAP, 1, ENOMEM, FAULT_FROM_NOW);
    ck_assert_int_lt(store_open(&f.store, &f.opt, f.io, &e), 0);
    ck_assert_msg(strstr(e.msg, "Cannot allocate memory"), "%s", e.msg);
    fault_disarm(&fault);
    store_fixture_open(&f);
    expect_all();
}
END_TEST

/* ---- the clock ---- */

static uint64_t wrong_ms;

static uint64_t wrong_clock(struct io *io)
{
    (void)io;
    return wrong_ms;
}

START_TEST(a_clock_that_steps_leaves_store_times_in_the_order_of_the_log)
{
    static const uint64_t steps[] = {1700000000000, 1600000000000, 1700000000500, 0,
                                     1800000000000, 1700000000000};
    fault.io.now_ms = wrong_clock;
    fault.io.tick_ms = wrong_clock;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        wrong_ms = steps[i];
        append_again();
        store_fixture_close(&f);
        store_fixture_open(&f); /* what was is remembered */
        append_again();
    }
    uint64_t last_ms = 0;
    store_fixture_await(&f, "T", 0, n_acked);
    for (uint64_t i = 0; i < n_acked; i++) {
        struct store_slice slice;
        struct err e;
        ck_assert_int_eq(store_get(f.store, span_str("T"), 0, i, &slice, &e), 0);
        ck_assert_uint_ge(slice.rec.store_ms, last_ms);
        last_ms = slice.rec.store_ms;
        store_unpin(slice.pin);
    }
    ck_assert_uint_eq(last_ms, 1800000000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starved");
    TCase *tc = tcase_create("starved");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, without_descriptors_appends_are_refused_and_reads_go_on);
    tcase_add_test(tc, without_mappings_appends_are_refused_and_reads_go_on);
    tcase_add_test(tc, a_store_that_gets_no_memory_at_the_start_says_so);
    tcase_add_test(tc, a_clock_that_steps_leaves_store_times_in_the_order_of_the_log);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Alarms: a parked receive is woken when a message is visible again, and not before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/alarm.h"

#include <stdbool.h>

#include "base/lock.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { INVISIBLE_MS = 150, LONG_MS = 3600000 };

static struct {
    char *folder;
    struct rpc_server *server;
    struct hold_table *holds;
    struct lease_table *leases;
    struct steady_clock clock;
    struct alarm_table *alarms;
    struct lease *lease;
    struct hold_entry entry;
    struct lock lock; /* LOCK_LEAF */
    pthread_cond_t changed;
    uint64_t woken_ms; /* guarded by lock; 0: not yet */
} f;

static uint64_t now_ms(void)
{
    return steady_clock_now_ms(&f.clock);
}

static void wake(void *arg)
{
    (void)arg;
    lock_take(&f.lock);
    f.woken_ms = now_ms();
    (void)pthread_cond_signal(&f.changed);
    lock_drop(&f.lock);
}

static void setup(void)
{
    struct err e = {0};
    struct rpc_options opt = {.host = "127.0.0.1"};
    f.folder = tmpdir_make();
    f.woken_ms = 0;
    steady_clock_init(&f.clock, io_posix());
    lock_init(&f.lock, LOCK_LEAF);
    lock_cond_init(&f.changed);
    ck_assert_int_eq(rpc_server_start(&f.server, &opt, &e), 0);
    ck_assert_int_eq(hold_table_open(&f.holds, 10, 10, &e), 0);
    ck_assert_int_eq(lease_table_open(&f.leases, f.folder, 100, &f.clock, &e), 0);
    ck_assert_int_eq(alarm_table_open(&f.alarms, f.holds, &f.clock, &e), 0);
    ck_assert_int_eq(lease_get(f.leases, span_str("G"), span_str("T"), LEASE_PLAIN, &f.lease, &e),
                     0);
    f.entry = (struct hold_entry){.topic = span_str("T"), .group = span_str("G"), .wake = wake};
    ck_assert_int_eq(hold_park(f.holds, &f.entry, &e), 0);
}

static void teardown(void)
{
    (void)hold_remove(f.holds, &f.entry); /* it may have been woken */
    rpc_server_stop(f.server);
    lease_unref(f.lease);
    alarm_table_close(f.alarms);
    lease_table_close(f.leases);
    hold_table_close(f.holds);
    (void)pthread_cond_destroy(&f.changed);
    lock_fini(&f.lock);
    tmpdir_remove(f.folder);
}

/* Hands out one message of queue 0 for a time; when it will be visible again. */
static uint64_t hand_out(uint64_t queue_off, uint64_t invisible_ms)
{
    struct err e;
    struct lease_scan scan;
    enum lease_begin begun;
    enum lease_taken taken;
    struct lease_entry entry = {.queue_off = queue_off};
    struct lease_take take = {.now_ms = now_ms(), .invisible_ms = invisible_ms, .max_attempts = 16};
    ck_assert_int_eq(lease_begin(f.lease, 0, &take, &begun, &scan, &e), 0);
    ck_assert_int_eq(begun, LEASE_READY);
    ck_assert_int_eq(lease_take_new(&scan, &take, &entry, 1, queue_off + 1, &taken, &e), 0);
    ck_assert_int_eq(taken, LEASE_TAKEN);
    lease_end(&scan);
    return take.now_ms + invisible_ms;
}

static void set(void)
{
    alarm_set(f.alarms, f.server, f.lease, span_str("G"), span_str("T"));
}

static uint64_t wait_for_wake(void)
{
    lock_take(&f.lock);
    while (f.woken_ms == 0)
        lock_wait(&f.lock, &f.changed, -1);
    uint64_t at_ms = f.woken_ms;
    lock_drop(&f.lock);
    return at_ms;
}

START_TEST(a_waiting_receive_is_woken_when_a_message_is_visible_again_and_not_before)
{
    uint64_t visible_ms = hand_out(0, INVISIBLE_MS);
    set();
    ck_assert_uint_ge(wait_for_wake(), visible_ms);
}
END_TEST

START_TEST(an_earlier_time_takes_the_place_of_a_later_one)
{
    (void)hand_out(0, LONG_MS);
    set();
    uint64_t visible_ms = hand_out(1, INVISIBLE_MS);
    set();
    ck_assert_uint_ge(wait_for_wake(), visible_ms);
}
END_TEST

START_TEST(a_later_time_leaves_the_earlier_one)
{
    uint64_t visible_ms = hand_out(0, INVISIBLE_MS);
    set();
    (void)hand_out(1, LONG_MS);
    set();
    ck_assert_uint_ge(wait_for_wake(), visible_ms);
}
END_TEST

START_TEST(a_refresh_sees_leases_that_were_cut_short)
{
    struct err e;
    struct lease_scan scan;
    enum lease_begin begun;
    enum lease_taken taken;
    struct lease_entry entry = {.queue_off = 0};
    struct lease_take take = {
        .now_ms = now_ms(), .invisible_ms = LONG_MS, .max_attempts = 16, .owner = 7};
    ck_assert_int_eq(lease_begin(f.lease, 0, &take, &begun, &scan, &e), 0);
    ck_assert_int_eq(lease_take_new(&scan, &take, &entry, 1, 1, &taken, &e), 0);
    lease_end(&scan);
    set();
    const struct lease_renewal nobody = {.now_ms = now_ms(), .invisible_ms = LONG_MS};
    ck_assert_int_eq(lease_renew(f.leases, &nobody, &e), 0);
    alarm_refresh(f.alarms);
    ck_assert_uint_lt(wait_for_wake(), take.now_ms + LONG_MS);
}
END_TEST

START_TEST(alarms_that_never_rang_end_with_the_server)
{
    (void)hand_out(0, LONG_MS);
    set(); /* teardown closes the table, which asserts that it is empty */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("alarm");
    TCase *tc = tcase_create("alarm");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_waiting_receive_is_woken_when_a_message_is_visible_again_and_not_before);
    tcase_add_test(tc, an_earlier_time_takes_the_place_of_a_later_one);
    tcase_add_test(tc, a_later_time_leaves_the_earlier_one);
    tcase_add_test(tc, a_refresh_sees_leases_that_were_cut_short);
    tcase_add_test(tc, alarms_that_never_rang_end_with_the_server);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* The flusher's step, driven by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flush.h"

#include <errno.h>

#include "tests/lib/log_fixture.h"
#include "tests/lib/suite.h"

static struct log_fixture f;

static void set_up(void)
{
    log_fixture_init(&f);
}

static void tear_down(void)
{
    log_fixture_fini(&f);
}

START_TEST(a_flush_orders_checkpoint_flushed_and_published)
{
    struct err e;
    for (int i = 0; i < 5; i++)
        (void)log_fixture_append(&f, 1000);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    uint64_t published = commit_log_published(&f.log);
    ck_assert_uint_eq(f.flusher.flushed, published);
    ck_assert_uint_eq(f.flusher.checkpoint, published);
    (void)log_fixture_append(&f, 1000);
    ck_assert_uint_lt(f.flusher.flushed, commit_log_published(&f.log));
}
END_TEST

START_TEST(the_checkpoint_waits_for_the_queues)
{
    struct err e;
    (void)log_fixture_append(&f, 1000);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    ck_assert_uint_eq(f.flusher.checkpoint, 0); /* nothing is dispatched yet */
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    ck_assert_uint_eq(f.flusher.checkpoint, commit_log_published(&f.log));
}
END_TEST

START_TEST(every_few_steps_the_tail_is_flushed_too)
{
    (void)log_fixture_append(&f, 1000);
    (void)dispatcher_step(&f.dispatcher);
    (void)flusher_step(&f.flusher);
    ck_assert_uint_eq(f.flusher.flushed, 0); /* less than a unit */
    for (int i = 0; i < 3; i++)
        (void)flusher_step(&f.flusher);
    ck_assert_uint_eq(f.flusher.flushed, commit_log_published(&f.log));
}
END_TEST

START_TEST(a_failed_sync_ends_appending_for_good)
{
    struct store_appended at;
    struct err e;
    at = log_fixture_append(&f, 1000);
    fault_arm(&f.fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_lt(flusher_all(&f.flusher, &e), 0);
    ck_assert_int_eq(log_fixture_try(&f, 1, 0, &at, &e), ERR_FAILED); /* I5 */
    ck_assert_int_eq(flusher_all(&f.flusher, &e), ERR_FAILED);
    struct store_record rec;
    struct mapped_file *file;
    ck_assert_int_eq(commit_log_read(&f.log, 0, 1000 + LOG_RECORD_OVERHEAD, &rec, &file, &e), 0);
    mapped_file_unpin(file); /* reads go on */
}
END_TEST

START_TEST(only_queues_with_new_entries_are_flushed)
{
    struct err e;
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    ck_assert_ptr_eq(f.queues.dirty, q);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    ck_assert_ptr_null(f.queues.dirty);
    ck_assert_uint_eq(q->flushed_off, 1);
    (void)log_fixture_append(&f, 10);
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_ptr_eq(f.queues.dirty, q); /* listed once */
    ck_assert_ptr_null(q->next_dirty);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    ck_assert_uint_eq(q->flushed_off, 3);
    consume_queue_unref(q);
}
END_TEST

START_TEST(a_queue_dropped_before_its_flush_is_passed_over)
{
    struct err e;
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    ck_assert_int_eq(consume_queues_drop(&f.queues, q, &e), 0);
    consume_queue_unref(q);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    ck_assert_uint_eq(f.flusher.checkpoint, commit_log_published(&f.log));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("flush");
    TCase *tc = tcase_create("flush");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_flush_orders_checkpoint_flushed_and_published);
    tcase_add_test(tc, the_checkpoint_waits_for_the_queues);
    tcase_add_test(tc, every_few_steps_the_tail_is_flushed_too);
    tcase_add_test(tc, a_failed_sync_ends_appending_for_good);
    tcase_add_test(tc, only_queues_with_new_entries_are_flushed);
    tcase_add_test(tc, a_queue_dropped_before_its_flush_is_passed_over);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

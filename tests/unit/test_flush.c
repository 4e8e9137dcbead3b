/* The flusher's step, driven by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/flush.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "store/checkpoint.h"
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

START_TEST(a_log_that_moves_on_is_flushed_by_whole_units_only)
{
    enum { UNIT = 2 << 20 };
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < UNIT / 1000; k++) {
            log_fixture_make_room(&f);
            (void)log_fixture_append(&f, 1000);
        }
        (void)flusher_step(&f.flusher);
        ck_assert_uint_ge(f.flusher.flushed, (uint64_t)i * UNIT);
        ck_assert_uint_eq(f.flusher.flushed % UNIT, 0);
    }
}
END_TEST

START_TEST(the_tail_of_a_log_that_rests_is_flushed_a_few_steps_later)
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

START_TEST(an_entry_that_recovery_wrote_again_is_flushed)
{
    struct err e;
    struct store_appended at = log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    const struct store_queue_entry entry = {.log_off = at.log_off, .size = at.size};
    ck_assert_int_eq(consume_queue_mend(q, 0, &entry, &e), 0);
    consume_queues_note_dirty(&f.queues, q);
    ck_assert_uint_eq(q->flushed_off, 0);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0); /* and nothing was dispatched since */
    ck_assert_uint_eq(q->flushed_off, 1);
    ck_assert_ptr_null(f.queues.dirty);
    consume_queue_unref(q);
}
END_TEST

/* ---- many unflushed bytes ---- */

static void limit_to(uint64_t bytes)
{
    struct store_checkpoint cp = {0};
    f.flusher.limit_bytes = bytes;
    flusher_begin(&f.flusher, 0, &cp);
}

static void append_kilobytes(int n)
{
    for (int i = 0; i < n; i++)
        (void)log_fixture_append(&f, 1000);
}

START_TEST(many_unflushed_bytes_wake_the_flusher)
{
    limit_to(3000);
    append_kilobytes(2);
    flusher_nudge(&f.flusher, commit_log_published(&f.log));
    ck_assert(!f.flusher.worker.woken);
    append_kilobytes(1);
    flusher_nudge(&f.flusher, commit_log_published(&f.log));
    ck_assert(f.flusher.worker.woken);
}
END_TEST

START_TEST(a_flush_before_its_time_is_of_the_log_alone)
{
    limit_to(3000);
    f.flusher.interval_ns = UINT64_C(3600000000000);
    (void)flusher_step(&f.flusher); /* the one that is due */
    append_kilobytes(4);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_gt(flusher_step(&f.flusher), 0);
    ck_assert_uint_eq(f.flusher.flushed, commit_log_published(&f.log));
    ck_assert_uint_eq(f.flusher.checkpoint, 0);
    f.flusher.due_ns = 0;
    (void)flusher_step(&f.flusher);
    ck_assert_uint_eq(f.flusher.checkpoint, commit_log_published(&f.log)); /* I1 */
}
END_TEST

START_TEST(a_wake_with_little_unflushed_flushes_nothing)
{
    limit_to(3000);
    f.flusher.interval_ns = UINT64_C(3600000000000);
    (void)flusher_step(&f.flusher);
    append_kilobytes(2);
    ck_assert_int_gt(flusher_step(&f.flusher), 0);
    ck_assert_uint_eq(f.flusher.flushed, 0);
}
END_TEST

START_TEST(much_is_flushed_in_pieces)
{
    limit_to(4096);
    append_kilobytes(15);
    (void)flusher_step(&f.flusher);
    ck_assert_uint_eq(f.flusher.flushed, commit_log_published(&f.log));
    ck_assert_uint_eq(f.flusher.n_flushes, 4);
}
END_TEST

static void *wait_for_disk(void *arg)
{
    int *ret_rc = arg;
    struct err e;
    *ret_rc = flusher_wait(&f.flusher, &e);
    return NULL;
}

static unsigned count_waiting(void)
{
    lock_take(&f.flusher.lock);
    unsigned n = f.flusher.n_waiting;
    lock_drop(&f.flusher.lock);
    return n;
}

/* What an append is told that waits while the flusher makes its step. */
static int wait_through_a_step(void)
{
    pthread_t thread;
    int rc = 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_disk, &rc), 0);
    while (count_waiting() == 0)
        (void)sched_yield();
    (void)flusher_step(&f.flusher);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return rc;
}

static uint64_t count_timed(const struct timing *t)
{
    struct store_timing read;
    uint64_t n = 0;
    timing_read(t, &read);
    for (size_t i = 0; i < STORE_TIMING_BUCKETS; i++)
        n += read.counts[i];
    return n;
}

START_TEST(an_append_waits_while_the_disk_is_far_behind)
{
    struct err e;
    limit_to(2000);
    append_kilobytes(14); /* below eight times as many */
    ck_assert_int_eq(flusher_wait(&f.flusher, &e), 0);
    ck_assert_uint_eq(f.log.n_waits, 0);
    append_kilobytes(1);
    f.log.follower = &f.dispatcher.worker;
    ck_assert(!f.dispatcher.worker.woken);
    ck_assert_int_eq(wait_through_a_step(), 0);
    ck_assert(f.dispatcher.worker.woken); /* what was appended before need not wait */
    ck_assert_uint_eq(f.log.n_waits, 1);
    ck_assert_uint_eq(count_timed(&f.log.stalls), 1);
    ck_assert_uint_eq(count_timed(&f.log.syncs), f.flusher.n_flushes);
    ck_assert_uint_eq(f.flusher.flushed, commit_log_published(&f.log));
}
END_TEST

START_TEST(an_append_that_waits_hears_of_a_failed_sync)
{
    limit_to(2000);
    append_kilobytes(15);
    fault_arm(&f.fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(wait_through_a_step(), ERR_FAILED); /* I5 */
}
END_TEST

/* ---- what the checkpoint counts ---- */

static void expect_count(uint64_t n_queues, uint64_t n_entries)
{
    struct store_checkpoint cp;
    struct err e;
    ck_assert_int_eq(checkpoint_read(f.root, io_posix(), &cp, &e), 0);
    ck_assert_uint_eq(cp.n_queues, n_queues);
    ck_assert_uint_eq(cp.n_entries, n_entries);
    if (n_queues > 0)
        ck_assert_uint_eq(cp.count_off, (uint64_t)cp.queue_off);
}

/* Flushes all, as the worker does when nothing is appended for a while. */
static void step_to_the_end(void)
{
    for (int i = 0; i < 6; i++)
        (void)flusher_step(&f.flusher);
    ck_assert_uint_eq(f.flusher.flushed, commit_log_published(&f.log));
}

START_TEST(a_checkpoint_counts_the_entries_below_it)
{
    for (int i = 0; i < 3; i++)
        (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    (void)log_fixture_append(&f, 10); /* not dispatched */
    step_to_the_end();
    expect_count(1, 3);
    (void)dispatcher_step(&f.dispatcher);
    step_to_the_end();
    expect_count(1, 4);
}
END_TEST

START_TEST(a_count_that_is_of_another_position_is_written_anew)
{
    struct err e;
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    struct store_checkpoint cp = f.flusher.cp;
    cp.log_ms++;
    ck_assert(!checkpoint_has_count(&cp));
    flusher_begin(&f.flusher, commit_log_published(&f.log), &cp);
    (void)flusher_step(&f.flusher); /* nothing was appended */
    ck_assert(checkpoint_has_count(&f.flusher.cp));
    expect_count(1, 1);
}
END_TEST

static void *forget(void *arg)
{
    (void)arg;
    flusher_forget_count(&f.flusher);
    return NULL;
}

START_TEST(a_queue_leaves_the_count_before_its_files_go)
{
    pthread_t thread;
    struct queue_list l;
    struct err e;
    f.flusher.interval_ns = UINT64_C(3600000000000);
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_eq(flusher_all(&f.flusher, &e), 0);
    (void)flusher_step(&f.flusher); /* the one that is due */
    expect_count(1, 1);
    ck_assert_int_eq(consume_queues_list(&f.queues, span_str("T"), &l, &e), 0);
    dispatcher_count_out(&f.dispatcher, &l);
    queue_list_fini(&l);
    ck_assert_int_eq(pthread_create(&thread, NULL, forget, NULL), 0);
    while (count_waiting() == 0)
        (void)sched_yield();
    (void)flusher_step(&f.flusher);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    expect_count(0, 0);
}
END_TEST

START_TEST(who_has_the_count_forgotten_does_not_wait_for_a_failed_log)
{
    struct err e;
    (void)log_fixture_append(&f, 10);
    fault_arm(&f.fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_lt(flusher_all(&f.flusher, &e), 0);
    flusher_forget_count(&f.flusher);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("flush");
    TCase *tc = tcase_create("flush");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_flush_orders_checkpoint_flushed_and_published);
    tcase_add_test(tc, the_checkpoint_waits_for_the_queues);
    tcase_add_test(tc, a_log_that_moves_on_is_flushed_by_whole_units_only);
    tcase_add_test(tc, the_tail_of_a_log_that_rests_is_flushed_a_few_steps_later);
    tcase_add_test(tc, a_failed_sync_ends_appending_for_good);
    tcase_add_test(tc, only_queues_with_new_entries_are_flushed);
    tcase_add_test(tc, a_queue_dropped_before_its_flush_is_passed_over);
    tcase_add_test(tc, an_entry_that_recovery_wrote_again_is_flushed);
    tcase_add_test(tc, many_unflushed_bytes_wake_the_flusher);
    tcase_add_test(tc, a_flush_before_its_time_is_of_the_log_alone);
    tcase_add_test(tc, a_wake_with_little_unflushed_flushes_nothing);
    tcase_add_test(tc, much_is_flushed_in_pieces);
    tcase_add_test(tc, an_append_waits_while_the_disk_is_far_behind);
    tcase_add_test(tc, an_append_that_waits_hears_of_a_failed_sync);
    tcase_add_test(tc, a_checkpoint_counts_the_entries_below_it);
    tcase_add_test(tc, a_count_that_is_of_another_position_is_written_anew);
    tcase_add_test(tc, a_queue_leaves_the_count_before_its_files_go);
    tcase_add_test(tc, who_has_the_count_forgotten_does_not_wait_for_a_failed_log);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

/* The dispatcher's step, driven by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/dispatch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/format.h"
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

START_TEST(a_step_dispatches_all_that_is_published)
{
    for (int i = 0; i < 5; i++)
        (void)log_fixture_append(&f, 10);
    ck_assert_int_eq(dispatcher_step(&f.dispatcher), WORKER_WHEN_WOKEN);
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    ck_assert_ptr_nonnull(q);
    ck_assert_uint_eq(q->end_off, 5);
    ck_assert_uint_eq(f.dispatcher.dispatched, commit_log_published(&f.log));
    consume_queue_unref(q);
}
END_TEST

/* Appends to a queue that the dispatcher is told of, as store_append does. */
static struct consume_queue *append_handed(int n)
{
    struct consume_queue *q;
    struct err e;
    ck_assert_int_eq(consume_queues_get_or_make(&f.queues, span_str("T"), 0, &q, &e), 0);
    f.seq.queue = q;
    for (int i = 0; i < n; i++)
        (void)log_fixture_append(&f, 10);
    return q;
}

static unsigned n_arrived;

static void count_arrival(void *arg, const struct store_arrival *a)
{
    (void)arg;
    ck_assert(span_equal(a->topic, span_str("T")));
    ck_assert_uint_eq(a->queue_off, n_arrived++);
}

START_TEST(a_record_that_was_handed_over_is_not_read_back)
{
    f.dispatcher.on_arrival = count_arrival;
    struct consume_queue *q = append_handed(3);
    f.log.active->base[FORMAT_AT_MAGIC] ^= 1; /* who reads the first finds out */
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_uint_eq(q->end_off, 3);
    ck_assert_uint_eq(f.dispatcher.n_damaged, 0);
    ck_assert_uint_eq(f.dispatcher.dispatched, commit_log_published(&f.log));
    ck_assert_uint_eq(n_arrived, 3);
    consume_queue_unref(q);
}
END_TEST

/* Only its filler is read; it may be removed long before the next one is. */
START_TEST(no_file_is_kept_behind_its_end)
{
    struct consume_queue *q = append_handed(1);
    for (int i = 0; i < 2; i++) {
        log_fixture_make_room(&f);
        (void)log_fixture_append(&f, LOG_FILE_BYTES / 2);
    }
    ck_assert_uint_gt(commit_log_published(&f.log), LOG_FILE_BYTES);
    log_fixture_make_room(&f); /* the window gives it up */
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_uint_eq(q->end_off, 3);
    ck_assert_uint_eq(mapped_files_pins_at(&f.log.files, 0), 0);
    consume_queue_unref(q);
}
END_TEST

START_TEST(what_is_handed_over_and_what_is_not_keep_their_order)
{
    f.dispatcher.on_arrival = count_arrival;
    struct consume_queue *q = append_handed(2);
    f.seq.queue = NULL;
    (void)log_fixture_append(&f, 10);
    consume_queue_unref(append_handed(1));
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_uint_eq(q->end_off, 4);
    ck_assert_uint_eq(n_arrived, 4);
    consume_queue_unref(q);
}
END_TEST

START_TEST(a_full_disk_leaves_what_was_handed_over_for_later)
{
    struct consume_queue *q = append_handed(2);
    fault_arm(&f.fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_FROM_NOW);
    ck_assert_int_gt(dispatcher_step(&f.dispatcher), 0);
    ck_assert_uint_eq(q->end_off, 0);
    fault_disarm(&f.fault);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_uint_eq(q->end_off, 2);
    consume_queue_unref(q);
}
END_TEST

static uint64_t now_ns;

static uint64_t fake_mono_ns(struct io *io)
{
    (void)io;
    return now_ns;
}

/* Appends `n` records, and makes the step that comes `after_us` later. */
static int step_after(unsigned after_us, int n)
{
    f.fault.io.mono_ns = fake_mono_ns;
    now_ns += (uint64_t)after_us * 1000;
    for (int i = 0; i < n; i++)
        (void)log_fixture_append(&f, 10);
    int rest = dispatcher_step(&f.dispatcher);
    ck_assert_uint_eq(f.dispatcher.dispatched, commit_log_published(&f.log));
    return rest;
}

START_TEST(the_dispatcher_naps_while_much_is_appended)
{
    (void)step_after(1000, 0);
    ck_assert_int_eq(step_after(1000, 40), WORKER_WHEN_WOKEN);
    ck_assert_int_eq(step_after(1000, 40), WORKER_NAP);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(step_after(250, 10), WORKER_NAP);
    ck_assert_int_eq(step_after(1000, 2), WORKER_WHEN_WOKEN);
}
END_TEST

START_TEST(the_dispatcher_does_not_nap_after_a_large_request)
{
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(step_after(12000, 1), WORKER_WHEN_WOKEN);
        ck_assert_int_eq(step_after(30, 31), WORKER_WHEN_WOKEN);
        ck_assert_int_eq(step_after(30, 32), WORKER_WHEN_WOKEN);
    }
}
END_TEST

START_TEST(a_full_disk_stops_the_dispatcher_until_there_is_room)
{
    struct err e;
    (void)log_fixture_append(&f, 10);
    fault_arm(&f.fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_ONCE);
    ck_assert_int_gt(dispatcher_step(&f.dispatcher), 0);
    ck_assert_uint_eq(f.dispatcher.dispatched, 0);
    ck_assert_int_eq(dispatcher_wait(&f.dispatcher, 1, &e), ERR_NOSPACE);
    (void)dispatcher_step(&f.dispatcher);
    ck_assert_int_eq(dispatcher_wait(&f.dispatcher, 1, &e), 0);
}
END_TEST

START_TEST(a_record_damaged_before_its_dispatch_does_not_hide_the_next)
{
    (void)log_fixture_append(&f, 10);
    struct store_appended bad = log_fixture_append(&f, 10);
    (void)log_fixture_append(&f, 10);
    f.log.active->base[bad.log_off + FORMAT_AT_MAGIC] ^= 1;
    (void)dispatcher_step(&f.dispatcher);
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    ck_assert_uint_eq(q->end_off, 3); /* a hole, and the third (I6) */
    ck_assert_uint_eq(f.dispatcher.n_damaged, 1);
    consume_queue_unref(q);
}
END_TEST

/* The queue of log_fixture_append, with a reference; NULL: it is not there. */
static uint64_t queue_end(void)
{
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    uint64_t end = q ? q->end_off : 0;
    consume_queue_unref(q);
    return end;
}

START_TEST(an_appender_dispatches_into_a_page_in_use)
{
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    (void)log_fixture_append(&f, 10);
    (void)log_fixture_append(&f, 10);
    dispatcher_try(&f.dispatcher);
    ck_assert_uint_eq(queue_end(), 3);
    ck_assert_uint_eq(f.dispatcher.dispatched, commit_log_published(&f.log));
    ck_assert(!f.dispatcher.worker.woken);
}
END_TEST

START_TEST(an_appender_leaves_a_first_entry_to_the_worker)
{
    (void)log_fixture_append(&f, 10);
    dispatcher_try(&f.dispatcher);
    ck_assert_uint_eq(f.dispatcher.dispatched, 0);
    ck_assert(f.dispatcher.worker.woken);
}
END_TEST

START_TEST(an_appender_leaves_a_new_file_to_the_worker)
{
    const uint64_t in_file = f.queues.file_bytes / STORE_QUEUE_ENTRY_BYTES;
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    for (uint64_t i = 1; i < in_file + 2; i++)
        (void)log_fixture_append(&f, 10);
    for (int i = 0; i < 3; i++)
        dispatcher_try(&f.dispatcher);
    ck_assert_uint_eq(queue_end(), in_file);
    ck_assert(f.dispatcher.worker.woken);
}
END_TEST

START_TEST(an_appender_leaves_a_flushed_page_to_the_worker)
{
    uint64_t bytes;
    struct err e;
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    struct consume_queue *q = consume_queues_get(&f.queues, span_str("T"), 0);
    ck_assert_int_eq(consume_queue_flush(q, &bytes, &e), 0);
    consume_queue_unref(q);
    (void)log_fixture_append(&f, 10);
    dispatcher_try(&f.dispatcher);
    ck_assert_uint_eq(queue_end(), 1);
    ck_assert(f.dispatcher.worker.woken);
}
END_TEST

START_TEST(an_appender_goes_on_when_somebody_else_dispatches)
{
    (void)log_fixture_append(&f, 10);
    (void)dispatcher_step(&f.dispatcher);
    (void)log_fixture_append(&f, 10);
    pthread_mutex_lock(&f.dispatcher.role.mutex); /* somebody else's: not in this thread's ranks */
    dispatcher_try(&f.dispatcher);
    pthread_mutex_unlock(&f.dispatcher.role.mutex);
    ck_assert_uint_eq(queue_end(), 1);
}
END_TEST

/* ---- marks ---- */

enum { MARK_RECORDS = 600 /* in one file of the log */, MARK_ROUNDS = 60 };

static _Atomic uint64_t n_looks; /* relaxed: of one thread */

/* Each record is stored a millisecond after the one before. */
static uint64_t counting_tick_ms(struct io *io)
{
    (void)io;
    return atomic_fetch_add_explicit(&n_looks, 1, memory_order_relaxed) + 1;
}

static void *dispatch_one_by_one(void *arg)
{
    (void)arg;
    for (int i = 0; i < MARK_RECORDS; i++) {
        (void)log_fixture_append(&f, 0);
        (void)dispatcher_step(&f.dispatcher);
    }
    return NULL;
}

START_TEST(a_mark_is_of_one_moment)
{
    pthread_t thread;
    struct dispatcher_mark mark = {0};
    f.fault.io.tick_ms = counting_tick_ms;
    ck_assert_int_eq(pthread_create(&thread, NULL, dispatch_one_by_one, NULL), 0);
    while (mark.log_off < MARK_RECORDS * (uint64_t)LOG_RECORD_OVERHEAD) {
        dispatcher_mark(&f.dispatcher, &mark);
        ck_assert_uint_eq(mark.last_ms, mark.log_off / LOG_RECORD_OVERHEAD);
        ck_assert_uint_eq(mark.n_entries, mark.last_ms);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("dispatch");
    TCase *tc = tcase_create("dispatch");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_step_dispatches_all_that_is_published);
    tcase_add_test(tc, a_record_that_was_handed_over_is_not_read_back);
    tcase_add_test(tc, no_file_is_kept_behind_its_end);
    tcase_add_test(tc, what_is_handed_over_and_what_is_not_keep_their_order);
    tcase_add_test(tc, a_full_disk_leaves_what_was_handed_over_for_later);
    tcase_add_test(tc, the_dispatcher_naps_while_much_is_appended);
    tcase_add_test(tc, the_dispatcher_does_not_nap_after_a_large_request);
    tcase_add_test(tc, a_full_disk_stops_the_dispatcher_until_there_is_room);
    tcase_add_test(tc, an_appender_dispatches_into_a_page_in_use);
    tcase_add_test(tc, an_appender_leaves_a_first_entry_to_the_worker);
    tcase_add_test(tc, an_appender_leaves_a_new_file_to_the_worker);
    tcase_add_test(tc, an_appender_leaves_a_flushed_page_to_the_worker);
    tcase_add_test(tc, an_appender_goes_on_when_somebody_else_dispatches);
    tcase_add_test(tc, a_record_damaged_before_its_dispatch_does_not_hide_the_next);
    tcase_add_loop_test(tc, a_mark_is_of_one_moment, 0, MARK_ROUNDS);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

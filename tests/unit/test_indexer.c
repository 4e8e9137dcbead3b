/* The indexer's step, driven by hand: how far it follows the dispatcher, and what stops it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/indexer.h"

#include <errno.h>
#include <stdlib.h>

#include "store/index_format.h"
#include "store/index_search.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { SLOTS = 10, ITEMS = 100, LARGE_BYTES = 60 * 1024, PIECE_BYTES = 4 << 20, STEPS_MAX = 1000 };

static struct log_fixture f;
static struct fault fault; /* of the index alone */
static struct store_options opt;
static struct indexer ix;
static _Atomic uint64_t dispatched;
static char *folder;

static void begin(const struct key_index_start *start)
{
    struct err e = {0};
    int rc = indexer_init(&ix, &opt, &fault.io, &f.log, &dispatched, &e);
    if (rc == 0)
        rc = indexer_begin(&ix, start, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
}

static const struct key_index_start afresh = {.was_clean = true};

static void set_up_log(void)
{
    log_fixture_init(&f);
    fault_init(&fault, io_posix());
    folder = tmpdir_path(f.root, "index");
    dispatched = 0;
    opt = (struct store_options){.root = f.root, .index_slots = SLOTS, .index_items = ITEMS};
}

static void set_up(void)
{
    set_up_log();
    begin(&afresh);
}

static void tear_down(void)
{
    indexer_stop(&ix);
    indexer_fini(&ix);
    free(folder);
    log_fixture_fini(&f); /* no file of the log may be pinned any more */
}

/* ---- records ---- */

static struct store_appended append(const char *properties, size_t body_bytes)
{
    static const uint8_t zeros[LARGE_BYTES];
    struct span body = span_of(zeros, body_bytes);
    struct store_appended at = {0};
    struct err e = {0};
    const struct store_message m = {.topic = span_str("T"),
                                    .born_host = {.addr_len = 4},
                                    .properties = span_str(properties),
                                    .body = &body,
                                    .n_body = 1};
    int rc = commit_log_append(&f.log, &f.seq, &m, &at, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    return at;
}

/* The dispatcher has all of it. */
static void dispatch(void)
{
    atomic_store_explicit(&dispatched, commit_log_published(&f.log), memory_order_release);
}

static void dispatch_many(int n)
{
    for (int i = 0; i < n; i++)
        (void)append("KEYS\001k\002", 1);
    dispatch();
}

static int count_one(void *arg, uint64_t log_off, struct err *e)
{
    size_t *n = arg;
    (void)log_off;
    (void)e;
    (*n)++;
    return 0;
}

/* Records that have the key, as a look-up sees the index now. */
static size_t count(const char *key)
{
    const struct index_search s = {.io = io_posix(),
                                   .folder = folder,
                                   .n_slots = SLOTS,
                                   .hash = index_hash(span_str("T"), span_str(key)),
                                   .end_ms = UINT64_MAX,
                                   .below_log_off = UINT64_MAX,
                                   .max_items = 100000};
    enum index_search_end end;
    struct err e;
    size_t n = 0;
    ck_assert_int_eq(index_search(&s, count_one, &n, &end, &e), 0);
    ck_assert_int_eq(end, INDEX_SEARCH_ALL);
    return n;
}

static uint64_t indexed(void)
{
    return atomic_load_explicit(&ix.indexed, memory_order_acquire);
}

static bool has_failed(void)
{
    return atomic_load_explicit(&ix.is_failed, memory_order_acquire);
}

/* Until there is nothing to do at once; what the last step said. */
static int run(void)
{
    int due = WORKER_AT_ONCE;
    for (int i = 0; due == WORKER_AT_ONCE; i++) {
        ck_assert_int_lt(i, STEPS_MAX);
        due = indexer_step(&ix);
    }
    return due;
}

/* ---- following ---- */

START_TEST(what_is_dispatched_is_indexed_and_no_more)
{
    dispatch_many(3);
    (void)append("KEYS\001k\002", 1); /* published, not dispatched */
    (void)run();
    ck_assert_uint_eq(count("k"), 3);
    ck_assert_uint_eq(indexed(), dispatched);
    dispatch();
    (void)run();
    ck_assert_uint_eq(count("k"), 4);
}
END_TEST

START_TEST(after_work_it_rests_and_then_waits_to_be_woken)
{
    dispatch_many(1);
    ck_assert_int_eq(run(), WORKER_REST);
    ck_assert_int_eq(indexer_step(&ix), WORKER_WHEN_WOKEN);
    dispatch_many(1);
    ck_assert_int_eq(indexer_step(&ix), WORKER_REST);
    ck_assert_int_eq(indexer_step(&ix), WORKER_WHEN_WOKEN);
}
END_TEST

/* Over the ends of files, which are fillers. */
START_TEST(a_step_is_one_piece_of_the_log)
{
    int n = 0;
    uint64_t before = 0;
    do {
        (void)append("KEYS\001k\002", LARGE_BYTES);
        log_fixture_make_room(&f);
        n++;
    } while (commit_log_published(&f.log) < 2 * PIECE_BYTES + LARGE_BYTES);
    (void)run(); /* settles */
    dispatch();
    for (int i = 0; i < 2; i++, before = indexed()) {
        ck_assert_int_eq(indexer_step(&ix), WORKER_AT_ONCE);
        ck_assert_uint_ge(indexed() - before, PIECE_BYTES);
        ck_assert_uint_lt(indexed() - before, PIECE_BYTES + LOG_FILE_BYTES);
    }
    ck_assert_int_eq(indexer_step(&ix), WORKER_REST);
    ck_assert_uint_eq(indexed(), dispatched);
    ck_assert_uint_eq(count("k"), n);
}
END_TEST

START_TEST(a_damaged_record_does_not_hide_those_behind_it)
{
    dispatch_many(1);
    struct store_appended bad = append("KEYS\001k\002", 100);
    dispatch_many(2);
    f.log.active->base[bad.log_off + FORMAT_AT_MAGIC] ^= 1;
    (void)run();
    ck_assert_uint_eq(count("k"), 3);
    ck_assert_uint_eq(indexed(), dispatched);
    ck_assert(!has_failed());
}
END_TEST

START_TEST(a_damaged_end_is_passed_over)
{
    dispatch_many(1);
    struct store_appended bad = append("KEYS\001k\002", 100);
    dispatch();
    f.log.active->base[bad.log_off + FORMAT_AT_MAGIC] ^= 1;
    (void)run();
    ck_assert_uint_eq(indexed(), dispatched);
    dispatch_many(1);
    (void)run();
    ck_assert_uint_eq(count("k"), 2);
}
END_TEST

/* ---- failures ---- */

START_TEST(a_full_disk_is_tried_again_and_loses_no_key)
{
    (void)run();
    dispatch_many(3);
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_FROM_NOW);
    ck_assert_int_gt(indexer_step(&ix), 0); /* in so many ms */
    ck_assert_uint_eq(indexed(), 0);
    ck_assert(!has_failed());
    fault_disarm(&fault);
    ck_assert_int_eq(indexer_step(&ix), WORKER_REST);
    ck_assert_uint_eq(count("k"), 3);
}
END_TEST

START_TEST(after_another_failure_it_leaves_the_index_to_the_next_open)
{
    (void)run();
    dispatch_many(3);
    fault_arm(&fault, FAULT_ALLOCATE, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(indexer_step(&ix), WORKER_WHEN_WOKEN);
    ck_assert(has_failed());
    ck_assert_ptr_null(ix.file); /* or its space stays in use when it is removed */
    ck_assert_int_eq(indexer_step(&ix), WORKER_WHEN_WOKEN);
    ck_assert_uint_eq(indexed(), 0);
    indexer_stop(&ix);
    ck_assert_uint_eq(indexer_mark(&ix).log_off, 0);
    indexer_fini(&ix);
    begin(&(struct key_index_start){.was_clean = true, .tail = dispatched});
    (void)run();
    ck_assert_uint_eq(count("k"), 3);
}
END_TEST

/* ---- the mark ---- */

START_TEST(the_mark_moves_when_a_file_of_the_index_is_full)
{
    dispatch_many(ITEMS / 2);
    (void)run();
    ck_assert_uint_eq(indexer_mark(&ix).log_off, 0);
    dispatch_many(ITEMS);
    (void)run();
    uint64_t mark = indexer_mark(&ix).log_off;
    ck_assert_uint_gt(mark, 0);
    ck_assert_uint_lt(mark, indexed());
}
END_TEST

START_TEST(a_stop_takes_in_what_is_left_and_makes_it_durable)
{
    dispatch_many(1);
    (void)run();
    dispatch_many(3);
    fault_arm(&fault, FAULT_SYNC, 0, EIO, FAULT_ONCE);
    indexer_stop(&ix);
    ck_assert_uint_gt(fault_calls(&fault), 0);
    ck_assert_uint_eq(indexer_mark(&ix).log_off, dispatched);
    ck_assert_uint_eq(count("k"), 4);
}
END_TEST

START_TEST(a_stop_that_cannot_sync_leaves_the_mark)
{
    dispatch_many(3);
    (void)run();
    fault_arm(&fault, FAULT_SYNC, 1, EIO, FAULT_FROM_NOW);
    indexer_stop(&ix);
    ck_assert(fault_fired(&fault));
    ck_assert_uint_eq(indexer_mark(&ix).log_off, 0);
}
END_TEST

START_TEST(a_stop_before_it_settled_marks_nothing)
{
    dispatch_many(3);
    indexer_stop(&ix);
    ck_assert_uint_eq(indexer_mark(&ix).log_off, 0);
    ck_assert_uint_eq(count("k"), 0);
}
END_TEST

static struct key_index_start stop_and_note(void)
{
    indexer_stop(&ix);
    struct key_index_start start = {
        .was_clean = true, .mark = indexer_mark(&ix), .tail = commit_log_published(&f.log)};
    indexer_fini(&ix);
    return start;
}

START_TEST(the_next_run_goes_on_at_the_mark)
{
    dispatch_many(3);
    (void)run();
    struct key_index_start start = stop_and_note();
    begin(&start);
    ck_assert_uint_eq(indexer_mark(&ix).log_off, start.mark.log_off); /* it still holds */
    ck_assert_int_eq(indexer_step(&ix), WORKER_AT_ONCE);              /* settles */
    ck_assert_uint_eq(indexed(), start.mark.log_off);
    dispatch_many(1);
    (void)run();
    ck_assert_uint_eq(count("k"), 4);
    ck_assert_uint_eq(indexed(), dispatched);
}
END_TEST

START_TEST(an_index_that_is_off_is_left_as_it_is)
{
    dispatch_many(3);
    (void)run();
    struct key_index_start start = stop_and_note();
    opt.without_index = true;
    begin(&start);
    fault_arm(&fault, FAULT_ALL, 0, EIO, FAULT_ONCE);
    dispatch_many(1);
    ck_assert_int_eq(indexer_step(&ix), WORKER_WHEN_WOKEN);
    indexer_stop(&ix);
    ck_assert_uint_eq(fault_calls(&fault), 0);
    ck_assert_uint_eq(indexer_mark(&ix).log_off, start.mark.log_off);
    ck_assert_uint_eq(count("k"), 3);
}
END_TEST

START_TEST(files_that_were_damaged_are_counted_and_built_again)
{
    dispatch_many(3);
    (void)run();
    struct key_index_start start = stop_and_note();
    opt.index_items = 2 * ITEMS; /* now the one there has the wrong length */
    begin(&start);
    ck_assert_uint_eq(atomic_load_explicit(&ix.n_dropped, memory_order_relaxed), 1);
    (void)run();
    ck_assert_uint_eq(count("k"), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("indexer");
    TCase *tc = tcase_create("indexer");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_is_dispatched_is_indexed_and_no_more);
    tcase_add_test(tc, after_work_it_rests_and_then_waits_to_be_woken);
    tcase_add_test(tc, a_step_is_one_piece_of_the_log);
    tcase_add_test(tc, a_damaged_record_does_not_hide_those_behind_it);
    tcase_add_test(tc, a_damaged_end_is_passed_over);
    tcase_add_test(tc, a_full_disk_is_tried_again_and_loses_no_key);
    tcase_add_test(tc, after_another_failure_it_leaves_the_index_to_the_next_open);
    tcase_add_test(tc, the_mark_moves_when_a_file_of_the_index_is_full);
    tcase_add_test(tc, a_stop_takes_in_what_is_left_and_makes_it_durable);
    tcase_add_test(tc, a_stop_that_cannot_sync_leaves_the_mark);
    tcase_add_test(tc, a_stop_before_it_settled_marks_nothing);
    tcase_add_test(tc, the_next_run_goes_on_at_the_mark);
    tcase_add_test(tc, an_index_that_is_off_is_left_as_it_is);
    tcase_add_test(tc, files_that_were_damaged_are_counted_and_built_again);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* The table of consume queues: making, finding, listing, dropping, loading. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/consume_queues.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/reclaimer.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 200 };

static char *root;
static struct fault fault;
static struct reclaimer reclaimer;
static struct consume_queues table;

static void init_table(void)
{
    struct err e;
    ck_assert_int_eq(consume_queues_init(&table, &fault.io, root, FILE_BYTES, &reclaimer, &e), 0);
}

static void set_up(void)
{
    root = tmpdir_make();
    fault_init(&fault, io_posix());
    reclaimer_init(&reclaimer, /* log = */ NULL, 0, /* flushed = */ NULL);
    init_table();
}

static void tear_down(void)
{
    consume_queues_fini(&table);
    reclaimer_fini(&reclaimer);
    tmpdir_remove(root);
}

/* One entry in the queue, which is made when absent. */
static void put_one(const char *topic, int32_t queue_id)
{
    struct consume_queue *q;
    struct err e = {0};
    const struct store_queue_entry entry = {.size = 100};
    enum queue_put done;
    ck_assert_int_eq(consume_queues_get_or_make(&table, span_str(topic), queue_id, &q, &e), 0);
    ck_assert_int_eq(consume_queue_put(q, 0, &entry, &done, &e), 0);
    consume_queues_note_dirty(&table, q);
    consume_queue_unref(q);
}

static size_t count_listed(const char *topic)
{
    struct queue_list l;
    struct err e;
    ck_assert_int_eq(consume_queues_list(&table, span_str(topic), &l, &e), 0);
    size_t n = l.n;
    queue_list_fini(&l);
    return n;
}

static bool exists(const char *name)
{
    char *path = tmpdir_path(root, name);
    bool is_there = access(path, F_OK) == 0;
    free(path);
    return is_there;
}

static void make_folder(const char *name)
{
    char *path = tmpdir_path(root, name);
    struct err e;
    ck_assert_int_eq(io_make_dirs(io_posix(), path, &e), 0);
    free(path);
}

START_TEST(a_queue_is_made_once)
{
    struct consume_queue *first, *second;
    struct err e;
    ck_assert_ptr_null(consume_queues_get(&table, span_str("T"), 1));
    ck_assert_int_eq(consume_queues_get_or_make(&table, span_str("T"), 1, &first, &e), 0);
    ck_assert_int_eq(consume_queues_get_or_make(&table, span_str("T"), 1, &second, &e), 0);
    ck_assert_ptr_eq(first, second);
    ck_assert_uint_eq(consume_queues_count(&table), 1);
    ck_assert(!exists("consumequeue/T/1")); /* in memory only */
    consume_queue_unref(first);
    consume_queue_unref(second);
}
END_TEST

START_TEST(topics_and_ids_do_not_run_into_each_other)
{
    put_one("T", 1);
    put_one("T", 11);
    put_one("T1", 1);
    ck_assert_uint_eq(consume_queues_count(&table), 3);
    ck_assert_uint_eq(count_listed("T"), 2);
    ck_assert_uint_eq(count_listed("T1"), 1);
    ck_assert_uint_eq(count_listed(""), 3);
}
END_TEST

START_TEST(a_topic_that_cannot_be_a_folder_is_refused)
{
    static const char *const topics[] = {"", ".", "..", "a/b"};
    struct consume_queue *q;
    struct err e;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        ck_assert_int_eq(consume_queues_get_or_make(&table, span_str(topics[i]), 0, &q, &e),
                         ERR_INVAL);
    ck_assert_int_eq(consume_queues_get_or_make(&table, span_str("T"), -1, &q, &e), ERR_INVAL);
    ck_assert_uint_eq(consume_queues_count(&table), 0);
}
END_TEST

START_TEST(a_dropped_queue_leaves_the_table_and_the_disk)
{
    struct err e;
    put_one("T", 0);
    ck_assert(exists("consumequeue/T/0/00000000000000000000"));
    struct consume_queue *q = consume_queues_get(&table, span_str("T"), 0);
    ck_assert_int_eq(consume_queues_drop(&table, q, &e), 0);
    ck_assert(consume_queue_is_gone(q));
    ck_assert_int_eq(consume_queues_drop(&table, q, &e), 0); /* gone is gone */
    consume_queue_unref(q);
    ck_assert_ptr_null(consume_queues_get(&table, span_str("T"), 0));
    ck_assert(!exists("consumequeue/T/0"));
}
END_TEST

START_TEST(all_queues_on_disk_are_loaded)
{
    struct err e;
    put_one("T", 0);
    put_one("T", 7);
    put_one("U", 0);
    consume_queues_fini(&table);
    init_table();
    ck_assert_int_eq(consume_queues_load(&table, UINT64_MAX, &e), 0);
    ck_assert_uint_eq(consume_queues_count(&table), 3);
    struct consume_queue *q = consume_queues_get(&table, span_str("T"), 7);
    ck_assert_ptr_nonnull(q);
    ck_assert_uint_eq(q->end_off, 1);
    consume_queue_unref(q);
}
END_TEST

START_TEST(a_folder_that_is_no_queue_id_is_named)
{
    struct err e;
    make_folder("consumequeue/T/x1");
    ck_assert_int_eq(consume_queues_load(&table, UINT64_MAX, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "T/x1"));
}
END_TEST

START_TEST(topics_of_batch_queues_are_known)
{
    struct err e;
    make_folder("batchconsumequeue/B/0");
    ck_assert_int_eq(consume_queues_find_batches(&table, &e), 0);
    ck_assert_int_eq(consume_queues_note_batch(&table, "C", &e), 0);
    ck_assert(consume_queues_is_batch(&table, span_str("B")));
    ck_assert(consume_queues_is_batch(&table, span_str("C")));
    ck_assert(!consume_queues_is_batch(&table, span_str("T")));
}
END_TEST

START_TEST(a_failed_flush_empties_the_list_all_the_same)
{
    struct err e;
    uint64_t bytes = 0;
    put_one("T", 0);
    put_one("T", 1);
    fault_arm(&fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(consume_queues_flush(&table, &bytes, &e), ERR_IO);
    ck_assert_ptr_null(table.dirty);
    ck_assert_int_eq(consume_queues_flush(&table, &bytes, &e), 0);
}
END_TEST

static void expect_counted(uint64_t n_queues, uint64_t n_entries)
{
    uint64_t q, n;
    consume_queues_counted(&table, &q, &n);
    ck_assert_uint_eq(q, n_queues);
    ck_assert_uint_eq(n, n_entries);
}

START_TEST(queues_come_into_the_count_and_go_out_of_it)
{
    put_one("T", 0);
    put_one("T", 1);
    struct consume_queue *first = consume_queues_get(&table, span_str("T"), 0);
    struct consume_queue *second = consume_queues_get(&table, span_str("T"), 1);
    consume_queues_count_in(&table, first);
    expect_counted(1, 1);
    consume_queues_count_in(&table, second);
    consume_queue_set_bounds(second, 0, 7);
    consume_queues_count_in(&table, second);
    expect_counted(2, 8);
    consume_queues_count_out(&table, first);
    expect_counted(1, 7);
    consume_queue_set_bounds(second, 0, 2); /* it began again */
    consume_queues_count_in(&table, second);
    expect_counted(1, 2);
    consume_queue_unref(first);
    consume_queue_unref(second);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("consume_queues");
    TCase *tc = tcase_create("consume_queues");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_queue_is_made_once);
    tcase_add_test(tc, topics_and_ids_do_not_run_into_each_other);
    tcase_add_test(tc, a_topic_that_cannot_be_a_folder_is_refused);
    tcase_add_test(tc, a_dropped_queue_leaves_the_table_and_the_disk);
    tcase_add_test(tc, all_queues_on_disk_are_loaded);
    tcase_add_test(tc, a_folder_that_is_no_queue_id_is_named);
    tcase_add_test(tc, topics_of_batch_queues_are_known);
    tcase_add_test(tc, a_failed_flush_empties_the_list_all_the_same);
    tcase_add_test(tc, queues_come_into_the_count_and_go_out_of_it);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

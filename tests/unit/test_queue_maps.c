/* Mapped files of queues stay below a limit, whatever is read and written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/queue_maps.h"

#include <stdio.h>

#include "store/consume_queues.h"
#include "store/reclaimer.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_QUEUES = 40, LIMIT = 8, FILE_BYTES = 200 };

static char *root;
static struct reclaimer reclaimer;
static struct consume_queues table;
static struct consume_queue *queues[N_QUEUES];

static void set_up(void)
{
    struct err e;
    root = tmpdir_make();
    reclaimer_init(&reclaimer, /* log = */ NULL, 0, /* flushed = */ NULL);
    ck_assert_int_eq(consume_queues_init(&table, io_posix(), root, FILE_BYTES, &reclaimer, &e), 0);
    queue_maps_fini(&table.maps);
    queue_maps_init(&table.maps, LIMIT, &reclaimer.worker);
    for (int i = 0; i < N_QUEUES; i++)
        ck_assert_int_eq(consume_queues_get_or_make(&table, span_str("T"), i, &queues[i], &e), 0);
}

static void tear_down(void)
{
    for (int i = 0; i < N_QUEUES; i++)
        consume_queue_unref(queues[i]);
    consume_queues_fini(&table);
    reclaimer_fini(&reclaimer);
    tmpdir_remove(root);
}

/* Writes the next entry; the tail does not stay pinned. */
static void put(struct consume_queue *q)
{
    struct err e = {0};
    enum queue_put done;
    uint64_t n = consume_queue_end(q);
    const struct store_queue_entry entry = {.log_off = 100 * n, .size = 100};
    ck_assert_msg(consume_queue_put(q, n, &entry, &done, &e) == 0, "%s", e.msg);
    ck_assert_int_eq(done, QUEUE_PUT_NEW);
    mapped_file_unpin(q->tail);
    q->tail = NULL;
    queue_maps_trim(&table.maps);
}

static void expect_entry(struct consume_queue *q, uint64_t n)
{
    struct store_queue_entry entry;
    struct err e;
    size_t n_read;
    ck_assert_int_eq(consume_queue_read(q, n, &entry, 1, &n_read, &e), 0);
    ck_assert_uint_eq(n_read, 1);
    ck_assert_uint_eq(entry.log_off, 100 * n);
    queue_maps_trim(&table.maps);
}

static size_t n_mapped(void)
{
    size_t n = 0;
    for (int i = 0; i < N_QUEUES; i++) {
        struct mapped_files_usage u;
        mapped_files_usage(&queues[i]->files, &u);
        n += u.n_mapped > 0;
    }
    return n;
}

START_TEST(the_queues_used_longest_ago_are_unmapped)
{
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N_QUEUES; i++) {
            put(queues[i]);
            ck_assert_uint_le(n_mapped(), LIMIT);
        }
    for (int i = 0; i < N_QUEUES; i++)
        for (uint64_t n = 0; n < 3; n++)
            expect_entry(queues[i], n);
    ck_assert_uint_le(n_mapped(), LIMIT);
}
END_TEST

START_TEST(a_pinned_file_stays_mapped)
{
    struct queue_view v;
    struct err e;
    put(queues[0]);
    ck_assert_int_eq(consume_queue_view(queues[0], 0, &v, &e), 0);
    for (int i = 1; i < N_QUEUES; i++)
        put(queues[i]);
    ck_assert_ptr_nonnull(v.file->base);
    ck_assert_uint_eq(consume_queue_at(&v, 0).size, 100);
    mapped_file_unpin(v.file);
    for (int i = 1; i < N_QUEUES; i++)
        expect_entry(queues[i], 0);
    ck_assert_uint_le(n_mapped(), LIMIT);
}
END_TEST

/* What the dispatcher keeps pinned is bounded by itself. */
START_TEST(tails_are_given_up_longest_ago_first)
{
    enum { N_TAILS = QUEUE_MAPS_MAX / 4 };
    struct err e;
    struct consume_queue *q, *first = queues[0];
    put(first);
    ck_assert_int_eq(consume_queue_pin(first, 0, &first->tail, &e), 0);
    consume_queues_note_tail(&table, first);
    for (int i = 0; i < N_TAILS; i++) {
        ck_assert_ptr_nonnull(first->tail);
        ck_assert_int_eq(consume_queues_get_or_make(&table, span_str("U"), i, &q, &e), 0);
        consume_queues_note_tail(&table, q);
        consume_queues_note_tail(&table, q); /* once is enough */
        consume_queue_unref(q);
    }
    ck_assert_ptr_null(first->tail);
    put(first);
    expect_entry(first, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_maps");
    TCase *tc = tcase_create("queue_maps");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_queues_used_longest_ago_are_unmapped);
    tcase_add_test(tc, a_pinned_file_stays_mapped);
    tcase_add_test(tc, tails_are_given_up_longest_ago_first);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

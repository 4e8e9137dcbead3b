/* The store from outside: open, append, get, drop, close. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/crew.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct store_fixture f;

static void set_up(void)
{
    store_fixture_init(&f);
    store_fixture_open(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

START_TEST(what_was_appended_is_read_back)
{
    struct store_appended at = store_fixture_append(&f, "T", 3, "hello");
    ck_assert_uint_eq(at.log_off, 0);
    ck_assert_uint_eq(at.queue_off, 0);
    store_fixture_await(&f, "T", 3, 1);
    store_fixture_expect(&f, "T", 3, 0, "hello");
}
END_TEST

START_TEST(each_queue_counts_its_own_records)
{
    (void)store_fixture_append(&f, "T", 0, "a");
    (void)store_fixture_append(&f, "T", 1, "b");
    ck_assert_uint_eq(store_fixture_append(&f, "T", 0, "c").queue_off, 1);
    ck_assert_uint_eq(store_fixture_append(&f, "U", 0, "d").queue_off, 0);
    store_fixture_await(&f, "U", 0, 1);
    store_fixture_expect(&f, "T", 0, 1, "c");
    store_fixture_expect(&f, "T", 1, 0, "b");
}
END_TEST

START_TEST(records_run_over_many_files)
{
    char body[9000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 100; i++)
        (void)store_fixture_append(&f, "T", 0, body);
    store_fixture_await(&f, "T", 0, 100);
    store_fixture_expect(&f, "T", 0, 0, body);
    store_fixture_expect(&f, "T", 0, 99, body);
    struct store_stats st;
    store_stats(f.store, &st);
    ck_assert_uint_eq(st.lead_bytes, st.populated - st.reserved);
    ck_assert_uint_ge(st.n_files, 100 * 9000 / FIXTURE_FILE_BYTES);
    ck_assert_uint_eq(st.n_appended, 100);
    ck_assert_uint_eq(st.n_pins > 0, 1); /* the active file's at least */
}
END_TEST

START_TEST(the_lead_goes_on_into_the_file_made_ready)
{
    struct store_stats st;
    char body[9000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 4; i++) /* half of the file, which is populated to its end */
        (void)store_fixture_append(&f, "T", 0, body);
    do {
        (void)sched_yield(); /* the maker gets there */
        store_stats(f.store, &st);
    } while (st.populated == FIXTURE_FILE_BYTES);
    ck_assert_uint_eq(st.populated, 2 * FIXTURE_FILE_BYTES);
    ck_assert_uint_eq(st.lead_bytes, 2 * FIXTURE_FILE_BYTES - st.reserved);
}
END_TEST

START_TEST(a_new_store_is_told_from_one_closed_well)
{
    struct store_recovery r;
    store_recovery_report(f.store, &r);
    ck_assert(r.is_new);
    store_fixture_close(&f); /* nothing was ever appended */
    store_fixture_open(&f);
    store_recovery_report(f.store, &r);
    ck_assert(!r.is_new);
    ck_assert(r.was_clean);
}
END_TEST

START_TEST(a_clean_close_keeps_everything)
{
    for (int i = 0; i < 150; i++)
        (void)store_fixture_append(&f, "T", 0, "kept");
    store_fixture_close(&f);
    store_fixture_open(&f);
    struct store_recovery r;
    store_recovery_report(f.store, &r);
    ck_assert(r.was_clean);
    ck_assert_uint_eq(r.n_damaged, 0);
    ck_assert_uint_eq(r.cut_bytes, 0);
    ck_assert_uint_eq(r.n_requeued, 0);
    store_fixture_expect(&f, "T", 0, 149, "kept");
    ck_assert_uint_eq(store_fixture_append(&f, "T", 0, "next").queue_off, 150);
}
END_TEST

START_TEST(a_store_in_use_is_refused)
{
    struct store *second;
    struct err e;
    ck_assert_int_eq(store_open(&second, &f.opt, f.io, &e), ERR_BUSY);
    ck_assert_ptr_nonnull(strstr(e.msg, "another process"));
}
END_TEST

START_TEST(a_record_larger_than_its_limits_is_refused)
{
    static uint8_t body[16 * 1024 + 1];
    struct store_appended at;
    struct err e;
    ck_assert_int_eq(store_fixture_try(&f, "T", 0, span_of(body, sizeof body), &at, &e),
                     ERR_TOOBIG);
}
END_TEST

START_TEST(a_dropped_topic_starts_again_at_zero)
{
    struct err e = {0};
    uint64_t below;
    for (int i = 0; i < 3; i++)
        (void)store_fixture_append(&f, "T", 0, "old");
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e), 0);
    uint64_t min_off, max_off;
    store_queue_bounds(f.store, span_str("T"), 0, &min_off, &max_off);
    ck_assert_uint_eq(max_off, 0);
    ck_assert_uint_eq(store_fixture_append(&f, "T", 0, "new").queue_off, 0);
    store_fixture_await(&f, "T", 0, 1);
    store_fixture_expect(&f, "T", 0, 0, "new");
}
END_TEST

START_TEST(a_topic_made_again_survives_a_crash)
{
    struct err e = {0};
    uint64_t below;
    for (int i = 0; i < 3; i++)
        (void)store_fixture_append(&f, "T", 0, "old");
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e), 0);
    (void)store_fixture_append(&f, "T", 0, "new");
    store_fixture_kill(&f);
    store_fixture_poke(&f, "checkpoint", 40, "\0\0\0\0\0\0\0\0", 8); /* walk it all */
    store_fixture_open(&f);
    uint64_t min_off, max_off;
    store_queue_bounds(f.store, span_str("T"), 0, &min_off, &max_off);
    ck_assert_uint_eq(max_off, 1);
    store_fixture_expect(&f, "T", 0, 0, "new");
}
END_TEST

/* Of a store that died: how many entries topic T has when its queues are built from the log. */
static uint64_t count_after_kill(const struct store_deleted *deleted)
{
    store_fixture_kill(&f);
    store_fixture_poke(&f, "checkpoint", 40, "\0\0\0\0\0\0\0\0", 8); /* walk it all */
    f.opt.deleted = deleted;
    f.opt.n_deleted = deleted ? 1 : 0;
    store_fixture_open(&f);
    uint64_t min_off, max_off;
    store_queue_bounds(f.store, span_str("T"), 0, &min_off, &max_off);
    return max_off;
}

START_TEST(a_deleted_topic_stays_empty_through_a_crash)
{
    struct err e = {0};
    struct store_deleted deleted = {.topic = "T", .below_log_off = UINT64_MAX};
    for (int i = 0; i < 3; i++)
        (void)store_fixture_append(&f, "T", 0, "old");
    uint64_t below = 0;
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e), 0);
    ck_assert_uint_eq(count_after_kill(&deleted), 0);
    ck_assert_uint_gt(below, 0);
    deleted.below_log_off = below;
    (void)store_fixture_append(&f, "T", 0, "new");
    ck_assert_uint_eq(count_after_kill(&deleted), 1);
    store_fixture_expect(&f, "T", 0, 0, "new");
}
END_TEST

START_TEST(a_pin_outlives_its_topic)
{
    struct err e = {0};
    uint64_t below;
    struct store_slice slice;
    (void)store_fixture_append(&f, "T", 0, "held");
    store_fixture_await(&f, "T", 0, 1);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 0, 0, &slice, &e), 0);
    struct store_pin *again = store_pin_again(slice.pin);
    store_unpin(slice.pin);
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e), 0);
    ck_assert(span_equal(slice.rec.body, span_str("held")));
    store_unpin(again);
}
END_TEST

struct seen {
    _Atomic int n;
};

static void note_arrival(void *arg, const struct store_arrival *a)
{
    struct seen *seen = arg;
    if (span_equal(a->topic, span_str("T")) && a->queue_id == 2 && a->tag_code == 2598919)
        seen->n++;
}

START_TEST(an_arrival_is_told_after_it_can_be_read)
{
    struct seen seen = {0};
    store_fixture_close(&f);
    f.opt.on_arrival = note_arrival;
    f.opt.arrival_arg = &seen;
    store_fixture_open(&f);
    (void)store_fixture_append(&f, "T", 2, "x");
    (void)store_fixture_append(&f, "T", 2, "y");
    store_fixture_close(&f); /* drains */
    ck_assert_int_eq(seen.n, 2);
    store_fixture_open(&f);
}
END_TEST

struct files_seen {
    int n;
    bool has_log, has_queue;
};

/* The store's own pin and the test's slice; the store's threads pin for moments besides. */
static int note_file(void *arg, const struct store_file_info *info)
{
    struct files_seen *seen = arg;
    seen->n++;
    if (strcmp(info->path, "commitlog/00000000000000000000") == 0)
        seen->has_log = info->bytes == FIXTURE_FILE_BYTES && info->n_pins >= 2 &&
                        info->mapped_bytes == FIXTURE_FILE_BYTES;
    if (strcmp(info->path, "consumequeue/T/0/00000000000000000000") == 0)
        seen->has_queue = info->bytes == FIXTURE_QUEUE_FILE_BYTES && info->n_pins >= 1;
    return 0;
}

START_TEST(every_file_is_shown_with_its_pins)
{
    struct files_seen seen = {0};
    struct store_slice slice;
    struct err e = {0};
    (void)store_fixture_append(&f, "T", 0, "x");
    store_fixture_await(&f, "T", 0, 1);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 0, 0, &slice, &e), 0);
    ck_assert_int_eq(store_each_file(f.store, note_file, &seen, &e), 0);
    store_unpin(slice.pin);
    ck_assert_int_ge(seen.n, 5); /* and abort, checkpoint, lock */
    ck_assert(seen.has_log);
    ck_assert(seen.has_queue);
}
END_TEST

START_TEST(a_file_cut_by_somebody_else_does_not_end_the_process)
{
    struct store_stats st;
    struct store_slice slice;
    struct err e = {0};
    char body[9000];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 20; i++)
        (void)store_fixture_append(&f, "T", 0, body);
    store_fixture_await(&f, "T", 0, 20);
    ck_assert_int_eq(store_get(f.store, span_str("T"), 0, 0, &slice, &e), 0);
    char *path = tmpdir_path(f.root, "commitlog/00000000000000000000");
    ck_assert_int_eq(truncate(path, 4096), 0);
    ck_assert(!store_body_check(&slice.rec, /* ret_crc = */ NULL)); /* zeros from byte 4096 on */
    store_unpin(slice.pin);
    store_stats(f.store, &st);
    ck_assert_uint_eq(st.n_bad_files, 1);                    /* I4 */
    ck_assert_int_eq(truncate(path, FIXTURE_FILE_BYTES), 0); /* so that it opens in tear_down */
    free(path);
}
END_TEST

enum { N_APPENDERS = 3, N_EACH = 300 };

static void append_many(int number)
{
    char body[700];
    memset(body, 'a', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < N_EACH; i++)
        (void)store_fixture_append(&f, "T", number % 2, body);
}

/* Scans queue 0 to its end, while it grows, holding each pin for a while. */
static void *scan_all(void *arg)
{
    struct store_scan s = {
        .topic = span_str("T"), .max_messages = 8, .max_bytes = 1 << 20, .max_entries = 100};
    struct store_slice slices[8];
    struct store_scanned done;
    struct err e;
    uint64_t *n = arg;
    while (*n < 2 * N_EACH) { /* appenders 0 and 2 */
        ck_assert_int_eq(store_scan(f.store, &s, slices, &done, &e), 0);
        for (size_t i = 0; i < done.n; i++) {
            ck_assert(store_body_check(&slices[i].rec, /* ret_crc = */ NULL));
            ck_assert_uint_eq(slices[i].rec.queue_off, *n + i);
            store_unpin(slices[i].pin);
        }
        *n += done.n;
        s.from_queue_off = done.next_queue_off;
    }
    return NULL;
}

START_TEST(readers_see_whole_records_in_order_while_many_append)
{
    struct crew appenders;
    pthread_t reader;
    uint64_t n_read = 0;
    store_fixture_close(&f);
    f.opt.flush_interval_ms = 1;
    f.opt.mapped_budget_bytes = 2 * FIXTURE_FILE_BYTES;
    store_fixture_open(&f);
    ck_assert_int_eq(pthread_create(&reader, NULL, scan_all, &n_read), 0);
    crew_start(&appenders, N_APPENDERS, append_many);
    crew_join(&appenders);
    ck_assert_int_eq(pthread_join(reader, NULL), 0);
    ck_assert_uint_eq(n_read, 2 * N_EACH); /* I2 */
    struct store_stats st;
    store_stats(f.store, &st);
    ck_assert_uint_le(st.checkpoint, st.flushed); /* I1 */
    ck_assert_uint_le(st.flushed, st.published);
    ck_assert_uint_le(st.published, st.reserved);
    ck_assert_uint_le(st.reserved, st.populated);
    ck_assert_uint_le(st.populated, st.allocated);
}
END_TEST

START_TEST(what_is_written_does_not_stay_mapped)
{
    enum { FILE_BYTES = 32 << 20, N = 6000, BODY = 16 * 1024, MAX_GROWTH_BYTES = 64 << 20 };
    static uint8_t body[BODY];
    struct store_memory before, after;
    struct store_appended at = {0};
    struct err e;
    store_fixture_close(&f);
    tmpdir_remove(f.root);
    store_fixture_init(&f);
    f.opt.file_bytes = FILE_BYTES;
    f.opt.flush_interval_ms = 1;
    f.opt.populate_window_bytes = 1 << 20;
    store_fixture_open(&f);
    ck_assert_int_eq(store_memory(&before, &e), 0);
    for (int i = 0; i < N; i++) /* 94 MiB */
        ck_assert_int_eq(store_fixture_try(&f, "T", 0, span_of(body, BODY), &at, &e), 0);
    store_fixture_await(&f, "T", 0, N);
    struct store_stats st;
    do { /* until the flusher has been there too */
        store_stats(f.store, &st);
        ck_assert_int_eq(store_memory(&after, &e), 0);
    } while (st.checkpoint < st.published ||
             after.rss_file_bytes > before.rss_file_bytes + MAX_GROWTH_BYTES);
}
END_TEST

START_TEST(what_is_unflushed_stays_within_bounds)
{
    enum { LIMIT = 4096, RECORD_MAX = 1024 };
    char body[512];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    store_fixture_close(&f);
    f.opt.flush_bytes = LIMIT;
    f.opt.flush_interval_ms = 60000;
    store_fixture_open(&f);
    struct store_stats st;
    for (int i = 0; i < 100; i++) {
        (void)store_fixture_append(&f, "T", 0, body);
        store_stats(f.store, &st);
        ck_assert_uint_le(st.published - st.flushed, 8 * LIMIT + RECORD_MAX);
    }
    while (st.published - st.flushed >= LIMIT) { /* long before the interval is over */
        (void)sched_yield();
        store_stats(f.store, &st);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("store");
    TCase *tc = tcase_create("store");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_was_appended_is_read_back);
    tcase_add_test(tc, each_queue_counts_its_own_records);
    tcase_add_test(tc, records_run_over_many_files);
    tcase_add_test(tc, the_lead_goes_on_into_the_file_made_ready);
    tcase_add_test(tc, a_new_store_is_told_from_one_closed_well);
    tcase_add_test(tc, a_clean_close_keeps_everything);
    tcase_add_test(tc, a_store_in_use_is_refused);
    tcase_add_test(tc, a_record_larger_than_its_limits_is_refused);
    tcase_add_test(tc, a_dropped_topic_starts_again_at_zero);
    tcase_add_test(tc, a_topic_made_again_survives_a_crash);
    tcase_add_test(tc, a_deleted_topic_stays_empty_through_a_crash);
    tcase_add_test(tc, a_pin_outlives_its_topic);
    tcase_add_test(tc, an_arrival_is_told_after_it_can_be_read);
    tcase_add_test(tc, every_file_is_shown_with_its_pins);
    tcase_add_test(tc, a_file_cut_by_somebody_else_does_not_end_the_process);
    tcase_add_test(tc, readers_see_whole_records_in_order_while_many_append);
    tcase_add_test(tc, what_is_written_does_not_stay_mapped);
    tcase_add_test(tc, what_is_unflushed_stays_within_bounds);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

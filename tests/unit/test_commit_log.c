/* The append path, with the allocator driven by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/commit_log.h"

#include <pthread.h>
#include <sched.h>

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

START_TEST(records_lie_one_behind_the_other)
{
    struct store_appended a = log_fixture_append(&f, 100), b = log_fixture_append(&f, 7);
    ck_assert_uint_eq(a.size, 100 + LOG_RECORD_OVERHEAD);
    ck_assert_uint_eq(b.log_off, a.size);
    ck_assert_uint_eq(b.queue_off, 1);
    ck_assert_uint_ge(b.store_ms, a.store_ms);
    ck_assert_uint_eq(commit_log_published(&f.log), b.log_off + b.size);
}
END_TEST

START_TEST(a_record_is_read_back_by_place_and_size)
{
    struct store_appended at = log_fixture_append(&f, 100);
    struct store_record rec;
    struct mapped_file *file;
    struct err e;
    ck_assert_int_eq(commit_log_read(&f.log, at.log_off, at.size, &rec, &file, &e), 0);
    ck_assert_uint_eq(rec.body.len, 100);
    mapped_file_unpin(file);
    ck_assert_int_eq(commit_log_read(&f.log, at.log_off, at.size - 1, &rec, &file, &e),
                     ERR_CORRUPT);
    ck_assert_int_eq(commit_log_read(&f.log, at.log_off + 1, at.size - 1, &rec, &file, &e),
                     ERR_CORRUPT);
    ck_assert_int_eq(commit_log_read(&f.log, at.size, 100, &rec, &file, &e), ERR_NOTFOUND);
    ck_assert_int_eq(commit_log_read(&f.log, UINT64_MAX, 100, &rec, &file, &e), ERR_NOTFOUND);
}
END_TEST

START_TEST(a_record_that_just_fits_leaves_room_for_the_filler)
{
    struct store_appended at =
        log_fixture_append(&f, LOG_FILE_BYTES - LOG_RECORD_OVERHEAD - FORMAT_FILLER_BYTES);
    ck_assert_uint_eq(at.log_off, 0);
    ck_assert_uint_eq(at.size, LOG_FILE_BYTES - FORMAT_FILLER_BYTES);
    struct store_appended none;
    struct err e;
    ck_assert_int_eq(log_fixture_try(&f, LOG_FILE_BYTES - LOG_RECORD_OVERHEAD, 0, &none, &e),
                     ERR_TOOBIG);
}
END_TEST

START_TEST(a_roll_writes_the_filler_and_takes_the_file_made_ready)
{
    struct store_appended a = log_fixture_append(&f, 40 * 1024);
    log_fixture_make_room(&f);
    struct store_appended b = log_fixture_append(&f, 40 * 1024);
    ck_assert_uint_eq(b.log_off, LOG_FILE_BYTES);
    struct mapped_file *file;
    struct err e;
    ck_assert_int_eq(mapped_files_pin(&f.log.files, 0, &file, &e), 0);
    ck_assert_uint_eq(be32_get(file->base + a.size), LOG_FILE_BYTES - a.size);
    ck_assert_uint_eq(be32_get(file->base + a.size + 4), STORE_MAGIC_BLANK);
    mapped_file_unpin(file);
    ck_assert_uint_eq(f.log.n_waits, 0);
}
END_TEST

START_TEST(halves_of_transactions_take_no_number)
{
    struct store_appended at;
    struct err e;
    (void)log_fixture_append(&f, 1);
    ck_assert_int_eq(log_fixture_try(&f, 1, STORE_SYSFLAG_PREPARED, &at, &e), 0);
    ck_assert_uint_eq(at.queue_off, 0);
    ck_assert_uint_eq(log_fixture_append(&f, 1).queue_off, 1);
}
END_TEST

START_TEST(a_closed_log_refuses)
{
    struct store_appended at;
    struct err e;
    commit_log_close(&f.log);
    ck_assert_int_eq(log_fixture_try(&f, 1, 0, &at, &e), ERR_CLOSED);
}
END_TEST

static void *append_one(void *arg)
{
    struct err e;
    *(int *)arg = log_fixture_try(&f, 40 * 1024, 0, &(struct store_appended){0}, &e);
    return NULL;
}

/* I7 */
START_TEST(who_finds_no_file_waits_for_it_outside_the_lock)
{
    pthread_t thread;
    struct worker dispatcher;
    int rc = 1;
    worker_init(&dispatcher, /* step = */ NULL, /* arg = */ NULL);
    f.log.follower = &dispatcher;
    (void)log_fixture_append(&f, 40 * 1024);
    ck_assert(!dispatcher.woken);
    ck_assert_int_eq(pthread_create(&thread, NULL, append_one, &rc), 0);
    while (f.log.n_waits == 0 || !f.log.allocator.is_wanted)
        (void)sched_yield();
    lock_take(&f.log.lock); /* it is free */
    lock_drop(&f.log.lock);
    log_fixture_make_room(&f);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(rc, 0);
    ck_assert(dispatcher.woken); /* what was appended before need not wait */
    worker_fini(&dispatcher);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("commit_log");
    TCase *tc = tcase_create("commit_log");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, records_lie_one_behind_the_other);
    tcase_add_test(tc, a_record_is_read_back_by_place_and_size);
    tcase_add_test(tc, a_record_that_just_fits_leaves_room_for_the_filler);
    tcase_add_test(tc, a_roll_writes_the_filler_and_takes_the_file_made_ready);
    tcase_add_test(tc, halves_of_transactions_take_no_number);
    tcase_add_test(tc, a_closed_log_refuses);
    tcase_add_test(tc, who_finds_no_file_waits_for_it_outside_the_lock);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

/* One consume queue: numbering, files, loading, cutting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/consume_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/reclaimer.h"
#include "store/store.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 200, PER_FILE = 10 };

static char *root, *folder;
static struct fault fault;
static struct reclaimer reclaimer;
static struct consume_queue *q;

static void make_queue(void)
{
    struct err e;
    ck_assert_int_eq(
        consume_queue_new(&q, span_str("T"), 0, folder, FILE_BYTES, &fault.io, &reclaimer, &e), 0);
}

static void set_up(void)
{
    root = tmpdir_make();
    folder = tmpdir_path(root, "T/0");
    fault_init(&fault, io_posix());
    reclaimer_init(&reclaimer, /* log = */ NULL, 0, /* flushed = */ NULL);
    make_queue();
}

static void tear_down(void)
{
    consume_queue_unref(q);
    reclaimer_fini(&reclaimer);
    free(folder);
    tmpdir_remove(root);
}

/* Entry n points at log_off 100 n. */
static enum queue_put put(uint64_t queue_off, uint64_t log_off)
{
    struct store_queue_entry entry = {.log_off = log_off, .size = 100, .tag_code = -5};
    enum queue_put done;
    struct err e = {0};
    int rc = consume_queue_put(q, queue_off, &entry, &done, &e);
    ck_assert_msg(rc == 0, "put: %s", e.msg);
    return done;
}

static void put_many(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        ck_assert_int_eq(put(i, 100 * i), QUEUE_PUT_NEW);
}

static void reload(uint64_t below_log_off)
{
    struct err e = {0};
    consume_queue_unref(q);
    make_queue();
    int rc = consume_queue_load(q, below_log_off, &e);
    ck_assert_msg(rc == 0, "load: %s", e.msg);
}

static struct store_queue_entry read_one(uint64_t queue_off)
{
    struct store_queue_entry entry = {0};
    struct err e = {0};
    size_t n;
    ck_assert_int_eq(consume_queue_read(q, queue_off, &entry, 1, &n, &e), 0);
    ck_assert_uint_eq(n, 1);
    return entry;
}

START_TEST(entries_come_back_with_all_fields)
{
    put_many(25);
    struct store_queue_entry entry = read_one(17);
    ck_assert_uint_eq(entry.log_off, 1700);
    ck_assert_uint_eq(entry.size, 100);
    ck_assert_int_eq(entry.tag_code, -5);
}
END_TEST

START_TEST(a_read_ends_with_the_file_and_with_the_queue)
{
    struct store_queue_entry entries[30];
    struct err e;
    size_t n;
    put_many(15);
    ck_assert_int_eq(consume_queue_read(q, 4, entries, 30, &n, &e), 0);
    ck_assert_uint_eq(n, 6);
    ck_assert_int_eq(consume_queue_read(q, 10, entries, 30, &n, &e), 0);
    ck_assert_uint_eq(n, 5);
    ck_assert_int_eq(consume_queue_read(q, 15, entries, 30, &n, &e), 0);
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(putting_twice_writes_once)
{
    put_many(5);
    ck_assert_int_eq(put(3, 300), QUEUE_PUT_ALREADY);
    ck_assert_uint_eq(q->end_off, 5);
}
END_TEST

static void grow_files_to(uint64_t bytes)
{
    q->files.file_bytes = bytes; /* before there is one */
}

START_TEST(the_end_is_warm_up_to_the_page_s_end)
{
    enum { IN_PAGE = 4096 / STORE_QUEUE_ENTRY_BYTES };
    grow_files_to(4096 * 20);
    ck_assert(!consume_queue_is_warm(q, 0));
    for (uint64_t i = 0; i < 2 * IN_PAGE; i++) {
        ck_assert_int_eq(put(i, 100 * i), QUEUE_PUT_NEW);
        uint64_t next_end = (i + 2) * STORE_QUEUE_ENTRY_BYTES;
        uint64_t last_end = (i + 1) * STORE_QUEUE_ENTRY_BYTES;
        ck_assert_int_eq(consume_queue_is_warm(q, i + 1),
                         (next_end - 1) / 4096 == (last_end - 1) / 4096);
    }
}
END_TEST

START_TEST(no_number_but_the_next_is_warm)
{
    put_many(2);
    ck_assert(consume_queue_is_warm(q, 2));
    ck_assert(!consume_queue_is_warm(q, 1));
    ck_assert(!consume_queue_is_warm(q, 3));
}
END_TEST

START_TEST(an_entry_behind_a_hole_waits_until_it_is_filled)
{
    struct err e;
    put_many(5);
    ck_assert_int_eq(put(8, 800), QUEUE_PUT_AHEAD);
    ck_assert_int_eq(consume_queue_fill(q, 8, &e), 0);
    ck_assert_int_eq(put(8, 800), QUEUE_PUT_NEW);
    struct store_queue_entry hole = read_one(6), real = read_one(8);
    ck_assert(!consume_queue_is_real(&hole));
    ck_assert(consume_queue_is_real(&real));
}
END_TEST

START_TEST(a_hole_too_wide_to_be_lost_records_is_refused)
{
    struct err e;
    put_many(1);
    ck_assert_int_eq(consume_queue_fill(q, UINT64_C(1) << 40, &e), ERR_CORRUPT);
    ck_assert_uint_eq(q->end_off, 1);
}
END_TEST

START_TEST(a_queue_may_begin_at_any_number)
{
    ck_assert_int_eq(put(23, 2300), QUEUE_PUT_NEW);
    ck_assert_uint_eq(q->min_off, 23);
    reload(UINT64_MAX);
    ck_assert_uint_eq(q->min_off, 23);
    ck_assert_uint_eq(q->end_off, 24);
    ck_assert_uint_eq(read_one(23).log_off, 2300);
}
END_TEST

START_TEST(a_number_again_further_on_in_the_log_is_a_new_life)
{
    put_many(25);
    ck_assert_int_eq(put(0, 9000), QUEUE_PUT_NEW);
    ck_assert_uint_eq(q->end_off, 1);
    ck_assert_uint_eq(read_one(0).log_off, 9000);
}
END_TEST

START_TEST(a_number_that_another_record_has_is_told)
{
    put_many(25);
    ck_assert_int_eq(put(7, 9000), QUEUE_PUT_TAKEN);
    ck_assert_uint_eq(read_one(7).log_off, 700);
    ck_assert_uint_eq(q->end_off, 25);
}
END_TEST

START_TEST(a_wrong_entry_is_written_anew_and_synced)
{
    const struct store_queue_entry entry = {.log_off = 750, .size = 100};
    uint64_t bytes;
    struct err e = {0};
    put_many(25);
    ck_assert_int_eq(consume_queue_flush(q, &bytes, &e), 0);
    ck_assert_int_eq(consume_queue_mend(q, 7, &entry, &e), 0);
    ck_assert_uint_eq(read_one(7).log_off, 750);
    ck_assert_uint_eq(q->end_off, 25);
    ck_assert_int_eq(consume_queue_flush(q, &bytes, &e), 0);
    ck_assert_uint_ge(bytes, 20);
    ck_assert_int_eq(put(25, 2500), QUEUE_PUT_NEW); /* it goes on at the end */
}
END_TEST

/* Overwrites the `n` entries from `queue_off` on, of one file. */
static void poke_entries(uint64_t queue_off, size_t n, int byte)
{
    uint8_t junk[FILE_BYTES];
    char name[32];
    uint64_t at = queue_off * STORE_QUEUE_ENTRY_BYTES;
    memset(junk, byte, sizeof junk);
    (void)snprintf(name, sizeof name, "%020llu", (unsigned long long)(at - at % FILE_BYTES));
    char *path = tmpdir_path(folder, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t len = (ssize_t)(n * STORE_QUEUE_ENTRY_BYTES);
    ck_assert_int_eq(pwrite(fd, junk, (size_t)len, (off_t)(at % FILE_BYTES)), len);
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

START_TEST(a_damaged_entry_is_no_end)
{
    put_many(25);
    for (uint64_t n = 0; n < 24; n++) { /* each is where some search looks */
        poke_entries(n, 1, n % 2 ? 0 : 0xff);
        reload(UINT64_MAX);
        ck_assert_uint_eq(q->end_off, 25);
        ck_assert_uint_eq(q->min_off, 0);
        ck_assert_uint_eq(q->last.log_off, 2400);
    }
    struct store_queue_entry entry = read_one(3);
    ck_assert(consume_queue_is_damaged(&entry));
    ck_assert(!consume_queue_is_real(&entry));
}
END_TEST

START_TEST(a_file_of_damaged_entries_is_no_end)
{
    put_many(25);
    poke_entries(10, PER_FILE, 0);
    reload(UINT64_MAX);
    ck_assert_uint_eq(q->end_off, 25);
    ck_assert_uint_eq(read_one(24).log_off, 2400);
}
END_TEST

START_TEST(a_cut_stops_at_no_damaged_entry)
{
    struct err e;
    put_many(25);
    poke_entries(1, 1, 0);
    reload(UINT64_MAX);
    ck_assert_int_eq(consume_queue_cut(q, 2000, &e), 0);
    ck_assert_uint_eq(q->end_off, 20);
    ck_assert_int_eq(consume_queue_cut(q, 1901, &e), 0);
    ck_assert_uint_eq(q->end_off, 20);
}
END_TEST

START_TEST(a_load_finds_the_end_in_any_file)
{
    for (uint64_t n = 1; n <= 2 * PER_FILE + 1; n++) {
        ck_assert_int_eq(put(n - 1, 100 * (n - 1)), QUEUE_PUT_NEW);
        reload(UINT64_MAX);
        ck_assert_uint_eq(q->end_off, n);
    }
}
END_TEST

START_TEST(a_load_believes_only_entries_below_the_checkpoint)
{
    put_many(25);
    reload(1200);
    ck_assert_uint_eq(q->end_off, 12);
    reload(UINT64_MAX); /* the rest was zeroed, not hidden */
    ck_assert_uint_eq(q->end_off, 12);
    ck_assert_int_eq(put(12, 1200), QUEUE_PUT_NEW);
}
END_TEST

START_TEST(a_cut_drops_what_points_behind_the_log)
{
    struct err e;
    put_many(25);
    ck_assert_int_eq(consume_queue_cut(q, 700, &e), 0);
    ck_assert_uint_eq(q->end_off, 7);
    reload(UINT64_MAX);
    ck_assert_uint_eq(q->end_off, 7);
}
END_TEST

START_TEST(a_full_disk_leaves_the_queue_as_it_was)
{
    struct store_queue_entry entry = {.log_off = 1000, .size = 100};
    enum queue_put done;
    struct err e;
    put_many(PER_FILE);
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_ONCE);
    ck_assert_int_eq(consume_queue_put(q, PER_FILE, &entry, &done, &e), ERR_NOSPACE);
    ck_assert_uint_eq(q->end_off, PER_FILE);
    ck_assert_int_eq(put(PER_FILE, 1000), QUEUE_PUT_NEW); /* it works again with room */
}
END_TEST

START_TEST(a_flush_syncs_only_what_is_new)
{
    uint64_t bytes;
    struct err e;
    put_many(25);
    ck_assert_int_eq(consume_queue_flush(q, &bytes, &e), 0);
    ck_assert_uint_eq(bytes, 500);
    ck_assert_int_eq(consume_queue_flush(q, &bytes, &e), 0);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

/* ---- what a queue costs in memory ---- */

enum { REAL_FILE_BYTES = 6000000, SMALL_BYTES = 64 * 1024, TMPFS_TYPE = 0x01021994 };

static uint64_t resident_bytes(void)
{
    struct store_residency r;
    struct err e;
    char *path = tmpdir_path(folder, "00000000000000000000");
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(store_residency(fd, 0, REAL_FILE_BYTES, &r, &e), 0);
    (void)close(fd);
    free(path);
    return r.resident_bytes;
}

/* On tmpfs allocated is resident. */
static bool is_on_disk(void)
{
    struct statfs fs;
    ck_assert_int_eq(statfs(root, &fs), 0);
    return fs.f_type != TMPFS_TYPE;
}

static void use_real_files(void)
{
    struct err e;
    consume_queue_unref(q);
    ck_assert_int_eq(
        consume_queue_new(&q, span_str("T"), 0, folder, REAL_FILE_BYTES, &fault.io, &reclaimer, &e),
        0);
}

START_TEST(a_queue_with_one_entry_keeps_little_in_memory)
{
    struct err e;
    uint64_t n_bytes;
    use_real_files();
    put_many(1);
    (void)read_one(0);
    ck_assert_int_eq(consume_queue_flush(q, &n_bytes, &e), 0);
    if (is_on_disk())
        ck_assert_uint_lt(resident_bytes(), SMALL_BYTES);
    use_real_files();
    ck_assert_int_eq(consume_queue_load(q, UINT64_MAX, &e), 0);
    (void)read_one(0);
    if (is_on_disk())
        ck_assert_uint_lt(resident_bytes(), SMALL_BYTES);
}
END_TEST

START_TEST(entries_far_behind_the_end_are_cleared_too)
{
    struct err e;
    enum { N = 20000, KEPT = 7 };
    use_real_files();
    put_many(N);
    use_real_files();
    ck_assert_int_eq(consume_queue_load(q, 100 * KEPT, &e), 0);
    ck_assert_uint_eq(q->end_off, KEPT);
    use_real_files();
    ck_assert_int_eq(consume_queue_load(q, UINT64_MAX, &e), 0);
    ck_assert_uint_eq(q->end_off, KEPT);
}
END_TEST

START_TEST(the_end_is_found_in_a_queue_of_any_length)
{
    for (uint64_t n = 1; n < 3 * PER_FILE; n++) {
        ck_assert_int_eq(put(n - 1, 100 * (n - 1)), QUEUE_PUT_NEW);
        reload(UINT64_MAX);
        ck_assert_uint_eq(q->end_off, n);
    }
}
END_TEST

/* ---- what a load cleared ---- */

static void flush(void)
{
    struct err e = {0};
    uint64_t bytes;
    int rc = consume_queue_flush(q, &bytes, &e);
    ck_assert_msg(rc == 0, "flush: %s", e.msg);
    ck_assert(!consume_queue_is_cleared(q));
}

START_TEST(a_queue_started_again_is_flushed_though_what_was_cleared_is_gone)
{
    put_many(25);
    reload(1200); /* cleared in the second file */
    ck_assert(consume_queue_is_cleared(q));
    ck_assert_int_eq(put(0, 5000), QUEUE_PUT_NEW); /* a new life, with one file */
    flush();
}
END_TEST

START_TEST(all_that_two_cuts_cleared_waits_for_a_flush)
{
    struct err e;
    use_real_files();
    put_many(1000);
    use_real_files();
    ck_assert_int_eq(consume_queue_load(q, 100 * 300, &e), 0);
    uint64_t upto = q->cleared_upto;
    ck_assert_uint_ge(upto, 1000 * STORE_QUEUE_ENTRY_BYTES);
    ck_assert_int_eq(consume_queue_cut(q, 100 * 10, &e), 0);
    ck_assert_uint_eq(q->cleared_upto, upto);
    flush();
}
END_TEST

/* ---- the beginning ---- */

static void trim(uint64_t log_off, uint64_t wanted_min)
{
    struct err e = {0};
    int rc = consume_queue_trim(q, log_off, &e);
    ck_assert_msg(rc == 0, "trim: %s", e.msg);
    ck_assert_uint_eq(q->min_off, wanted_min);
    ck_assert_uint_eq(q->end_off, 25);
}

static uint64_t drop_old(void)
{
    struct err e = {0};
    uint64_t start, end;
    int rc = consume_queue_drop_old(q, &e);
    ck_assert_msg(rc == 0, "drop: %s", e.msg);
    mapped_files_bounds(&q->files, &start, &end);
    return start / STORE_QUEUE_ENTRY_BYTES;
}

START_TEST(a_queue_begins_at_the_first_entry_that_the_log_still_has)
{
    put_many(25);
    trim(0, 0);
    trim(1, 1);
    trim(1200, 12);
    trim(1201, 13);
    trim(700, 13); /* it does not come back */
    trim(UINT64_MAX, 25);
    ck_assert_int_eq(put(25, 2500), QUEUE_PUT_NEW);
    ck_assert_uint_eq(q->min_off, 25);
}
END_TEST

START_TEST(a_damaged_entry_begins_a_queue_only_where_the_next_does)
{
    put_many(25);
    poke_entries(11, 3, 0);
    reload(UINT64_MAX);
    trim(1300, 11); /* the next that tells is entry 14 */
    trim(1401, 15);
}
END_TEST

/* Whichever it is; those before it are kept. */
START_TEST(a_wrong_entry_takes_no_others_along)
{
    put_many(25);
    for (uint64_t n = 12; n < 25; n++) {
        const struct store_queue_entry wrong = {.log_off = 1, .size = 100};
        const struct store_queue_entry right = {.log_off = 100 * n, .size = 100};
        struct err e;
        consume_queue_set_bounds(q, 0, 25);
        ck_assert_int_eq(consume_queue_mend(q, n, &wrong, &e), 0);
        trim(1100, 11);
        ck_assert_int_eq(consume_queue_mend(q, n, &right, &e), 0);
    }
}
END_TEST

START_TEST(files_before_the_beginning_go_but_for_the_last)
{
    put_many(25);
    ck_assert_uint_eq(drop_old(), 0);
    trim(1200, 12);
    ck_assert_uint_eq(drop_old(), 10);
    ck_assert_uint_eq(read_one(12).log_off, 1200);
    trim(UINT64_MAX, 25);
    ck_assert_uint_eq(drop_old(), 20);
    ck_assert_int_eq(put(25, 2500), QUEUE_PUT_NEW);
    reload(UINT64_MAX);
    ck_assert_uint_eq(q->end_off, 26); /* the numbers go on */
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("consume_queue");
    TCase *tc = tcase_create("consume_queue");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, entries_come_back_with_all_fields);
    tcase_add_test(tc, a_read_ends_with_the_file_and_with_the_queue);
    tcase_add_test(tc, putting_twice_writes_once);
    tcase_add_test(tc, the_end_is_warm_up_to_the_page_s_end);
    tcase_add_test(tc, no_number_but_the_next_is_warm);
    tcase_add_test(tc, an_entry_behind_a_hole_waits_until_it_is_filled);
    tcase_add_test(tc, a_hole_too_wide_to_be_lost_records_is_refused);
    tcase_add_test(tc, a_queue_may_begin_at_any_number);
    tcase_add_test(tc, a_number_again_further_on_in_the_log_is_a_new_life);
    tcase_add_test(tc, a_number_that_another_record_has_is_told);
    tcase_add_test(tc, a_wrong_entry_is_written_anew_and_synced);
    tcase_add_test(tc, a_damaged_entry_is_no_end);
    tcase_add_test(tc, a_file_of_damaged_entries_is_no_end);
    tcase_add_test(tc, a_cut_stops_at_no_damaged_entry);
    tcase_add_test(tc, a_load_finds_the_end_in_any_file);
    tcase_add_test(tc, a_load_believes_only_entries_below_the_checkpoint);
    tcase_add_test(tc, a_cut_drops_what_points_behind_the_log);
    tcase_add_test(tc, a_full_disk_leaves_the_queue_as_it_was);
    tcase_add_test(tc, a_flush_syncs_only_what_is_new);
    tcase_add_test(tc, a_queue_with_one_entry_keeps_little_in_memory);
    tcase_add_test(tc, entries_far_behind_the_end_are_cleared_too);
    tcase_add_test(tc, the_end_is_found_in_a_queue_of_any_length);
    tcase_add_test(tc, a_queue_started_again_is_flushed_though_what_was_cleared_is_gone);
    tcase_add_test(tc, all_that_two_cuts_cleared_waits_for_a_flush);
    tcase_add_test(tc, a_queue_begins_at_the_first_entry_that_the_log_still_has);
    tcase_add_test(tc, a_damaged_entry_begins_a_queue_only_where_the_next_does);
    tcase_add_test(tc, a_wrong_entry_takes_no_others_along);
    tcase_add_test(tc, files_before_the_beginning_go_but_for_the_last);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

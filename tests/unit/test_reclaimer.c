/* The reclaimer's step: burying, and the budgets of mapped and of resident memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reclaimer.h"

#include <string.h>

#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 8192, N_FILES = 4 };

static char *folder;
static struct mapped_files mf;
static struct reclaimer r;
static _Atomic uint64_t flushed;

static void set_up(void)
{
    struct err e;
    folder = tmpdir_make();
    flushed = 0;
    reclaimer_init(&r, &mf, 2 * FILE_BYTES, &flushed);
    ck_assert_int_eq(mapped_files_init(&mf, io_posix(), folder, FILE_BYTES, MAPPED_READ, &r, &e),
                     0);
    for (uint64_t i = 0; i < N_FILES; i++) {
        struct mapped_file *f;
        ck_assert_int_eq(
            mapped_file_create(&f, io_posix(), folder, i * FILE_BYTES, FILE_BYTES, FILE_BYTES, &e),
            0);
        ck_assert_int_eq(mapped_files_add(&mf, f, &e), 0);
    }
}

static void tear_down(void)
{
    mapped_files_fini(&mf);
    reclaimer_fini(&r);
    tmpdir_remove(folder);
}

static uint64_t n_mapped(void)
{
    struct mapped_files_usage u;
    mapped_files_usage(&mf, &u);
    return u.n_mapped;
}

START_TEST(cold_files_are_unmapped_down_to_the_budget)
{
    flushed = N_FILES * FILE_BYTES;
    (void)reclaimer_step(&r);
    ck_assert_uint_eq(n_mapped(), 2);
    ck_assert_uint_eq(r.n_unmapped, 2);
}
END_TEST

START_TEST(what_is_not_flushed_stays_mapped_whatever_the_budget)
{
    flushed = FILE_BYTES + 1;
    (void)reclaimer_step(&r);
    ck_assert_uint_eq(n_mapped(), 3);
}
END_TEST

START_TEST(a_pinned_file_stays_mapped_whatever_the_budget)
{
    struct mapped_file *f;
    struct err e;
    flushed = N_FILES * FILE_BYTES;
    ck_assert_int_eq(mapped_files_pin(&mf, 0, &f, &e), 0);
    (void)reclaimer_step(&r);
    ck_assert_ptr_nonnull(f->base);
    mapped_file_unpin(f);
}
END_TEST

/* ---- resident memory ---- */

enum { N_PARTS = 16, BIG_BYTES = N_PARTS * PART_BYTES };

static struct fault seam;
static struct mapped_file *big;
static _Atomic uint64_t written;
static bool is_present[N_PARTS]; /* what the budget counts */
static int n_forgotten;

static int count_present(struct io *io, uint64_t *ret_bytes)
{
    (void)io;
    *ret_bytes = 0;
    for (int i = 0; i < N_PARTS; i++)
        *ret_bytes += is_present[i] ? PART_BYTES : 0;
    return 0;
}

static int note_advice(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    (void)io;
    ck_assert_int_eq((int)advice, IO_DONTNEED);
    for (uint64_t at = (uint64_t)(base - big->base), end = at + len; at < end; at += PART_BYTES)
        is_present[at / PART_BYTES] = false;
    return 0;
}

static int say_cold(struct io *io, uint8_t *page)
{
    (void)io, (void)page;
    return 0;
}

static int note_forget(struct io *io, int fd, uint64_t off, uint64_t len)
{
    (void)io, (void)fd, (void)off;
    ck_assert_uint_eq(len, PART_BYTES);
    n_forgotten++;
    return 0;
}

/* One file of N_PARTS under a budget of eight, all of it written long ago. */
static void set_up_resident(void)
{
    struct err e;
    folder = tmpdir_make();
    fault_init(&seam, io_posix());
    seam.io.rss = count_present;
    seam.io.advise = note_advice;
    seam.io.is_resident = say_cold;
    seam.io.forget = note_forget;
    memset(is_present, 0, sizeof is_present);
    n_forgotten = 0;
    written = BIG_BYTES + PARTS_KEEP_BYTES;
    reclaimer_init(&r, &mf, 0, &flushed);
    reclaimer_bound(&r, 8 * PART_BYTES, &seam.io);
    ck_assert_int_eq(mapped_files_init(&mf, &seam.io, folder, BIG_BYTES, MAPPED_READ, &r, &e), 0);
    mf.written = &written;
    ck_assert_int_eq(mapped_file_create(&big, &seam.io, folder, 0, BIG_BYTES, 4096, &e), 0);
    ck_assert_int_eq(mapped_files_add(&mf, big, &e), 0);
}

static void read_part(int n)
{
    parts_use(big, (uint64_t)n * PART_BYTES, (uint64_t)n * PART_BYTES + 1);
    is_present[n] = true;
}

static int present(void)
{
    int n = 0;
    for (int i = 0; i < N_PARTS; i++)
        n += is_present[i];
    return n;
}

START_TEST(the_coldest_parts_are_given_back_when_more_is_resident_than_the_budget)
{
    for (int i = 0; i < N_PARTS; i++)
        read_part(i);
    (void)reclaimer_step(&r);
    ck_assert_int_le(present(), 7);
    ck_assert_int_ge(present(), 3);
    ck_assert(is_present[N_PARTS - 1]);
    ck_assert(!is_present[0]);
}
END_TEST

START_TEST(below_the_budget_nothing_is_given_back)
{
    for (int i = 0; i < 6; i++)
        read_part(i);
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), 6);
    ck_assert_uint_eq(r.n_relaxed, 0);
}
END_TEST

START_TEST(what_was_read_from_disk_leaves_the_page_cache_with_the_mapping)
{
    parts_fill(big, 0, PART_BYTES); /* written by us */
    is_present[0] = true;
    for (int i = 1; i < N_PARTS; i++)
        read_part(i);
    (void)reclaimer_step(&r);
    ck_assert(!is_present[0]);
    ck_assert_int_eq(n_forgotten, N_PARTS - present() - 1);
    ck_assert_uint_eq(r.n_forgotten, (uint64_t)n_forgotten);
}
END_TEST

START_TEST(what_a_writer_may_touch_stays_whatever_the_budget)
{
    written = 0;
    for (int i = 0; i < N_PARTS; i++)
        read_part(i);
    (void)reclaimer_step(&r);
    ck_assert_int_ge(present(), 1);
    ck_assert_uint_eq(r.n_relaxed, 0);
}
END_TEST

START_TEST(what_the_list_does_not_know_of_is_given_back_too)
{
    for (int i = 0; i < N_PARTS; i++)
        is_present[i] = true;
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), 0);
}
END_TEST

START_TEST(a_pinned_file_may_lose_its_pages_but_not_its_mapping)
{
    struct mapped_file *f;
    struct err e;
    ck_assert_int_eq(mapped_files_pin(&mf, 0, &f, &e), 0);
    uint8_t *base = f->base;
    for (int i = 0; i < N_PARTS; i++)
        read_part(i);
    (void)reclaimer_step(&r);
    ck_assert_ptr_eq(f->base, base);
    ck_assert_uint_gt(r.n_relaxed, 0);
    mapped_file_unpin(f);
}
END_TEST

START_TEST(readers_wake_it_again_before_the_budget_is_used_up)
{
    (void)reclaimer_step(&r);
    ck_assert_uint_le(r.parts.wake_n, 2);
    ck_assert_uint_ge(r.parts.wake_n, 1);
}
END_TEST

/* ---- behind the tail ---- */

static _Atomic uint64_t dispatched;
static uint64_t now_ns;

static uint64_t tell_time(struct io *io)
{
    (void)io;
    return now_ns;
}

/* All of the file is there, and all budgets are large. */
static void set_up_tail(void)
{
    set_up_resident();
    seam.io.mono_ns = tell_time;
    now_ns = 1;
    dispatched = 0;
    r.resident_bytes = 1 << 30;
    reclaimer_follow(&r, &dispatched, 0);
    for (int i = 0; i < N_PARTS; i++)
        read_part(i);
}

START_TEST(what_lies_far_enough_behind_what_is_dispatched_is_given_back)
{
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), N_PARTS);
    dispatched = PARTS_KEEP_BYTES + 3 * PART_BYTES + PART_BYTES / 2;
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), N_PARTS - 3);
    ck_assert(!is_present[2]);
    ck_assert(is_present[3]);
    ck_assert_uint_eq(r.parts.n, N_PARTS - 3);
}
END_TEST

START_TEST(a_log_that_rests_keeps_nothing_behind_its_tail)
{
    dispatched = 5 * PART_BYTES;
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), N_PARTS);
    now_ns += UINT64_C(5000000000);
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), 0);
    ck_assert_int_eq(n_forgotten, 0);
}
END_TEST

START_TEST(what_is_read_while_the_log_rests_stays)
{
    dispatched = 5 * PART_BYTES;
    (void)reclaimer_step(&r);
    now_ns += UINT64_C(5000000000);
    (void)reclaimer_step(&r);
    read_part(3);
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), 1);
}
END_TEST

START_TEST(a_file_that_was_removed_is_passed_over)
{
    struct mapped_file *next;
    struct err e;
    bool is_dropped;
    ck_assert_int_eq(mapped_file_create(&next, &seam.io, folder, BIG_BYTES, BIG_BYTES, 4096, &e),
                     0);
    ck_assert_int_eq(mapped_files_add(&mf, next, &e), 0);
    ck_assert_int_eq(mapped_files_drop_first(&mf, BIG_BYTES, &is_dropped, &e), 0);
    ck_assert(is_dropped);
    big = next;
    for (int i = 0; i < N_PARTS; i++)
        read_part(i);
    dispatched = BIG_BYTES + PARTS_KEEP_BYTES + 3 * PART_BYTES;
    (void)reclaimer_step(&r);
    ck_assert_int_eq(present(), N_PARTS - 3);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("reclaimer");
    TCase *tc = tcase_create("reclaimer");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, cold_files_are_unmapped_down_to_the_budget);
    tcase_add_test(tc, what_is_not_flushed_stays_mapped_whatever_the_budget);
    tcase_add_test(tc, a_pinned_file_stays_mapped_whatever_the_budget);
    suite_add_tcase(s, tc);
    tc = tcase_create("resident");
    tcase_add_checked_fixture(tc, set_up_resident, tear_down);
    tcase_add_test(tc, the_coldest_parts_are_given_back_when_more_is_resident_than_the_budget);
    tcase_add_test(tc, below_the_budget_nothing_is_given_back);
    tcase_add_test(tc, what_was_read_from_disk_leaves_the_page_cache_with_the_mapping);
    tcase_add_test(tc, what_a_writer_may_touch_stays_whatever_the_budget);
    tcase_add_test(tc, what_the_list_does_not_know_of_is_given_back_too);
    tcase_add_test(tc, a_pinned_file_may_lose_its_pages_but_not_its_mapping);
    tcase_add_test(tc, readers_wake_it_again_before_the_budget_is_used_up);
    suite_add_tcase(s, tc);
    tc = tcase_create("tail");
    tcase_add_checked_fixture(tc, set_up_tail, tear_down);
    tcase_add_test(tc, what_lies_far_enough_behind_what_is_dispatched_is_given_back);
    tcase_add_test(tc, a_log_that_rests_keeps_nothing_behind_its_tail);
    tcase_add_test(tc, what_is_read_while_the_log_rests_stays);
    tcase_add_test(tc, a_file_that_was_removed_is_passed_over);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

/* The reclaimer's step: burying and the budget. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reclaimer.h"

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

static Suite *make_suite(void)
{
    Suite *s = suite_create("reclaimer");
    TCase *tc = tcase_create("reclaimer");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, cold_files_are_unmapped_down_to_the_budget);
    tcase_add_test(tc, what_is_not_flushed_stays_mapped_whatever_the_budget);
    tcase_add_test(tc, a_pinned_file_stays_mapped_whatever_the_budget);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

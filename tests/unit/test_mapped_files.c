/* The ordered files of one log: loading, finding, dropping, unmapping. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mapped_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/reclaimer.h"
#include "store/store.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 8192 };

static char *folder;
static struct mapped_files mf;
static struct reclaimer reclaimer;
static _Atomic uint64_t flushed;

static void set_up(void)
{
    struct err e;
    folder = tmpdir_make();
    reclaimer_init(&reclaimer, &mf, 0, &flushed);
    ck_assert_int_eq(
        mapped_files_init(&mf, io_posix(), folder, FILE_BYTES, MAPPED_READ, &reclaimer, &e), 0);
}

static void tear_down(void)
{
    mapped_files_fini(&mf);
    reclaimer_fini(&reclaimer);
    tmpdir_remove(folder);
}

static void put_file(const char *name, off_t bytes)
{
    tmpdir_put_zeros(folder, name, bytes);
}

static void put_three(void)
{
    put_file("00000000000000008192", FILE_BYTES);
    put_file("00000000000000016384", FILE_BYTES);
    put_file("00000000000000024576", FILE_BYTES);
}

static void load(void)
{
    struct err e = {0};
    int rc = mapped_files_load(&mf, &e);
    ck_assert_msg(rc == 0, "load: %s", e.msg);
}

/* By the name of the file, which is left as it is. */
static void expect_refused(const char *named)
{
    struct err e;
    ck_assert_int_eq(mapped_files_load(&mf, &e), ERR_CORRUPT);
    ck_assert_msg(strstr(e.msg, named), "it names '%s': %s", named, e.msg);
    char *path = tmpdir_path(folder, named);
    ck_assert_int_eq(access(path, F_OK), 0);
    free(path);
}

START_TEST(files_are_found_by_position)
{
    struct mapped_file *f;
    struct err e;
    uint64_t start, end;
    put_three();
    load();
    mapped_files_bounds(&mf, &start, &end);
    ck_assert_uint_eq(start, 8192);
    ck_assert_uint_eq(end, 32768);
    ck_assert_int_eq(mapped_files_pin(&mf, 16384 + 8191, &f, &e), 0);
    ck_assert_uint_eq(f->start, 16384);
    ck_assert_uint_eq(mapped_files_pins_at(&mf, 16384), 1);
    mapped_file_unpin(f);
    ck_assert_int_eq(mapped_files_pin(&mf, 8191, &f, &e), ERR_NOTFOUND);
    ck_assert_int_eq(mapped_files_pin(&mf, 32768, &f, &e), ERR_NOTFOUND);
}
END_TEST

START_TEST(a_name_is_20_digits_that_a_position_can_be)
{
    uint64_t start = 7;
    ck_assert(store_parse_name("00000000000000016384", &start) && start == 16384);
    ck_assert(store_parse_name("09223372036854775807", &start) && start == INT64_MAX);
    static const char *const wrong[] = {"",
                                        "0000000000000016384",
                                        "000000000000000016384",
                                        "0000000000000001638a",
                                        "-0000000000000016384",
                                        "09223372036854775808",
                                        "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!store_parse_name(wrong[i], &start), "%s", wrong[i]);
    ck_assert_uint_eq(start, INT64_MAX); /* as it was */
}
END_TEST

START_TEST(an_absent_folder_has_no_files)
{
    uint64_t start, end;
    ck_assert_int_eq(rmdir(folder), 0);
    load();
    mapped_files_bounds(&mf, &start, &end);
    ck_assert_uint_eq(end, 0);
    ck_assert_int_eq(io_posix()->mkdir(io_posix(), folder, 0755), 0);
}
END_TEST

START_TEST(an_empty_last_file_is_removed)
{
    put_three();
    put_file("00000000000000032768", 0);
    load();
    ck_assert_uint_eq(mf.n, 3);
    char *path = tmpdir_path(folder, "00000000000000032768");
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
}
END_TEST

START_TEST(a_short_last_file_of_a_log_is_extended)
{
    put_three();
    put_file("00000000000000032768", 100);
    load();
    struct mapped_file *f;
    struct err e;
    ck_assert_int_eq(mapped_files_pin(&mf, 32768 + 8000, &f, &e), 0);
    ck_assert_uint_eq(f->base[8000], 0);
    mapped_file_unpin(f);
}
END_TEST

START_TEST(a_file_of_another_length_is_refused_by_name)
{
    put_three();
    put_file("00000000000000016384", 100);
    expect_refused("00000000000000016384");
}
END_TEST

START_TEST(a_missing_file_in_the_middle_is_refused)
{
    put_file("00000000000000008192", FILE_BYTES);
    put_file("00000000000000024576", FILE_BYTES);
    expect_refused("00000000000000024576");
}
END_TEST

START_TEST(a_foreign_name_is_refused)
{
    put_three();
    put_file("notes.txt", 10);
    expect_refused("notes.txt");
}
END_TEST

START_TEST(a_dropped_file_stays_mapped_while_pinned)
{
    struct mapped_file *f;
    struct err e;
    put_three();
    load();
    ck_assert_int_eq(mapped_files_pin(&mf, 24576, &f, &e), 0);
    ck_assert_int_eq(mapped_files_drop_from(&mf, 16384, &e), 0);
    ck_assert_uint_eq(mf.n, 1);
    ck_assert_int_ne(access(f->path, F_OK), 0);
    (void)reclaimer_step(&reclaimer);
    ck_assert_uint_eq(reclaimer_n_pins(&reclaimer), 1);
    ck_assert_uint_eq(f->base[0], 0); /* I3 */
    mapped_file_unpin(f);
    ck_assert_int_eq(reclaimer_step(&reclaimer), WORKER_WHEN_WOKEN);
    ck_assert_uint_eq(reclaimer_n_pins(&reclaimer), 0);
}
END_TEST

static void touch(uint64_t off)
{
    struct mapped_file *f;
    struct err e;
    ck_assert_int_eq(mapped_files_pin(&mf, off, &f, &e), 0);
    mapped_file_unpin(f);
}

START_TEST(the_file_unused_for_longest_is_unmapped_first)
{
    put_three();
    load();
    touch(16384);
    touch(8192);
    touch(24576);
    ck_assert(mapped_files_unmap_coldest(&mf, 32768, FILE_BYTES));
    ck_assert_ptr_null(mf.files[1]->base);
    ck_assert_ptr_nonnull(mf.files[0]->base);
    touch(16384); /* it comes back when it is wanted */
    ck_assert_ptr_nonnull(mf.files[1]->base);
}
END_TEST

START_TEST(neither_pinned_nor_unflushed_files_are_unmapped)
{
    struct mapped_file *f;
    struct err e;
    put_three();
    load();
    ck_assert_int_eq(mapped_files_pin(&mf, 8192, &f, &e), 0);
    touch(16384);
    ck_assert(!mapped_files_unmap_coldest(&mf, 16384, 0));
    mapped_file_unpin(f);
    ck_assert(mapped_files_unmap_coldest(&mf, 16384, 0));
    ck_assert(!mapped_files_unmap_coldest(&mf, 16384, 0));
    ck_assert_ptr_nonnull(mf.files[1]->base);
}
END_TEST

static bool drop_first(uint64_t below)
{
    struct err e = {0};
    bool is_dropped;
    int rc = mapped_files_drop_first(&mf, below, &is_dropped, &e);
    ck_assert_msg(rc == 0, "drop: %s", e.msg);
    return is_dropped;
}

START_TEST(the_first_files_go_but_never_the_last)
{
    struct mapped_file *f;
    struct err e;
    uint64_t start, end;
    char *path = tmpdir_path(folder, "00000000000000008192");
    put_three();
    load();
    ck_assert_int_eq(mapped_files_pin(&mf, 8192, &f, &e), 0);
    ck_assert(!drop_first(16383));
    ck_assert(drop_first(16384));
    ck_assert_int_lt(access(path, F_OK), 0);
    ck_assert_int_eq(mapped_files_pin(&mf, 8192, &f, &e), ERR_NOTFOUND);
    ck_assert_uint_eq(reclaimer_n_pins(&reclaimer), 1);
    ck_assert_uint_eq(f->base[0], 0); /* it stays mapped for who has it */
    mapped_file_unpin(f);
    ck_assert_int_eq(mapped_files_pin(&mf, 16384, &f, &e), 0);
    ck_assert_uint_eq(f->start, 16384);
    mapped_file_unpin(f);
    ck_assert(drop_first(UINT64_MAX));
    ck_assert(!drop_first(UINT64_MAX));
    mapped_files_bounds(&mf, &start, &end);
    ck_assert_uint_eq(start, 24576);
    ck_assert_uint_eq(end, 32768);
    free(path);
}
END_TEST

static int refuse_unlink(struct io *io, const char *path)
{
    (void)io;
    (void)path;
    return -EROFS;
}

START_TEST(a_first_file_that_cannot_be_removed_stays)
{
    struct io io = *io_posix();
    struct mapped_file *f;
    struct err e;
    bool is_dropped;
    put_three();
    load();
    io.unlink = refuse_unlink;
    mf.io = &io;
    ck_assert_int_eq(mapped_files_drop_first(&mf, UINT64_MAX, &is_dropped, &e), ERR_IO);
    ck_assert(!is_dropped);
    ck_assert_msg(strstr(e.msg, "00000000000000008192"), "%s", e.msg);
    mf.io = io_posix();
    ck_assert_int_eq(mapped_files_pin(&mf, 8192, &f, &e), 0);
    mapped_file_unpin(f);
}
END_TEST

static int look_and_unlink(struct io *io, const char *path)
{
    struct mapped_file *f;
    struct err e;
    uint64_t start, end;
    ck_assert_int_eq(mapped_files_pin(&mf, 8192, &f, &e), ERR_NOTFOUND);
    mapped_files_bounds(&mf, &start, &end);
    ck_assert_uint_eq(start, 16384);
    ck_assert_uint_eq(end, 32768);
    return io_posix()->unlink(io, path);
}

/* Or who comes meanwhile takes it for one that cannot be opened. */
START_TEST(a_first_file_is_not_found_any_more_while_it_is_removed)
{
    struct io io = *io_posix();
    put_three();
    load();
    io.unlink = look_and_unlink;
    mf.io = &io;
    ck_assert(drop_first(16384));
    mf.io = io_posix();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("mapped_files");
    TCase *tc = tcase_create("mapped_files");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, files_are_found_by_position);
    tcase_add_test(tc, a_name_is_20_digits_that_a_position_can_be);
    tcase_add_test(tc, an_absent_folder_has_no_files);
    tcase_add_test(tc, an_empty_last_file_is_removed);
    tcase_add_test(tc, a_short_last_file_of_a_log_is_extended);
    tcase_add_test(tc, a_file_of_another_length_is_refused_by_name);
    tcase_add_test(tc, a_missing_file_in_the_middle_is_refused);
    tcase_add_test(tc, a_foreign_name_is_refused);
    tcase_add_test(tc, a_dropped_file_stays_mapped_while_pinned);
    tcase_add_test(tc, the_file_unused_for_longest_is_unmapped_first);
    tcase_add_test(tc, neither_pinned_nor_unflushed_files_are_unmapped);
    tcase_add_test(tc, the_first_files_go_but_never_the_last);
    tcase_add_test(tc, a_first_file_that_cannot_be_removed_stays);
    tcase_add_test(tc, a_first_file_is_not_found_any_more_while_it_is_removed);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

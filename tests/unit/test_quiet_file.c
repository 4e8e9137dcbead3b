/* Tests of base/quiet_file.c: what is in the page cache after a read is what was there before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/quiet_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { PAGE = 4096, N_PAGES = 600, FILE_BYTES = N_PAGES * PAGE - 100 };

static char *root, *path;

/* A file of which byte i is i / PAGE, and of which nothing is cached. */
static void make_cold_file(void)
{
    static uint8_t bytes[FILE_BYTES];
    for (size_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = (uint8_t)(i / PAGE);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, sizeof bytes), (ssize_t)sizeof bytes);
    ck_assert_int_eq(fsync(fd), 0);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    ck_assert_int_eq(close(fd), 0);
}

/* One byte for each page: 1 when it is cached. */
static void ask(unsigned char cached[N_PAGES])
{
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    void *base = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    ck_assert_int_eq(mincore(base, FILE_BYTES, cached), 0);
    for (size_t i = 0; i < N_PAGES; i++)
        cached[i] &= 1;
    ck_assert_int_eq(munmap(base, FILE_BYTES), 0);
    ck_assert_int_eq(close(fd), 0);
}

/* Brings pages [first, first + n) into the cache, and no others. */
static void warm(size_t first, size_t n)
{
    static char buf[N_PAGES * PAGE];
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
    ck_assert_int_gt(pread(fd, buf, n * PAGE, (off_t)(first * PAGE)), 0);
    ck_assert_int_eq(close(fd), 0);
}

static size_t count(const unsigned char cached[N_PAGES])
{
    size_t n = 0;
    for (size_t i = 0; i < N_PAGES; i++)
        n += cached[i];
    return n;
}

static void set_up(void)
{
    root = tmpdir_make();
    path = tmpdir_path(root, "file");
    make_cold_file();
}

static void tear_down(void)
{
    free(path);
    tmpdir_remove(root);
}

/* Reads all of the file in pieces of odd length and checks each byte. */
static void read_all(void)
{
    static uint8_t buf[700001];
    struct quiet_file f;
    struct err e;
    ck_assert_int_eq(quiet_open(&f, io_posix(), path, &e), 0);
    ck_assert_uint_eq(f.bytes, FILE_BYTES);
    size_t n = 1;
    for (uint64_t off = 0; n > 0; off += n) {
        ck_assert_int_eq(quiet_read(&f, off, buf, sizeof buf, &n, &e), 0);
        size_t n_wrong = 0;
        for (size_t i = 0; i < n; i++)
            n_wrong += buf[i] != (uint8_t)((off + i) / PAGE);
        ck_assert_uint_eq(n_wrong, 0);
        ck_assert(n == sizeof buf || off + n == FILE_BYTES);
    }
    quiet_close(&f);
}

START_TEST(a_cold_file_is_cold_after_it_was_read)
{
    unsigned char before[N_PAGES], after[N_PAGES];
    ask(before);
    read_all();
    ask(after);
    if (count(before) == 0) /* else a file system in memory */
        ck_assert_uint_eq(count(after), 0);
}
END_TEST

START_TEST(pages_that_were_cached_stay_and_no_others)
{
    unsigned char before[N_PAGES], after[N_PAGES];
    warm(0, 1);
    warm(7, 3);
    warm(250, 20); /* over the end of a piece */
    warm(N_PAGES - 1, 1);
    ask(before);
    ck_assert_uint_ge(count(before), 25);
    read_all();
    ask(after);
    ck_assert_mem_eq(before, after, N_PAGES);
}
END_TEST

START_TEST(a_cached_file_stays_cached)
{
    unsigned char after[N_PAGES];
    warm(0, N_PAGES);
    read_all();
    ask(after);
    ck_assert_uint_eq(count(after), N_PAGES);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    struct quiet_file f;
    struct err e;
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(quiet_open(&f, io_posix(), path, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, path));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quiet_file");
    TCase *tc = tcase_create("quiet_file");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_cold_file_is_cold_after_it_was_read);
    tcase_add_test(tc, pages_that_were_cached_stay_and_no_others);
    tcase_add_test(tc, a_cached_file_stays_cached);
    tcase_add_test(tc, a_file_that_is_not_there_is_named);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Read faults in mappings. Each case has a process of its own: the handler stays. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/guard.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { N_PAGES = 4 };

static char *folder, *path;
static size_t page_bytes;
static uint8_t *base;
static _Atomic bool is_bad;

static void set_up(void)
{
    folder = tmpdir_make();
    path = tmpdir_path(folder, "mapped");
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)(N_PAGES * page_bytes)), 0);
    base = mmap(NULL, N_PAGES * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(base, MAP_FAILED);
    (void)close(fd);
    base[0] = 1;
    base[page_bytes] = 2;
    is_bad = false;
}

static void tear_down(void)
{
    (void)munmap(base, N_PAGES * page_bytes);
    free(path);
    tmpdir_remove(folder);
}

static void cut_to(size_t n_pages)
{
    ck_assert_int_eq(truncate(path, (off_t)(n_pages * page_bytes)), 0);
}

START_TEST(a_reader_of_a_cut_file_gets_zeros_and_the_file_is_bad)
{
    struct err e;
    ck_assert_int_eq(guard_install(&e), 0);
    guard_add(base, N_PAGES * page_bytes, &is_bad);
    cut_to(1);
    ck_assert_uint_eq(*(volatile uint8_t *)(base + page_bytes), 0);
    ck_assert(is_bad);
    ck_assert_uint_eq(base[0], 1); /* what is still there stays */
    guard_drop(base);
}
END_TEST

START_TEST(a_write_into_a_cut_file_is_survived_too)
{
    struct err e;
    ck_assert_int_eq(guard_install(&e), 0);
    guard_add(base, N_PAGES * page_bytes, &is_bad);
    cut_to(1);
    *(volatile uint8_t *)(base + 2 * page_bytes) = 7;
    ck_assert(is_bad);
    guard_drop(base);
}
END_TEST

START_TEST(only_the_file_that_was_read_is_bad)
{
    struct err e;
    _Atomic bool is_other_bad = false;
    uint8_t *other =
        mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(guard_install(&e), 0);
    guard_add(other, page_bytes, &is_other_bad);
    guard_add(base, N_PAGES * page_bytes, &is_bad);
    cut_to(0);
    ck_assert_uint_eq(*(volatile uint8_t *)base, 0);
    ck_assert(is_bad);
    ck_assert(!is_other_bad);
    guard_drop(base);
    guard_drop(other);
    (void)munmap(other, page_bytes);
}
END_TEST

static sigjmp_buf back;

static void jump_back(int signal_number)
{
    siglongjmp(back, signal_number);
}

START_TEST(a_fault_elsewhere_goes_to_the_handler_that_was_there)
{
    struct err e;
    const struct sigaction before = {.sa_handler = jump_back};
    ck_assert_int_eq(sigaction(SIGBUS, &before, NULL), 0);
    ck_assert_int_eq(guard_install(&e), 0);
    cut_to(0);
    if (sigsetjmp(back, /* savesigs = */ 1) == 0) {
        *(volatile uint8_t *)base = 1;
        ck_abort_msg("the fault was swallowed");
    }
    ck_assert(!is_bad);
}
END_TEST

START_TEST(a_range_dropped_is_guarded_no_more)
{
    struct err e;
    const struct sigaction before = {.sa_handler = jump_back};
    ck_assert_int_eq(sigaction(SIGBUS, &before, NULL), 0);
    ck_assert_int_eq(guard_install(&e), 0);
    guard_add(base, N_PAGES * page_bytes, &is_bad);
    guard_drop(base);
    cut_to(0);
    if (sigsetjmp(back, /* savesigs = */ 1) == 0) {
        *(volatile uint8_t *)base = 1;
        ck_abort_msg("the fault was swallowed");
    }
    ck_assert(!is_bad);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("guard");
    TCase *tc = tcase_create("guard");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_reader_of_a_cut_file_gets_zeros_and_the_file_is_bad);
    tcase_add_test(tc, a_write_into_a_cut_file_is_survived_too);
    tcase_add_test(tc, only_the_file_that_was_read_is_bad);
    tcase_add_test(tc, a_fault_elsewhere_goes_to_the_handler_that_was_there);
    tcase_add_test(tc, a_range_dropped_is_guarded_no_more);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

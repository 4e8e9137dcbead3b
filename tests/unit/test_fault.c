/* Tests of tests/lib/fault.c: a fault that does not strike proves nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static char *dir;
static struct fault fault;

static void set_up(void)
{
    dir = tmpdir_make();
    fault_init(&fault, io_posix());
}

static void tear_down(void)
{
    tmpdir_remove(dir);
}

static int open_file(void)
{
    char *path = tmpdir_path(dir, "file");
    int fd = fault.io.open(&fault.io, path, O_RDWR | O_CREAT, 0600);
    free(path);
    return fd;
}

/* Calls every function of the seam once; returns how many failed with EIO. */
static int call_all(void)
{
    struct io *io = &fault.io;
    char *path = tmpdir_path(dir, "all");
    char *sub = tmpdir_path(dir, "sub");
    char *moved = tmpdir_path(dir, "moved");
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    uint64_t bytes, total;
    uint8_t *base = NULL;
    int fd = open(path, O_RDWR | O_CREAT, 0600); /* so that the rest has one when open fails */
    int opened = io->open(io, path, O_RDWR, 0);
    int n = opened == -EIO;
    n += io->truncate(io, fd, 4096) == -EIO;
    n += io->allocate(io, fd, 0, 4096) == -EIO;
    n += io->size(io, fd, &bytes) == -EIO;
    n += io->pwrite(io, fd, &byte, 1, 0) == -EIO;
    n += io->pwritev(io, fd, &iov, 1, 0) == -EIO;
    n += io->pread(io, fd, &byte, 1, 0) == -EIO;
    n += io->map(io, fd, 4096, true, &base) == -EIO;
    if (!base)
        ck_assert_int_eq(io_posix()->map(io_posix(), fd, 4096, true, &base), 0);
    n += io->populate(io, base, 4096) == -EIO;
    n += io->advise(io, base, 4096, IO_RANDOM) == -EIO;
    n += io->sync_map(io, base, 4096) == -EIO;
    n += io->sync_fd(io, fd) == -EIO;
    n += io->sync_dir(io, dir) == -EIO;
    n += io->lock_file(io, fd) == -EIO;
    n += io->free_space(io, dir, &bytes, &total) == -EIO;
    n += io->unmap(io, base, 4096) == -EIO;
    n += io->close(io, fd) == -EIO;
    n += io->rename(io, path, moved) == -EIO;
    n += io->unlink(io, moved) == -EIO;
    n += io->mkdir(io, sub, 0700) == -EIO;
    n += io->rmdir(io, sub) == -EIO;
    if (opened >= 0)
        io_posix()->close(io_posix(), opened);
    (void)remove(path);
    (void)remove(moved);
    (void)remove(sub);
    free(path);
    free(sub);
    free(moved);
    return n;
}

enum { N_CALLS = 21 };

START_TEST(an_unarmed_seam_passes_every_call_on)
{
    ck_assert_int_eq(call_all(), 0);
    ck_assert_uint_eq(fault_calls(&fault), N_CALLS);
    ck_assert(!fault_fired(&fault));
    ck_assert_uint_gt(fault.io.now_ms(&fault.io), 0);
    ck_assert_uint_gt(fault.io.mono_ns(&fault.io), 0);
}
END_TEST

START_TEST(a_sweep_reaches_each_call_once)
{
    for (uint64_t n = 1; n <= N_CALLS; n++) {
        fault_arm(&fault, FAULT_ALL, n, EIO, FAULT_ONCE);
        ck_assert_int_eq(call_all(), 1);
        ck_assert(fault_fired(&fault));
    }
    fault_arm(&fault, FAULT_ALL, N_CALLS + 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(call_all(), 0);
    ck_assert(!fault_fired(&fault));
}
END_TEST

START_TEST(a_lasting_fault_fails_all_later_calls)
{
    fault_arm(&fault, FAULT_ALL, 3, EIO, FAULT_FROM_NOW);
    ck_assert_int_eq(call_all(), N_CALLS - 2);
    fault_disarm(&fault);
    ck_assert_int_eq(call_all(), 0);
}
END_TEST

START_TEST(only_the_chosen_kinds_count_and_fail)
{
    int fd = open_file();
    fault_arm(&fault, FAULT_SYNC, 2, EIO, FAULT_ONCE);
    ck_assert_int_eq((int)fault.io.pwrite(&fault.io, fd, "a", 1, 0), 1);
    ck_assert_int_eq(fault.io.sync_fd(&fault.io, fd), 0);
    ck_assert_int_eq((int)fault.io.pwrite(&fault.io, fd, "a", 1, 0), 1);
    ck_assert_int_eq(fault.io.sync_dir(&fault.io, dir), -EIO);
    ck_assert_int_eq(fault.io.sync_fd(&fault.io, fd), 0);
    ck_assert_uint_eq(fault_calls(&fault), 3);
    ck_assert_int_eq(fault.io.close(&fault.io, fd), 0);
}
END_TEST

START_TEST(a_failed_close_has_closed)
{
    int fd = open_file();
    fault_arm(&fault, FAULT_CLOSE, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(fault.io.close(&fault.io, fd), -EIO);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(without_an_errno_a_read_or_write_does_half)
{
    int fd = open_file();
    fault_arm(&fault, FAULT_WRITE, 1, 0, FAULT_ONCE);
    ck_assert_int_eq((int)fault.io.pwrite(&fault.io, fd, "12345678", 8, 0), 4);
    ck_assert_int_eq((int)fault.io.pwrite(&fault.io, fd, "12345678", 8, 0), 8);
    char buf[8];
    fault_arm(&fault, FAULT_READ, 1, 0, FAULT_ONCE);
    ck_assert_int_eq((int)fault.io.pread(&fault.io, fd, buf, 8, 0), 4);
    fault_arm(&fault, FAULT_SYNC, 1, 0, FAULT_ONCE);
    ck_assert_int_eq(fault.io.sync_fd(&fault.io, fd), 0);
    ck_assert_int_eq(fault.io.close(&fault.io, fd), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault");
    TCase *tc = tcase_create("fault");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_unarmed_seam_passes_every_call_on);
    tcase_add_test(tc, a_sweep_reaches_each_call_once);
    tcase_add_test(tc, a_lasting_fault_fails_all_later_calls);
    tcase_add_test(tc, only_the_chosen_kinds_count_and_fail);
    tcase_add_test(tc, a_failed_close_has_closed);
    tcase_add_test(tc, without_an_errno_a_read_or_write_does_half);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

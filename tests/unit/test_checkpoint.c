/* The checkpoint file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static char *root;

static void set_up(void)
{
    root = tmpdir_make();
}

static void tear_down(void)
{
    tmpdir_remove(root);
}

START_TEST(a_missing_checkpoint_knows_nothing)
{
    struct store_checkpoint cp = {.queue_off = 7};
    struct err e;
    ck_assert_int_eq(checkpoint_read(root, io_posix(), &cp, &e), 0);
    ck_assert_int_eq(cp.queue_off, 0);
}
END_TEST

START_TEST(all_six_fields_come_back)
{
    const struct store_checkpoint cp = {.log_ms = 1,
                                        .queue_ms = 2,
                                        .index_ms = 3,
                                        .master_flushed_off = 4,
                                        .confirm_off = 5,
                                        .queue_off = 6};
    struct store_checkpoint back;
    struct err e;
    int fd;
    ck_assert_int_eq(checkpoint_open(root, io_posix(), &fd, &e), 0);
    ck_assert_int_eq(checkpoint_write(fd, io_posix(), &cp, &e), 0);
    (void)close(fd);
    ck_assert_int_eq(checkpoint_read(root, io_posix(), &back, &e), 0);
    ck_assert_uint_eq(back.log_ms, 1);
    ck_assert_uint_eq(back.queue_ms, 2);
    ck_assert_uint_eq(back.index_ms, 3);
    ck_assert_int_eq(back.master_flushed_off, 4);
    ck_assert_int_eq(back.confirm_off, 5);
    ck_assert_int_eq(back.queue_off, 6);
}
END_TEST

START_TEST(a_new_checkpoint_has_its_length_at_once)
{
    struct err e;
    uint64_t bytes = 0;
    int fd;
    ck_assert_int_eq(checkpoint_open(root, io_posix(), &fd, &e), 0);
    ck_assert_int_eq(io_posix()->size(io_posix(), fd, &bytes), 0);
    ck_assert_uint_eq(bytes, STORE_CHECKPOINT_BYTES);
    (void)close(fd);
}
END_TEST

START_TEST(opening_keeps_what_the_checkpoint_says)
{
    const struct store_checkpoint cp = {.queue_off = 6};
    struct store_checkpoint back;
    struct err e;
    int fd;
    ck_assert_int_eq(checkpoint_open(root, io_posix(), &fd, &e), 0);
    ck_assert_int_eq(checkpoint_write(fd, io_posix(), &cp, &e), 0);
    (void)close(fd);
    ck_assert_int_eq(checkpoint_open(root, io_posix(), &fd, &e), 0);
    (void)close(fd);
    ck_assert_int_eq(checkpoint_read(root, io_posix(), &back, &e), 0);
    ck_assert_int_eq(back.queue_off, 6);
}
END_TEST

START_TEST(an_empty_checkpoint_knows_nothing)
{
    struct store_checkpoint cp;
    struct err e;
    int fd;
    ck_assert_int_eq(checkpoint_open(root, io_posix(), &fd, &e), 0);
    (void)close(fd);
    ck_assert_int_eq(checkpoint_read(root, io_posix(), &cp, &e), 0);
    ck_assert_int_eq(cp.queue_off, 0);
}
END_TEST

START_TEST(a_failed_sync_is_told)
{
    const struct store_checkpoint cp = {.queue_off = 6};
    struct fault fault;
    struct err e;
    int fd;
    fault_init(&fault, io_posix());
    ck_assert_int_eq(checkpoint_open(root, &fault.io, &fd, &e), 0);
    fault_arm(&fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(checkpoint_write(fd, &fault.io, &cp, &e), ERR_IO);
    (void)close(fd);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("checkpoint");
    TCase *tc = tcase_create("checkpoint");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_missing_checkpoint_knows_nothing);
    tcase_add_test(tc, all_six_fields_come_back);
    tcase_add_test(tc, a_new_checkpoint_has_its_length_at_once);
    tcase_add_test(tc, opening_keeps_what_the_checkpoint_says);
    tcase_add_test(tc, an_empty_checkpoint_knows_nothing);
    tcase_add_test(tc, a_failed_sync_is_told);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

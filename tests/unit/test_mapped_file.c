/* One mapped file: making, mapping, room, pins. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mapped_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 64 * 1024, NAME_AT = 4096 };

static char *folder;
static struct fault fault;

static void set_up(void)
{
    folder = tmpdir_make();
    fault_init(&fault, io_posix());
}

static void tear_down(void)
{
    tmpdir_remove(folder);
}

static struct mapped_file *create(uint64_t allocate_bytes)
{
    struct mapped_file *f = NULL;
    struct err e = {0};
    int rc = mapped_file_create(&f, &fault.io, folder, NAME_AT, FILE_BYTES, allocate_bytes, &e);
    ck_assert_msg(rc == 0, "create: %s", e.msg);
    return f;
}

START_TEST(a_new_file_has_its_name_length_and_zeros)
{
    struct mapped_file *f = create(FILE_BYTES);
    ck_assert_str_eq(strrchr(f->path, '/'), "/00000000000000004096");
    ck_assert_int_eq(access(f->path, F_OK), 0);
    ck_assert_uint_eq(f->base[0], 0);
    ck_assert_uint_eq(f->base[FILE_BYTES - 1], 0);
    mapped_file_free(f);
}
END_TEST

START_TEST(a_full_disk_leaves_no_file_behind)
{
    struct mapped_file *f = NULL;
    struct err e;
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_ONCE);
    ck_assert_int_eq(mapped_file_create(&f, &fault.io, folder, NAME_AT, FILE_BYTES, FILE_BYTES, &e),
                     ERR_NOSPACE);
    ck_assert_ptr_null(f);
    char *path = tmpdir_path(folder, "00000000000000004096");
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
}
END_TEST

START_TEST(what_is_written_is_there_when_mapped_again)
{
    struct err e = {0};
    struct mapped_file *f = create(FILE_BYTES);
    memcpy(f->base + 100, "hello", 5);
    ck_assert_int_eq(mapped_file_sync(f, 100, 105, &e), 0);
    mapped_file_unmap(f);
    ck_assert_ptr_null(f->base);
    ck_assert_int_eq(mapped_file_map(f, MAPPED_READ, &e), 0);
    ck_assert_mem_eq(f->base + 100, "hello", 5);
    mapped_file_free(f);
}
END_TEST

START_TEST(a_read_mapping_is_exchanged_for_a_writable_one)
{
    struct err e = {0};
    struct mapped_file *f = create(FILE_BYTES);
    mapped_file_unmap(f);
    ck_assert_int_eq(mapped_file_map(f, MAPPED_READ, &e), 0);
    ck_assert_int_eq(mapped_file_map(f, MAPPED_WRITE, &e), 0);
    f->base[0] = 1;
    ck_assert_int_eq(mapped_file_map(f, MAPPED_READ, &e), 0); /* that is enough as it is */
    ck_assert_int_eq(f->access, MAPPED_WRITE);
    mapped_file_free(f);
}
END_TEST

START_TEST(a_protected_file_is_mapped_read_only)
{
    struct err e = {0};
    struct mapped_file *f = create(FILE_BYTES);
    f->base[0] = 1;
    ck_assert_int_eq(mapped_file_protect(f, &e), 0);
    ck_assert_int_eq(f->access, MAPPED_READ);
    ck_assert_uint_eq(f->base[0], 1);
    const uint8_t *base = f->base;
    ck_assert_int_eq(mapped_file_protect(f, &e), 0); /* there is nothing left to do */
    ck_assert_ptr_eq(f->base, base);
    mapped_file_free(f);
}
END_TEST

START_TEST(room_is_made_once_and_only_grows)
{
    struct err e = {0};
    struct mapped_file *f = create(8192);
    ck_assert_uint_eq(f->allocated, 8192);
    fault_arm(&fault, FAULT_ALLOCATE, 100, ENOSPC, FAULT_ONCE);
    ck_assert_int_eq(mapped_file_allocate(f, 4096, &e), 0);
    ck_assert_uint_eq(fault_calls(&fault), 0);
    ck_assert_int_eq(mapped_file_allocate(f, 16384, &e), 0);
    ck_assert_uint_eq(f->allocated, 16384);
    ck_assert_int_eq(mapped_file_populate(f, 8192, &e), 0);
    ck_assert_int_eq(mapped_file_populate(f, 4096, &e), 0);
    ck_assert_uint_eq(f->populated, 8192);
    mapped_file_free(f);
}
END_TEST

START_TEST(room_that_cannot_be_made_leaves_the_mark)
{
    struct err e;
    struct mapped_file *f = create(8192);
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_ONCE);
    ck_assert_int_eq(mapped_file_allocate(f, 16384, &e), ERR_NOSPACE);
    ck_assert_uint_eq(f->allocated, 8192);
    mapped_file_free(f);
}
END_TEST

START_TEST(each_pin_is_dropped_on_its_own)
{
    struct mapped_file *f = create(FILE_BYTES);
    mapped_file_pin(f);
    struct store_pin *again = store_pin_again(&f->pin);
    store_unpin(&f->pin);
    ck_assert(mapped_file_is_pinned(f));
    store_unpin(again);
    ck_assert(!mapped_file_is_pinned(f));
    store_unpin(NULL);
    mapped_file_free(f);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("mapped_file");
    TCase *tc = tcase_create("mapped_file");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_new_file_has_its_name_length_and_zeros);
    tcase_add_test(tc, a_full_disk_leaves_no_file_behind);
    tcase_add_test(tc, what_is_written_is_there_when_mapped_again);
    tcase_add_test(tc, a_read_mapping_is_exchanged_for_a_writable_one);
    tcase_add_test(tc, a_protected_file_is_mapped_read_only);
    tcase_add_test(tc, room_is_made_once_and_only_grows);
    tcase_add_test(tc, room_that_cannot_be_made_leaves_the_mark);
    tcase_add_test(tc, each_pin_is_dropped_on_its_own);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

/* Tests of tools/index_file.c: the number of slots is found, and damage is named. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/index_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    N_SLOTS = 100,
    N_ITEMS = 40,
    BYTES = STORE_INDEX_HEADER_BYTES + 4 * N_SLOTS + STORE_INDEX_ITEM_BYTES * N_ITEMS
};

static char *root, *path;
static uint8_t bytes[BYTES];
static struct index_file f;

/* Items 1 and 2, of the records at 1000 and 2000. */
static void set_up(void)
{
    root = tmpdir_make();
    path = tmpdir_path(root, "20261123004501123");
    memset(bytes, 0, sizeof bytes);
    be64_put(bytes + 16, 1000);
    be64_put(bytes + 24, 2000);
    be32_put(bytes + 32, 1);
    be32_put(bytes + 36, 3);
    be32_put(bytes + STORE_INDEX_HEADER_BYTES + 4 * 7, 2);
    for (uint32_t n = 1; n <= 2; n++) {
        uint8_t *item = bytes + store_index_item_at(N_SLOTS, n);
        be32_put(item, 107);
        be64_put(item + 4, 1000 * n);
        be32_put(item + 16, n - 1);
    }
}

static void tear_down(void)
{
    free(path);
    tmpdir_remove(root);
}

static int open_file(size_t len, uint32_t n_slots, struct err *e)
{
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
    ck_assert_int_eq(fclose(out), 0);
    return index_file_open(&f, path, n_slots, io_posix(), e);
}

START_TEST(the_number_of_slots_is_found)
{
    struct err e = {0};
    struct store_index_item item;
    bool is_item;
    uint32_t newest;
    ck_assert_msg(open_file(BYTES, 0, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(f.n_slots, N_SLOTS);
    ck_assert_uint_eq(f.n_items, 3);
    ck_assert_int_eq(index_file_item(&f, 2, &item, &is_item, &e), 0);
    ck_assert(is_item);
    ck_assert_uint_eq(item.log_off, 2000);
    ck_assert_uint_eq(item.prev, 1);
    ck_assert_int_eq(index_file_slot(&f, 7, &newest, &e), 0);
    ck_assert_uint_eq(newest, 2);
    index_file_close(&f);
}
END_TEST

START_TEST(the_number_of_slots_may_be_told)
{
    struct err e;
    ck_assert_int_eq(open_file(BYTES, N_SLOTS, &e), 0);
    index_file_close(&f);
    ck_assert_int_eq(open_file(BYTES, N_SLOTS + 1, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, path));
}
END_TEST

START_TEST(what_is_no_index_is_corrupt)
{
    struct err e;
    ck_assert_int_eq(open_file(10, 0, &e), ERR_CORRUPT);
    ck_assert_int_eq(open_file(BYTES - 1, 0, &e), ERR_CORRUPT);
    be64_put(bytes + 24, 500); /* the end before the beginning */
    ck_assert_int_eq(open_file(BYTES, 0, &e), ERR_CORRUPT);
}
END_TEST

START_TEST(a_store_is_asked_for_its_slots_from_the_oldest_file_on)
{
    struct err e;
    char *folder = tmpdir_path(root, "index");
    ck_assert_uint_eq(index_file_slots(root, io_posix()), 0); /* there is no index */
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    free(path);
    path = tmpdir_path(folder, "20261123004501122");
    ck_assert_int_lt(open_file(10, 0, &e), 0);
    ck_assert_uint_eq(index_file_slots(root, io_posix()), 0); /* only a damaged one */
    free(path);
    path = tmpdir_path(folder, "20261123004501123");
    ck_assert_int_eq(open_file(BYTES, 0, &e), 0);
    index_file_close(&f);
    ck_assert_uint_eq(index_file_slots(root, io_posix()), N_SLOTS);
    free(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_file");
    TCase *tc = tcase_create("index_file");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_number_of_slots_is_found);
    tcase_add_test(tc, the_number_of_slots_may_be_told);
    tcase_add_test(tc, a_store_is_asked_for_its_slots_from_the_oldest_file_on);
    tcase_add_test(tc, what_is_no_index_is_corrupt);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

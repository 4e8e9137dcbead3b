/* One file of the key index, as its writer has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/guard.h"
#include "store/index_format.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { SLOTS = 10, ITEMS = 50, BEGIN_MS = 1700000000 };

static char *dir;
static struct fault fault;
static struct index_spec spec;
static struct index_writer *f;

static void set_up(void)
{
    struct err e;
    dir = tmpdir_make();
    fault_init(&fault, io_posix());
    spec = (struct index_spec){.io = &fault.io,
                               .folder = dir,
                               .name = 20261123004717219,
                               .n_slots = SLOTS,
                               .n_items = ITEMS};
    ck_assert_int_eq(index_writer_create(&f, &spec, /* before = */ NULL, &e), 0);
}

static void tear_down(void)
{
    index_writer_close(f);
    tmpdir_remove(dir);
}

static void put(uint32_t hash, uint64_t log_off)
{
    struct err e;
    ck_assert_int_eq(index_writer_put(f, hash, log_off, BEGIN_MS + 1500 * log_off, &e), 0);
}

static void reopen(void)
{
    struct err e;
    index_writer_close(f);
    f = NULL;
    int rc = index_writer_open(&f, &spec, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
}

static struct store_index_item item_at(uint32_t n)
{
    struct store_index_item item;
    ck_assert(store_index_item_decode(f->base + store_index_item_at(SLOTS, n), &item));
    return item;
}

static uint32_t slot_at(uint32_t slot)
{
    return be32_get(f->base + STORE_INDEX_HEADER_BYTES + slot * 4);
}

static void poke(uint64_t at, const void *bytes, size_t len)
{
    memcpy(f->base + at, bytes, len);
}

static void settle(uint64_t below, uint64_t n_whole)
{
    struct err e;
    ck_assert_int_eq(index_writer_settle(f, below, n_whole, &e), 0);
}

START_TEST(items_of_one_slot_are_chained_newest_first)
{
    put(3, 100);
    put(13, 101);
    put(4, 102);
    ck_assert_uint_eq(slot_at(3), 2);
    ck_assert_uint_eq(item_at(2).prev, 1);
    ck_assert_uint_eq(item_at(2).hash, 13);
    ck_assert_uint_eq(item_at(2).log_off, 101);
    ck_assert_uint_eq(item_at(2).seconds, 1); /* 1500 ms later */
    ck_assert_uint_eq(item_at(1).prev, 0);
    ck_assert_uint_eq(slot_at(4), 3);
}
END_TEST

START_TEST(the_header_tells_what_is_in_the_file)
{
    put(3, 100);
    put(13, 102);
    reopen();
    ck_assert_uint_eq(f->head.n_next, 3);
    ck_assert_uint_eq(f->head.n_used_slots, 1);
    ck_assert_uint_eq(f->head.begin_log_off, 100);
    ck_assert_uint_eq(f->head.end_log_off, 102);
    ck_assert_uint_eq(f->head.begin_ms, BEGIN_MS + 150000);
    ck_assert_uint_eq(f->head.end_ms, BEGIN_MS + 153000);
    ck_assert_uint_eq(index_writer_room(f), ITEMS - 3);
}
END_TEST

START_TEST(a_file_of_another_length_or_with_too_many_items_is_refused)
{
    struct err e;
    struct store_index_header h;
    struct index_spec other = spec;
    other.n_items = ITEMS + 1;
    ck_assert_int_eq(index_writer_peek(&other, &h, &e), ERR_CORRUPT);
    ck_assert_int_eq(index_writer_peek(&spec, &h, &e), 0);
    poke(36, "\0\0\0\x33", 4);
    ck_assert_int_eq(index_writer_peek(&spec, &h, &e), ERR_CORRUPT);
    struct index_writer *opened = NULL;
    ck_assert_int_eq(index_writer_open(&opened, &spec, &e), ERR_CORRUPT);
    ck_assert_ptr_null(opened);
}
END_TEST

START_TEST(settling_a_whole_file_keeps_all_but_the_last_record)
{
    put(3, 100);
    put(13, 101);
    put(4, 101);
    settle(UINT64_MAX, 1);
    ck_assert_uint_eq(f->head.n_next, 2);
    ck_assert_uint_eq(f->head.end_log_off, 100);
    ck_assert_uint_eq(f->head.n_used_slots, 1);
    ck_assert_uint_eq(slot_at(3), 1);
    ck_assert_uint_eq(slot_at(4), 0);
}
END_TEST

START_TEST(what_is_known_to_be_whole_is_kept)
{
    put(3, 100);
    put(13, 101);
    settle(UINT64_MAX, 3);
    ck_assert_uint_eq(f->head.n_next, 3);
    ck_assert_uint_eq(slot_at(3), 2);
}
END_TEST

START_TEST(a_lost_page_ends_what_is_believed)
{
    static const uint8_t zeros[20];
    for (uint64_t i = 0; i < 20; i++)
        put((uint32_t)i, 100 + i);
    poke(store_index_item_at(SLOTS, 11), zeros, sizeof zeros);
    settle(UINT64_MAX, 1);
    ck_assert_uint_eq(f->head.n_next, 10); /* 10 is of the last record that is whole */
    ck_assert_uint_eq(f->head.end_log_off, 108);
    put(7, 109);
    ck_assert_uint_eq(item_at(10).prev, 8);
}
END_TEST

START_TEST(an_item_that_lost_its_chain_is_not_believed)
{
    static const uint8_t zeros[4];
    put(3, 100);
    put(3, 101);
    put(3, 102);
    poke(store_index_item_at(SLOTS, 2) + 16, zeros, sizeof zeros);
    settle(UINT64_MAX, 1);
    ck_assert_uint_eq(f->head.n_next, 1);
}
END_TEST

START_TEST(items_behind_the_end_of_the_log_are_cut)
{
    for (uint64_t i = 0; i < 20; i++)
        put((uint32_t)i, 100 + i);
    settle(110, 1);
    ck_assert_uint_eq(f->head.end_log_off, 108);
    ck_assert_uint_eq(f->head.n_next, 10);
    ck_assert_uint_le(f->head.end_ms, BEGIN_MS + 1500 * 108 + 999);
    ck_assert_uint_ge(f->head.end_ms, BEGIN_MS + 1500 * 108);
}
END_TEST

START_TEST(slots_that_were_lost_are_built_again)
{
    static const uint8_t zeros[SLOTS * 4];
    for (uint64_t i = 0; i < 20; i++)
        put((uint32_t)i, 100 + i);
    poke(STORE_INDEX_HEADER_BYTES, zeros, sizeof zeros);
    settle(UINT64_MAX, 21);
    ck_assert_uint_eq(f->head.n_next, 21);
    ck_assert_uint_eq(slot_at(9), 20);
    ck_assert_uint_eq(slot_at(0), 11);
}
END_TEST

/* Blocks of 4 KiB under the file. */
static uint64_t allocated(void)
{
    struct stat st;
    ck_assert_int_eq(stat(f->path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

START_TEST(blocks_are_there_before_they_are_written)
{
    struct err e;
    index_writer_close(f);
    spec.n_items = 200000; /* 4 MB */
    ck_assert_int_eq(index_writer_create(&f, &spec, /* before = */ NULL, &e), 0);
    ck_assert_uint_ge(allocated(), 1 << 20);
    ck_assert_uint_lt(allocated(), 2 << 20);
    for (uint32_t i = 0; i < 60000; i++)
        put(i, i);
    ck_assert_uint_ge(allocated(), store_index_item_at(SLOTS, 60000));
    ck_assert_uint_lt(allocated(), 3 << 20);
}
END_TEST

START_TEST(a_full_disk_is_an_error_and_no_fault)
{
    struct err e;
    uint32_t n = 0;
    index_writer_close(f);
    spec.n_items = 200000;
    ck_assert_int_eq(index_writer_create(&f, &spec, /* before = */ NULL, &e), 0);
    fault_arm(&fault, FAULT_ALLOCATE, 1, ENOSPC, FAULT_FROM_NOW);
    int rc = 0;
    while (rc == 0 && n < 200000)
        rc = index_writer_put(f, n, n, BEGIN_MS, &e), n++;
    ck_assert_int_eq(rc, ERR_NOSPACE);
    fault_disarm(&fault);
    ck_assert_int_eq(index_writer_put(f, n, n, BEGIN_MS, &e), 0);
}
END_TEST

START_TEST(a_foreign_file_with_holes_gets_blocks)
{
    struct err e;
    put(3, 100);
    index_writer_close(f);
    f = NULL;
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/20261123004717219", dir), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, 40), 0);
    ck_assert_int_eq(ftruncate(fd, (off_t)store_index_item_at(SLOTS, ITEMS)), 0);
    ck_assert_int_eq(close(fd), 0);
    free(path);
    ck_assert_int_eq(index_writer_open(&f, &spec, &e), 0);
    put(4, 101);
    ck_assert_uint_ge(f->allocated, store_index_item_at(SLOTS, 3));
}
END_TEST

START_TEST(a_file_cut_under_the_mapping_is_an_error)
{
    struct err e;
    ck_assert_int_eq(guard_install(&e), 0);
    put(3, 100);
    ck_assert_int_eq(truncate(f->path, 0), 0);
    ck_assert_int_eq(index_writer_put(f, 3, 101, BEGIN_MS, &e), ERR_IO);
}
END_TEST

START_TEST(the_next_file_begins_where_the_one_before_ended)
{
    struct err e;
    put(3, 100);
    struct store_index_header before = f->head;
    index_writer_close(f);
    spec.name++;
    ck_assert_int_eq(index_writer_create(&f, &spec, &before, &e), 0);
    ck_assert_uint_eq(f->head.begin_log_off, 100);
    ck_assert_uint_eq(f->head.end_ms, before.end_ms);
    put(3, 200);
    ck_assert_uint_eq(f->head.begin_log_off, 200);
    ck_assert_uint_eq(item_at(1).seconds, 0);
}
END_TEST

static TCase *writing_case(void)
{
    TCase *tc = tcase_create("writing");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, items_of_one_slot_are_chained_newest_first);
    tcase_add_test(tc, the_header_tells_what_is_in_the_file);
    tcase_add_test(tc, a_file_of_another_length_or_with_too_many_items_is_refused);
    tcase_add_test(tc, blocks_are_there_before_they_are_written);
    tcase_add_test(tc, a_full_disk_is_an_error_and_no_fault);
    tcase_add_test(tc, a_foreign_file_with_holes_gets_blocks);
    tcase_add_test(tc, a_file_cut_under_the_mapping_is_an_error);
    tcase_add_test(tc, the_next_file_begins_where_the_one_before_ended);
    return tc;
}

static TCase *settling_case(void)
{
    TCase *tc = tcase_create("settling");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, settling_a_whole_file_keeps_all_but_the_last_record);
    tcase_add_test(tc, what_is_known_to_be_whole_is_kept);
    tcase_add_test(tc, a_lost_page_ends_what_is_believed);
    tcase_add_test(tc, an_item_that_lost_its_chain_is_not_believed);
    tcase_add_test(tc, items_behind_the_end_of_the_log_are_cut);
    tcase_add_test(tc, slots_that_were_lost_are_built_again);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("index_writer");
    suite_add_tcase(suite, writing_case());
    suite_add_tcase(suite, settling_case());
    return suite_run(suite);
}

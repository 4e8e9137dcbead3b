/* Tests of tools/queue_writer.c: what is written is what is read, over the ends of files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/queue_writer.h"

#include <stdio.h>
#include <sys/stat.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_ENTRIES = 100 };

static char *root, *folder;
static struct queue_writer w;
static struct queue_files *files;

static void set_up(void)
{
    struct err e;
    root = tmpdir_make();
    folder = tmpdir_path(root, "consumequeue/T/0");
    w = (struct queue_writer){
        .io = io_posix(), .folder = folder, .file_bytes = FILE_ENTRIES * STORE_QUEUE_ENTRY_BYTES};
    ck_assert_int_eq(queue_files_open(&files, root, io_posix(), &e), 0);
}

static void tear_down(void)
{
    queue_files_close(files);
    free(folder);
    tmpdir_remove(root);
}

/* Adds entries up to number `end`; entry n points at 1000 n. */
static void add_upto(uint64_t end)
{
    struct err e = {0};
    while (w.next < end) {
        const struct queue_entry entry = {
            .n = 1, .at = {.log_off = 1000 * w.next, .size = 100, .tag_code = (int64_t)w.next}};
        ck_assert_msg(queue_writer_add(&w, &entry, &e) == 0, "%s", e.msg);
    }
    ck_assert_msg(queue_writer_flush(&w, &e) == 0, "%s", e.msg);
}

static bool entry_at(uint64_t n, struct queue_entry *ret)
{
    struct queue_folder *q;
    const uint8_t *bytes;
    struct err e;
    ck_assert_int_eq(queue_files_get(files, span_str("T"), 0, &q, &e), 0);
    ck_assert(q->is_there);
    ck_assert_int_eq(queue_files_entry(files, q, n, QUEUE_FRESH, &bytes, &e), 0);
    return queue_entry_decode(bytes, q->is_batch, ret);
}

static void expect_entries(uint64_t begin, uint64_t end)
{
    struct queue_entry entry;
    for (uint64_t n = begin; n < end; n++) {
        ck_assert(entry_at(n, &entry));
        ck_assert_uint_eq(entry.at.log_off, 1000 * n);
        ck_assert_int_eq(entry.at.tag_code, (int64_t)n);
    }
    ck_assert(!entry_at(end, &entry));
}

START_TEST(entries_go_over_the_ends_of_files)
{
    struct err e;
    struct stat st;
    ck_assert_int_eq(queue_writer_begin(&w, 0, &e), 0);
    add_upto(250);
    expect_entries(0, 250);
    char *path = tmpdir_path(folder, "00000000000000004000");
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, FILE_ENTRIES * STORE_QUEUE_ENTRY_BYTES);
    free(path);
}
END_TEST

START_TEST(a_queue_may_begin_later_and_is_pre_blank_before)
{
    struct err e;
    struct queue_entry entry;
    ck_assert_int_eq(queue_writer_begin(&w, 130, &e), 0);
    add_upto(150);
    expect_entries(130, 150);
    for (uint64_t n = 100; n < 130; n++)
        ck_assert(entry_at(n, &entry) && entry.is_pre_blank);
    ck_assert(!entry_at(99, &entry)); /* no such file */
}
END_TEST

START_TEST(a_cut_takes_entries_and_files_back)
{
    struct err e;
    ck_assert_int_eq(queue_writer_begin(&w, 0, &e), 0);
    add_upto(250);
    ck_assert_int_eq(queue_writer_cut(&w, 120, &e), 0);
    expect_entries(0, 120);
    add_upto(210);
    expect_entries(0, 210);
    ck_assert_int_eq(queue_writer_cut(&w, 0, &e), 0);
    add_upto(1);
    expect_entries(0, 1);
}
END_TEST

START_TEST(entries_of_batches_have_their_fields)
{
    struct err e;
    struct queue_entry got;
    char *batch_folder = tmpdir_path(root, "batchconsumequeue/T/0");
    w.folder = batch_folder;
    w.is_batch = true;
    w.file_bytes = 10 * QUEUE_BATCH_ENTRY_BYTES;
    ck_assert_int_eq(queue_writer_begin(&w, 0, &e), 0);
    const struct queue_entry entry = {
        .at = {.log_off = 5, .size = 6, .tag_code = 7}, .store_ms = 8, .base_off = 9, .n = 10};
    ck_assert_int_eq(queue_writer_add(&w, &entry, &e), 0);
    ck_assert_int_eq(queue_writer_flush(&w, &e), 0);
    ck_assert(entry_at(0, &got));
    ck_assert_mem_eq(&got.at, &entry.at, sizeof got.at);
    ck_assert_uint_eq(got.store_ms, 8);
    ck_assert_uint_eq(got.base_off, 9);
    ck_assert_uint_eq(got.n, 10);
    free(batch_folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_writer");
    TCase *tc = tcase_create("queue_writer");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, entries_go_over_the_ends_of_files);
    tcase_add_test(tc, a_queue_may_begin_later_and_is_pre_blank_before);
    tcase_add_test(tc, a_cut_takes_entries_and_files_back);
    tcase_add_test(tc, entries_of_batches_have_their_fields);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

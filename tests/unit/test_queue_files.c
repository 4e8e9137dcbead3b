/* Tests of tools/queue_files.c, dump_place.c and dump_kind.c: what queues say, and what a path is.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_place.h"

#include <stdio.h>
#include <string.h>

#include "store/record.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"
#include "tools/dump_kind.h"

enum { FILE_ENTRIES = 4, FILE_BYTES = FILE_ENTRIES * STORE_QUEUE_ENTRY_BYTES };

static char *root;
static struct queue_files *queues;

static void set_up(void)
{
    struct err e;
    root = tmpdir_make();
    ck_assert_int_eq(queue_files_open(&queues, root, io_posix(), &e), 0);
}

static void tear_down(void)
{
    queue_files_close(queues);
    tmpdir_remove(root);
}

/* Writes a file under the root, with its folders; the path, to be freed. */
static char *write_file(const char *folder, const char *name, const void *bytes, size_t len)
{
    struct err e;
    char *dir = tmpdir_path(root, folder);
    char *path = tmpdir_path(dir, name);
    ck_assert_int_eq(io_make_dirs(io_posix(), dir, &e), 0);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
    free(dir);
    return path;
}

/* Two files of queue T/3: entry n points at 1000 * n, with tag code -n; the last two are empty. */
static void write_queue(void)
{
    uint8_t bytes[2 * FILE_BYTES] = {0};
    for (unsigned n = 0; n < 2 * FILE_ENTRIES - 2; n++)
        record_queue_entry_encode(
            bytes + n * STORE_QUEUE_ENTRY_BYTES,
            &(struct store_queue_entry){.log_off = 1000 * n, .size = 100, .tag_code = -(int64_t)n});
    free(write_file("consumequeue/T/3", "00000000000000000000", bytes, FILE_BYTES));
    free(write_file("consumequeue/T/3", "00000000000000000080", bytes + FILE_BYTES, FILE_BYTES));
}

static struct dump_place find(const char *topic, int32_t queue_id, uint64_t queue_off,
                              uint64_t log_off)
{
    const struct store_record rec = {
        .topic = span_str(topic), .queue_id = queue_id, .queue_off = queue_off, .log_off = log_off};
    struct dump_place place = {0};
    struct err e;
    ck_assert_int_eq(dump_place_find(queues, &rec, &place, &e), 0);
    ck_assert(place.is_known);
    return place;
}

START_TEST(a_record_is_found_in_any_file_of_its_queue)
{
    write_queue();
    for (unsigned n = 0; n < 6; n++) {
        struct dump_place place = find("T", 3, n, 1000 * n);
        ck_assert(place.is_dispatched);
        ck_assert_int_eq(place.tag_code, -(int64_t)n);
    }
}
END_TEST

START_TEST(a_record_that_no_entry_points_at_is_not_dispatched)
{
    write_queue();
    ck_assert(!find("T", 3, 2, 2001).is_dispatched);       /* another record's entry */
    ck_assert(!find("T", 3, 7, 7000).is_dispatched);       /* an empty entry */
    ck_assert(!find("T", 3, 8, 8000).is_dispatched);       /* behind the last file */
    ck_assert(!find("T", 3, UINT64_MAX, 0).is_dispatched); /* no such place */
    ck_assert(!find("T", 4, 0, 0).is_dispatched);          /* no such queue */
    ck_assert(!find("None", 0, 0, 0).is_dispatched);
}
END_TEST

START_TEST(a_topic_never_leads_out_of_the_store)
{
    write_queue();
    ck_assert(!find("../consumequeue/T", 3, 0, 0).is_dispatched);
    ck_assert(!find("..", 3, 0, 0).is_dispatched);
    ck_assert(!find("", 3, 0, 0).is_dispatched);
}
END_TEST

static int kind_of(const char *folder, const char *name, const void *bytes, size_t len)
{
    enum dump_kind kind;
    struct err e;
    char *path = write_file(folder, name, bytes, len);
    int rc = dump_detect(path, io_posix(), &kind, &e);
    free(path);
    return rc < 0 ? rc : (int)kind;
}

static int kind_of_folder(const char *name)
{
    enum dump_kind kind;
    struct err e;
    char *path = tmpdir_path(root, name);
    int rc = dump_detect(path, io_posix(), &kind, &e);
    free(path);
    return rc < 0 ? rc : (int)kind;
}

START_TEST(a_path_is_told_by_its_bytes_or_its_name)
{
    const uint8_t record[20] = {0, 0, 0, 120, 0xda, 0xa3, 0x20, 0xa7};
    const uint8_t zeros[80] = {0};
    write_queue();
    ck_assert_int_eq(kind_of("any", "copy.bin", record, sizeof record), DUMP_LOG);
    ck_assert_int_eq(kind_of("any", "00000000000000000000", zeros, 19), DUMP_LOG);
    ck_assert_int_eq(kind_of("any", "checkpoint", zeros, 80), DUMP_CHECKPOINT);
    ck_assert_int_eq(kind_of("consumequeue/U/0", "00000000000000000000", zeros, 80), DUMP_QUEUE);
    ck_assert_int_eq(kind_of("any", "notes.txt", "hello", 5), ERR_UNSUPPORTED);
    ck_assert_int_eq(kind_of("any", "empty", "", 0), ERR_UNSUPPORTED);
    ck_assert_int_eq(kind_of("batchconsumequeue/B/0", "00000000000000000000", zeros, 46),
                     DUMP_QUEUE);
    ck_assert_int_eq(kind_of("index", "20261123004501123", zeros, 80), DUMP_INDEX);
    ck_assert_int_eq(kind_of("timerlog", "00000000000000000000", zeros, 80), DUMP_TIMER_LOG);
    ck_assert_int_eq(kind_of("any", "timerwheel", zeros, 64), DUMP_TIMER_WHEEL);
    ck_assert_int_eq(kind_of("config", "timercheck", zeros, 80), DUMP_TIMER_PROGRESS);
    ck_assert_int_eq(kind_of("config", "topics.json", "{}", 2), DUMP_CONFIG);
    ck_assert_int_eq(kind_of_folder("config"), DUMP_CONFIGS);
    ck_assert_int_eq(kind_of_folder("index"), DUMP_INDEX);
    ck_assert_int_eq(kind_of_folder("consumequeue/T/3"), DUMP_QUEUES);
    ck_assert_int_eq(kind_of_folder("consumequeue"), DUMP_QUEUES);
    ck_assert_int_eq(kind_of_folder("nothing"), ERR_NOTFOUND);
    ck_assert_int_eq(kind_of_folder(""), ERR_UNSUPPORTED);
    (void)kind_of("commitlog", "00000000000000000000", record, sizeof record);
    ck_assert_int_eq(kind_of_folder("commitlog"), DUMP_LOG);
    ck_assert_int_eq(kind_of_folder(""), DUMP_STORE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue_files");
    TCase *tc = tcase_create("queue_files");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_record_is_found_in_any_file_of_its_queue);
    tcase_add_test(tc, a_record_that_no_entry_points_at_is_not_dispatched);
    tcase_add_test(tc, a_topic_never_leads_out_of_the_store);
    tcase_add_test(tc, a_path_is_told_by_its_bytes_or_its_name);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

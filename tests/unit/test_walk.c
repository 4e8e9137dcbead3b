/* Tests of store/walk.c: every kind of damage is passed over, and what lies behind it is found. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/format.h"
#include "store/record.h"
#include "store/store.h"
#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { FILE_BYTES = 8192, START = 5 * FILE_BYTES };
enum { SIZE = 196 }; /* of a record with a body of 100 bytes */

static char *root, *log_dir;
static struct store_walk *walk;
static struct store_walk_item item;
static uint8_t file[FILE_BYTES]; /* the one being built */
static uint32_t used;            /* bytes of it */

static void set_up(void)
{
    root = tmpdir_make();
    log_dir = tmpdir_path(root, "commitlog");
    ck_assert_int_eq(mkdir(log_dir, 0700), 0);
    memset(file, 0, sizeof file);
    used = 0;
}

static void tear_down(void)
{
    store_walk_close(walk);
    walk = NULL;
    free(log_dir);
    tmpdir_remove(root);
}

/* Adds a record to the file being built, whose first byte is at `start`; returns its size. */
static uint32_t add_record(uint64_t start, size_t body_len)
{
    static uint8_t body_bytes[FILE_BYTES];
    memset(body_bytes, 'b', sizeof body_bytes);
    struct span body = span_of(body_bytes, body_len);
    struct store_host host = {.addr_len = 4};
    struct store_message m = {.topic = span_str("T"),
                              .born_host = host,
                              .properties = span_str("a\001b\002"),
                              .body = &body,
                              .n_body = 1};
    struct record_plan plan;
    struct err e;
    ck_assert_int_eq(record_plan(&m, &host, FORMAT_BODY_MAX, &plan, &e), 0);
    ck_assert(format_record_fits(plan.size, FILE_BYTES - used));
    record_write(file + used, &plan, &m);
    record_patch(file + used, &plan, 0, start + used, 1);
    used += plan.size;
    return plan.size;
}

static void write_bytes(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, len, f), len);
    ck_assert_int_eq(fclose(f), 0);
}

static char *file_path(uint64_t start)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%020" PRIu64, start);
    return tmpdir_path(log_dir, name);
}

static void save_file_cut(uint64_t start, size_t len)
{
    char *path = file_path(start);
    write_bytes(path, file, len);
    free(path);
}

/* Writes the file being built and begins the next one. */
static void save_file(uint64_t start)
{
    save_file_cut(start, FILE_BYTES);
    memset(file, 0, sizeof file);
    used = 0;
}

static void fill_file(uint64_t start, int n_records)
{
    for (int i = 0; i < n_records; i++)
        add_record(start, 100);
    record_write_filler(file + used, FILE_BYTES - used);
    save_file(start);
}

static int open_walk(const char *path, struct io *io)
{
    struct err e = {0};
    store_walk_close(walk);
    walk = NULL;
    int rc = store_walk_open(&walk, path, 0, io, &e);
    ck_assert(rc == 0 || e.msg[0] != '\0');
    return rc;
}

static void open_root(void)
{
    ck_assert_int_eq(open_walk(root, io_posix()), 0);
}

static void expect(enum store_walk_kind kind, uint64_t log_off, uint64_t len)
{
    struct err e = {0};
    ck_assert_msg(store_walk_next(walk, &item, &e) == 0, "%s", e.msg);
    ck_assert_msg(item.kind == kind && item.log_off == log_off && item.len == len,
                  "got kind %d at %" PRIu64 " with %" PRIu64 " bytes (%s)", (int)item.kind,
                  item.log_off, item.len, item.why);
}

static void expect_damage(uint64_t log_off, uint64_t len, const char *why)
{
    expect(STORE_WALK_DAMAGE, log_off, len);
    ck_assert_str_eq(item.why, why);
}

START_TEST(records_fillers_and_the_end_come_in_order)
{
    fill_file(START, 2);
    uint32_t size = add_record(START + FILE_BYTES, 100);
    save_file(START + FILE_BYTES);
    open_root();
    expect(STORE_WALK_RECORD, START, size);
    ck_assert(item.body_ok);
    ck_assert(span_equal(item.rec.topic, span_str("T")));
    expect(STORE_WALK_RECORD, START + size, size);
    expect(STORE_WALK_FILLER, START + 2 * size, FILE_BYTES - 2 * size);
    expect(STORE_WALK_RECORD, START + FILE_BYTES, size);
    expect(STORE_WALK_END, START + FILE_BYTES + size, FILE_BYTES - size);
    expect(STORE_WALK_END, START + FILE_BYTES + size, FILE_BYTES - size);
}
END_TEST

START_TEST(an_empty_log_is_at_its_end)
{
    open_root();
    expect(STORE_WALK_END, 0, 0);
    save_file(0);
    open_root();
    expect(STORE_WALK_END, 0, FILE_BYTES);
}
END_TEST

START_TEST(an_empty_file_that_is_the_only_one_is_at_its_end)
{
    save_file_cut(START, 0);
    open_root();
    expect(STORE_WALK_END, START, 0);
    expect(STORE_WALK_END, START, 0);
}
END_TEST

START_TEST(a_prepared_file_of_zeros_belongs_to_the_end)
{
    uint32_t size = add_record(0, 10);
    save_file(0);
    save_file(FILE_BYTES);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect(STORE_WALK_END, size, FILE_BYTES - size);
}
END_TEST

START_TEST(a_changed_body_is_a_record_whose_body_fails)
{
    uint32_t size = add_record(0, 10);
    add_record(0, 10);
    file[90] ^= 1;
    save_file(0);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    ck_assert(!item.body_ok);
    expect(STORE_WALK_RECORD, size, size);
    ck_assert(item.body_ok);
}
END_TEST

/* Three records, with one byte of the middle one changed: the third is found. */
static void check_middle_damaged(size_t at, uint8_t value, const char *why)
{
    memset(file, 0, sizeof file);
    used = 0;
    uint32_t size = add_record(START, 300);
    add_record(START, 300);
    add_record(START, 300);
    file[size + at] = value;
    save_file(START);
    open_root();
    expect(STORE_WALK_RECORD, START, size);
    expect_damage(START + size, size, why);
    expect(STORE_WALK_RECORD, START + 2 * size, size);
    expect(STORE_WALK_END, START + 3 * size, FILE_BYTES - 3 * size);
}

START_TEST(the_record_behind_a_damaged_one_is_found)
{
    check_middle_damaged(FORMAT_AT_SIZE, 0x01, "record goes beyond the end of its file");
    check_middle_damaged(FORMAT_AT_SIZE, 0xff, "size is impossible");
    check_middle_damaged(FORMAT_AT_MAGIC, 0, "magic is wrong");
    check_middle_damaged(FORMAT_AT_LOG_OFF, 1, "own position is not where it is");
    check_middle_damaged(86, 0xff, "body is longer than the record");
    check_middle_damaged(87, 0, "lengths do not add up to the size");
}
END_TEST

START_TEST(records_behind_a_hole_of_zeros_are_found)
{
    uint32_t size = add_record(0, 100);
    for (int i = 0; i < 5; i++)
        add_record(0, 100);
    memset(file + size, 0, 4 * size);
    save_file(0);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect_damage(size, 4 * size, "zeros where a record should be");
    expect(STORE_WALK_RECORD, 5 * size, size);
}
END_TEST

START_TEST(zeros_before_a_later_file_with_records_are_damage)
{
    uint32_t size = add_record(0, 100);
    save_file(0);
    save_file(FILE_BYTES);
    add_record(2 * FILE_BYTES, 100);
    save_file(2 * FILE_BYTES);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect_damage(size, FILE_BYTES - size, "zeros where a record should be");
    expect_damage(FILE_BYTES, FILE_BYTES, "zeros where a record should be");
    expect(STORE_WALK_RECORD, 2 * FILE_BYTES, size);
}
END_TEST

START_TEST(garbage_behind_the_last_record_is_damage_as_far_as_it_goes)
{
    uint32_t size = add_record(0, 100);
    memset(file + size, 0x5a, 1536);
    save_file(0);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect_damage(size, 1536, "magic is wrong");
    expect(STORE_WALK_END, size + 1536, FILE_BYTES - size - 1536);
}
END_TEST

START_TEST(bytes_that_look_like_magics_do_not_deceive)
{
    uint32_t size = add_record(0, 100);
    for (size_t at = size; at + 8 <= 6000; at += 8) {
        be32_put(file + at, 200);
        be32_put(file + at + 4, at % 16 ? STORE_MAGIC_V1 : STORE_MAGIC_BLANK);
    }
    file[size] = 0xff;
    used = 6400;
    uint32_t last_size = add_record(0, 100);
    save_file(0);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect(STORE_WALK_DAMAGE, size, 6400 - size);
    expect(STORE_WALK_RECORD, 6400, last_size);
}
END_TEST

START_TEST(a_filler_found_behind_damage_ends_the_file)
{
    uint32_t size = add_record(0, 100);
    file[FORMAT_AT_MAGIC] = 0;
    record_write_filler(file + used, FILE_BYTES - used);
    save_file(0);
    add_record(FILE_BYTES, 100);
    save_file(FILE_BYTES);
    open_root();
    expect_damage(0, size, "magic is wrong");
    expect(STORE_WALK_FILLER, size, FILE_BYTES - size);
    expect(STORE_WALK_RECORD, FILE_BYTES, size);
}
END_TEST

START_TEST(a_filler_of_the_wrong_length_is_damage)
{
    uint32_t size = add_record(0, 100);
    record_write_filler(file + used, FILE_BYTES - used - 1);
    save_file(0);
    add_record(FILE_BYTES, 100);
    save_file(FILE_BYTES);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect_damage(size, FILE_BYTES - size, "filler does not reach the end of its file");
    expect(STORE_WALK_RECORD, FILE_BYTES, size);
}
END_TEST

START_TEST(a_cut_file_loses_only_the_cut_record)
{
    uint32_t size = add_record(0, 100);
    add_record(0, 100);
    save_file_cut(0, size + 120);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect_damage(size, 120, "record goes beyond the end of its file");
    expect(STORE_WALK_END, size + 120, 0);
}
END_TEST

START_TEST(a_cut_or_missing_file_is_a_gap_and_the_next_is_read)
{
    uint32_t size = add_record(0, 100);
    save_file_cut(0, size);
    memset(file, 0, sizeof file);
    used = 0;
    fill_file(FILE_BYTES, 1);
    fill_file(4 * FILE_BYTES, 1);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect_damage(size, FILE_BYTES - size, "a file is missing or too short");
    expect(STORE_WALK_RECORD, FILE_BYTES, size);
    expect(STORE_WALK_FILLER, FILE_BYTES + size, FILE_BYTES - size);
    expect_damage(2 * FILE_BYTES, 2 * FILE_BYTES, "a file is missing or too short");
    expect(STORE_WALK_RECORD, 4 * FILE_BYTES, size);
    expect(STORE_WALK_FILLER, 4 * FILE_BYTES + size, FILE_BYTES - size);
    expect(STORE_WALK_END, 5 * FILE_BYTES, 0);
}
END_TEST

START_TEST(a_folder_and_a_lone_file_are_walked_too)
{
    fill_file(START, 1);
    ck_assert_int_eq(open_walk(log_dir, io_posix()), 0);
    expect(STORE_WALK_RECORD, START, SIZE);
    char *path = file_path(START);
    ck_assert_int_eq(open_walk(path, io_posix()), 0);
    expect(STORE_WALK_RECORD, START, SIZE);
    expect(STORE_WALK_FILLER, START + SIZE, FILE_BYTES - SIZE);
    expect(STORE_WALK_END, START + FILE_BYTES, 0);
    free(path);
}
END_TEST

START_TEST(a_file_with_another_name_is_placed_by_its_first_record)
{
    uint32_t size = add_record(START, 100);
    char *path = tmpdir_path(root, "copy.bin");
    write_bytes(path, file, FILE_BYTES);
    ck_assert_int_eq(open_walk(path, io_posix()), 0);
    expect(STORE_WALK_RECORD, START, size);
    file[FORMAT_AT_MAGIC] = 0;
    write_bytes(path, file, FILE_BYTES);
    ck_assert_int_eq(open_walk(path, io_posix()), ERR_UNSUPPORTED);
    write_bytes(path, file, 0);
    ck_assert_int_eq(open_walk(path, io_posix()), ERR_UNSUPPORTED);
    free(path);
}
END_TEST

START_TEST(what_is_no_log_is_refused)
{
    char *path = tmpdir_path(root, "nothing");
    ck_assert_int_eq(open_walk(path, io_posix()), ERR_NOTFOUND);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(open_walk(path, io_posix()), ERR_UNSUPPORTED);
    free(path);
    path = tmpdir_path(root, "fifo");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(open_walk(path, io_posix()), ERR_UNSUPPORTED);
    free(path);
}
END_TEST

START_TEST(files_with_other_names_are_left_alone)
{
    fill_file(0, 1);
    const char *names[] = {"README", "0000000000000000000x", "99999999999999999999",
                           "000000000000000081920"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = tmpdir_path(log_dir, names[i]);
        write_bytes(path, "text", 4);
        free(path);
    }
    open_root();
    expect(STORE_WALK_RECORD, 0, SIZE);
    expect(STORE_WALK_FILLER, SIZE, FILE_BYTES - SIZE);
    expect(STORE_WALK_END, FILE_BYTES, 0);
}
END_TEST

START_TEST(a_live_log_is_followed_over_the_roll)
{
    uint32_t size = add_record(0, 100);
    save_file_cut(0, FILE_BYTES);
    open_root();
    expect(STORE_WALK_RECORD, 0, size);
    expect(STORE_WALK_END, size, FILE_BYTES - size);
    fill_file(0, 1); /* a second record behind the first, and the filler */
    add_record(FILE_BYTES, 100);
    save_file(FILE_BYTES);
    expect(STORE_WALK_RECORD, size, size);
    expect(STORE_WALK_FILLER, 2 * size, FILE_BYTES - 2 * size);
    expect(STORE_WALK_RECORD, FILE_BYTES, size);
    expect(STORE_WALK_END, FILE_BYTES + size, FILE_BYTES - size);
}
END_TEST

START_TEST(a_walk_goes_on_from_the_file_of_a_position)
{
    fill_file(0, 2);
    fill_file(FILE_BYTES, 2);
    open_root();
    struct store_walk_bounds bounds;
    struct err e;
    store_walk_bounds(walk, &bounds);
    ck_assert_uint_eq(bounds.begin, 0);
    ck_assert_uint_eq(bounds.end, 2 * FILE_BYTES);
    ck_assert_uint_eq(bounds.file_bytes, FILE_BYTES);
    ck_assert_int_eq(store_walk_seek(walk, FILE_BYTES + SIZE, &e), 0);
    expect(STORE_WALK_RECORD, FILE_BYTES, SIZE);
    ck_assert_int_eq(store_walk_seek(walk, 5, &e), 0);
    expect(STORE_WALK_RECORD, 0, SIZE);
}
END_TEST

START_TEST(one_position_is_looked_at_alone)
{
    fill_file(0, 2);
    fill_file(FILE_BYTES, 2);
    open_root();
    struct err e;
    ck_assert_int_eq(store_walk_look(walk, FILE_BYTES + SIZE, &item, &e), 0);
    ck_assert_int_eq(item.kind, STORE_WALK_RECORD);
    ck_assert_uint_eq(item.rec.log_off, FILE_BYTES + SIZE);
    ck_assert(item.body_ok);
    static const uint64_t none[] = {1, SIZE + 8, 2 * FILE_BYTES - 1, 2 * FILE_BYTES, UINT64_MAX};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        ck_assert_int_eq(store_walk_look(walk, none[i], &item, &e), 0);
        ck_assert_int_eq(item.kind, STORE_WALK_DAMAGE);
        ck_assert_uint_eq(item.log_off, none[i]);
    }
}
END_TEST

START_TEST(a_record_larger_than_a_piece_is_read_whole)
{
    enum { BODY = 3 << 20 };
    static uint8_t big[BODY + FORMAT_RECORD_OVERHEAD];
    uint8_t *body_bytes = calloc(1, BODY);
    struct span body = span_of(body_bytes, BODY);
    struct store_host host = {.addr_len = 4};
    struct store_message m = {
        .topic = span_str("T"), .born_host = host, .body = &body, .n_body = 1};
    struct record_plan plan;
    struct err e;
    ck_assert_int_eq(record_plan(&m, &host, FORMAT_BODY_MAX, &plan, &e), 0);
    record_write(big, &plan, &m);
    char *path = file_path(0);
    write_bytes(path, big, sizeof big);
    ck_assert_int_eq(open_walk(path, io_posix()), 0);
    expect(STORE_WALK_RECORD, 0, plan.size);
    ck_assert(item.body_ok);
    free(path);
    free(body_bytes);
}
END_TEST

START_TEST(short_reads_change_nothing)
{
    static struct fault fault; /* outlives the walk */
    fault_init(&fault, io_posix());
    fill_file(0, 3);
    fault_arm(&fault, FAULT_READ, 1, 0, FAULT_FROM_NOW);
    ck_assert_int_eq(open_walk(root, &fault.io), 0);
    for (uint64_t i = 0; i < 3; i++)
        expect(STORE_WALK_RECORD, i * SIZE, SIZE);
    expect(STORE_WALK_FILLER, 3 * SIZE, FILE_BYTES - 3 * SIZE);
    ck_assert(fault_fired(&fault));
}
END_TEST

START_TEST(a_file_cut_while_it_is_walked_is_an_error)
{
    fill_file(0, 1);
    open_root();
    char *path = file_path(0);
    ck_assert_int_eq(truncate(path, 100), 0);
    struct err e = {0};
    ck_assert_int_eq(store_walk_next(walk, &item, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "was cut to 100 bytes"));
    free(path);
}
END_TEST

/* Opens and walks the root to its end; the first error. */
static int walk_all(struct io *io, struct err *e)
{
    store_walk_close(walk);
    walk = NULL;
    int rc = store_walk_open(&walk, root, 0, io, e);
    item.kind = STORE_WALK_RECORD;
    while (rc == 0 && item.kind != STORE_WALK_END)
        rc = store_walk_next(walk, &item, e);
    return rc;
}

START_TEST(any_failing_call_is_an_error_with_a_name)
{
    static struct fault fault; /* outlives the walk */
    fault_init(&fault, io_posix());
    fill_file(0, 2);
    fill_file(FILE_BYTES, 2);
    save_file(2 * FILE_BYTES);
    for (uint64_t n = 1;; n++) {
        struct err e = {0};
        fault_arm(&fault, FAULT_ALL & ~FAULT_CLOSE, n, EIO, FAULT_ONCE);
        int rc = walk_all(&fault.io, &e);
        if (!fault_fired(&fault)) {
            ck_assert_int_eq(rc, 0);
            ck_assert_uint_gt(n, 6);
            break;
        }
        ck_assert_int_eq(rc, ERR_IO);
        ck_assert_ptr_nonnull(strstr(e.msg, "0000"));
    }
}
END_TEST

static TCase *sound_case(void)
{
    TCase *tc = tcase_create("sound");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, records_fillers_and_the_end_come_in_order);
    tcase_add_test(tc, an_empty_log_is_at_its_end);
    tcase_add_test(tc, an_empty_file_that_is_the_only_one_is_at_its_end);
    tcase_add_test(tc, a_prepared_file_of_zeros_belongs_to_the_end);
    tcase_add_test(tc, a_folder_and_a_lone_file_are_walked_too);
    tcase_add_test(tc, a_file_with_another_name_is_placed_by_its_first_record);
    tcase_add_test(tc, what_is_no_log_is_refused);
    tcase_add_test(tc, files_with_other_names_are_left_alone);
    tcase_add_test(tc, a_live_log_is_followed_over_the_roll);
    tcase_add_test(tc, a_walk_goes_on_from_the_file_of_a_position);
    tcase_add_test(tc, one_position_is_looked_at_alone);
    tcase_add_test(tc, a_record_larger_than_a_piece_is_read_whole);
    tcase_add_test(tc, short_reads_change_nothing);
    return tc;
}

static TCase *damaged_case(void)
{
    TCase *tc = tcase_create("damaged");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_changed_body_is_a_record_whose_body_fails);
    tcase_add_test(tc, the_record_behind_a_damaged_one_is_found);
    tcase_add_test(tc, records_behind_a_hole_of_zeros_are_found);
    tcase_add_test(tc, zeros_before_a_later_file_with_records_are_damage);
    tcase_add_test(tc, garbage_behind_the_last_record_is_damage_as_far_as_it_goes);
    tcase_add_test(tc, bytes_that_look_like_magics_do_not_deceive);
    tcase_add_test(tc, a_filler_found_behind_damage_ends_the_file);
    tcase_add_test(tc, a_filler_of_the_wrong_length_is_damage);
    tcase_add_test(tc, a_cut_file_loses_only_the_cut_record);
    tcase_add_test(tc, a_cut_or_missing_file_is_a_gap_and_the_next_is_read);
    tcase_add_test(tc, a_file_cut_while_it_is_walked_is_an_error);
    tcase_add_test(tc, any_failing_call_is_an_error_with_a_name);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("walk");
    suite_add_tcase(suite, sound_case());
    suite_add_tcase(suite, damaged_case());
    return suite_run(suite);
}

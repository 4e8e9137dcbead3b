/* Tests of store/residency.c: the kernel's figures, and texts it would never write. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/fault.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { PAGE = 4096, FILE_BYTES = 16 * PAGE, MAX_SEEN = 16 };

static char *root;
static struct store_file_info seen[MAX_SEEN];
static int n_seen;

static void set_up(void)
{
    root = tmpdir_make();
    n_seen = 0;
}

static void tear_down(void)
{
    tmpdir_remove(root);
}

static void make_folder(const char *name)
{
    char *path = tmpdir_path(root, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    free(path);
}

/* A file of FILE_BYTES, written and so in the page cache; the open descriptor. */
static int make_file(const char *name)
{
    static const char zeros[FILE_BYTES];
    char *path = tmpdir_path(root, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, zeros, sizeof zeros), FILE_BYTES);
    free(path);
    return fd;
}

static int note(void *arg, const struct store_file_info *info)
{
    (void)arg;
    ck_assert_int_lt(n_seen, MAX_SEEN);
    seen[n_seen++] = *info;
    return 0;
}

static int stop_at_second(void *arg, const struct store_file_info *info)
{
    (void)note(arg, info);
    return n_seen == 2 ? 77 : 0;
}

static uint64_t seven_pins(void *arg, const char *path)
{
    return strcmp(path, arg) == 0 ? 7 : 0;
}

START_TEST(a_file_just_written_is_resident)
{
    struct store_residency cost;
    struct err e = {0};
    int fd = make_file("file");
    ck_assert_int_eq(store_residency(fd, 0, FILE_BYTES, &cost, &e), 0);
    ck_assert_uint_eq(cost.resident_bytes, FILE_BYTES);
    ck_assert(cost.dirty_bytes <= FILE_BYTES || cost.dirty_bytes == UINT64_MAX);
    close(fd);
}
END_TEST

START_TEST(a_hole_is_not_resident)
{
    struct store_residency cost;
    struct err e = {0};
    int fd = make_file("file");
    ck_assert_int_eq(ftruncate(fd, 4 * FILE_BYTES), 0);
    ck_assert_int_eq(store_residency(fd, 0, 4 * FILE_BYTES, &cost, &e), 0);
    ck_assert_uint_eq(cost.resident_bytes, FILE_BYTES);
    ck_assert_int_eq(residency_by_mincore(fd, 0, 4 * FILE_BYTES, &cost, &e), 0);
    ck_assert_uint_eq(cost.resident_bytes, FILE_BYTES);
    ck_assert_uint_eq(cost.dirty_bytes, UINT64_MAX);
    close(fd);
}
END_TEST

START_TEST(a_stretch_of_a_file_is_asked_for_alone)
{
    struct store_residency cost;
    struct err e = {0};
    int fd = make_file("file");
    ck_assert_int_eq(ftruncate(fd, 4 * FILE_BYTES), 0);
    for (int i = 0; i < 3; i++) {
        uint64_t off = (uint64_t)(FILE_BYTES - PAGE + i * PAGE), left = i == 0 ? PAGE : 0;
        ck_assert_int_eq(store_residency(fd, off, 2 * PAGE, &cost, &e), 0);
        ck_assert_uint_eq(cost.resident_bytes, left);
        ck_assert_int_eq(residency_by_mincore(fd, off, 2 * PAGE, &cost, &e), 0);
        ck_assert_uint_eq(cost.resident_bytes, left);
    }
    close(fd);
}
END_TEST

START_TEST(an_empty_file_costs_nothing)
{
    struct store_residency cost = {.resident_bytes = 1, .dirty_bytes = 1};
    struct err e = {0};
    int fd = make_file("file");
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    ck_assert_int_eq(store_residency(fd, 0, 0, &cost, &e), 0);
    ck_assert_uint_eq(cost.resident_bytes, 0);
    ck_assert_uint_eq(cost.dirty_bytes, 0);
    close(fd);
}
END_TEST

START_TEST(a_descriptor_that_is_no_file_is_an_error)
{
    struct store_residency cost;
    struct err e = {0};
    ck_assert_int_lt(store_residency(-1, 0, PAGE, &cost, &e), 0);
    ck_assert_str_ne(e.msg, "");
}
END_TEST

START_TEST(every_file_comes_in_path_order)
{
    struct err e = {0};
    make_folder("b");
    make_folder("b/c");
    make_folder("empty");
    close(make_file("b/c/2"));
    close(make_file("b/c/1"));
    close(make_file("a"));
    ck_assert_int_eq(store_each_file_at(root, note, NULL, io_posix(), &e), 0);
    ck_assert_int_eq(n_seen, 3);
    ck_assert_str_eq(seen[0].path, "a");
    ck_assert_str_eq(seen[1].path, "b/c/1");
    ck_assert_str_eq(seen[2].path, "b/c/2");
    ck_assert_uint_eq(seen[1].bytes, FILE_BYTES);
    ck_assert_uint_eq(seen[1].resident_bytes, FILE_BYTES);
    ck_assert_uint_eq(seen[1].mapped_bytes, 0);
}
END_TEST

START_TEST(the_callers_no_stops_and_is_returned)
{
    struct err e = {0};
    close(make_file("a"));
    close(make_file("b"));
    close(make_file("c"));
    ck_assert_int_eq(store_each_file_at(root, stop_at_second, NULL, io_posix(), &e), 77);
    ck_assert_int_eq(n_seen, 2);
}
END_TEST

START_TEST(links_and_pipes_are_left_alone)
{
    struct err e = {0};
    char *link = tmpdir_path(root, "link"), *pipe = tmpdir_path(root, "pipe");
    ck_assert_int_eq(symlink("/etc/passwd", link), 0);
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    ck_assert_int_eq(store_each_file_at(root, note, NULL, io_posix(), &e), 0);
    ck_assert_int_eq(n_seen, 0);
    free(link);
    free(pipe);
}
END_TEST

START_TEST(own_mappings_locks_and_pins_are_counted)
{
    struct err e = {0};
    make_folder("commitlog");
    int fd = make_file("commitlog/0 with blanks");
    close(make_file("other"));
    char name[] = "commitlog/0 with blanks";
    void *map = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    /* By number, since sanitizers make mlock do nothing; it may be forbidden where the test runs.
     */
    bool is_locked = syscall(SYS_mlock, map, 2 * PAGE) == 0;
    ck_assert_int_eq(residency_each_file(root, seven_pins, name, note, NULL, io_posix(), &e), 0);
    ck_assert_int_eq(n_seen, 2);
    ck_assert_uint_eq(seen[0].mapped_bytes, FILE_BYTES);
    ck_assert_uint_eq(seen[0].locked_bytes, is_locked ? 2 * PAGE : 0);
    ck_assert_uint_eq(seen[0].n_pins, 7);
    ck_assert_uint_eq(seen[1].mapped_bytes, 0);
    ck_assert_uint_eq(seen[1].n_pins, 0);
    ck_assert_int_eq(munmap(map, FILE_BYTES), 0);
    close(fd);
}
END_TEST

START_TEST(a_file_that_goes_away_is_left_out)
{
    struct err e = {0};
    static struct fault fault;
    close(make_file("a"));
    close(make_file("b"));
    fault_init(&fault, io_posix());
    fault_arm(&fault, FAULT_OPEN, 1, ENOENT, FAULT_ONCE);
    ck_assert_int_eq(store_each_file_at(root, note, NULL, &fault.io, &e), 0);
    ck_assert_int_eq(n_seen, 1);
    ck_assert_str_eq(seen[0].path, "b");
}
END_TEST

START_TEST(what_cannot_be_read_is_an_error_with_a_name)
{
    struct err e = {0};
    static struct fault fault;
    ck_assert_int_eq(store_each_file_at("/nonexistent", note, NULL, io_posix(), &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "/nonexistent"));
    close(make_file("a"));
    fault_init(&fault, io_posix());
    fault_arm(&fault, FAULT_OPEN | FAULT_SIZE, 1, EACCES, FAULT_FROM_NOW);
    ck_assert_int_eq(store_each_file_at(root, note, NULL, &fault.io, &e), ERR_IO);
    fault_arm(&fault, FAULT_SIZE, 1, EIO, FAULT_FROM_NOW);
    ck_assert_int_eq(store_each_file_at(root, note, NULL, &fault.io, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "/a'"));
}
END_TEST

START_TEST(folders_without_end_are_refused)
{
    struct err e = {0};
    char name[64] = "d";
    for (int i = 0; i < 12; i++) {
        make_folder(name);
        strcat(name, "/d");
    }
    ck_assert_int_eq(store_each_file_at(root, note, NULL, io_posix(), &e), ERR_TOOBIG);
    ck_assert_ptr_nonnull(strstr(e.msg, root));
}
END_TEST

static const char good_status[] =
    "Name:\tVmPTE: 5 kB\nVmLck:\t       8 kB\nRssAnon:\t    1024 kB\n"
    "RssFile:\t    2048 kB\nRssShmem:\t       4 kB\nVmPTE:\t      96 kB\n";

START_TEST(the_parts_of_the_process_are_read)
{
    struct store_memory m = {0};
    struct err e = {0};
    ck_assert_int_eq(residency_parse_status(good_status, &m, &e), 0);
    ck_assert_uint_eq(m.rss_anon_bytes, 1024 * 1024);
    ck_assert_uint_eq(m.rss_file_bytes, 2048 * 1024);
    ck_assert_uint_eq(m.rss_shmem_bytes, 4096);
    ck_assert_uint_eq(m.page_table_bytes, 96 * 1024);
    ck_assert_uint_eq(m.locked_bytes, 8192);
    const char *stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 345 6 78 9 1 2";
    ck_assert_int_eq(residency_parse_stat(stat, &m, &e), 0);
    ck_assert_uint_eq(m.minor_faults, 345);
    ck_assert_uint_eq(m.major_faults, 78);
}
END_TEST

START_TEST(texts_without_the_numbers_are_refused)
{
    const char *bad_status[] = {"", "\n\n", "RssAnon: 1 kB\n", "RssAnon:\tx kB\nRssFile: 1 kB\n"};
    const char *bad_stat[] = {"", ")", "1 (x) S 1", "1 x S 1 12 12 0 -1 4194304 345 6 78"};
    struct store_memory m = {.rss_anon_bytes = 5, .minor_faults = 6};
    struct err e = {0};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(residency_parse_status(bad_status[i], &m, &e), ERR_UNSUPPORTED);
        ck_assert_int_eq(residency_parse_stat(bad_stat[i], &m, &e), ERR_UNSUPPORTED);
    }
    ck_assert_uint_eq(m.rss_anon_bytes, 5);
    ck_assert_uint_eq(m.minor_faults, 6);
}
END_TEST

START_TEST(this_process_has_memory_and_faults)
{
    struct store_memory m;
    struct err e = {0};
    ck_assert_int_eq(store_memory(&m, &e), 0);
    ck_assert_uint_gt(m.rss_anon_bytes, 0);
    ck_assert_uint_gt(m.rss_file_bytes, 0);
    ck_assert_uint_gt(m.page_table_bytes, 0);
    ck_assert_uint_gt(m.minor_faults, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("residency");
    TCase *tc = tcase_create("residency");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_file_just_written_is_resident);
    tcase_add_test(tc, a_hole_is_not_resident);
    tcase_add_test(tc, a_stretch_of_a_file_is_asked_for_alone);
    tcase_add_test(tc, an_empty_file_costs_nothing);
    tcase_add_test(tc, a_descriptor_that_is_no_file_is_an_error);
    tcase_add_test(tc, every_file_comes_in_path_order);
    tcase_add_test(tc, the_callers_no_stops_and_is_returned);
    tcase_add_test(tc, links_and_pipes_are_left_alone);
    tcase_add_test(tc, own_mappings_locks_and_pins_are_counted);
    tcase_add_test(tc, a_file_that_goes_away_is_left_out);
    tcase_add_test(tc, what_cannot_be_read_is_an_error_with_a_name);
    tcase_add_test(tc, folders_without_end_are_refused);
    tcase_add_test(tc, the_parts_of_the_process_are_read);
    tcase_add_test(tc, texts_without_the_numbers_are_refused);
    tcase_add_test(tc, this_process_has_memory_and_faults);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

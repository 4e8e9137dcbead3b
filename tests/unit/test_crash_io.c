/* Tests of tests/lib/crash_io.c: what was synced is there, what was not may be. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crash_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { PAGE = 4096, N_PAGES = 16, FILE_BYTES = N_PAGES * PAGE, N_SEEDS = 24 };

static char *base_dir, *live, *scratch;
static struct crash_io *crash;
static struct io *io;
static int n_images;

static char *make_folder(const char *name)
{
    char *path = tmpdir_path(base_dir, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    return path;
}

static void start_watching(void)
{
    crash = crash_io_new(live, scratch);
    io = crash_io_seam(crash);
}

static void set_up(void)
{
    base_dir = tmpdir_make();
    live = make_folder("live");
    scratch = make_folder("scratch");
    n_images = 0;
}

static void tear_down(void)
{
    crash_io_free(crash);
    crash = NULL;
    free(live);
    free(scratch);
    tmpdir_remove(base_dir);
}

static char *next_image(void)
{
    char name[32];
    (void)snprintf(name, sizeof name, "image%d", n_images++);
    return make_folder(name);
}

static int open_live(const char *name)
{
    char *path = tmpdir_path(live, name);
    int fd = io->open(io, path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    free(path);
    return fd;
}

static void fill(int fd, char with)
{
    char buf[FILE_BYTES];
    memset(buf, with, sizeof buf);
    ck_assert_int_eq((int)io->pwrite(io, fd, buf, sizeof buf, 0), FILE_BYTES);
}

/* The first byte of each page of a file in the image; the number of pages, -1 when it is absent. */
static int look(const char *image, const char *name, char *first_bytes)
{
    char *path = tmpdir_path(image, name);
    size_t len = 0;
    uint8_t *buf = NULL;
    struct err e = {0};
    int rc = io_read_file(io_posix(), path, FILE_BYTES * 2, &buf, &len, &e);
    free(path);
    if (rc == ERR_NOTFOUND)
        return -1;
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(len % PAGE, 0);
    for (size_t i = 0; i < len / PAGE; i++) {
        first_bytes[i] = (char)buf[i * PAGE];
        for (size_t k = 0; k < PAGE; k++)
            ck_assert_uint_eq(buf[i * PAGE + k], buf[i * PAGE]);
    }
    free(buf);
    return (int)(len / PAGE);
}

START_TEST(synced_bytes_and_names_survive_every_seed)
{
    start_watching();
    int fd = open_live("log");
    fill(fd, 'a');
    ck_assert_int_eq(io->sync_fd(io, fd), 0);
    ck_assert_int_eq(io->sync_dir(io, live), 0);
    char *image = next_image();
    char pages[N_PAGES * 2];
    crash_io_cut(crash, crash_io_seed(), image);
    ck_assert_int_eq(look(image, "log", pages), N_PAGES);
    for (int i = 0; i < N_PAGES; i++)
        ck_assert_int_eq(pages[i], 'a');
    ck_assert_int_eq(io->close(io, fd), 0);
    free(image);
}
END_TEST

/* Makes a file of synced 'a', overwrites it with unsynced 'b', cuts; how many pages are 'b'. */
static int pages_kept_through_mapping(uint64_t seed)
{
    int fd = open_live("log");
    fill(fd, 'a');
    ck_assert_int_eq(io->sync_fd(io, fd), 0);
    ck_assert_int_eq(io->sync_dir(io, live), 0);
    uint8_t *map;
    ck_assert_int_eq(io->map(io, fd, FILE_BYTES, true, &map), 0);
    memset(map, 'b', FILE_BYTES);
    ck_assert_int_eq(io->sync_map(io, map, 2 * PAGE), 0);
    char *image = next_image();
    char pages[N_PAGES * 2];
    crash_io_cut(crash, seed, image);
    ck_assert_int_eq(look(image, "log", pages), N_PAGES);
    ck_assert_int_eq(pages[0], 'b');
    ck_assert_int_eq(pages[1], 'b');
    int n = 0;
    for (int i = 2; i < N_PAGES; i++) {
        ck_assert(pages[i] == 'a' || pages[i] == 'b');
        n += pages[i] == 'b';
    }
    ck_assert_int_eq(io->unmap(io, map, FILE_BYTES), 0);
    ck_assert_int_eq(io->close(io, fd), 0);
    free(image);
    return n;
}

START_TEST(unsynced_pages_of_a_mapping_are_kept_at_random)
{
    bool is_mixed = false;
    for (uint64_t seed = 0; seed < 8; seed++) {
        free(scratch);
        char name[32];
        (void)snprintf(name, sizeof name, "scratch%d", (int)seed);
        scratch = make_folder(name);
        start_watching();
        int n = pages_kept_through_mapping(seed);
        is_mixed = is_mixed || (n > 0 && n < N_PAGES - 2);
        crash_io_free(crash);
        crash = NULL;
    }
    ck_assert(is_mixed);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_image)
{
    start_watching();
    int first = pages_kept_through_mapping(7);
    crash_io_free(crash);
    free(scratch);
    scratch = make_folder("again");
    start_watching();
    ck_assert_int_eq(pages_kept_through_mapping(7), first);
}
END_TEST

/* Runs `change` once for each seed on a fresh watcher; counts the images that have `name`. */
static int count_images_with(const char *name, void (*change)(void))
{
    int n = 0;
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        tear_down();
        set_up();
        start_watching();
        change();
        char *image = next_image();
        char pages[N_PAGES * 2];
        crash_io_cut(crash, seed, image);
        n += look(image, name, pages) >= 0;
        free(image);
    }
    return n;
}

static void make_synced_without_name(void)
{
    int fd = open_live("new");
    ck_assert_int_eq(io->sync_fd(io, fd), 0);
    ck_assert_int_eq(io->close(io, fd), 0);
}

static void remove_without_sync(void)
{
    make_synced_without_name();
    ck_assert_int_eq(io->sync_dir(io, live), 0);
    char *path = tmpdir_path(live, "new");
    ck_assert_int_eq(io->unlink(io, path), 0);
    free(path);
}

static void remove_and_sync(void)
{
    remove_without_sync();
    ck_assert_int_eq(io->sync_dir(io, live), 0);
}

START_TEST(a_name_is_sure_only_after_a_sync_of_its_folder)
{
    int n = count_images_with("new", make_synced_without_name);
    ck_assert(n > 0 && n < N_SEEDS);
    n = count_images_with("new", remove_without_sync);
    ck_assert(n > 0 && n < N_SEEDS);
    ck_assert_int_eq(count_images_with("new", remove_and_sync), 0);
}
END_TEST

static void make_in_new_folder(void)
{
    char *sub = tmpdir_path(live, "sub");
    ck_assert_int_eq(io->mkdir(io, sub, 0700), 0);
    ck_assert_int_eq(io->close(io, open_live("sub/new")), 0);
    ck_assert_int_eq(io->sync_dir(io, sub), 0);
    free(sub);
}

START_TEST(a_lost_folder_takes_its_files_along)
{
    int n = count_images_with("sub/new", make_in_new_folder);
    ck_assert(n > 0 && n < N_SEEDS);
}
END_TEST

START_TEST(a_replaced_file_is_whole_old_or_whole_new)
{
    bool saw[2] = {false, false};
    for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
        tear_down();
        set_up();
        start_watching();
        char *path = tmpdir_path(live, "state");
        struct err e = {0};
        char buf[PAGE];
        memset(buf, 'a', PAGE);
        ck_assert_int_eq(io_replace_file(io, path, buf, PAGE, false, &e), 0);
        memset(buf, 'b', PAGE);
        char *image = next_image();
        crash_io_arm(crash, 1 + seed % 8, seed, image);
        int rc = io_replace_file(io, path, buf, PAGE, false, &e);
        if (!crash_io_is_off(crash))
            crash_io_cut(crash, seed, image);
        char pages[N_PAGES * 2] = {0};
        ck_assert_int_eq(look(image, "state", pages), 1);
        ck_assert(pages[0] == 'a' || pages[0] == 'b');
        ck_assert(rc != 0 || pages[0] == 'b');
        saw[pages[0] == 'b'] = true;
        free(image);
        free(path);
    }
    ck_assert(saw[0] && saw[1]);
}
END_TEST

START_TEST(after_the_cut_nothing_works_but_closing)
{
    start_watching();
    int fd = open_live("log");
    uint8_t *map;
    ck_assert_int_eq(io->allocate(io, fd, 0, PAGE), 0);
    ck_assert_int_eq(io->map(io, fd, PAGE, true, &map), 0);
    char *image = next_image();
    crash_io_arm(crash, 2, 1, image);
    ck_assert_int_eq(io->sync_fd(io, fd), 0);
    ck_assert(!crash_io_is_off(crash));
    ck_assert_int_eq(io->sync_map(io, map, PAGE), -EIO);
    ck_assert(crash_io_is_off(crash));
    char byte;
    ck_assert_int_eq((int)io->pread(io, fd, &byte, 1, 0), -EIO);
    ck_assert_int_eq(io->open(io, live, O_RDONLY, 0), -EIO);
    ck_assert_int_eq(io->mkdir(io, live, 0700), -EIO);
    ck_assert_int_eq(io->unmap(io, map, PAGE), 0);
    ck_assert_int_eq(io->close(io, fd), 0);
    free(image);
}
END_TEST

START_TEST(what_was_there_before_counts_as_durable)
{
    char *sub = tmpdir_path(live, "old");
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    char *path = tmpdir_path(sub, "file");
    FILE *f = fopen(path, "w");
    char buf[PAGE];
    memset(buf, 'z', PAGE);
    ck_assert_uint_eq(fwrite(buf, 1, PAGE, f), PAGE);
    fclose(f);
    start_watching();
    char *image = next_image();
    char pages[N_PAGES * 2];
    crash_io_cut(crash, crash_io_seed(), image);
    ck_assert_int_eq(look(image, "old/file", pages), 1);
    ck_assert_int_eq(pages[0], 'z');
    free(image);
    free(path);
    free(sub);
}
END_TEST

START_TEST(a_folder_renamed_moves_what_is_in_it)
{
    start_watching();
    make_in_new_folder();
    char *from = tmpdir_path(live, "sub");
    char *to = tmpdir_path(live, "moved");
    ck_assert_int_eq(io->rename(io, from, to), 0);
    ck_assert_int_eq(io->sync_dir(io, live), 0);
    char *image = next_image();
    char pages[N_PAGES * 2];
    crash_io_cut(crash, 3, image);
    ck_assert_int_eq(look(image, "moved/new", pages), 0);
    ck_assert_int_eq(look(image, "sub/new", pages), -1);
    free(image);
    free(from);
    free(to);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crash_io");
    TCase *tc = tcase_create("crash_io");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, synced_bytes_and_names_survive_every_seed);
    tcase_add_test(tc, unsynced_pages_of_a_mapping_are_kept_at_random);
    tcase_add_test(tc, the_same_seed_gives_the_same_image);
    tcase_add_test(tc, a_name_is_sure_only_after_a_sync_of_its_folder);
    tcase_add_test(tc, a_lost_folder_takes_its_files_along);
    tcase_add_test(tc, a_replaced_file_is_whole_old_or_whole_new);
    tcase_add_test(tc, after_the_cut_nothing_works_but_closing);
    tcase_add_test(tc, what_was_there_before_counts_as_durable);
    tcase_add_test(tc, a_folder_renamed_moves_what_is_in_it);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

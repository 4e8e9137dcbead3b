/* Tests of the seam to the kernel and of the whole-file helpers over it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static struct io *io;
static struct err e;
static char *dir;
static char *path; /* of "file" in it */

static void setup(void)
{
    io = io_posix();
    dir = tmpdir_make();
    path = tmpdir_path(dir, "file");
}

static void teardown(void)
{
    free(path);
    tmpdir_remove(dir);
}

static void write_file(const char *text)
{
    ck_assert_int_eq(io_replace_file(io, path, text, strlen(text), /* keep_bak = */ false, &e), 0);
}

static void assert_content(const char *suffix, const char *want)
{
    char name[PATH_MAX];
    uint8_t *buf;
    size_t len;
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    ck_assert_int_eq(io_read_file(io, name, 100, &buf, &len, &e), 0);
    ck_assert_str_eq((char *)buf, want);
    ck_assert_uint_eq(len, strlen(want));
    free(buf);
}

static bool exists(const char *suffix)
{
    char name[PATH_MAX];
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

START_TEST(a_file_is_read_whole_and_terminated)
{
    write_file("content");
    assert_content("", "content");
    write_file("");
    assert_content("", "");
}
END_TEST

START_TEST(an_absent_file_is_named_and_outputs_stay)
{
    uint8_t *buf = (uint8_t *)&e;
    size_t len = 7;
    ck_assert_int_eq(io_read_file(io, path, 100, &buf, &len, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, path));
    ck_assert_ptr_eq(buf, (uint8_t *)&e);
    ck_assert_uint_eq(len, 7);
}
END_TEST

START_TEST(a_file_over_the_limit_is_not_read)
{
    uint8_t *buf;
    size_t len;
    write_file("12345");
    ck_assert_int_eq(io_read_file(io, path, 4, &buf, &len, &e), ERR_TOOBIG);
    ck_assert_int_eq(io_read_file(io, path, 5, &buf, &len, &e), 0);
    free(buf);
}
END_TEST

START_TEST(a_text_is_read_as_far_as_there_is_room)
{
    char text[5];
    write_file("12345");
    io_read_text(io, path, text, sizeof text);
    ck_assert_str_eq(text, "1234");
    write_file("12");
    io_read_text(io, path, text, sizeof text);
    ck_assert_str_eq(text, "12");
    io_read_text(io, dir, text, sizeof text);
    ck_assert_str_eq(text, "");
    io_read_text(io, "/proc/self/comm", text, sizeof text); /* whose length is 0 */
    ck_assert_uint_gt(strlen(text), 0);
}
END_TEST

START_TEST(a_folder_is_not_read_as_a_file)
{
    uint8_t *buf;
    size_t len;
    ck_assert_int_eq(io_read_file(io, dir, 1 << 20, &buf, &len, &e), ERR_IO);
}
END_TEST

START_TEST(replacing_keeps_the_old_content_beside_it)
{
    ck_assert_int_eq(io_replace_file(io, path, "one", 3, /* keep_bak = */ true, &e), 0);
    ck_assert(!exists(".bak"));
    ck_assert_int_eq(io_replace_file(io, path, "two", 3, /* keep_bak = */ true, &e), 0);
    assert_content("", "two");
    assert_content(".bak", "one");
    ck_assert(!exists(".tmp"));
}
END_TEST

START_TEST(replacing_in_a_missing_folder_fails_and_names_it)
{
    char name[PATH_MAX];
    (void)snprintf(name, sizeof name, "%s/none/file", dir);
    ck_assert_int_eq(io_replace_file(io, name, "x", 1, /* keep_bak = */ false, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, "none/file"));
}
END_TEST

START_TEST(a_path_over_the_systems_limit_is_refused)
{
    char name[PATH_MAX + 1];
    memset(name, 'p', sizeof name);
    name[PATH_MAX - 3] = '\0';
    ck_assert_int_eq(io_replace_file(io, name, "x", 1, /* keep_bak = */ false, &e), ERR_INVAL);
    name[PATH_MAX - 3] = 'p';
    name[PATH_MAX] = '\0';
    ck_assert_int_eq(io_make_dirs(io, name, &e), ERR_INVAL);
    ck_assert_int_eq(io_make_dirs(io, "", &e), ERR_INVAL);
}
END_TEST

/* A seam that dies: from the n-th changing call on, each fails and does nothing. */
static struct io dying;
static int calls_left;

static bool is_dead(void)
{
    return calls_left-- <= 0;
}

static int dying_open(struct io *self, const char *name, int flags, unsigned mode)
{
    (void)self;
    bool changes = (flags & O_ACCMODE) != O_RDONLY;
    return changes && is_dead() ? -EIO : io->open(io, name, flags, mode);
}

static int64_t dying_pwrite(struct io *self, int fd, const void *buf, size_t len, uint64_t off)
{
    (void)self;
    (void)len;
    return is_dead() ? -ENOSPC : io->pwrite(io, fd, buf, /* one byte at a time */ 1, off);
}

static int dying_sync_fd(struct io *self, int fd)
{
    (void)self;
    return is_dead() ? -EIO : io->sync_fd(io, fd);
}

static int dying_rename(struct io *self, const char *from, const char *to)
{
    (void)self;
    return is_dead() ? -EIO : io->rename(io, from, to);
}

static int dying_unlink(struct io *self, const char *name)
{
    (void)self;
    return is_dead() ? -EIO : io->unlink(io, name);
}

static int dying_sync_dir(struct io *self, const char *name)
{
    (void)self;
    return is_dead() ? -EIO : io->sync_dir(io, name);
}

static void die_after(int n_calls)
{
    dying = *io;
    dying.open = dying_open;
    dying.pwrite = dying_pwrite;
    dying.sync_fd = dying_sync_fd;
    dying.rename = dying_rename;
    dying.unlink = dying_unlink;
    dying.sync_dir = dying_sync_dir;
    calls_left = n_calls;
}

START_TEST(a_crash_while_replacing_leaves_old_or_new)
{
    bool keep_bak = _i == 1;
    int rc = -1, n_old = 0;
    for (int n = 0; rc < 0; n++) {
        write_file("old");
        die_after(n);
        rc = io_replace_file(&dying, path, "new", 3, keep_bak, &e);
        uint8_t *buf;
        size_t len;
        ck_assert_int_eq(io_read_file(io, path, 100, &buf, &len, &e), 0);
        bool is_old = strcmp((char *)buf, "old") == 0;
        ck_assert(is_old || strcmp((char *)buf, "new") == 0);
        ck_assert(rc < 0 || !is_old);
        n_old += is_old;
        free(buf);
    }
    ck_assert_int_gt(n_old, 4); /* the sweep did reach the steps before the rename */
}
END_TEST

static int no_space(struct io *self, const char *from, const char *to)
{
    (void)self;
    (void)from;
    (void)to;
    return -ENOSPC;
}

START_TEST(a_failed_replace_leaves_nothing_beside_the_old_file)
{
    write_file("old");
    struct io broken = *io;
    broken.rename = no_space;
    ck_assert_int_eq(io_replace_file(&broken, path, "new", 3, /* keep_bak = */ false, &e),
                     ERR_NOSPACE);
    assert_content("", "old");
    ck_assert(!exists(".tmp"));
}
END_TEST

START_TEST(folders_are_made_with_their_parents)
{
    char name[PATH_MAX];
    struct stat st;
    (void)snprintf(name, sizeof name, "%s/a//b/c/", dir);
    ck_assert_int_eq(io_make_dirs(io, name, &e), 0);
    ck_assert_int_eq(io_make_dirs(io, name, &e), 0); /* existing ones are fine */
    ck_assert_int_eq(stat(name, &st), 0);
    ck_assert(S_ISDIR(st.st_mode));
}
END_TEST

START_TEST(a_file_in_the_way_of_a_folder_is_named)
{
    char name[PATH_MAX];
    write_file("x");
    (void)snprintf(name, sizeof name, "%s/b", path);
    ck_assert_int_eq(io_make_dirs(io, name, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, name));
}
END_TEST

START_TEST(a_locked_file_cannot_be_locked_by_another_open)
{
    int first = io->open(io, path, O_RDWR | O_CREAT, 0644);
    int second = io->open(io, path, O_RDWR, 0);
    ck_assert_int_ge(second, 0);
    ck_assert_int_eq(io->lock_file(io, first), 0);
    ck_assert_int_eq(io->lock_file(io, second), -EWOULDBLOCK);
    ck_assert_int_eq(io->close(io, first), 0);
    ck_assert_int_eq(io->lock_file(io, second), 0);
    ck_assert_int_eq(io->close(io, second), 0);
}
END_TEST

/* The lock a Java program takes: POSIX, on the first byte. */
START_TEST(a_lock_is_seen_by_a_record_lock)
{
    int ours = io->open(io, path, O_RDWR | O_CREAT, 0644);
    int theirs = io->open(io, path, O_RDWR, 0);
    ck_assert_int_eq(io->lock_file(io, ours), 0);
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    ck_assert_int_eq(fcntl(theirs, F_SETLK, &record), -1);
    ck_assert(errno == EAGAIN || errno == EACCES);
    ck_assert_int_eq(io->close(io, theirs), 0);
    ck_assert_int_eq(io->close(io, ours), 0);
}
END_TEST

START_TEST(allocated_and_mapped_bytes_reach_the_file)
{
    enum { BYTES = 8192 };
    uint8_t *base;
    uint64_t size;
    char got[4];
    int fd = io->open(io, path, O_RDWR | O_CREAT, 0644);
    ck_assert_int_eq(io->allocate(io, fd, 0, BYTES), 0);
    ck_assert_int_eq(io->size(io, fd, &size), 0);
    ck_assert_uint_eq(size, BYTES);
    ck_assert_int_eq(io->map(io, fd, BYTES, /* writable = */ true, &base), 0);
    memcpy(base + 4096, "here", 4);
    ck_assert_int_eq(io->sync_map(io, base + 4096, 4), 0);
    ck_assert_int_eq(io->pread(io, fd, got, 4, 4096), 4);
    ck_assert_mem_eq(got, "here", 4);
    ck_assert_int_eq(io->advise(io, base, BYTES, IO_DONTNEED), 0);
    ck_assert_int_eq(io->unmap(io, base, BYTES), 0);
    ck_assert_int_eq(io->close(io, fd), 0);
}
END_TEST

START_TEST(failures_come_back_as_negative_errno)
{
    uint64_t x, y;
    ck_assert_int_eq(io->open(io, path, O_RDONLY, 0), -ENOENT);
    ck_assert_int_eq(io->close(io, -1), -EBADF);
    ck_assert_int_eq(io->allocate(io, -1, 0, 1), -EBADF);
    ck_assert_int_eq(io->unlink(io, path), -ENOENT);
    ck_assert_int_eq(io->mkdir(io, dir, 0755), -EEXIST);
    ck_assert_int_eq(io->sync_dir(io, path), -ENOENT);
    ck_assert_int_eq(io->free_space(io, path, &x, &y), -ENOENT);
}
END_TEST

START_TEST(holes_are_told_from_data)
{
    enum { FILE_BYTES = 1 << 20, DATA_AT = 512 * 1024 };
    uint64_t at = 0;
    int fd = io->open(io, path, O_RDWR | O_CREAT, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(io->truncate(io, fd, FILE_BYTES), 0);
    ck_assert_int_eq(io->pwrite(io, fd, "x", 1, DATA_AT), 1);
    ck_assert_int_eq(io->next_data(io, fd, DATA_AT, &at), 0);
    ck_assert_uint_eq(at, DATA_AT);
    ck_assert_int_eq(io->next_data(io, fd, 0, &at), 0);
    ck_assert_uint_le(at, DATA_AT); /* 0 where the file system cannot tell */
    ck_assert_int_eq(io->next_data(io, fd, FILE_BYTES, &at), -ENXIO);
    ck_assert_int_eq(io->close(io, fd), 0);
}
END_TEST

START_TEST(clocks_and_free_space_are_plausible)
{
    uint64_t free_bytes, total;
    ck_assert_int_eq(io->free_space(io, dir, &free_bytes, &total), 0);
    ck_assert_uint_le(free_bytes, total);
    ck_assert_uint_gt(io->now_ms(io), 1700000000000u);
    uint64_t tick_ms = io->tick_ms(io);
    ck_assert_uint_le(tick_ms, io->now_ms(io));
    ck_assert_uint_gt(tick_ms, 1700000000000u);
    uint64_t before = io->mono_ns(io);
    ck_assert_uint_ge(io->mono_ns(io), before);
}
END_TEST

static TCase *helpers_case(void)
{
    TCase *tc = tcase_create("helpers");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_file_is_read_whole_and_terminated);
    tcase_add_test(tc, an_absent_file_is_named_and_outputs_stay);
    tcase_add_test(tc, a_file_over_the_limit_is_not_read);
    tcase_add_test(tc, a_text_is_read_as_far_as_there_is_room);
    tcase_add_test(tc, a_folder_is_not_read_as_a_file);
    tcase_add_test(tc, replacing_keeps_the_old_content_beside_it);
    tcase_add_test(tc, replacing_in_a_missing_folder_fails_and_names_it);
    tcase_add_test(tc, a_path_over_the_systems_limit_is_refused);
    tcase_add_loop_test(tc, a_crash_while_replacing_leaves_old_or_new, 0, 2);
    tcase_add_test(tc, a_failed_replace_leaves_nothing_beside_the_old_file);
    tcase_add_test(tc, folders_are_made_with_their_parents);
    tcase_add_test(tc, a_file_in_the_way_of_a_folder_is_named);
    return tc;
}

static TCase *posix_case(void)
{
    TCase *tc = tcase_create("posix");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_locked_file_cannot_be_locked_by_another_open);
    tcase_add_test(tc, a_lock_is_seen_by_a_record_lock);
    tcase_add_test(tc, allocated_and_mapped_bytes_reach_the_file);
    tcase_add_test(tc, holes_are_told_from_data);
    tcase_add_test(tc, failures_come_back_as_negative_errno);
    tcase_add_test(tc, clocks_and_free_space_are_plausible);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("io");
    suite_add_tcase(suite, helpers_case());
    suite_add_tcase(suite, posix_case());
    return suite_run(suite);
}

/* A store on a small real file system (ext4 on a loop device) that fills up again and again, has
 * holes in its files, or turns read-only under it. Without the right to mount one the cases are
 * left out, but for root with CI set, unless there are no loop devices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    FILE_BYTES = 1 << 20,
    BODY_BYTES = 30000,
    RECORDS_MAX = 2000,
    TIMES = 3, /* that the disk is full */
    EXIT_SKIPPED = 77,
};

static struct {
    char *dir, *disk; /* the image is in `dir`, mounted at `disk` */
    struct store_fixture store;
    uint64_t n; /* records acknowledged, all in one queue */
    uint8_t body[BODY_BYTES];
} f;

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int shell(const char *format, ...)
{
    char *command = NULL;
    va_list list;
    va_start(list, format);
    int n = vasprintf(&command, format, list);
    va_end(list);
    int status = n < 0 ? -1 : system(command);
    free(command);
    return status;
}

/* ---- the disk ---- */

static int mount_disk(const char *dir, const char *disk)
{
    return shell("mount -o loop '%s/image' '%s' 2>/dev/null", dir, disk);
}

static int make_disk(const char *dir, const char *disk)
{
    return shell("truncate -s 24M '%s/image' && mkfs.ext4 -q -F -m 0 '%s/image'"
                 " && mkdir -p '%s'",
                 dir, dir, disk) == 0
               ? mount_disk(dir, disk)
               : -1;
}

static void set_up(void)
{
    memset(&f, 0, sizeof f);
    f.dir = tmpdir_make();
    f.disk = tmpdir_path(f.dir, "disk");
    ck_assert_int_eq(make_disk(f.dir, f.disk), 0);
    store_fixture_init(&f.store);
    tmpdir_remove(f.store.root);
    f.store.root = tmpdir_path(f.disk, "store");
    f.store.opt.root = f.store.root;
    f.store.opt.file_bytes = FILE_BYTES;
    f.store.opt.max_message_bytes = 64 * 1024;
    f.store.opt.flush_interval_ms = 10;
    f.store.opt.without_index = true;
    store_fixture_open(&f.store);
}

static void tear_down(void)
{
    if (f.store.store)
        store_fixture_close(&f.store);
    ck_assert_int_eq(umount(f.disk), 0);
    free(f.store.root);
    free(f.disk);
    tmpdir_remove(f.dir);
}

/* Takes all the room there is. */
static void take_room(void)
{
    struct statvfs fs;
    char *path = tmpdir_path(f.disk, "filler");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    for (size_t piece = 1 << 20; piece >= 4096; piece /= 2)
        while (statvfs(f.disk, &fs) == 0) {
            struct stat st;
            ck_assert_int_eq(fstat(fd, &st), 0);
            if (posix_fallocate(fd, st.st_size, (off_t)piece) != 0)
                break;
        }
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

static void give_room(void)
{
    char *path = tmpdir_path(f.disk, "filler");
    ck_assert_int_eq(unlink(path), 0);
    free(path);
}

/* ---- records ---- */

static struct span body_of(uint64_t n)
{
    memset(f.body, 'a' + (int)(n % 26), sizeof f.body);
    (void)snprintf((char *)f.body, 32, "record %d", (int)n);
    return span_of(f.body, sizeof f.body);
}

static int append(struct err *e)
{
    struct store_appended at;
    int rc = store_fixture_try(&f.store, "T", 0, body_of(f.n), &at, e);
    if (rc == 0)
        ck_assert_uint_eq(at.queue_off, f.n++);
    return rc;
}

static void append_until_full(void)
{
    struct err e = {0};
    while (append(&e) == 0)
        ck_assert_uint_lt(f.n, RECORDS_MAX);
    ck_assert_msg(e.code == ERR_NOSPACE && strstr(e.msg, "No space left"), "%s", e.msg);
}

static void append_when_there_is_room(void)
{
    struct err e;
    while (append(&e) < 0) { /* the test's own limit is the timeout */
        ck_assert_int_eq(e.code, ERR_NOSPACE);
        (void)sched_yield();
    }
}

static void expect_first(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct store_slice slice;
        struct err e = {0};
        int rc = store_get(f.store.store, span_str("T"), 0, i, &slice, &e);
        ck_assert_msg(rc == 0, "record %d of %d: %s", (int)i, (int)f.n, e.msg);
        ck_assert(span_equal(slice.rec.body, body_of(i)));
        store_unpin(slice.pin);
    }
}

/* Every acknowledged record; the queue follows the log. */
static void expect_all(void)
{
    store_fixture_await(&f.store, "T", 0, f.n);
    expect_first(f.n);
}

/* Reading goes on; what came last may need a block for its queue first. */
static void expect_reading(uint64_t at_least)
{
    uint64_t min, max;
    store_queue_bounds(f.store.store, span_str("T"), 0, &min, &max);
    ck_assert_uint_ge(max, at_least);
    expect_first(max);
}

/* ---- full ---- */

static const enum store_flush flushes[] = {STORE_FLUSH_ASYNC, STORE_FLUSH_SYNC};

START_TEST(a_disk_full_again_and_again_refuses_and_goes_on)
{
    store_fixture_close(&f.store);
    f.store.opt.flush = flushes[_i];
    store_fixture_open(&f.store);
    for (int i = 0; i < TIMES; i++) {
        struct store_stats st;
        append_when_there_is_room();
        expect_all();
        uint64_t n_before = f.n;
        take_room();
        append_until_full();
        expect_reading(n_before);
        give_room();
        append_when_there_is_room();
        store_stats(f.store.store, &st);
        ck_assert(!st.failed);
    }
    expect_all();
    store_fixture_close(&f.store);
    store_fixture_open(&f.store);
    expect_all();
}
END_TEST

START_TEST(a_store_closed_on_a_full_disk_opens_when_there_is_room)
{
    struct err e = {0};
    append_when_there_is_room();
    expect_all();
    take_room();
    append_until_full();
    expect_reading(1);
    int rc = store_close(f.store.store, &e);
    f.store.store = NULL;
    ck_assert_msg(rc == 0 || strstr(e.msg, "No space left"), "%s", e.msg);
    rc = store_open(&f.store.store, &f.store.opt, f.store.io, &e);
    ck_assert_msg(rc == 0 || strstr(e.msg, "No space left"), "%s", e.msg);
    give_room();
    if (rc < 0)
        store_fixture_open(&f.store);
    expect_all();
    append_when_there_is_room();
    expect_all();
}
END_TEST

/* Somebody copied the store with holes in it: a write into one would need a block that is not
 * there, which through a mapping is a signal. */
START_TEST(holes_in_the_log_are_filled_before_they_are_written)
{
    struct err e = {0};
    for (int i = 0; i < 10; i++)
        append_when_there_is_room();
    store_fixture_close(&f.store);
    ck_assert_int_eq(shell("cd '%s' && for i in commitlog/* consumequeue/*/*/*; do"
                           " fallocate --dig-holes \"$i\"; done",
                           f.store.root),
                     0);
    take_room();
    int rc = store_open(&f.store.store, &f.store.opt, f.store.io, &e);
    if (rc == 0) {
        uint64_t n_before = f.n;
        expect_all();
        append_until_full();
        expect_reading(n_before);
    } else {
        ck_assert_msg(strstr(e.msg, "No space left"), "%s", e.msg);
    }
    give_room();
    if (rc < 0)
        store_fixture_open(&f.store);
    append_when_there_is_room();
    expect_all();
}
END_TEST

/* ---- read-only ---- */

/* As the kernel does it when it cannot trust the file system any more. */
static void turn_read_only(void)
{
    ck_assert_int_eq(shell("mount -o remount,abort '%s'", f.disk), 0);
}

/* Until an append is refused: with async flush the first ones behind it are not flushed yet. Those
 * are of the last flush interval, which a lost disk may take (docs/durability.md). */
static uint64_t append_until_refused(struct err *e)
{
    uint64_t n = 0;
    while (append(e) == 0)
        ck_assert_uint_lt(n++, RECORDS_MAX);
    return n;
}

START_TEST(a_disk_that_turns_read_only_ends_appending_and_not_reading)
{
    struct err e = {0};
    struct store_stats st;
    store_fixture_close(&f.store);
    f.store.opt.flush = flushes[_i];
    store_fixture_open(&f.store);
    for (int i = 0; i < 40; i++)
        append_when_there_is_room();
    do /* all of it is on disk */
        store_stats(f.store.store, &st);
    while (st.checkpoint < st.published);
    uint64_t n_durable = f.n;
    turn_read_only();
    uint64_t n_late = append_until_refused(&e);
    ck_assert_msg(f.store.opt.flush == STORE_FLUSH_ASYNC || n_late == 0, "%d acknowledged",
                  (int)n_late);
    ck_assert_int_ne(e.code, ERR_NOSPACE);
    ck_assert_uint_gt(strlen(e.msg), 0);
    ck_assert_int_lt(append(&e), 0); /* and again, nothing is tried into a lie */
    expect_first(n_durable);
    ck_assert_int_lt(store_close(f.store.store, &e), 0);
    f.store.store = NULL;

    ck_assert_int_eq(umount(f.disk), 0);
    (void)shell("e2fsck -fy '%s/image' >/dev/null 2>&1", f.dir); /* it says what it mended */
    ck_assert_int_eq(mount_disk(f.dir, f.disk), 0);
    store_fixture_open(&f.store);
    struct store_recovery r;
    store_recovery_report(f.store.store, &r);
    ck_assert(!r.was_clean);
    uint64_t min, max;
    store_queue_bounds(f.store.store, span_str("T"), 0, &min, &max);
    ck_assert_uint_ge(max, n_durable);
    f.n = max;
    expect_all();
    append_when_there_is_room();
    expect_all();
}
END_TEST

/* ---- main ---- */

static bool may_mount(void)
{
    char dir[] = "/tmp/sluice-disk-XXXXXX", disk[sizeof dir + 8]; /* tmpdir_make is for tests */
    if (!mkdtemp(dir))
        return false;
    (void)snprintf(disk, sizeof disk, "%s/disk", dir);
    bool may = make_disk(dir, disk) == 0 && umount(disk) == 0;
    (void)shell("rm -rf '%s'", dir);
    return may;
}

/* With CI set the cases are left out only where they cannot be. */
static bool must_mount(void)
{
    return getenv("CI") && geteuid() == 0 && access("/dev/loop-control", W_OK) == 0;
}

int main(void)
{
    if (!may_mount() && !must_mount()) {
        printf("skipped: no right to mount a file system on a loop device\n");
        return EXIT_SKIPPED;
    }
    Suite *suite = suite_create("disk");
    TCase *tc = tcase_create("disk");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, a_disk_full_again_and_again_refuses_and_goes_on, 0, 2);
    tcase_add_test(tc, a_store_closed_on_a_full_disk_opens_when_there_is_room);
    tcase_add_test(tc, holes_in_the_log_are_filled_before_they_are_written);
    tcase_add_loop_test(tc, a_disk_that_turns_read_only_ends_appending_and_not_reading, 0, 2);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

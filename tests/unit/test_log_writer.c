/* Writing to the files of the log: what goes where, and in which order it is written and synced. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log_writer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/reclaimer.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    FILE_BYTES = 8192,
    N_FILES = 3,
    RECORDS_MAX = 4,
    PIECES_MAX = LOG_WRITER_PIECES + 1,
    TAPE_BYTES = 4096
};

/* The seam that notes what is asked of it, and fails when it is told to. */
struct tape {
    struct io io; /* first, so that the seam's pointer is ours */
    char text[TAPE_BYTES];
    size_t len;
    size_t take_bytes; /* of a write, at most; 0: all */
    const char *fails; /* the calls of that name */
    int errno_value;   /* 0: a write takes nothing */
    int n_open;
};

static struct tape tape;
static char *folder;
static struct mapped_files mf;
static struct mapped_file *pinned[N_FILES];
static struct reclaimer reclaimer;
static _Atomic uint64_t flushed;
static struct log_writer w;
static struct outgoing records[RECORDS_MAX];
static struct iovec pieces[PIECES_MAX];
static size_t n_pieces;

/* ---- the seam ---- */

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(tape.text + tape.len, sizeof tape.text - tape.len, fmt, ap);
    va_end(ap);
    ck_assert_uint_lt(tape.len + (size_t)n, sizeof tape.text);
    tape.len += (size_t)n;
}

static bool does_fail(const char *call)
{
    return tape.fails && strcmp(tape.fails, call) == 0;
}

static int tape_open(struct io *io, const char *path, int flags, unsigned mode)
{
    (void)io;
    note("open %llu, ", strtoull(strrchr(path, '/') + 1, NULL, 10));
    if (does_fail("open"))
        return -tape.errno_value;
    tape.n_open++;
    return io_posix()->open(io_posix(), path, flags, mode);
}

static int tape_close(struct io *io, int fd)
{
    (void)io;
    note("close, ");
    tape.n_open--;
    return io_posix()->close(io_posix(), fd);
}

static int tape_sync(struct io *io, int fd)
{
    (void)io;
    note("sync, ");
    return does_fail("sync") ? -tape.errno_value : io_posix()->sync_fd(io_posix(), fd);
}

/* Takes `take_bytes` of it, in the middle of a piece if they end there. */
static int64_t tape_pwritev(struct io *io, int fd, const struct iovec *iov, int n_iov, uint64_t off)
{
    static uint8_t buf[FILE_BYTES];
    size_t len = 0;
    (void)io;
    for (int i = 0; i < n_iov; i++) {
        ck_assert_uint_le(len + iov[i].iov_len, sizeof buf);
        memcpy(buf + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    if (does_fail("write")) {
        note("write %d at %d, ", (int)len, (int)off);
        return -tape.errno_value;
    }
    if (tape.take_bytes > 0 && len > tape.take_bytes)
        len = tape.take_bytes;
    else
        note("write %d at %d, ", (int)len, (int)off);
    return io_posix()->pwrite(io_posix(), fd, buf, len, off);
}

/* ---- fixture ---- */

static void put_file(uint64_t start)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%020llu", (unsigned long long)start);
    tmpdir_put_zeros(folder, name, FILE_BYTES);
}

static void set_up(void)
{
    struct err e;
    folder = tmpdir_make();
    for (uint64_t i = 0; i < N_FILES; i++)
        put_file(i * FILE_BYTES);
    reclaimer_init(&reclaimer, &mf, 0, &flushed);
    ck_assert_int_eq(
        mapped_files_init(&mf, io_posix(), folder, FILE_BYTES, MAPPED_READ, &reclaimer, &e), 0);
    ck_assert_int_eq(mapped_files_load(&mf, &e), 0);
    for (uint64_t i = 0; i < N_FILES; i++) /* mapping them is none of the writer's calls */
        ck_assert_int_eq(mapped_files_pin(&mf, i * FILE_BYTES, &pinned[i], &e), 0);
    tape = (struct tape){.io = *io_posix()};
    tape.io.open = tape_open;
    tape.io.close = tape_close;
    tape.io.sync_fd = tape_sync;
    tape.io.pwritev = tape_pwritev;
    mf.io = &tape.io;
    n_pieces = 0;
    log_writer_init(&w, &mf);
}

static void tear_down(void)
{
    log_writer_fini(&w);
    ck_assert_int_eq(tape.n_open, 0);
    mf.io = io_posix();
    for (int i = 0; i < N_FILES; i++)
        mapped_file_unpin(pinned[i]);
    mapped_files_fini(&mf);
    reclaimer_fini(&reclaimer);
    tmpdir_remove(folder);
}

/* The calls since the last time. */
static void expect_calls(const char *calls)
{
    ck_assert_str_eq(tape.text, calls);
    tape.text[0] = '\0';
    tape.len = 0;
}

static void fail_calls(const char *call, int errno_value)
{
    tape.fails = call;
    tape.errno_value = errno_value;
}

/* Record `i`, of the texts in `parts` up to NULL. The one behind it is record i + 1. */
static void make(int i, uint64_t log_off, const char *const *parts)
{
    ck_assert_int_lt(i, RECORDS_MAX - 1);
    records[i] =
        (struct outgoing){.log_off = log_off, .next = &records[i + 1], .pieces = &pieces[n_pieces]};
    for (; *parts; parts++, records[i].n_pieces++)
        pieces[n_pieces++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)*parts, .iov_len = strlen(*parts)};
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The first `n` records. */
static int commit(int n, struct err *e)
{
    return log_writer_commit(&w, &records[0], &records[n], e);
}

static void commit_ok(int n)
{
    struct err e = {0};
    ck_assert_msg(commit(n, &e) == 0, "%s", e.msg);
}

static void expect_bytes(uint64_t log_off, const void *bytes, size_t len)
{
    const struct mapped_file *f = pinned[log_off / FILE_BYTES];
    ck_assert_mem_eq(f->base + log_off % FILE_BYTES, bytes, len);
}

static void expect_text(uint64_t log_off, const char *text)
{
    expect_bytes(log_off, text, strlen(text));
}

/* ---- commits ---- */

START_TEST(records_lie_one_behind_the_other_and_are_synced)
{
    make(0, 100, PARTS("head", "body", "tail"));
    make(1, 112, PARTS("h", "t"));
    make(2, 114, PARTS("not this one"));
    commit_ok(2);
    expect_bytes(100, "headbodytailht\0", 15);
    expect_calls("open 0, write 14 at 100, sync, ");
}
END_TEST

START_TEST(a_file_stays_open_until_another_is_written_to)
{
    make(0, 0, PARTS("one"));
    commit_ok(1);
    make(0, 3, PARTS("two"));
    commit_ok(1);
    make(0, FILE_BYTES, PARTS("three"));
    commit_ok(1);
    expect_calls("open 0, write 3 at 0, sync, write 3 at 3, sync, "
                 "close, open 8192, write 5 at 0, sync, ");
    expect_text(0, "onetwo");
    expect_text(FILE_BYTES, "three");
    log_writer_fini(&w);
    expect_calls("close, ");
    log_writer_fini(&w); /* once more is fine */
    expect_calls("");
}
END_TEST

/* Else a crash could leave a record that nothing leads to. */
START_TEST(a_filler_is_on_disk_before_anything_is_written_behind_it)
{
    uint8_t filler[FORMAT_FILLER_BYTES];
    make(0, FILE_BYTES, PARTS("next"));
    records[0].filler_bytes = 92;
    commit_ok(1);
    expect_calls("open 0, write 8 at 8100, sync, close, open 8192, write 4 at 0, sync, ");
    record_write_filler(filler, 92);
    expect_bytes(8100, filler, sizeof filler);
    expect_text(FILE_BYTES, "next");
}
END_TEST

START_TEST(as_many_pieces_go_out_at_once_as_the_kernel_takes)
{
    static char text[PIECES_MAX];
    for (int i = 0; i < PIECES_MAX; i++) {
        text[i] = (char)('a' + i % 26);
        pieces[i] = (struct iovec){.iov_base = &text[i], .iov_len = 1};
    }
    records[0] = (struct outgoing){
        .log_off = 7, .next = &records[1], .pieces = pieces, .n_pieces = LOG_WRITER_PIECES};
    commit_ok(1);
    expect_calls("open 0, write 1024 at 7, sync, ");
    records[0].n_pieces++;
    records[0].log_off = 2000;
    commit_ok(1);
    expect_calls("write 1024 at 2000, write 1 at 3024, sync, ");
    expect_bytes(2000, text, sizeof text);
}
END_TEST

START_TEST(whatever_a_write_takes_the_rest_goes_behind_it)
{
    for (size_t take = 1; take < 16; take++) {
        uint64_t at = 100 * take;
        n_pieces = 0;
        make(0, at, PARTS("a", "bcd", "efghi"));
        make(1, at + 9, PARTS("jk", "l", "mno"));
        tape.take_bytes = take;
        commit_ok(2);
        expect_bytes(at - 1, "\0abcdefghijklmno\0", 17);
    }
}
END_TEST

START_TEST(a_filler_is_written_whole_too)
{
    uint8_t filler[FORMAT_FILLER_BYTES];
    make(0, FILE_BYTES, PARTS("next"));
    records[0].filler_bytes = 8;
    tape.take_bytes = 3;
    commit_ok(1);
    record_write_filler(filler, 8);
    expect_bytes(FILE_BYTES - 8, filler, sizeof filler);
    expect_text(FILE_BYTES, "next");
}
END_TEST

/* ---- failures ---- */

static void expect_failure(int n, int code, const char *text)
{
    struct err e = {0};
    char suffix[64];
    ck_assert_int_eq(commit(n, &e), code);
    ck_assert_msg(strstr(e.msg, text), "it says '%s': %s", text, e.msg);
    (void)snprintf(suffix, sizeof suffix, "%s/%020llu'", strrchr(folder, '/'),
                   (unsigned long long)w.start);
    if (w.fd >= 0)
        ck_assert_msg(strstr(e.msg, suffix), "it names '%s: %s", suffix, e.msg);
}

START_TEST(a_failed_write_says_where_and_is_not_synced)
{
    make(0, FILE_BYTES + 100, PARTS("one"));
    fail_calls("write", ENOSPC);
    expect_failure(1, ERR_NOSPACE, "at 100");
    expect_calls("open 8192, write 3 at 100, ");
}
END_TEST

START_TEST(a_write_that_takes_nothing_is_a_failure)
{
    make(0, 0, PARTS("one"));
    fail_calls("write", 0);
    expect_failure(1, ERR_IO, "write");
    expect_calls("open 0, write 3 at 0, ");
}
END_TEST

START_TEST(a_failed_sync_is_not_tried_again)
{
    make(0, 0, PARTS("one"));
    fail_calls("sync", EIO);
    expect_failure(1, ERR_IO, "sync");
    expect_calls("open 0, write 3 at 0, sync, ");
}
END_TEST

START_TEST(without_its_filler_the_next_file_is_not_touched)
{
    make(0, FILE_BYTES, PARTS("next"));
    records[0].filler_bytes = 8;
    fail_calls("sync", EIO);
    expect_failure(1, ERR_IO, "sync");
    expect_calls("open 0, write 8 at 8184, sync, ");
    fail_calls("write", EIO);
    expect_failure(1, ERR_IO, "write");
    expect_calls("write 8 at 8184, ");
}
END_TEST

START_TEST(nothing_of_a_failed_commit_is_in_the_next)
{
    make(0, 0, PARTS("never", "written"));
    fail_calls("write", EIO);
    expect_failure(1, ERR_IO, "write");
    tape.fails = NULL;
    make(0, 100, PARTS("one"));
    commit_ok(1);
    expect_calls("open 0, write 12 at 0, write 3 at 100, sync, ");
    expect_bytes(99, "\0one\0", 5);
}
END_TEST

START_TEST(a_file_that_does_not_open_is_named_and_opened_the_next_time)
{
    make(0, 0, PARTS("one"));
    fail_calls("open", EMFILE);
    expect_failure(1, ERR_IO, "/00000000000000000000'");
    tape.fails = NULL;
    commit_ok(1);
    expect_calls("open 0, open 0, write 3 at 0, sync, ");
}
END_TEST

START_TEST(where_there_is_no_file_nothing_is_written)
{
    struct err e;
    make(0, 0, PARTS("one"));
    commit_ok(1);
    make(0, (uint64_t)N_FILES * FILE_BYTES, PARTS("two"));
    ck_assert_int_eq(commit(1, &e), ERR_NOTFOUND);
    make(0, 3, PARTS("three"));
    commit_ok(1);
    expect_calls("open 0, write 3 at 0, sync, close, open 0, write 5 at 3, sync, ");
}
END_TEST

/* ---- what others wrote ---- */

static void sync_files(uint64_t from, uint64_t to, const char *calls)
{
    struct err e = {0};
    ck_assert_msg(log_writer_sync(&w, from, to, &e) == 0, "%s", e.msg);
    expect_calls(calls);
}

START_TEST(each_file_that_has_a_part_of_it_is_synced_once)
{
    sync_files(0, 0, "");
    sync_files(FILE_BYTES - 1, FILE_BYTES, "open 0, sync, ");
    sync_files(FILE_BYTES - 1, FILE_BYTES + 1, "sync, close, open 8192, sync, ");
    sync_files(100, 2 * FILE_BYTES, "close, open 0, sync, close, open 8192, sync, ");
    sync_files(0, 2 * FILE_BYTES + 1,
               "close, open 0, sync, close, open 8192, sync, close, open 16384, sync, ");
}
END_TEST

START_TEST(a_failed_sync_of_a_file_leaves_those_behind_it_alone)
{
    struct err e;
    fail_calls("sync", EIO);
    ck_assert_int_eq(log_writer_sync(&w, 0, 2 * FILE_BYTES, &e), ERR_IO);
    expect_calls("open 0, sync, ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log_writer");
    TCase *tc = suite_add_case(suite, "commits", set_up, tear_down);
    tcase_add_test(tc, records_lie_one_behind_the_other_and_are_synced);
    tcase_add_test(tc, a_file_stays_open_until_another_is_written_to);
    tcase_add_test(tc, a_filler_is_on_disk_before_anything_is_written_behind_it);
    tcase_add_test(tc, as_many_pieces_go_out_at_once_as_the_kernel_takes);
    tcase_add_test(tc, whatever_a_write_takes_the_rest_goes_behind_it);
    tcase_add_test(tc, a_filler_is_written_whole_too);
    tc = suite_add_case(suite, "failures", set_up, tear_down);
    tcase_add_test(tc, a_failed_write_says_where_and_is_not_synced);
    tcase_add_test(tc, a_write_that_takes_nothing_is_a_failure);
    tcase_add_test(tc, a_failed_sync_is_not_tried_again);
    tcase_add_test(tc, without_its_filler_the_next_file_is_not_touched);
    tcase_add_test(tc, nothing_of_a_failed_commit_is_in_the_next);
    tcase_add_test(tc, a_file_that_does_not_open_is_named_and_opened_the_next_time);
    tcase_add_test(tc, where_there_is_no_file_nothing_is_written);
    tc = suite_add_case(suite, "sync", set_up, tear_down);
    tcase_add_test(tc, each_file_that_has_a_part_of_it_is_synced_once);
    tcase_add_test(tc, a_failed_sync_of_a_file_leaves_those_behind_it_alone);
    return suite_run(suite);
}

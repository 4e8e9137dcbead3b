/* Group commit, with the steps of its threads driven by hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/group_commit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "store/format.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/suite.h"

static struct log_fixture f;

/* What a ticket was told. */
struct told {
    int n;
    int code; /* 0: acknowledged */
};

static void set_up(void)
{
    log_fixture_init_written(&f);
}

static void tear_down(void)
{
    log_fixture_fini(&f);
}

static void on_settled(void *arg, const struct err *failure)
{
    struct told *told = arg;
    told->n++;
    told->code = failure ? failure->code : 0;
}

static struct store_ticket ticket_of(struct told *told)
{
    return (struct store_ticket){.on_settled = on_settled, .arg = told};
}

static struct store_appended submit(struct store_ticket *t, size_t body_len)
{
    struct store_appended at = log_fixture_append(&f, body_len);
    group_commit_note(&f.commit, &at, t);
    return at;
}

static enum store_settled settle(struct store_ticket *t)
{
    enum store_settled settled = STORE_NOW;
    struct err e = {0};
    int rc = group_commit_settle(&f.commit, t, &settled, &e);
    ck_assert_msg(rc == 0, "settle: %s", e.msg);
    return settled;
}

static void run_all(void)
{
    while (group_commit_step(&f.commit) == WORKER_AT_ONCE)
        continue;
    (void)group_commit_tell_step(&f.commit);
}

static uint64_t flushed(void)
{
    return atomic_load_explicit(&f.flusher.flushed, memory_order_acquire);
}

START_TEST(nothing_is_published_before_it_was_written_and_synced)
{
    struct store_ticket t = {0};
    struct store_record rec;
    struct mapped_file *file;
    struct err e;
    struct store_appended at = submit(&t, 100);
    ck_assert_uint_eq(commit_log_published(&f.log), 0);
    ck_assert_int_eq(commit_log_read(&f.log, at.log_off, at.size, &rec, &file, &e), ERR_NOTFOUND);
    run_all();
    ck_assert_uint_eq(commit_log_published(&f.log), at.size);
    ck_assert_uint_eq(flushed(), at.size);
    ck_assert_int_eq(commit_log_read(&f.log, at.log_off, at.size, &rec, &file, &e), 0);
    ck_assert_uint_eq(rec.body.len, 100);
    ck_assert(store_body_check(&rec, /* ret_crc = */ NULL));
    mapped_file_unpin(file);
}
END_TEST

static uint64_t count_timed(const struct timing *t)
{
    struct store_timing read;
    uint64_t n = 0;
    timing_read(t, &read);
    for (size_t i = 0; i < STORE_TIMING_BUCKETS; i++)
        n += read.counts[i];
    return n;
}

START_TEST(a_group_is_one_write_and_one_sync)
{
    struct store_ticket t = {0};
    for (int i = 0; i < 3; i++)
        (void)submit(&t, 100);
    run_all(); /* opens the file */
    for (int i = 0; i < 3; i++)
        (void)submit(&t, 100);
    fault_arm(&f.fault, FAULT_ALL, 0, EIO, FAULT_ONCE);
    run_all();
    ck_assert_uint_eq(fault_calls(&f.fault), 2);
    ck_assert_uint_eq(f.commit.n_groups, 2);
    ck_assert_uint_eq(f.commit.n_grouped, 6);
    ck_assert_uint_eq(f.commit.max_grouped, 3);
    ck_assert_uint_eq(f.commit.written_bytes, t.end);
    ck_assert_uint_eq(count_timed(&f.log.syncs), 2);
}
END_TEST

START_TEST(a_ticket_is_told_once_when_all_of_it_is_on_disk)
{
    struct told told = {0};
    struct store_ticket t = ticket_of(&told);
    (void)submit(&t, 100);
    (void)submit(&t, 100);
    ck_assert_int_eq(settle(&t), STORE_LATER);
    (void)group_commit_tell_step(&f.commit);
    ck_assert_int_eq(told.n, 0);
    run_all();
    ck_assert_int_eq(told.n, 1);
    ck_assert_int_eq(told.code, 0);
    run_all();
    ck_assert_int_eq(told.n, 1);
}
END_TEST

START_TEST(what_is_on_disk_already_is_settled_at_once)
{
    struct told told = {0};
    struct store_ticket t = ticket_of(&told), none = ticket_of(&told);
    (void)submit(&t, 100);
    run_all();
    ck_assert_int_eq(settle(&t), STORE_NOW);
    ck_assert_int_eq(settle(&none), STORE_NOW); /* nothing was submitted with it */
    run_all();
    ck_assert_int_eq(told.n, 0);
}
END_TEST

START_TEST(a_ticket_waits_for_its_own_end_only)
{
    struct told first_told = {0}, second_told = {0};
    struct store_ticket first = ticket_of(&first_told), second = ticket_of(&second_told);
    (void)submit(&first, 100);
    ck_assert_int_eq(settle(&first), STORE_LATER);
    ck_assert_int_eq(group_commit_step(&f.commit), WORKER_AT_ONCE);
    (void)submit(&second, 100);
    ck_assert_int_eq(settle(&second), STORE_LATER);
    (void)group_commit_tell_step(&f.commit);
    ck_assert_int_eq(first_told.n, 1);
    ck_assert_int_eq(second_told.n, 0);
    run_all();
    ck_assert_int_eq(second_told.n, 1);
}
END_TEST

/* I5: for each kind of call that a commit makes. */
static void fail_commit(enum fault_kind kind, int errno_value)
{
    struct told told = {0}, late_told = {0};
    struct store_ticket good = ticket_of(&told), t = ticket_of(&told), late = ticket_of(&late_told);
    struct store_record rec;
    struct mapped_file *file;
    struct store_appended at, before = submit(&good, 100);
    enum store_settled settled;
    struct err e;
    run_all();
    (void)submit(&t, 100);
    ck_assert_int_eq(settle(&t), STORE_LATER);
    fault_arm(&f.fault, kind, 1, errno_value, FAULT_ONCE);
    run_all();
    ck_assert_int_eq(told.n, 1);
    ck_assert_int_eq(told.code, ERR_UNKNOWN);
    ck_assert_uint_eq(commit_log_published(&f.log), before.size);
    ck_assert_uint_eq(flushed(), before.size);
    ck_assert_int_eq(log_fixture_try(&f, 1, 0, &at, &e), ERR_FAILED);
    late.end = t.end;
    ck_assert_int_eq(group_commit_settle(&f.commit, &late, &settled, &e), ERR_UNKNOWN);
    ck_assert_int_eq(group_commit_wait_room(&f.commit, &e), 0); /* what is given up is no burden */
    run_all();
    ck_assert_int_eq(late_told.n, 0);
    /* reading goes on */
    ck_assert_int_eq(commit_log_read(&f.log, before.log_off, before.size, &rec, &file, &e), 0);
    mapped_file_unpin(file);
}

START_TEST(after_a_failed_sync_nothing_is_acknowledged)
{
    fail_commit(FAULT_SYNC, EIO);
}
END_TEST

START_TEST(after_a_failed_write_nothing_is_acknowledged)
{
    fail_commit(FAULT_WRITE, ENOSPC);
}
END_TEST

START_TEST(a_sync_that_the_flusher_failed_counts_too)
{
    struct told told = {0};
    struct store_ticket t = ticket_of(&told);
    (void)submit(&t, 100);
    ck_assert_int_eq(settle(&t), STORE_LATER);
    commit_log_fail(&f.log);
    fault_arm(&f.fault, FAULT_WRITE, 0, EIO, FAULT_ONCE);
    run_all();
    ck_assert_int_eq(told.code, ERR_UNKNOWN);
    ck_assert_uint_eq(fault_calls(&f.fault), 0); /* its body may be gone */
}
END_TEST

START_TEST(the_rest_of_a_short_write_is_written)
{
    struct store_ticket t = {0};
    struct store_record rec;
    struct mapped_file *file;
    struct err e;
    fault_arm(&f.fault, FAULT_WRITE, 1, /* errno_value = */ 0, FAULT_ONCE);
    struct store_appended a = submit(&t, 100), b = submit(&t, 7);
    run_all();
    ck_assert(fault_fired(&f.fault));
    ck_assert_int_eq(commit_log_read(&f.log, a.log_off, a.size, &rec, &file, &e), 0);
    mapped_file_unpin(file);
    ck_assert_int_eq(commit_log_read(&f.log, b.log_off, b.size, &rec, &file, &e), 0);
    ck_assert(store_body_check(&rec, /* ret_crc = */ NULL));
    mapped_file_unpin(file);
}
END_TEST

START_TEST(a_group_ends_where_its_file_ends_and_leaves_a_filler)
{
    struct store_ticket t = {0};
    struct mapped_file *file;
    struct err e;
    struct store_appended a = submit(&t, 40 * 1024);
    run_all();
    log_fixture_make_room(&f);
    (void)submit(&t, 1024);
    struct store_appended b = submit(&t, 40 * 1024);
    ck_assert_uint_eq(b.log_off, LOG_FILE_BYTES);
    run_all();
    ck_assert_uint_eq(commit_log_published(&f.log), b.log_off + b.size);
    ck_assert_uint_eq(f.commit.n_groups, 3);
    uint64_t end = a.size + 1024 + LOG_RECORD_OVERHEAD;
    ck_assert_int_eq(mapped_files_pin(&f.log.files, 0, &file, &e), 0);
    ck_assert_uint_eq(be32_get(file->base + end), LOG_FILE_BYTES - end);
    ck_assert_uint_eq(be32_get(file->base + end + 4), STORE_MAGIC_BLANK);
    mapped_file_unpin(file);
    ck_assert_uint_eq(f.commit.written_bytes,
                      end + FORMAT_FILLER_BYTES + b.size); /* nothing is written twice */
}
END_TEST

/* ---- the pieces ---- */

/* The seam that looks whether a body is written from where it lies. */
struct spy {
    struct io io; /* first, so that the seam's pointer is ours */
    const void *body;
    int n_seen, n_calls, max_pieces;
};

static int64_t spy_pwritev(struct io *io, int fd, const struct iovec *iov, int n_iov, uint64_t off)
{
    struct spy *spy = (struct spy *)(void *)io;
    spy->n_calls++;
    spy->max_pieces = n_iov > spy->max_pieces ? n_iov : spy->max_pieces;
    for (int i = 0; i < n_iov; i++)
        spy->n_seen += iov[i].iov_base == spy->body;
    return io_posix()->pwritev(io_posix(), fd, iov, n_iov, off);
}

static struct spy spy_on(const void *body)
{
    struct spy spy = {.io = *io_posix(), .body = body};
    spy.io.pwritev = spy_pwritev;
    return spy;
}

static void submit_pieces(const struct span *pieces, size_t n_pieces)
{
    struct store_ticket t = {0};
    struct store_appended at;
    struct err e = {0};
    struct store_message m = {
        .topic = span_str("T"), .born_host = {.addr_len = 4}, .body = pieces, .n_body = n_pieces};
    ck_assert_msg(commit_log_append(&f.log, &f.seq, &m, &at, &e) == 0, "%s", e.msg);
    group_commit_note(&f.commit, &at, &t);
}

START_TEST(a_body_is_written_from_where_it_lies)
{
    static const uint8_t body[20000];
    struct span piece = span_of(body, sizeof body);
    struct spy spy = spy_on(body);
    f.log.files.io = &spy.io;
    submit_pieces(&piece, 1);
    run_all();
    f.log.files.io = &f.fault.io;
    ck_assert_int_eq(spy.n_seen, 1);
}
END_TEST

START_TEST(a_body_in_more_pieces_than_the_kernel_takes_is_written_whole)
{
    enum { N_PIECES = 2500 };
    static const uint8_t bytes[N_PIECES];
    struct span pieces[N_PIECES];
    struct store_record rec;
    struct mapped_file *file;
    struct err e;
    struct spy spy = spy_on(NULL);
    for (int i = 0; i < N_PIECES; i++)
        pieces[i] = span_of(bytes + i, 1);
    f.log.files.io = &spy.io;
    submit_pieces(pieces, N_PIECES);
    run_all();
    f.log.files.io = &f.fault.io;
    ck_assert_int_eq(spy.n_calls, 3);
    ck_assert_int_le(spy.max_pieces, LOG_WRITER_PIECES);
    ck_assert_int_eq(commit_log_read(&f.log, 0, N_PIECES + LOG_RECORD_OVERHEAD, &rec, &file, &e),
                     0);
    ck_assert(store_body_check(&rec, /* ret_crc = */ NULL));
    mapped_file_unpin(file);
}
END_TEST

/* ---- those of the last group ---- */

/* The seam whose clock goes by 10 us at each look, and that appends more at the third. */
struct slow_clock {
    struct io io; /* first, so that the seam's pointer is ours */
    uint64_t now_ns;
    int n_looks;
    int n_more;
};

static uint64_t look_at_clock(struct io *io)
{
    struct slow_clock *clock = (struct slow_clock *)(void *)io;
    struct store_ticket t = {0};
    clock->now_ns += 10000;
    if (++clock->n_looks == 3)
        for (int i = 0; i < clock->n_more; i++)
            (void)submit(&t, 100);
    return clock->now_ns;
}

/* A group of 8 records that took 200 us, and one record behind it; `n_more` come while it waits. */
static struct slow_clock run_after_group_of_8(int n_more)
{
    struct slow_clock clock = {.io = *io_posix(), .n_more = n_more};
    struct store_ticket t = {0};
    for (int i = 0; i < 8; i++)
        (void)submit(&t, 100);
    run_all();
    f.commit.last_ns = 200000;
    (void)submit(&t, 100);
    clock.io.mono_ns = look_at_clock;
    f.log.io = &clock.io;
    ck_assert_int_eq(group_commit_step(&f.commit), WORKER_AT_ONCE);
    f.log.io = &f.fault.io;
    return clock;
}

START_TEST(a_group_waits_a_moment_for_those_of_the_last_one)
{
    (void)run_after_group_of_8(/* n_more = */ 7);
    ck_assert_uint_eq(f.commit.n_groups, 2);
    ck_assert_uint_eq(f.commit.n_grouped, 16);
    ck_assert_uint_eq(f.commit.n_to_skip, 0);
}
END_TEST

START_TEST(a_group_waits_for_a_quarter_of_the_last_one_at_most)
{
    struct slow_clock clock = run_after_group_of_8(/* n_more = */ 0);
    ck_assert_int_le(clock.n_looks, 200000 / 4 / 10000 + 1 + 2); /* 2: around the group itself */
    ck_assert_uint_eq(f.commit.n_grouped, 9);
    ck_assert_uint_eq(f.commit.n_to_skip, 1); /* and the next one does not */
}
END_TEST

/* ---- waiting ---- */

static void *wait_for_room(void *arg)
{
    struct err e;
    *(int *)arg = group_commit_wait_room(&f.commit, &e);
    return NULL;
}

static int wait_through(void (*what)(void))
{
    pthread_t thread;
    int rc = 1;
    struct store_ticket t = {0};
    (void)submit(&t, LOG_PENDING_BYTES);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_room, &rc), 0);
    for (unsigned n = 0; n == 0;) {
        (void)sched_yield();
        lock_take(&f.commit.lock);
        n = f.commit.n_waiting;
        lock_drop(&f.commit.lock);
    }
    what();
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return rc;
}

START_TEST(who_waits_for_room_goes_on_when_a_group_was_written)
{
    ck_assert_int_eq(wait_through(run_all), 0);
    ck_assert_uint_eq(f.log.n_waits, 1);
    ck_assert_uint_eq(count_timed(&f.log.stalls), 1);
}
END_TEST

static void fail_sync(void)
{
    fault_arm(&f.fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    run_all();
}

START_TEST(who_waits_for_room_is_told_of_a_failure)
{
    ck_assert_int_eq(wait_through(fail_sync), ERR_FAILED);
}
END_TEST

static void *append_large(void *arg)
{
    struct err e;
    struct store_appended at;
    *(int *)arg = log_fixture_try(&f, 40 * 1024, 0, &at, &e);
    return NULL;
}

START_TEST(who_waits_for_a_file_is_told_of_a_failure)
{
    pthread_t thread;
    int rc = 1;
    (void)log_fixture_append(&f, 40 * 1024);
    ck_assert_int_eq(pthread_create(&thread, NULL, append_large, &rc), 0);
    while (f.log.n_waits == 0 || !f.log.allocator.is_wanted)
        (void)sched_yield();
    fail_sync();
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(rc, ERR_FAILED);
}
END_TEST

START_TEST(what_an_earlier_run_left_unsynced_is_synced_at_the_begin)
{
    struct err e = {0};
    fault_arm(&f.fault, FAULT_SYNC, 0, EIO, FAULT_ONCE);
    ck_assert_int_eq(group_commit_begin(&f.commit, 0, 0, &e), 0);
    ck_assert_uint_eq(fault_calls(&f.fault), 0);
    ck_assert_int_eq(group_commit_begin(&f.commit, 0, 100, &e), 0);
    ck_assert_uint_eq(fault_calls(&f.fault), 1);
    fault_arm(&f.fault, FAULT_SYNC, 1, EIO, FAULT_ONCE);
    ck_assert_int_eq(group_commit_begin(&f.commit, 0, 100, &e), ERR_IO);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("group_commit");
    TCase *tc = tcase_create("group_commit");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, nothing_is_published_before_it_was_written_and_synced);
    tcase_add_test(tc, a_group_is_one_write_and_one_sync);
    tcase_add_test(tc, a_ticket_is_told_once_when_all_of_it_is_on_disk);
    tcase_add_test(tc, what_is_on_disk_already_is_settled_at_once);
    tcase_add_test(tc, a_ticket_waits_for_its_own_end_only);
    tcase_add_test(tc, after_a_failed_sync_nothing_is_acknowledged);
    tcase_add_test(tc, after_a_failed_write_nothing_is_acknowledged);
    tcase_add_test(tc, a_sync_that_the_flusher_failed_counts_too);
    tcase_add_test(tc, the_rest_of_a_short_write_is_written);
    tcase_add_test(tc, a_group_ends_where_its_file_ends_and_leaves_a_filler);
    tcase_add_test(tc, a_body_is_written_from_where_it_lies);
    tcase_add_test(tc, a_body_in_more_pieces_than_the_kernel_takes_is_written_whole);
    tcase_add_test(tc, a_group_waits_a_moment_for_those_of_the_last_one);
    tcase_add_test(tc, a_group_waits_for_a_quarter_of_the_last_one_at_most);
    tcase_add_test(tc, who_waits_for_room_goes_on_when_a_group_was_written);
    tcase_add_test(tc, who_waits_for_room_is_told_of_a_failure);
    tcase_add_test(tc, who_waits_for_a_file_is_told_of_a_failure);
    tcase_add_test(tc, what_an_earlier_run_left_unsynced_is_synced_at_the_begin);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

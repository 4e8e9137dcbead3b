/* What happens while LOCK_APPEND is held: no system call but the clock's, no allocation, no sleep
 * (I7), no major page fault, and minor ones only where a flush write-protected what is appended to.
 * Usage: test_append_section FOLDER, on a disk: in memory nothing is write-protected.
 *
 * Exits with 77 when all that could be looked at is well, but the kernel does not let us look at
 * everything. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "tests/lib/crew.h"
#include "tests/lib/log_mapping.h"
#include "tests/lib/section.h"
#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum {
    EXIT_SKIPPED = 77,
    PAGE = 4096,
    BODY_BYTES = 1024,
    LOG_FILE_BYTES = 16 << 20, /* several are filled */
    QUEUE_FILE_BYTES = 2000000,
    THREADS = 4,
    EACH = 12000,     /* of a thread: 3 files of the log */
    EACH_SYNC = 1000, /* each of these waits for the disk */
    ALONE = 100000,
    UNFLUSHED_MAX = 8 << 20, /* so that flushes go on beside the appends */
    RESTS = 30,
    BURST = 64, /* appends between two rests: some pages */
    TRACED_MAX = 64,
    SLOW = 3000, /* appends: four rounds of them fit into a file of the log */
    SLOW_AT_ONCE = 8,
    SLOW_FAULTS_MAX = SLOW * BODY_BYTES / PAGE / 2, /* alone it meets all of them */
    TRIES = 3,
};

static struct store_fixture f;
static uint8_t body[BODY_BYTES];
static bool can_block, can_trace; /* whether the kernel lets us */

static void set_up(void)
{
    memset(body, 'b', sizeof body);
    store_fixture_init(&f);
    f.opt.file_bytes = LOG_FILE_BYTES;
    f.opt.queue_file_bytes = QUEUE_FILE_BYTES;
    f.opt.flush_interval_ms = 10;
    f.opt.flush_bytes = 4 << 20;
    f.opt.populate_window_bytes = 4 << 20;
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

static void append(const char *topic, int32_t queue_id)
{
    struct err e = {0};
    struct store_appended at;
    int rc = store_fixture_try(&f, topic, queue_id, span_of(body, sizeof body), &at, &e);
    ck_assert_msg(rc == 0, "append: %s", e.msg);
}

static struct store_stats stats(void)
{
    struct store_stats st;
    store_stats(f.store, &st);
    return st;
}

static void expect_nothing_called(const struct section_tally *t, uint64_t n_at_least)
{
    ck_assert_uint_ge(t->n_sections, n_at_least);
    ck_assert_msg(t->n_calls == 0, "%lu of %lu sections made a system call, the last number %ld",
                  (unsigned long)t->n_calls, (unsigned long)t->n_sections, t->last_call);
    ck_assert_uint_eq(t->n_allocations, 0);
}

/* ---- the watch itself ---- */

static void do_what_is_forbidden(struct lock *l)
{
    const struct timespec moment = {.tv_nsec = 1};
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    lock_take(l);
    void *volatile p = malloc(1); /* else the compiler does without */
    *(volatile uint8_t *)page = 1;
    (void)nanosleep(&moment, NULL);
    free(p);
    lock_drop(l);
    ck_assert_int_eq(munmap(page, PAGE), 0);
}

START_TEST(what_is_forbidden_under_the_lock_is_seen)
{
    struct lock append_lock, other;
    lock_init(&append_lock, LOCK_APPEND);
    lock_init(&other, LOCK_LEAF);
    (void)section_watch();
    do_what_is_forbidden(&other);
    ck_assert_uint_eq(section_tally().n_sections, 0);
    do_what_is_forbidden(&append_lock);
    struct section_tally t = section_tally();
    ck_assert_uint_eq(t.n_sections, 1);
    ck_assert_uint_eq(t.n_allocations, 2);
    ck_assert_uint_ge(t.minor, 1);
    ck_assert_uint_ge(t.n_sleeps, 1);
    ck_assert_uint_eq(t.n_calls, can_block);
    lock_fini(&append_lock);
    lock_fini(&other);
}
END_TEST

START_TEST(a_traced_fault_is_told_with_its_address)
{
    struct fault_trace trace;
    uint64_t at[TRACED_MAX];
    if (!can_trace)
        return;
    uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    ck_assert(fault_trace_open(&trace));
    fault_trace_on(&trace);
    *(volatile uint8_t *)page = 1;
    fault_trace_off(&trace);
    size_t n = fault_trace_read(&trace, at, TRACED_MAX);
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_eq(at[n - 1], (uintptr_t)page);
    ck_assert_uint_eq(fault_trace_read(&trace, at, TRACED_MAX), 0);
    fault_trace_close(&trace);
    ck_assert_int_eq(munmap(page, PAGE), 0);
}
END_TEST

/* ---- calls and allocations ---- */

static int n_each; /* appends of a thread */

static void append_many(int queue_id)
{
    for (int i = 0; i < n_each; i++)
        append("T", queue_id);
}

/* Many at a time, over several files, while flusher, window and maker do their work. */
static void append_together(void)
{
    struct crew appenders;
    crew_start(&appenders, THREADS, append_many);
    crew_join(&appenders);
}

START_TEST(with_sync_flush_nothing_is_called_or_allocated_either)
{
    f.opt.flush = STORE_FLUSH_SYNC;
    n_each = EACH_SYNC;
    store_fixture_open(&f);
    (void)section_watch();
    append_together();
    struct section_tally t = section_tally();
    expect_nothing_called(&t, THREADS * EACH_SYNC);
    ck_assert_uint_gt(stats().n_groups, 0);
}
END_TEST

START_TEST(statistics_and_a_deleted_topic_keep_to_it)
{
    struct err e;
    uint64_t below;
    store_fixture_open(&f);
    append("T", 0);
    append("T", 1);
    (void)section_watch();
    (void)stats();
    ck_assert_int_eq(store_drop_topic(f.store, span_str("T"), &below, &e), 0);
    append("T", 0);
    struct section_tally t = section_tally();
    expect_nothing_called(&t, 3);
}
END_TEST

/* ---- faults ---- */

struct faulted {
    struct section_tally tally;
    uint64_t n_flushes;
};

/* Runs `work`; what its sections met. The faults of this thread are to lie in the log. */
static struct faulted watch_once(void (*work)(void))
{
    struct fault_trace trace = {.fd = -1};
    uint64_t at[TRACED_MAX], n_before = stats().n_flushes;
    (void)section_watch();
    if (can_trace && fault_trace_open(&trace))
        section_trace(&trace);
    work();
    section_trace(NULL);
    size_t n = trace.fd >= 0 ? fault_trace_read(&trace, at, TRACED_MAX) : 0;
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(log_mapping_has(at[i]), "a fault at %lx, not in the log",
                      (unsigned long)at[i]);
    fault_trace_close(&trace);
    return (struct faulted){section_tally(), stats().n_flushes - n_before};
}

/* Somebody else who syncs the whole disk write-protects what is ready ahead of the writer, as no
 * flush of ours does: so it is tried again when there were too many. */
static void expect_few_faults(void (*work)(void), uint64_t n_appends)
{
    struct faulted met;
    store_fixture_open(&f);
    append("T", 0); /* makes the queue */
    for (int i = 0; i < TRIES; i++) {
        met = watch_once(work);
        printf("%lu sections, %lu flushes: %lu minor faults, %lu sleeps\n",
               (unsigned long)met.tally.n_sections, (unsigned long)met.n_flushes,
               (unsigned long)met.tally.minor, (unsigned long)met.tally.n_sleeps);
        expect_nothing_called(&met.tally, n_appends);
        ck_assert_uint_eq(met.tally.major, 0);
        ck_assert_uint_le(met.tally.n_sleeps, met.tally.minor); /* nothing else may wait */
        if (met.tally.minor <= met.n_flushes)
            break;
    }
    ck_assert_uint_le(met.tally.minor, met.n_flushes);
}

static void append_without_a_rest(void)
{
    for (int i = 0; i < ALONE; i++) {
        append("T", 0);
        while (i % 256 == 0 && stats().published - stats().flushed > UNFLUSHED_MAX)
            (void)sched_yield();
    }
}

START_TEST(appends_of_many_threads_meet_no_more_faults_than_flushes)
{
    n_each = EACH;
    expect_few_faults(append_together, THREADS * EACH);
    ck_assert_uint_ge(stats().n_files, 3);
}
END_TEST

START_TEST(a_moving_log_meets_no_more_faults_than_flushes)
{
    expect_few_faults(append_without_a_rest, ALONE);
    ck_assert_uint_ge(stats().n_files, 6);
}
END_TEST

/* A flush of a log that rests takes the tail, and with it what is populated behind it. */
static void append_and_rest(void)
{
    for (int i = 0; i < RESTS; i++) {
        for (int k = 0; k < BURST; k++)
            append("T", 0);
        while (stats().flushed < stats().published)
            (void)sched_yield();
    }
}

START_TEST(a_log_that_rests_meets_no_more_faults_than_flushes)
{
    expect_few_faults(append_and_rest, RESTS * BURST);
    ck_assert_uint_ge(stats().n_flushes, RESTS);
}
END_TEST

/* ---- a sync by others ---- */

/* As `sync` does, or the kernel with a file that was dirty for half a minute. */
static void sync_first_log_file(void)
{
    char *path = tmpdir_path(f.root, "commitlog/00000000000000000000");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fsync(fd), 0);
    ck_assert_int_eq(close(fd), 0);
    free(path);
}

/* Slowly, so that the window gets ahead: there is nothing to wait for. */
static void append_slowly(void)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < SLOW; i++) {
        append("T", 0);
        if (i % SLOW_AT_ONCE == 0)
            (void)nanosleep(&pause, NULL);
    }
}

START_TEST(a_sync_by_others_costs_a_slow_writer_few_faults)
{
    uint64_t minor = 0;
    f.opt.populate_window_bytes = 0; /* the default: there is much for the sync to protect */
    store_fixture_open(&f);
    append_slowly();
    for (int i = 0; i < TRIES; i++) {
        sync_first_log_file();
        minor = watch_once(append_slowly).tally.minor;
        printf("%d pages written after a sync: %lu minor faults\n", SLOW * BODY_BYTES / PAGE,
               (unsigned long)minor);
        if (minor <= SLOW_FAULTS_MAX)
            return;
    }
    ck_abort_msg("%lu faults, where %d pages were written", (unsigned long)minor,
                 SLOW * BODY_BYTES / PAGE);
}
END_TEST

static bool may_trace(void)
{
    struct fault_trace trace;
    bool may = fault_trace_open(&trace);
    fault_trace_close(&trace);
    return may;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        (void)setenv("TMPDIR", argv[1], /* overwrite = */ 1); /* else wherever that is */
    can_block = section_watch();
    can_trace = may_trace();
    Suite *suite = suite_create("append_section");
    TCase *tc = tcase_create("section");
    tcase_add_test(tc, what_is_forbidden_under_the_lock_is_seen);
    tcase_add_test(tc, a_traced_fault_is_told_with_its_address);
    suite_add_tcase(suite, tc);
    tc = tcase_create("store");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, with_sync_flush_nothing_is_called_or_allocated_either);
    tcase_add_test(tc, statistics_and_a_deleted_topic_keep_to_it);
    tcase_add_test(tc, appends_of_many_threads_meet_no_more_faults_than_flushes);
    tcase_add_test(tc, a_moving_log_meets_no_more_faults_than_flushes);
    tcase_add_test(tc, a_log_that_rests_meets_no_more_faults_than_flushes);
    tcase_add_test(tc, a_sync_by_others_costs_a_slow_writer_few_faults);
    suite_add_tcase(suite, tc);
    int status = suite_run(suite);
    if (!can_block)
        printf("skipped: system calls under the lock (this kernel cannot refuse them)\n");
    if (!can_trace)
        printf("skipped: addresses of faults (kernel.perf_event_paranoid is above 2)\n");
    return status == EXIT_SUCCESS && !(can_block && can_trace) ? EXIT_SKIPPED : status;
}

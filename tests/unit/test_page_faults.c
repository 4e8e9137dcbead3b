/* Tests of store/page_faults.c: counts that agree with the kernel's, and what sampling does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/page_faults.h"

#include <sched.h>
#include <sys/mman.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { PAGE = 4096, N_PAGES = 64, SLACK = 48 /* the stack's and a sanitizer's */ };

static struct store_fixture f;
static struct io io;
static uint64_t tick_ms;

static uint64_t fake_tick_ms(struct io *unused)
{
    (void)unused;
    return tick_ms;
}

static void set_up(void)
{
    store_fixture_init(&f);
    io = *io_posix();
    io.tick_ms = fake_tick_ms;
    f.io = &io;
    tick_ms += 1000000; /* a time of its own for each test, also in one process */
    store_fixture_open(&f);
}

static void tear_down(void)
{
    store_fixture_fini(&f);
}

/* Touches so many pages for the first time: as many minor faults. A sanitizer would have its own.
 */
__attribute__((no_sanitize("address", "thread"))) static void meet_faults(size_t n)
{
    uint8_t *pages =
        mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    ck_assert_int_eq(madvise(pages, n * PAGE, MADV_NOHUGEPAGE), 0);
    for (size_t i = 0; i < n; i++)
        ((volatile uint8_t *)pages)[i * PAGE] = 1;
    ck_assert_int_eq(munmap(pages, n * PAGE), 0);
}

static void batch_of(enum store_path path, size_t n_faults)
{
    struct store_batch b;
    store_batch_begin(f.store, path, &b);
    meet_faults(n_faults);
    store_batch_end(f.store, &b);
}

static struct store_path_faults faults_of(enum store_path path)
{
    struct store_path_faults all[STORE_N_PATHS];
    struct err e;
    ck_assert_int_eq(store_faults(f.store, all, &e), 0);
    return all[path];
}

START_TEST(the_faults_of_a_batch_are_counted_for_its_path_alone)
{
    batch_of(STORE_PATH_APPEND, N_PAGES);
    struct store_path_faults append = faults_of(STORE_PATH_APPEND);
    ck_assert_uint_ge(append.minor, N_PAGES);
    ck_assert_uint_lt(append.minor, N_PAGES + SLACK);
    ck_assert_uint_eq(append.n_batches, 1);
    ck_assert_uint_eq(append.n_sampled, 1);
    ck_assert_uint_eq(faults_of(STORE_PATH_READ).minor, 0);
}
END_TEST

START_TEST(batches_that_follow_at_once_are_extrapolated_from_those_looked_at)
{
    batch_of(STORE_PATH_READ, N_PAGES); /* looked at */
    for (int i = 0; i < 2; i++)
        batch_of(STORE_PATH_READ, N_PAGES); /* not */
    tick_ms += 10;
    batch_of(STORE_PATH_READ, N_PAGES); /* looked at; brings in the two before */
    struct store_path_faults read = faults_of(STORE_PATH_READ);
    ck_assert_uint_eq(read.n_batches, 4);
    ck_assert_uint_eq(read.n_sampled, 2);
    ck_assert_uint_ge(read.minor, 4 * N_PAGES);
    ck_assert_uint_lt(read.minor, 4 * (N_PAGES + SLACK));
}
END_TEST

START_TEST(a_clock_set_back_does_not_end_the_counting)
{
    batch_of(STORE_PATH_APPEND, 1);
    tick_ms -= 5000;
    batch_of(STORE_PATH_APPEND, 1);
    ck_assert_uint_eq(faults_of(STORE_PATH_APPEND).n_sampled, 2);
}
END_TEST

START_TEST(opening_counts_as_recovery)
{
    struct store_path_faults recovery = faults_of(STORE_PATH_RECOVERY);
    ck_assert_uint_gt(recovery.minor, 0);
    ck_assert_uint_eq(recovery.n_sampled, recovery.n_batches);
}
END_TEST

START_TEST(the_dispatcher_meets_the_first_fault_of_a_queue)
{
    store_fixture_append(&f, "T", 0, "body");
    store_fixture_await(&f, "T", 0, 1);
    struct store_path_faults dispatch = faults_of(STORE_PATH_DISPATCH);
    ck_assert_uint_gt(dispatch.minor + dispatch.major, 0);
    ck_assert_uint_eq(dispatch.n_batches, 0); /* a thread of its own: nothing is sampled */
}
END_TEST

static int meet_some(void *arg)
{
    _Atomic unsigned *n_met = arg;
    meet_faults(N_PAGES);
    atomic_fetch_add_explicit(n_met, 1, memory_order_release);
    return WORKER_WHEN_WOKEN;
}

static uint64_t faults_after(const struct worker *w, const _Atomic unsigned *n_met, unsigned n)
{
    struct store_path_faults sum = {0};
    struct err e;
    while (atomic_load_explicit(n_met, memory_order_acquire) < n)
        (void)sched_yield();
    ck_assert_int_eq(page_faults_of_worker(w, &sum, &e), 0);
    return sum.minor;
}

/* The second time: a sanitizer meets many of its own when a thread begins. */
START_TEST(the_faults_of_a_worker_are_its_thread_s)
{
    struct worker w;
    struct err e;
    _Atomic unsigned n_met = 0;
    worker_init(&w, meet_some, &n_met);
    ck_assert_uint_eq(faults_after(&w, &n_met, 0), 0); /* not started */
    ck_assert_int_eq(worker_start(&w, "test", &e), 0);
    uint64_t first = faults_after(&w, &n_met, 1);
    worker_wake(&w);
    uint64_t more = faults_after(&w, &n_met, 2) - first;
    ck_assert_uint_ge(more, N_PAGES);
    ck_assert_uint_lt(more, N_PAGES + SLACK);
    worker_stop(&w);
    worker_fini(&w);
}
END_TEST

START_TEST(the_paths_together_are_no_more_than_the_process)
{
    struct store_path_faults all[STORE_N_PATHS];
    struct store_memory process;
    struct err e;
    uint64_t minor = 0, major = 0;
    store_fixture_append(&f, "T", 0, "body");
    store_fixture_await(&f, "T", 0, 1);
    batch_of(STORE_PATH_APPEND, N_PAGES);
    ck_assert_int_eq(store_faults(f.store, all, &e), 0);
    ck_assert_int_eq(store_memory(&process, &e), 0);
    for (size_t i = 0; i < STORE_N_PATHS; i++) {
        minor += all[i].minor;
        major += all[i].major;
    }
    ck_assert_uint_le(minor, process.minor_faults);
    ck_assert_uint_le(major, process.major_faults);
}
END_TEST

START_TEST(each_path_has_a_name_of_its_own)
{
    for (size_t i = 0; i < STORE_N_PATHS; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(store_path_name(i), store_path_name(k));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page_faults");
    TCase *tc = tcase_create("faults");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_faults_of_a_batch_are_counted_for_its_path_alone);
    tcase_add_test(tc, batches_that_follow_at_once_are_extrapolated_from_those_looked_at);
    tcase_add_test(tc, a_clock_set_back_does_not_end_the_counting);
    tcase_add_test(tc, opening_counts_as_recovery);
    tcase_add_test(tc, the_dispatcher_meets_the_first_fault_of_a_queue);
    tcase_add_test(tc, the_faults_of_a_worker_are_its_thread_s);
    tcase_add_test(tc, the_paths_together_are_no_more_than_the_process);
    tcase_add_test(tc, each_path_has_a_name_of_its_own);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

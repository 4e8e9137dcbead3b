/* The housekeeper: jobs in order, rounds in time, nothing lost at the end. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/keeper.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/lock.h"
#include "tests/lib/suite.h"

enum { N_JOBS = 1000, SOON_MS = 1, NEVER_MS = 1000000 };

static struct {
    struct keeper *keeper;
    struct lock lock; /* LOCK_LEAF */
    pthread_cond_t changed;
    int n_rounds; /* guarded by lock */
    int next_job; /* guarded by lock */
    bool in_order;
    uint64_t pause_ms;
} f;

static uint64_t on_round(void *arg)
{
    (void)arg;
    lock_take(&f.lock);
    f.n_rounds++;
    (void)pthread_cond_signal(&f.changed);
    lock_drop(&f.lock);
    return f.pause_ms;
}

static void on_job(void *arg)
{
    const int *number = arg;
    lock_take(&f.lock);
    f.in_order = f.in_order && *number == f.next_job;
    f.next_job++;
    lock_drop(&f.lock);
}

static void start(uint64_t pause_ms)
{
    struct err e;
    struct keeper_options opt = {.round = on_round};
    lock_init(&f.lock, LOCK_LEAF);
    lock_cond_init(&f.changed);
    f.n_rounds = f.next_job = 0;
    f.in_order = true;
    f.pause_ms = pause_ms;
    ck_assert_int_eq(keeper_start(&f.keeper, &opt, &e), 0);
}

static void end(void)
{
    keeper_stop(f.keeper);
    (void)pthread_cond_destroy(&f.changed);
    lock_fini(&f.lock);
}

START_TEST(jobs_run_in_order_and_all_before_the_end)
{
    struct err e;
    int numbers[N_JOBS];
    start(NEVER_MS);
    for (int i = 0; i < N_JOBS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(keeper_post(f.keeper, on_job, &numbers[i], &e), 0);
    }
    end();
    ck_assert_int_eq(f.next_job, N_JOBS);
    ck_assert(f.in_order);
}
END_TEST

START_TEST(rounds_come_again_and_again)
{
    start(SOON_MS);
    lock_take(&f.lock);
    while (f.n_rounds < 3)
        lock_wait(&f.lock, &f.changed, -1);
    lock_drop(&f.lock);
    end();
}
END_TEST

START_TEST(jobs_do_not_keep_a_round_from_coming)
{
    struct err e;
    int number = 0;
    start(SOON_MS);
    lock_take(&f.lock);
    int before = f.n_rounds;
    while (f.n_rounds < before + 3) {
        lock_drop(&f.lock);
        ck_assert_int_le(keeper_post(f.keeper, on_job, &number, &e), 0);
        lock_take(&f.lock);
    }
    lock_drop(&f.lock);
    end();
}
END_TEST

START_TEST(stopping_nothing_is_fine)
{
    keeper_stop(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("keeper");
    TCase *tc = tcase_create("keeper");
    tcase_add_test(tc, jobs_run_in_order_and_all_before_the_end);
    tcase_add_test(tc, rounds_come_again_and_again);
    tcase_add_test(tc, jobs_do_not_keep_a_round_from_coming);
    tcase_add_test(tc, stopping_nothing_is_fine);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

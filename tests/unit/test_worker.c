/* Threads made of steps: when the next step comes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/worker.h"

#include <sched.h>

#include "tests/lib/suite.h"

/* The step returns what `delays` says in turn, the last one for ever. */
struct counted {
    struct worker worker;
    int delays[3];
    unsigned n_delays;
    _Atomic unsigned n_steps;
};

static struct counted c;

static int count_step(void *arg)
{
    struct counted *counted = arg;
    unsigned n = atomic_fetch_add(&counted->n_steps, 1);
    return counted->delays[n < counted->n_delays ? n : counted->n_delays - 1];
}

static void begin(int first, int then)
{
    struct err e;
    c = (struct counted){.delays = {first, then}, .n_delays = 2};
    worker_init(&c.worker, count_step, &c);
    ck_assert_int_eq(worker_start(&c.worker, "test-worker", &e), 0);
}

static void end(void)
{
    worker_stop(&c.worker);
    worker_fini(&c.worker);
}

static void wait_for_steps(unsigned n)
{
    while (atomic_load(&c.n_steps) < n)
        (void)sched_yield();
}

static void wait_for_sleep(void)
{
    while (!atomic_load(&c.worker.asleep))
        (void)sched_yield();
}

START_TEST(a_worker_steps_once_and_then_when_woken)
{
    begin(WORKER_WHEN_WOKEN, WORKER_WHEN_WOKEN);
    wait_for_steps(1);
    wait_for_sleep();
    ck_assert_uint_eq(c.n_steps, 1);
    worker_wake(&c.worker);
    wait_for_steps(2);
    end();
}
END_TEST

START_TEST(a_step_due_at_once_follows_without_a_wake)
{
    begin(WORKER_AT_ONCE, WORKER_WHEN_WOKEN);
    wait_for_steps(2);
    end();
}
END_TEST

START_TEST(a_step_due_later_follows_without_a_wake)
{
    begin(1, WORKER_WHEN_WOKEN);
    wait_for_steps(2);
    end();
}
END_TEST

START_TEST(a_nap_ends_by_itself)
{
    begin(WORKER_NAP, WORKER_WHEN_WOKEN);
    wait_for_steps(2);
    end();
}
END_TEST

START_TEST(a_wake_in_the_middle_of_a_step_is_not_lost)
{
    begin(WORKER_WHEN_WOKEN, WORKER_WHEN_WOKEN);
    for (unsigned n = 1; n <= 1000; n++) {
        wait_for_steps(n);
        worker_wake(&c.worker); /* asleep, about to sleep, or still in the step */
    }
    wait_for_steps(1001);
    end();
}
END_TEST

START_TEST(a_stop_ends_a_long_sleep)
{
    enum { AN_HOUR_MS = 3600 * 1000 };
    begin(AN_HOUR_MS, AN_HOUR_MS);
    wait_for_steps(1);
    end(); /* the test's time limit is far shorter */
}
END_TEST

START_TEST(a_worker_that_was_not_started_is_stopped_all_the_same)
{
    worker_init(&c.worker, count_step, &c);
    end();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("worker");
    tcase_add_test(tc, a_worker_steps_once_and_then_when_woken);
    tcase_add_test(tc, a_step_due_at_once_follows_without_a_wake);
    tcase_add_test(tc, a_step_due_later_follows_without_a_wake);
    tcase_add_test(tc, a_nap_ends_by_itself);
    tcase_add_test(tc, a_wake_in_the_middle_of_a_step_is_not_lost);
    tcase_add_test(tc, a_stop_ends_a_long_sleep);
    tcase_add_test(tc, a_worker_that_was_not_started_is_stopped_all_the_same);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

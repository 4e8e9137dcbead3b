/* The watch for pauses of the machine: with permission it sees wakes, without it says nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/hiccups.h"

#include <sched.h>
#include <time.h>

#include "tests/lib/suite.h"

static struct hiccups *h;

static void setup(void)
{
    struct err e = {0};
    ck_assert_msg(hiccups_start(&h, &e) == 0, "%s", e.msg);
}

static void teardown(void)
{
    hiccups_free(h);
}

static bool is_permitted(void)
{
    const struct sched_param priority = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};
    const struct sched_param usual = {0};
    bool is = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
    ck_assert_int_eq(sched_setscheduler(0, SCHED_OTHER, &usual), 0);
    return is;
}

START_TEST(wakes_are_seen_where_it_is_permitted)
{
    const struct timespec some = {.tv_nsec = 50000000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &some, NULL);
    hiccups_stop(h);
    ck_assert(is_permitted() == (hiccups_wakes(h)->n > 0));
    double share = hiccups_share(h);
    ck_assert(share >= 0 && share <= 1);
}
END_TEST

START_TEST(one_that_runs_is_stopped_when_it_is_freed)
{
    hiccups_free(h);
    h = NULL;
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("hiccups");
    TCase *tc = tcase_create("hiccups");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, wakes_are_seen_where_it_is_permitted);
    tcase_add_test(tc, one_that_runs_is_stopped_when_it_is_freed);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}

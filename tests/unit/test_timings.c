/* Durations, told apart by the pauses they met. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/timings.h"

#include "tests/lib/suite.h"

static struct timings t;
static struct pauses p;
static struct latency all, between;

static void teardown(void)
{
    timings_free(&t);
    pauses_free(&p);
}

START_TEST(without_pauses_both_are_the_same)
{
    for (uint64_t i = 0; i < 100000; i++)
        timings_add(&t, i * 1000, i % 50);
    pauses_settle(&p);
    timings_sum(&t, &p, &all, &between);
    ck_assert_uint_eq(all.n, 100000);
    ck_assert_uint_eq(between.n, 100000);
    ck_assert_uint_eq(between.worst_ns, 49);
}
END_TEST

START_TEST(what_a_pause_met_is_left_out_of_one)
{
    for (uint64_t due = 0; due < 10000; due += 100)
        timings_add(&t, due, due == 4900 ? 1000 : 50); /* it waited for the pause to end */
    pauses_add(&p, 5000, 5100);
    pauses_settle(&p);
    timings_sum(&t, &p, &all, &between);
    ck_assert_uint_eq(all.n, 100);
    ck_assert_uint_eq(all.worst_ns, 1000);
    ck_assert_uint_eq(between.n, 96); /* not those due at 4900, 5000, 5100 and 5200 */
    ck_assert_uint_eq(between.worst_ns, 50);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("timings");
    TCase *tc = tcase_create("timings");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, without_pauses_both_are_the_same);
    tcase_add_test(tc, what_a_pause_met_is_left_out_of_one);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}

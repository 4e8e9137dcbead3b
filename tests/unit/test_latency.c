/* The histogram of durations. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/latency.h"

#include <stdlib.h>

#include "tests/lib/suite.h"

static struct latency l;

static void clear(void)
{
    l = (struct latency){0};
}

START_TEST(an_empty_one_knows_nothing)
{
    ck_assert_uint_eq(latency_at(&l, 0.5), 0);
    ck_assert_uint_eq(latency_at(&l, 1), 0);
}
END_TEST

START_TEST(short_durations_are_exact)
{
    for (uint64_t ns = 1; ns <= 100; ns++)
        latency_add(&l, ns);
    ck_assert_uint_eq(latency_at(&l, 0.5), 51);
    ck_assert_uint_eq(latency_at(&l, 0), 1);
    ck_assert_uint_eq(latency_at(&l, 1), 100);
}
END_TEST

START_TEST(long_ones_are_at_most_a_sixtieth_too_long)
{
    for (uint64_t ns = 1; ns < UINT64_C(1) << 62; ns = ns * 3 / 2 + 1) {
        clear();
        latency_add(&l, ns);
        latency_add(&l, UINT64_MAX);
        ck_assert_uint_ge(latency_at(&l, 0), ns);
        ck_assert_uint_le(latency_at(&l, 0), ns + ns / 60);
    }
}
END_TEST

START_TEST(none_is_longer_than_the_worst)
{
    latency_add(&l, 1000001);
    ck_assert_uint_eq(latency_at(&l, 0.999), 1000001);
    ck_assert_uint_eq(l.worst_ns, 1000001);
}
END_TEST

START_TEST(those_that_are_longer_are_counted)
{
    latency_add(&l, 1000);
    latency_add(&l, 2000);
    latency_add(&l, 2000000);
    ck_assert_uint_eq(latency_over(&l, 0), 3);
    ck_assert_uint_eq(latency_over(&l, 1500), 2);
    ck_assert_uint_eq(latency_over(&l, 2000), 1);
    ck_assert_uint_eq(latency_over(&l, UINT64_MAX), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("latency");
    TCase *tc = tcase_create("latency");
    tcase_add_checked_fixture(tc, clear, NULL);
    tcase_add_test(tc, an_empty_one_knows_nothing);
    tcase_add_test(tc, short_durations_are_exact);
    tcase_add_test(tc, long_ones_are_at_most_a_sixtieth_too_long);
    tcase_add_test(tc, none_is_longer_than_the_worst);
    tcase_add_test(tc, those_that_are_longer_are_counted);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}

/* Pauses of the machine, and what they reach. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/pauses.h"

#include "tests/lib/suite.h"

static struct pauses p;

static void teardown(void)
{
    pauses_free(&p);
}

START_TEST(none_hits_nothing)
{
    pauses_settle(&p);
    ck_assert_uint_eq(p.total_ns, 0);
    ck_assert(!pauses_hit(&p, 0, UINT64_MAX));
}
END_TEST

START_TEST(what_lies_in_front_of_a_pause_is_not_hit)
{
    pauses_add(&p, 1000, 1100);
    pauses_settle(&p);
    ck_assert(!pauses_hit(&p, 0, 1000));
    ck_assert(pauses_hit(&p, 0, 1001));
}
END_TEST

START_TEST(a_pause_reaches_over_twice_its_length)
{
    pauses_add(&p, 1000, 1100);
    pauses_settle(&p);
    ck_assert(pauses_hit(&p, 1050, 1060));
    ck_assert(pauses_hit(&p, 1299, 1400));
    ck_assert(!pauses_hit(&p, 1300, 1400));
}
END_TEST

START_TEST(those_of_several_processors_are_counted_once)
{
    pauses_add(&p, 5000, 5100);
    pauses_add(&p, 1000, 1100);
    pauses_add(&p, 1050, 1200);
    pauses_add(&p, 1060, 1070);
    pauses_settle(&p);
    ck_assert_uint_eq(p.total_ns, 300);
    ck_assert(pauses_hit(&p, 1599, 1600)); /* 1000 to 1200 and twice that */
    ck_assert(!pauses_hit(&p, 1600, 5000));
    ck_assert(pauses_hit(&p, 1600, 5001));
}
END_TEST

START_TEST(a_long_one_reaches_over_a_short_one_behind_it)
{
    pauses_add(&p, 1000, 2000);
    pauses_add(&p, 2500, 2501);
    pauses_settle(&p);
    ck_assert_uint_eq(p.total_ns, 1001);
    ck_assert(pauses_hit(&p, 3900, 3901));
    ck_assert(!pauses_hit(&p, 4000, 4001));
}
END_TEST

START_TEST(all_of_another_list_are_taken)
{
    struct pauses other = {0};
    for (uint64_t i = 0; i < 5000; i++)
        pauses_add(&other, i * 1000, i * 1000 + 10);
    pauses_add(&p, 7000000, 7000010);
    pauses_take(&p, &other);
    ck_assert_uint_eq(other.n, 0);
    pauses_settle(&p);
    ck_assert_uint_eq(p.total_ns, 50010);
    for (uint64_t i = 0; i < 5000; i++) {
        ck_assert(pauses_hit(&p, i * 1000 + 5, i * 1000 + 6));
        ck_assert(!pauses_hit(&p, i * 1000 + 500, i * 1000 + 600));
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("pauses");
    TCase *tc = tcase_create("pauses");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, none_hits_nothing);
    tcase_add_test(tc, what_lies_in_front_of_a_pause_is_not_hit);
    tcase_add_test(tc, a_pause_reaches_over_twice_its_length);
    tcase_add_test(tc, those_of_several_processors_are_counted_once);
    tcase_add_test(tc, a_long_one_reaches_over_a_short_one_behind_it);
    tcase_add_test(tc, all_of_another_list_are_taken);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}

/* Tests of tools/top_view.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/top.h"

#include "tests/lib/suite.h"

enum { MAX_EACH = 4 };

/* The three replies of one sample and what they point at, filled in by each test. */
struct replies {
    Sluice__V1__GetStatsResponse stats;
    Sluice__V1__GetMemoryResponse memory;
    Sluice__V1__GetActivityResponse activity;
    Sluice__V1__Timing syncs;
    Sluice__V1__TimingBucket buckets[MAX_EACH], *bucket_list[MAX_EACH];
    Sluice__V1__TopicActivity topics[MAX_EACH], *topic_list[MAX_EACH];
    Sluice__V1__GroupActivity groups[MAX_EACH], *group_list[MAX_EACH];
    struct top_sample sample;
};

static struct replies before, now;
static struct top_view view;

static void init_replies(struct replies *r, uint64_t mono_ns)
{
    *r = (struct replies){
        .stats = SLUICE__V1__GET_STATS_RESPONSE__INIT,
        .memory = SLUICE__V1__GET_MEMORY_RESPONSE__INIT,
        .activity = SLUICE__V1__GET_ACTIVITY_RESPONSE__INIT,
        .syncs = SLUICE__V1__TIMING__INIT,
        .sample = {mono_ns, &r->stats, &r->memory, &r->activity},
    };
    r->stats.syncs = &r->syncs;
    r->syncs.buckets = r->bucket_list;
    r->activity.topics = r->topic_list;
    r->activity.groups = r->group_list;
}

static void add_bucket(struct replies *r, uint64_t upto_ns, uint64_t count)
{
    size_t n = r->syncs.n_buckets++;
    r->buckets[n] = (Sluice__V1__TimingBucket)SLUICE__V1__TIMING_BUCKET__INIT;
    r->buckets[n].upto_ns = upto_ns;
    r->buckets[n].count = count;
    r->bucket_list[n] = &r->buckets[n];
}

static void add_topic(struct replies *r, const char *name, uint64_t appended)
{
    size_t n = r->activity.n_topics++;
    r->topics[n] = (Sluice__V1__TopicActivity)SLUICE__V1__TOPIC_ACTIVITY__INIT;
    r->topics[n].name = (char *)name;
    r->topics[n].appended = appended;
    r->topic_list[n] = &r->topics[n];
}

static void add_group(struct replies *r, const char *group, uint64_t position, uint64_t lag)
{
    size_t n = r->activity.n_groups++;
    r->groups[n] = (Sluice__V1__GroupActivity)SLUICE__V1__GROUP_ACTIVITY__INIT;
    r->groups[n].group = (char *)group;
    r->groups[n].topic = (char *)"T";
    r->groups[n].position = position;
    r->groups[n].lag = lag;
    r->group_list[n] = &r->groups[n];
}

static void setup(void)
{
    init_replies(&before, 5 * UINT64_C(1000000000));
    init_replies(&now, 7 * UINT64_C(1000000000));
}

static void teardown(void)
{
    top_view_fini(&view);
}

static void make_view(void)
{
    struct err e;
    ck_assert_int_eq(top_view_make(&view, &before.sample, &now.sample, &e), 0);
}

START_TEST(a_rate_is_what_came_in_between_by_the_time)
{
    before.stats.appended = 100;
    now.stats.appended = 300;
    now.stats.delivered = 50;
    make_view();
    ck_assert(view.seconds > 1.999 && view.seconds < 2.001);
    ck_assert(view.in > 99.9 && view.in < 100.1);
    ck_assert(view.out > 24.9 && view.out < 25.1);
}
END_TEST

START_TEST(a_broker_that_began_anew_has_no_rate_and_its_own_timings)
{
    before.stats.appended = 100;
    add_bucket(&before, 1000, 9);
    add_bucket(&now, 1000, 2);
    make_view();
    ck_assert(view.in < 0);
    ck_assert_uint_eq(view.syncs.n, 2);
}
END_TEST

START_TEST(percentiles_are_of_what_was_added)
{
    add_bucket(&before, 1000, 500);
    add_bucket(&before, 9000, 3);
    add_bucket(&now, 1000, 550);
    add_bucket(&now, 2000, 49);
    add_bucket(&now, 9000, 4);
    make_view();
    ck_assert_uint_eq(view.syncs.n, 100);
    ck_assert_uint_eq(view.syncs.p50_ns, 1000);
    ck_assert_uint_eq(view.syncs.p99_ns, 2000);
    ck_assert_uint_eq(view.syncs.p999_ns, 9000);
    ck_assert_uint_eq(view.syncs.max_ns, 9000);
    ck_assert_uint_eq(view.stalls.n, 0);
}
END_TEST

START_TEST(nothing_added_has_no_percentile)
{
    add_bucket(&before, 1000, 5);
    add_bucket(&now, 1000, 5);
    make_view();
    ck_assert_uint_eq(view.syncs.n, 0);
    ck_assert_uint_eq(view.syncs.max_ns, 0);
}
END_TEST

START_TEST(the_busiest_topic_comes_first_and_a_new_one_has_no_rate)
{
    add_topic(&before, "a", 10);
    add_topic(&before, "gone", 10);
    add_topic(&before, "z", 10);
    add_topic(&now, "a", 12);
    add_topic(&now, "new", 99);
    add_topic(&now, "z", 20);
    make_view();
    ck_assert_uint_eq(view.n_topics, 3);
    ck_assert_str_eq(view.topics[0].name, "z");
    ck_assert(view.topics[0].in > 4.9 && view.topics[0].in < 5.1);
    ck_assert_str_eq(view.topics[2].name, "new");
    ck_assert(view.topics[2].in < 0);
}
END_TEST

START_TEST(the_group_that_is_farthest_behind_comes_first)
{
    add_group(&before, "y", 10, 0);
    add_group(&before, "x", 10, 0);
    add_group(&now, "z", 500, 0);
    add_group(&now, "x", 14, 3);
    add_group(&now, "y", 5, 7);
    make_view();
    ck_assert_uint_eq(view.lag, 10);
    ck_assert_str_eq(view.groups[0].group, "y");
    ck_assert(view.groups[0].out < 0); /* it was moved back */
    ck_assert_str_eq(view.groups[1].group, "x");
    ck_assert(view.groups[1].out > 1.9 && view.groups[1].out < 2.1);
    ck_assert(view.groups[2].out < 0); /* it is new */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("top_view");
    TCase *tc = tcase_create("top_view");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_rate_is_what_came_in_between_by_the_time);
    tcase_add_test(tc, a_broker_that_began_anew_has_no_rate_and_its_own_timings);
    tcase_add_test(tc, percentiles_are_of_what_was_added);
    tcase_add_test(tc, nothing_added_has_no_percentile);
    tcase_add_test(tc, the_busiest_topic_comes_first_and_a_new_one_has_no_rate);
    tcase_add_test(tc, the_group_that_is_farthest_behind_comes_first);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

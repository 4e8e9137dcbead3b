/* Tests of store/timing.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/timing.h"

#include "tests/lib/crew.h"
#include "tests/lib/suite.h"

/* The one bucket that holds a duration. */
static size_t bucket_with(uint64_t ns)
{
    static struct timing t;
    struct store_timing read;
    size_t found = STORE_TIMING_BUCKETS;
    t = (struct timing){0};
    timing_add(&t, ns);
    timing_read(&t, &read);
    for (size_t i = 0; i < STORE_TIMING_BUCKETS; i++) {
        if (read.counts[i] == 0)
            continue;
        ck_assert_uint_eq(read.counts[i], 1);
        ck_assert_uint_eq(found, STORE_TIMING_BUCKETS);
        found = i;
    }
    return found;
}

START_TEST(a_duration_is_in_the_bucket_that_ends_at_or_behind_it)
{
    static const uint64_t durations[] = {0, 1, 7, 8, 15, 16, 17, 1000, 123456789, UINT64_MAX};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        size_t bucket = bucket_with(durations[i]);
        ck_assert_uint_lt(bucket, STORE_TIMING_BUCKETS);
        ck_assert_uint_ge(store_timing_end_ns(bucket), durations[i]);
        ck_assert(bucket == 0 || store_timing_end_ns(bucket - 1) < durations[i]);
    }
}
END_TEST

START_TEST(a_bucket_is_an_eighth_wide_at_most)
{
    for (size_t i = 1; i < STORE_TIMING_BUCKETS; i++) {
        uint64_t begin = store_timing_end_ns(i - 1) + 1;
        ck_assert_uint_le(store_timing_end_ns(i) - begin, begin / 8);
    }
    ck_assert_uint_eq(store_timing_end_ns(STORE_TIMING_BUCKETS - 1), UINT64_MAX);
}
END_TEST

enum { N_THREADS = 4, N_EACH = 10000 };

static struct timing shared;

static void add_many(int number)
{
    (void)number;
    for (uint64_t i = 0; i < N_EACH; i++)
        timing_add(&shared, i);
}

START_TEST(no_count_of_several_threads_is_lost)
{
    struct store_timing read;
    struct crew threads;
    crew_start(&threads, N_THREADS, add_many);
    crew_join(&threads);
    timing_read(&shared, &read);
    uint64_t n = 0;
    for (size_t i = 0; i < STORE_TIMING_BUCKETS; i++)
        n += read.counts[i];
    ck_assert_uint_eq(n, N_THREADS * N_EACH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timing");
    TCase *tc = tcase_create("timing");
    tcase_add_test(tc, a_duration_is_in_the_bucket_that_ends_at_or_behind_it);
    tcase_add_test(tc, a_bucket_is_an_eighth_wide_at_most);
    tcase_add_test(tc, no_count_of_several_threads_is_lost);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

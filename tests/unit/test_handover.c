/* The ring between appenders and dispatcher. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/handover.h"

#include <pthread.h>

#include "tests/lib/suite.h"

enum { SIZE = 100, MANY = 1000000 };

static struct handover *h;

static void set_up(void)
{
    struct err e;
    ck_assert_int_eq(handover_new(&h, &e), 0);
}

static void tear_down(void)
{
    handover_free(h);
}

static void put(uint64_t number)
{
    handover_put(h,
                 &(struct handed){
                     .log_off = number * SIZE, .queue_off = number, .size = SIZE, .tag_code = 7});
}

START_TEST(items_are_seen_in_order_until_they_are_done)
{
    const struct handed *items;
    put(0);
    put(1);
    put(2);
    ck_assert_uint_eq(handover_look(h, 0, &items), 3);
    ck_assert_uint_eq(items[2].queue_off, 2);
    handover_done(h, 2);
    ck_assert_uint_eq(handover_look(h, 2 * SIZE, &items), 1);
    ck_assert_uint_eq(items[0].log_off, 2 * SIZE);
}
END_TEST

START_TEST(nothing_is_found_where_a_record_was_left_out)
{
    const struct handed *items;
    put(1);
    ck_assert_uint_eq(handover_look(h, 0, &items), 0);
    ck_assert_uint_eq(handover_look(h, SIZE, &items), 1);
}
END_TEST

START_TEST(items_before_the_wanted_one_are_dropped)
{
    const struct handed *items;
    put(0);
    put(1);
    ck_assert_uint_eq(handover_look(h, SIZE, &items), 1);
    ck_assert_uint_eq(handover_look(h, 0, &items), 0);
}
END_TEST

START_TEST(a_full_ring_leaves_out_what_comes_then)
{
    const struct handed *items;
    uint64_t n_looked = 0, n_put = 200000;
    for (uint64_t i = 0; i < n_put; i++)
        put(i);
    for (size_t n; (n = handover_look(h, n_looked * SIZE, &items)) > 0; n_looked += n)
        handover_done(h, n);
    ck_assert_uint_gt(n_looked, 1000);
    ck_assert_uint_lt(n_looked, n_put);
    put(n_put);
    ck_assert_uint_eq(handover_look(h, n_put * SIZE, &items), 1);
}
END_TEST

static void *put_many(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < MANY; i++)
        put(i);
    return NULL;
}

START_TEST(another_thread_sees_whole_items_in_order)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, put_many, NULL), 0);
    uint64_t n_seen = 0;
    for (uint64_t at = 0; at < MANY; at++) {
        const struct handed *items;
        size_t n = handover_look(h, at * SIZE, &items);
        for (size_t i = 0; i < n && items[i].log_off == at * SIZE; i++, at++, n_seen++) {
            ck_assert_uint_eq(items[i].queue_off, at);
            ck_assert_int_eq(items[i].tag_code, 7);
        }
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_le(n_seen, MANY);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("handover");
    TCase *tc = tcase_create("handover");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, items_are_seen_in_order_until_they_are_done);
    tcase_add_test(tc, nothing_is_found_where_a_record_was_left_out);
    tcase_add_test(tc, items_before_the_wanted_one_are_dropped);
    tcase_add_test(tc, a_full_ring_leaves_out_what_comes_then);
    tcase_add_test(tc, another_thread_sees_whole_items_in_order);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

/* Tests of parked receives: who is woken, in which order, and never twice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/hold.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/lib/suite.h"

struct waiter {
    struct hold_entry entry;
    int64_t wanted; /* tag code; -1: any */
    atomic_int
        n_woken; /* release in the wake, acquire in n_woken: the waiter is its owner's again */
};

static struct hold_table *table;
static struct err e;

static void setup(void)
{
    ck_assert_int_eq(hold_table_open(&table, 6, 3, &e), 0);
}

static void teardown(void)
{
    hold_table_close(table);
    table = NULL;
}

static bool matches(void *arg, int64_t tag_code)
{
    const struct waiter *w = arg;
    return w->wanted == tag_code;
}

static void count_wake(void *arg)
{
    struct waiter *w = arg;
    (void)atomic_fetch_add_explicit(&w->n_woken, 1, memory_order_release);
}

static int n_woken(struct waiter *w)
{
    return atomic_load_explicit(&w->n_woken, memory_order_acquire);
}

static void prepare(struct waiter *w, const char *group, const char *topic, int64_t wanted)
{
    *w = (struct waiter){.wanted = wanted};
    w->entry.group = span_str(group);
    w->entry.topic = span_str(topic);
    w->entry.match = wanted == -1 ? NULL : matches;
    w->entry.wake = count_wake;
    w->entry.arg = w;
}

static void park(struct waiter *w, const char *group, const char *topic, int64_t wanted)
{
    prepare(w, group, topic, wanted);
    ck_assert_msg(hold_park(table, &w->entry, &e) == 0, "%s", e.msg);
}

START_TEST(nobody_waits_and_nobody_is_woken)
{
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 0);
    ck_assert_uint_eq(hold_notify_group(table, span_str("g"), span_str("t")), 0);
    ck_assert_uint_eq(hold_notify_all(table), 0);
}
END_TEST

START_TEST(an_arrival_wakes_the_first_waiter_of_each_group)
{
    struct waiter a1, a2, b1;
    park(&a1, "a", "t", -1);
    park(&a2, "a", "t", -1);
    park(&b1, "b", "t", -1);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 2);
    ck_assert_int_eq(n_woken(&a1), 1);
    ck_assert_int_eq(n_woken(&a2), 0);
    ck_assert_int_eq(n_woken(&b1), 1);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 1);
    ck_assert_int_eq(n_woken(&a2), 1);
    ck_assert_uint_eq(hold_count(table), 0);
}
END_TEST

START_TEST(a_waiter_whose_filter_does_not_take_it_sleeps_on)
{
    struct waiter first, second;
    park(&first, "g", "t", 1);
    park(&second, "g", "t", 2);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 2), 1);
    ck_assert_int_eq(n_woken(&first), 0);
    ck_assert_int_eq(n_woken(&second), 1);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 3), 0);
    ck_assert(hold_remove(table, &first.entry));
}
END_TEST

START_TEST(an_arrival_in_another_topic_wakes_nobody)
{
    struct waiter w;
    park(&w, "g", "t", -1);
    ck_assert_uint_eq(hold_notify(table, span_str("u"), 1), 0);
    ck_assert(hold_remove(table, &w.entry));
}
END_TEST

START_TEST(a_visible_message_wakes_its_own_group_only)
{
    struct waiter a, b;
    park(&a, "a", "t", 5);
    park(&b, "b", "t", 5);
    ck_assert_uint_eq(hold_notify_group(table, span_str("b"), span_str("t")), 1);
    ck_assert_int_eq(n_woken(&a), 0);
    ck_assert_int_eq(n_woken(&b), 1);
    ck_assert(hold_remove(table, &a.entry));
}
END_TEST

START_TEST(all_who_wait_at_a_deleted_topic_or_of_a_deleted_group_are_woken)
{
    struct waiter at, ct, cu, au;
    park(&at, "a", "t", -1);
    park(&ct, "c", "t", 5);
    park(&cu, "c", "u", 5);
    park(&au, "a", "u", 5);
    ck_assert_uint_eq(hold_notify_topic(table, span_str("t")), 2);
    ck_assert_int_eq(n_woken(&at) + n_woken(&ct), 2);
    ck_assert_uint_eq(hold_notify_whole_group(table, span_str("a")), 1);
    ck_assert_int_eq(n_woken(&au), 1);
    ck_assert_int_eq(n_woken(&cu), 0);
    ck_assert_uint_eq(hold_notify_topic(table, span_str("t")), 0);
    ck_assert(hold_remove(table, &cu.entry));
}
END_TEST

START_TEST(a_removed_waiter_is_not_woken_and_a_woken_one_not_removed)
{
    struct waiter w;
    park(&w, "g", "t", -1);
    ck_assert(hold_remove(table, &w.entry));
    ck_assert(!hold_remove(table, &w.entry));
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 0);
    park(&w, "g", "t", -1);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 1);
    ck_assert(!hold_remove(table, &w.entry));
    ck_assert_int_eq(n_woken(&w), 1);
}
END_TEST

START_TEST(one_taken_out_of_the_middle_leaves_the_others_in_order)
{
    struct waiter w[3];
    for (int i = 0; i < 3; i++)
        park(&w[i], "g", "t", -1);
    ck_assert(hold_remove(table, &w[1].entry));
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 1);
    ck_assert_int_eq(n_woken(&w[0]), 1);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 1);
    ck_assert_int_eq(n_woken(&w[2]), 1);
    ck_assert_int_eq(n_woken(&w[1]), 0);
}
END_TEST

static void park_again(void *arg)
{
    struct waiter *w = arg;
    count_wake(w);
    ck_assert_int_eq(hold_park(table, &w->entry, &e), 0);
}

START_TEST(a_waiter_may_park_again_while_it_is_woken)
{
    struct waiter w;
    prepare(&w, "g", "t", -1);
    w.entry.wake = park_again;
    ck_assert_int_eq(hold_park(table, &w.entry, &e), 0);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 1);
    ck_assert_uint_eq(hold_notify(table, span_str("t"), 1), 1);
    ck_assert_int_eq(n_woken(&w), 2);
    ck_assert(hold_remove(table, &w.entry));
}
END_TEST

START_TEST(a_group_and_all_together_have_a_limit_that_is_named)
{
    struct waiter w[7];
    for (int i = 0; i < 3; i++)
        park(&w[i], "a", "t", -1);
    prepare(&w[3], "a", "t", -1);
    ck_assert_int_eq(hold_park(table, &w[3].entry, &e), ERR_BUSY);
    ck_assert_str_eq(e.msg, "park a receive: 3 are waiting of this group and topic, which is "
                            "maxParkedReceivesPerGroup");
    for (int i = 3; i < 6; i++)
        park(&w[i], "b", i == 3 ? "t" : "u", -1);
    prepare(&w[6], "c", "t", -1);
    ck_assert_int_eq(hold_park(table, &w[6].entry, &e), ERR_BUSY);
    ck_assert(!hold_remove(table, &w[6].entry));
    ck_assert_uint_eq(hold_count(table), 6);
    ck_assert_uint_eq(hold_notify_all(table), 6);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(n_woken(&w[i]), 1);
}
END_TEST

/* ---- threads ---- */

enum { N_ROUNDS = 20000 };

static atomic_int n_arrived; /* messages in the "store"; release by the notifier, acquire below */

static void *notify_rounds(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        (void)atomic_fetch_add_explicit(&n_arrived, 1, memory_order_release);
        (void)hold_notify(table, span_str("t"), 1);
    }
    return NULL;
}

/* A receiver that waits whenever it has seen everything: parks, looks once more, and spins on its
 * wake flag when there is nothing. It ends only if no wake-up is lost. */
START_TEST(no_arrival_is_missed_by_one_who_parks_and_then_looks_again)
{
    struct waiter w;
    pthread_t notifier;
    atomic_store_explicit(&n_arrived, 0, memory_order_relaxed); /* before the thread is there */
    ck_assert_int_eq(pthread_create(&notifier, NULL, notify_rounds, NULL), 0);
    for (int seen = 0; seen < N_ROUNDS;) {
        park(&w, "g", "t", -1);
        int now = atomic_load_explicit(&n_arrived, memory_order_acquire);
        bool has_news = now > seen;
        if (!has_news || !hold_remove(table, &w.entry))
            while (n_woken(&w) == 0)
                sched_yield();
        seen = has_news ? now : seen;
    }
    ck_assert_int_eq(pthread_join(notifier, NULL), 0);
    ck_assert_uint_eq(hold_count(table), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hold");
    TCase *tc = tcase_create("parked");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nobody_waits_and_nobody_is_woken);
    tcase_add_test(tc, an_arrival_wakes_the_first_waiter_of_each_group);
    tcase_add_test(tc, a_waiter_whose_filter_does_not_take_it_sleeps_on);
    tcase_add_test(tc, an_arrival_in_another_topic_wakes_nobody);
    tcase_add_test(tc, a_visible_message_wakes_its_own_group_only);
    tcase_add_test(tc, all_who_wait_at_a_deleted_topic_or_of_a_deleted_group_are_woken);
    tcase_add_test(tc, a_removed_waiter_is_not_woken_and_a_woken_one_not_removed);
    tcase_add_test(tc, one_taken_out_of_the_middle_leaves_the_others_in_order);
    tcase_add_test(tc, a_waiter_may_park_again_while_it_is_woken);
    tcase_add_test(tc, a_group_and_all_together_have_a_limit_that_is_named);
    tcase_add_test(tc, no_arrival_is_missed_by_one_who_parks_and_then_looks_again);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* The queues appended to lately. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recent_queues.h"

#include <stdio.h>

#include "tests/lib/suite.h"

static struct recent_queues r;

static struct consume_queue *make_queue(const char *topic, int32_t queue_id)
{
    struct consume_queue *q;
    struct err e;
    ck_assert_int_eq(consume_queue_new(&q, span_str(topic), queue_id, "/nowhere", 2000, io_posix(),
                                       /* reclaimer = */ NULL, &e),
                     0);
    return q;
}

static void enter(struct consume_queue *q)
{
    consume_queue_unref(recent_queues_enter(&r, q));
}

static struct consume_queue *find(const char *topic, int32_t queue_id)
{
    return recent_queues_find(&r, span_str(topic), queue_id);
}

START_TEST(a_queue_is_found_by_topic_and_id)
{
    struct consume_queue *q = make_queue("orders", 3);
    enter(q);
    ck_assert_ptr_eq(find("orders", 3), q);
    ck_assert_ptr_null(find("orders", 4));
    ck_assert_ptr_null(find("ordert", 3));
    ck_assert_ptr_null(find("", 3));
    recent_queues_fini(&r);
    ck_assert_ptr_null(find("orders", 3));
}
END_TEST

START_TEST(a_queue_whose_topic_is_deleted_is_not_found)
{
    struct consume_queue *q = make_queue("T", 0);
    enter(q);
    q->seq.dropped = true;
    ck_assert_ptr_null(find("T", 0));
    struct consume_queue *next = make_queue("T", 0);
    enter(next);
    ck_assert_ptr_eq(find("T", 0), next);
    recent_queues_fini(&r);
}
END_TEST

START_TEST(who_comes_later_takes_the_place)
{
    char topic[16];
    int n_found = 0;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(topic, sizeof topic, "topic-%d", i);
        enter(make_queue(topic, 0));
        ck_assert_ptr_nonnull(find(topic, 0));
    }
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(topic, sizeof topic, "topic-%d", i);
        n_found += find(topic, 0) != NULL;
    }
    ck_assert_int_gt(n_found, RECENT_QUEUES / 2); /* names that differ little lie apart */
    ck_assert_int_le(n_found, RECENT_QUEUES);
    recent_queues_fini(&r);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("recent_queues");
    TCase *tc = tcase_create("recent_queues");
    tcase_add_test(tc, a_queue_is_found_by_topic_and_id);
    tcase_add_test(tc, a_queue_whose_topic_is_deleted_is_not_found);
    tcase_add_test(tc, who_comes_later_takes_the_place);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

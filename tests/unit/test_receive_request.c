/* Tests of tools/receive_request.c: the request as a broker reads it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/receive_request.h"

#include <string.h>

#include "tests/lib/packed.h"
#include "tests/lib/suite.h"

typedef Apache__Rocketmq__V2__ReceiveMessageRequest request_pb;

static request_pb *read_back(const struct receive_wanted *wanted)
{
    struct receive_request made;
    memset(&made, 0xa5, sizeof made); /* the caller's memory, with whatever is in it */
    receive_request_make(&made, wanted);
    return packed_read_back(&made.request.base);
}

START_TEST(all_that_is_wanted_is_asked_for)
{
    request_pb *r = read_back(&(struct receive_wanted){.group = "G",
                                                       .topic = "T",
                                                       .broker = "B",
                                                       .queue_id = 3,
                                                       .expression = "a || b",
                                                       .max = 7,
                                                       .invisible_ms = 60001,
                                                       .poll_ms = 2500});
    ck_assert_str_eq(r->group->name, "G");
    ck_assert_str_eq(r->message_queue->topic->name, "T");
    ck_assert_str_eq(r->message_queue->broker->name, "B");
    ck_assert_int_eq(r->message_queue->id, 3);
    ck_assert_int_eq(r->filter_expression->type, APACHE__ROCKETMQ__V2__FILTER_TYPE__TAG);
    ck_assert_str_eq(r->filter_expression->expression, "a || b");
    ck_assert_int_eq(r->batch_size, 7);
    ck_assert_int_eq(r->invisible_duration->seconds, 60);
    ck_assert_int_eq(r->invisible_duration->nanos, 1000000);
    ck_assert_int_eq(r->long_polling_timeout->seconds, 2);
    ck_assert_int_eq(r->long_polling_timeout->nanos, 500000000);
    protobuf_c_message_free_unpacked(&r->base, NULL);
}
END_TEST

START_TEST(a_broker_without_a_name_is_left_out)
{
    request_pb *r = read_back(&(struct receive_wanted){
        .group = "G", .topic = "T", .queue_id = -1, .expression = "*", .max = 1});
    ck_assert_ptr_null(r->message_queue->broker);
    ck_assert_int_eq(r->message_queue->id, -1);
    protobuf_c_message_free_unpacked(&r->base, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receive_request");
    TCase *tc = tcase_create("receive_request");
    tcase_add_test(tc, all_that_is_wanted_is_asked_for);
    tcase_add_test(tc, a_broker_without_a_name_is_left_out);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* The requests and replies of the RPC benchmark against protobuf-c's reading of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/rpc_wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "tests/lib/packed.h"
#include "tests/lib/suite.h"

static struct span make_delivery(const char *id, const char *handle)
{
    Apache__Rocketmq__V2__SystemProperties sys = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES__INIT;
    Apache__Rocketmq__V2__Message message = APACHE__ROCKETMQ__V2__MESSAGE__INIT;
    Apache__Rocketmq__V2__ReceiveMessageResponse response =
        APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__INIT;
    sys.message_id = (char *)id;
    sys._receipt_handle_case =
        APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___RECEIPT_HANDLE_RECEIPT_HANDLE;
    sys.receipt_handle = (char *)handle;
    message.system_properties = &sys;
    message.body = (ProtobufCBinaryData){.data = (uint8_t *)id, .len = strlen(id)};
    response.content_case = APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_MESSAGE;
    response.message = &message;
    return packed(&response.base);
}

START_TEST(an_ack_holds_every_handle_it_was_given)
{
    enum { N = WIRE_BATCH };
    static struct rpc_wire_ack ack;
    char handle[201];
    rpc_wire_ack_begin(&ack, "a-group", "a-topic");
    for (int i = 0; i < N; i++) {
        (void)snprintf(handle, sizeof handle, "%0200d", i); /* its length takes two bytes */
        ck_assert(rpc_wire_ack_add(&ack, span_str("message-id"), span_str(handle)));
    }
    Apache__Rocketmq__V2__AckMessageRequest *r =
        apache__rocketmq__v2__ack_message_request__unpack(NULL, ack.len, ack.bytes);
    ck_assert_ptr_nonnull(r);
    ck_assert_str_eq(r->group->name, "a-group");
    ck_assert_str_eq(r->topic->name, "a-topic");
    ck_assert_uint_eq(r->n_entries, N);
    ck_assert_str_eq(r->entries[N - 1]->receipt_handle, handle);
    ck_assert_str_eq(r->entries[N - 1]->message_id, "message-id");
    apache__rocketmq__v2__ack_message_request__free_unpacked(r, NULL);
}
END_TEST

START_TEST(an_ack_takes_no_more_than_fits)
{
    static struct rpc_wire_ack ack;
    static char handle[1024];
    memset(handle, 'h', sizeof handle - 1);
    rpc_wire_ack_begin(&ack, "g", "t");
    while (rpc_wire_ack_add(&ack, span_str("id"), span_str(handle)))
        ck_assert_uint_le(ack.len, WIRE_ACK_BYTES);
    ck_assert_uint_gt(ack.n, 10);
}
END_TEST

START_TEST(a_delivery_gives_its_id_and_handle)
{
    struct span id, handle;
    struct span delivery = make_delivery("id-1", "handle-1");
    ck_assert(rpc_wire_message(delivery, &id, &handle));
    ck_assert(span_equal(id, span_str("id-1")));
    ck_assert(span_equal(handle, span_str("handle-1")));
    for (size_t len = 0; len < delivery.len; len++) /* cut short: no reading past the end */
        (void)rpc_wire_message(span_of(delivery.ptr, len), &id, &handle);
    free((void *)delivery.ptr);
}
END_TEST

START_TEST(a_status_is_no_message)
{
    uint8_t buf[PROTO_RECEIVE_STATUS_BYTES];
    struct span id, handle;
    struct span bytes = proto_receive_status(buf, APACHE__ROCKETMQ__V2__CODE__OK, span_str("OK"));
    ck_assert(!rpc_wire_message(bytes, &id, &handle));
}
END_TEST

START_TEST(only_the_code_ok_is_ok)
{
    static const int codes[] = {APACHE__ROCKETMQ__V2__CODE__OK,
                                APACHE__ROCKETMQ__V2__CODE__MULTIPLE_RESULTS,
                                APACHE__ROCKETMQ__V2__CODE__TOPIC_NOT_FOUND};
    for (size_t i = 0; i < 3; i++) {
        Apache__Rocketmq__V2__Status status = APACHE__ROCKETMQ__V2__STATUS__INIT;
        Apache__Rocketmq__V2__AckMessageResponse response =
            APACHE__ROCKETMQ__V2__ACK_MESSAGE_RESPONSE__INIT;
        status.code = (Apache__Rocketmq__V2__Code)codes[i];
        response.status = &status;
        struct span reply = packed(&response.base);
        ck_assert_int_eq(rpc_wire_is_ok(reply), i == 0);
        free((void *)reply.ptr);
    }
    ck_assert(!rpc_wire_is_ok((struct span){0}));
}
END_TEST

static Apache__Rocketmq__V2__SendMessageRequest *make_publish(size_t n)
{
    struct err e;
    struct span request;
    struct message_id_maker ids;
    message_id_init(&ids);
    const struct rpc_wire_publish p = {
        .ids = &ids, .topic = "a-topic", .n = n, .body = span_str("body")};
    ck_assert_int_eq(rpc_wire_publish(&p, 3, &request, &e), 0);
    Apache__Rocketmq__V2__SendMessageRequest *r =
        apache__rocketmq__v2__send_message_request__unpack(NULL, request.len, request.ptr);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->n_messages, n);
    free((void *)request.ptr);
    return r;
}

START_TEST(a_published_message_has_topic_tag_key_and_queue)
{
    Apache__Rocketmq__V2__SendMessageRequest *r = make_publish(1);
    ck_assert_str_eq(r->messages[0]->topic->name, "a-topic");
    ck_assert_str_eq(r->messages[0]->system_properties->tag, "TagA");
    ck_assert_uint_eq(r->messages[0]->system_properties->n_keys, 1);
    ck_assert_int_eq(r->messages[0]->system_properties->queue_id, 3);
    ck_assert_uint_eq(r->messages[0]->body.len, 4);
    apache__rocketmq__v2__send_message_request__free_unpacked(r, NULL);
}
END_TEST

START_TEST(each_message_of_a_request_has_an_id_of_its_own)
{
    Apache__Rocketmq__V2__SendMessageRequest *r = make_publish(WIRE_BATCH);
    for (size_t i = 1; i < WIRE_BATCH; i++)
        ck_assert_str_ne(r->messages[i]->system_properties->message_id,
                         r->messages[i - 1]->system_properties->message_id);
    apache__rocketmq__v2__send_message_request__free_unpacked(r, NULL);
}
END_TEST

static Suite *rpc_wire_suite(void)
{
    Suite *suite = suite_create("rpc_wire");
    TCase *tc = tcase_create("requests");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, an_ack_holds_every_handle_it_was_given);
    tcase_add_test(tc, an_ack_takes_no_more_than_fits);
    tcase_add_test(tc, a_delivery_gives_its_id_and_handle);
    tcase_add_test(tc, a_status_is_no_message);
    tcase_add_test(tc, only_the_code_ok_is_ok);
    tcase_add_test(tc, a_published_message_has_topic_tag_key_and_queue);
    tcase_add_test(tc, each_message_of_a_request_has_an_id_of_its_own);
    return suite;
}

int main(void)
{
    return suite_run(rpc_wire_suite());
}

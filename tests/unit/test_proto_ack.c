/* AckMessageRequest and its response, with protobuf-c as the judge. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdlib.h>

#include "tests/lib/packed.h"
#include "tests/lib/slices.h"
#include "tests/lib/suite.h"

enum { N = 3 };

typedef Apache__Rocketmq__V2__Resource resource_pb;

static char *ids[N] = {(char *)"id-0", (char *)"", (char *)"\xc3\xa9"};
static char *handles[N] = {(char *)"handle-0", (char *)"h", (char *)""};
static char *texts[N] = {(char *)"OK", (char *)"", (char *)"no"};
static const int32_t codes[N] = {20000, 0, 40400};

static struct proto_ack *ack;

static void start(void)
{
    struct err e;
    ck_assert_int_eq(proto_ack_new(&ack, &e), 0);
}

static void stop(void)
{
    proto_ack_free(ack);
}

/* To be freed. */
static struct span sample(void)
{
    resource_pb group = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    resource_pb topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__AckMessageRequest message =
        APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    Apache__Rocketmq__V2__AckMessageEntry entries[N], *list[N];
    for (size_t i = 0; i < N; i++) {
        apache__rocketmq__v2__ack_message_entry__init(&entries[i]);
        entries[i].message_id = ids[i];
        entries[i].receipt_handle = handles[i];
        list[i] = &entries[i];
    }
    group.name = (char *)"a-group";
    group.resource_namespace = (char *)"elsewhere";
    topic.name = (char *)"a-topic";
    message.group = &group;
    message.topic = &topic;
    message.entries = list;
    message.n_entries = N;
    return packed(&message.base);
}

static void expect_sample(const struct proto_ack_request *req)
{
    ck_assert(span_equal(req->group, span_str("a-group")));
    ck_assert(span_equal(req->topic, span_str("a-topic")));
    ck_assert_uint_eq(req->n, N);
    for (size_t i = 0; i < N; i++) {
        ck_assert(span_equal(req->entries[i].message_id, span_str(ids[i])));
        ck_assert(span_equal(req->entries[i].receipt_handle, span_str(handles[i])));
    }
}

START_TEST(a_request_reads_the_same_cut_at_any_byte)
{
    struct span bytes = sample();
    for (size_t at = 0; at <= bytes.len; at++) {
        struct err e;
        struct proto_ack_request req;
        struct slices cut = slices_in_two(bytes, at);
        ck_assert_int_eq(proto_ack_read(ack, cut.spans, cut.n, &req, &e), 0);
        expect_sample(&req);
        slices_free(&cut);
    }
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(a_request_cut_short_is_refused)
{
    struct span bytes = sample();
    for (size_t len = 1; len < bytes.len; len++) {
        struct err e;
        struct proto_ack_request req;
        const struct span head = span_of(bytes.ptr, len);
        int rc = proto_ack_read(ack, &head, 1, &req, &e);
        ck_assert(rc == ERR_INVAL || (rc == 0 && req.n < N)); /* between two fields it is whole */
    }
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(of_a_repeated_resource_the_last_name_counts)
{
    static const uint8_t bytes[] = {0x0a, 3, 0x12, 1, 'a', 0x0a, 3, 0x12, 1, 'b', 0x0a, 0};
    const struct span whole = span_of(bytes, sizeof bytes);
    struct proto_ack_request req;
    struct err e;
    ck_assert_int_eq(proto_ack_read(ack, &whole, 1, &req, &e), 0);
    ck_assert(span_equal(req.group, span_str("b")));
    ck_assert_uint_eq(req.topic.len, 0);
}
END_TEST

START_TEST(text_that_is_no_utf8_is_refused)
{
    static const uint8_t bytes[] = {0x1a, 3, 0x0a, 1, 0xff};
    const struct span whole = span_of(bytes, sizeof bytes);
    struct proto_ack_request req;
    struct err e;
    ck_assert_int_eq(proto_ack_read(ack, &whole, 1, &req, &e), ERR_INVAL);
}
END_TEST

START_TEST(more_entries_than_the_limit_are_refused)
{
    enum { ENTRY_BYTES = 2 };
    static uint8_t bytes[(PROTO_ACK_MAX_ENTRIES + 1) * ENTRY_BYTES];
    struct proto_ack_request req;
    struct err e;
    for (size_t i = 0; i < sizeof bytes; i += ENTRY_BYTES)
        bytes[i] = 0x1a; /* an empty entry */
    struct span some = span_of(bytes, PROTO_ACK_MAX_ENTRIES * ENTRY_BYTES);
    ck_assert_int_eq(proto_ack_read(ack, &some, 1, &req, &e), 0);
    ck_assert_uint_eq(req.n, PROTO_ACK_MAX_ENTRIES);
    some.len = sizeof bytes;
    ck_assert_int_eq(proto_ack_read(ack, &some, 1, &req, &e), ERR_TOOBIG);
}
END_TEST

START_TEST(an_ack_is_answered_as_protobuf_c_would)
{
    Apache__Rocketmq__V2__AckMessageResponse message =
        APACHE__ROCKETMQ__V2__ACK_MESSAGE_RESPONSE__INIT;
    Apache__Rocketmq__V2__Status overall = APACHE__ROCKETMQ__V2__STATUS__INIT, each[N];
    Apache__Rocketmq__V2__AckMessageResultEntry entries[N], *list[N];
    struct proto_ack_result results[N];
    uint8_t room[1024];
    for (size_t i = 0; i < N; i++) {
        apache__rocketmq__v2__status__init(&each[i]);
        apache__rocketmq__v2__ack_message_result_entry__init(&entries[i]);
        each[i].code = (Apache__Rocketmq__V2__Code)codes[i];
        each[i].message = texts[i];
        entries[i].message_id = ids[i];
        entries[i].receipt_handle = handles[i];
        entries[i].status = &each[i];
        list[i] = &entries[i];
        results[i] = (struct proto_ack_result){
            .code = codes[i],
            .text = span_str(texts[i]),
            .entry = {.message_id = span_str(ids[i]), .receipt_handle = span_str(handles[i])}};
    }
    overall.code = (Apache__Rocketmq__V2__Code)30000;
    overall.message = (char *)"some";
    message.status = &overall;
    message.entries = list;
    message.n_entries = N;
    const struct proto_ack_reply reply = {
        .overall = {.code = 30000, .text = span_str("some")}, .results = results, .n = N};
    struct span bytes = packed(&message.base);
    ck_assert_uint_ge(proto_ack_reply_room(&reply), bytes.len);
    struct span written = proto_ack_reply(&reply, room, proto_ack_reply_room(&reply));
    ck_assert_uint_eq(written.len, bytes.len);
    ck_assert_mem_eq(written.ptr, bytes.ptr, bytes.len);
    free((void *)bytes.ptr);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto_ack");
    TCase *tc = tcase_create("proto_ack");
    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, a_request_reads_the_same_cut_at_any_byte);
    tcase_add_test(tc, a_request_cut_short_is_refused);
    tcase_add_test(tc, of_a_repeated_resource_the_last_name_counts);
    tcase_add_test(tc, text_that_is_no_utf8_is_refused);
    tcase_add_test(tc, more_entries_than_the_limit_are_refused);
    tcase_add_test(tc, an_ack_is_answered_as_protobuf_c_would);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

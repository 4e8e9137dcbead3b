/* The response of SendMessage: the bytes that protobuf-c would write. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdlib.h>

#include "tests/lib/packed.h"
#include "tests/lib/suite.h"

typedef Apache__Rocketmq__V2__Status status_pb;

static const struct proto_result results[] = {
    {.code = 20000,
     .text = {(const uint8_t *)"OK", 2},
     .message_id = {(const uint8_t *)"0123", 4},
     .queue_off = INT64_MAX},
    {.code = 40400, .text = {(const uint8_t *)"no", 2}},
    {.code = 0},
};

enum { N = sizeof results / sizeof results[0] };

static const struct proto_reply reply = {
    .overall = {.code = 30000, .text = {(const uint8_t *)"some", 4}}, .results = results, .n = N};

static char *statuses[N] = {(char *)"OK", (char *)"no", (char *)""};
static char *ids[N] = {(char *)"0123", (char *)"", (char *)""};

static status_pb status_of(int32_t code, char *text)
{
    status_pb status = APACHE__ROCKETMQ__V2__STATUS__INIT;
    status.code = (Apache__Rocketmq__V2__Code)code;
    status.message = text;
    return status;
}

static void expect_same(const ProtobufCMessage *message)
{
    uint8_t room[512];
    const struct span bytes = packed(message);
    ck_assert_uint_ge(proto_send_reply_room(&reply), bytes.len);
    struct span written = proto_send_reply(&reply, room, proto_send_reply_room(&reply));
    ck_assert_uint_eq(written.len, bytes.len);
    ck_assert_mem_eq(written.ptr, bytes.ptr, bytes.len);
    free((void *)bytes.ptr);
}

START_TEST(a_send_is_answered_as_protobuf_c_would)
{
    status_pb overall = status_of(30000, (char *)"some"), each[N];
    Apache__Rocketmq__V2__SendResultEntry entries[N], *list[N];
    Apache__Rocketmq__V2__SendMessageResponse message =
        APACHE__ROCKETMQ__V2__SEND_MESSAGE_RESPONSE__INIT;
    for (size_t i = 0; i < N; i++) {
        apache__rocketmq__v2__send_result_entry__init(&entries[i]);
        each[i] = status_of(results[i].code, statuses[i]);
        entries[i].status = &each[i];
        entries[i].message_id = entries[i].transaction_id = ids[i];
        entries[i].offset = results[i].queue_off;
        list[i] = &entries[i];
    }
    message.status = &overall;
    message.entries = list;
    message.n_entries = N;
    expect_same(&message.base);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("proto_reply");
    TCase *tc = tcase_create("proto_reply");
    tcase_add_test(tc, a_send_is_answered_as_protobuf_c_would);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(make_suite());
}

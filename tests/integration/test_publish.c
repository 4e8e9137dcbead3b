/* SendMessage against a real sluiced: what is accepted, what is refused, and what is said. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/broker_child.h"
#include "tests/lib/messaging.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

enum { BODY_MAX = 4 * 1024 * 1024 };

static struct {
    struct broker_child broker;
    struct client *client;
    char *store;
} f;

static void setup(void)
{
    f.store = tmpdir_make();
    broker_child_start(&f.broker, f.store, /* args = */ NULL);
    f.client = messaging_connect(f.broker.endpoint, "publisher");
    messaging_create_topic(f.client, "Normal", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
}

static void teardown(void)
{
    client_close(f.client);
    ck_assert_int_eq(broker_child_stop(&f.broker), 0);
    tmpdir_remove(f.store);
}

/* Sends one and gives its code; the overall one is the same. */
static int32_t code_of(const struct messaging_message *m)
{
    V2(SendMessageResponse) *reply = messaging_send(f.client, m, 1);
    int32_t code = (int32_t)reply->status->code;
    ck_assert_uint_eq(reply->n_entries, 1);
    ck_assert_int_eq(reply->entries[0]->status->code, reply->status->code);
    ck_assert_uint_gt(strlen(reply->status->message), 0);
    messaging_free(reply);
    return code;
}

static char *text_of(size_t len)
{
    char *text = malloc(len + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return text;
}

/* ---- accepted ---- */

START_TEST(a_sent_message_is_answered_with_its_id_and_offset)
{
    struct messaging_message m = {.topic = "Normal", .tag = "TagA", .id = "ID-1", .body = "hello"};
    V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
    ck_assert_int_eq(reply->status->code, CODE(OK));
    ck_assert_uint_eq(reply->n_entries, 1);
    ck_assert_str_eq(reply->entries[0]->message_id, "ID-1");
    ck_assert_str_eq(reply->entries[0]->transaction_id, "ID-1");
    ck_assert_int_eq(reply->entries[0]->offset, 0);
    messaging_free(reply);
}
END_TEST

START_TEST(messages_of_one_group_go_to_one_queue)
{
    messaging_create_topic(f.client, "Fifo", SLUICE__V1__TOPIC_TYPE__TOPIC_FIFO, 8);
    for (int i = 0; i < 5; i++) {
        struct messaging_message m = {.topic = "Fifo", .group = "g", .body = "x"};
        V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
        ck_assert_int_eq(reply->entries[0]->offset, i);
        messaging_free(reply);
    }
}
END_TEST

START_TEST(a_batch_is_answered_message_by_message)
{
    struct messaging_message m[] = {
        {.topic = "Normal", .tag = "good", .body = "1"},
        {.topic = "Normal", .tag = "b|ad", .body = "2"},
        {.topic = "Normal", .tag = "good", .body = "3"},
    };
    V2(SendMessageResponse) *reply = messaging_send(f.client, m, 3);
    ck_assert_int_eq(reply->status->code, CODE(MULTIPLE_RESULTS));
    ck_assert_uint_eq(reply->n_entries, 3);
    ck_assert_int_eq(reply->entries[0]->status->code, CODE(OK));
    ck_assert_int_eq(reply->entries[1]->status->code, CODE(ILLEGAL_MESSAGE_TAG));
    ck_assert_int_eq(reply->entries[2]->status->code, CODE(OK));
    messaging_free(reply);
}
END_TEST

/* ---- limits, from both sides ---- */

START_TEST(a_body_may_have_4_mib_and_not_one_byte_more)
{
    char *body = text_of(BODY_MAX + 1);
    struct messaging_message m = {.topic = "Normal", .body = body, .body_len = BODY_MAX};
    ck_assert_int_eq(code_of(&m), CODE(OK));
    m.body_len = BODY_MAX + 1;
    ck_assert_int_eq(code_of(&m), CODE(MESSAGE_BODY_TOO_LARGE));
    free(body);
}
END_TEST

START_TEST(an_empty_body_is_refused)
{
    struct messaging_message m = {.topic = "Normal", .body = ""};
    ck_assert_int_eq(code_of(&m), CODE(MESSAGE_BODY_EMPTY));
}
END_TEST

START_TEST(properties_tag_and_keys_may_have_16384_bytes)
{
    char *tag = text_of(16385);
    struct messaging_message m = {.topic = "Normal", .tag = tag, .body = "x"};
    ck_assert_int_eq(code_of(&m), CODE(MESSAGE_PROPERTIES_TOO_LARGE));
    tag[16384] = '\0';
    ck_assert_int_eq(code_of(&m), CODE(OK));
    free(tag);
}
END_TEST

START_TEST(a_message_may_have_128_properties)
{
    struct messaging_message m = {.topic = "Normal", .body = "x", .n_properties = 128};
    ck_assert_int_eq(code_of(&m), CODE(OK));
    m.n_properties = 129;
    ck_assert_int_eq(code_of(&m), CODE(MESSAGE_PROPERTIES_TOO_LARGE));
}
END_TEST

START_TEST(a_message_group_may_have_63_bytes)
{
    messaging_create_topic(f.client, "Fifo", SLUICE__V1__TOPIC_TYPE__TOPIC_FIFO, 1);
    char *group = text_of(64);
    struct messaging_message m = {.topic = "Fifo", .group = group, .body = "x"};
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_GROUP));
    group[63] = '\0';
    ck_assert_int_eq(code_of(&m), CODE(OK));
    free(group);
}
END_TEST

/* ---- refused ---- */

START_TEST(an_unknown_topic_is_named)
{
    struct messaging_message m = {.topic = "Nowhere", .body = "x"};
    V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
    ck_assert_int_eq(reply->status->code, CODE(TOPIC_NOT_FOUND));
    ck_assert_ptr_nonnull(strstr(reply->status->message,
                                 "No topic route info in name server for the topic: Nowhere"));
    messaging_free(reply);
}
END_TEST

START_TEST(an_illegal_topic_name_is_refused)
{
    struct messaging_message m = {.topic = "no way", .body = "x"};
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_TOPIC));
}
END_TEST

START_TEST(a_type_that_is_not_served_is_refused_by_name)
{
    static const struct {
        V2(MessageType) type;
        const char *name;
    } cases[] = {{APACHE__ROCKETMQ__V2__MESSAGE_TYPE__DELAY, "DELAY"},
                 {APACHE__ROCKETMQ__V2__MESSAGE_TYPE__TRANSACTION, "TRANSACTION"},
                 {APACHE__ROCKETMQ__V2__MESSAGE_TYPE__PRIORITY, "PRIORITY"},
                 {APACHE__ROCKETMQ__V2__MESSAGE_TYPE__LITE, "LITE"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct messaging_message m = {.topic = "Normal", .body = "x", .type = cases[i].type};
        V2(SendMessageResponse) *reply = messaging_send(f.client, &m, 1);
        ck_assert_int_eq(reply->status->code, CODE(NOT_IMPLEMENTED));
        ck_assert_ptr_nonnull(strstr(reply->status->message, cases[i].name));
        messaging_free(reply);
    }
}
END_TEST

START_TEST(a_message_must_fit_the_type_of_its_topic)
{
    struct messaging_message m = {.topic = "Normal", .group = "g", .body = "x"};
    ck_assert_int_eq(code_of(&m), CODE(MESSAGE_PROPERTY_CONFLICT_WITH_TYPE));
}
END_TEST

START_TEST(a_request_without_messages_is_refused)
{
    V2(SendMessageResponse) *reply = messaging_send(f.client, NULL, 0);
    ck_assert_int_eq(reply->status->code, CODE(MESSAGE_CORRUPTED));
    messaging_free(reply);
}
END_TEST

START_TEST(a_request_for_two_topics_stores_nothing)
{
    messaging_create_topic(f.client, "Other", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    struct messaging_message m[] = {{.topic = "Other", .body = "1"},
                                    {.topic = "Normal", .body = "2"}};
    V2(SendMessageResponse) *reply = messaging_send(f.client, m, 2);
    ck_assert_int_eq(reply->status->code, CODE(MESSAGE_CORRUPTED));
    messaging_free(reply);
    reply = messaging_send(f.client, m, 1);
    ck_assert_int_eq(reply->entries[0]->offset, 0);
    messaging_free(reply);
}
END_TEST

START_TEST(a_client_without_an_id_is_told_so)
{
    struct client *nameless = messaging_connect(f.broker.endpoint, " ");
    struct messaging_message m = {.topic = "Normal", .body = "x"};
    V2(SendMessageResponse) *reply = messaging_send(nameless, &m, 1);
    ck_assert_int_eq(reply->status->code, CODE(CLIENT_ID_REQUIRED));
    messaging_free(reply);
    client_close(nameless);
}
END_TEST

/* ---- bad bytes ---- */

static void call_with_bytes(const char *path, const char *bytes, size_t len)
{
    struct err e;
    uint8_t *reply = NULL;
    size_t reply_len = 0;
    int rc =
        client_call(f.client, path, span_of(bytes, len), MESSAGING_CALL_MS, &reply, &reply_len, &e);
    ck_assert_int_eq(rc, ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.msg, "byte"));
}

START_TEST(malformed_requests_are_refused_and_the_broker_goes_on)
{
    static const char cut[] = "\x0a\x05xy";       /* a field longer than the message */
    static const char endless[] = "\xff\xff\xff"; /* a number that does not end */
    static const char *const paths[] = {PROTO_SEND_MESSAGE, PROTO_QUERY_ROUTE, PROTO_ACK_MESSAGE,
                                        PROTO_HEARTBEAT, PROTO_CREATE_TOPIC};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        call_with_bytes(paths[i], cut, sizeof cut - 1);
        call_with_bytes(paths[i], endless, sizeof endless - 1);
    }
    messaging_send_ok(f.client, "Normal", "TagA", "still here");
}
END_TEST

static void stream_bytes(const char *path, const char *bytes, size_t len)
{
    struct err e;
    struct span message;
    struct client_stream *s = NULL;
    ck_assert_int_eq(client_stream_open(&s, f.client, path, MESSAGING_CALL_MS, &e), 0);
    ck_assert_int_eq(client_stream_send(s, span_of(bytes, len), &e), 0);
    ck_assert_int_eq(client_stream_next(s, MESSAGING_CALL_MS, &message), CLIENT_ENDED);
    ck_assert_int_eq(client_stream_status(s, NULL), 3); /* INVALID_ARGUMENT */
    client_stream_close(s);
}

START_TEST(malformed_streams_are_refused_and_the_broker_goes_on)
{
    static const char cut[] = "\x0a\x05xy"; /* a field longer than the message */
    stream_bytes(PROTO_RECEIVE_MESSAGE, cut, sizeof cut - 1);
    stream_bytes(PROTO_TELEMETRY, cut, sizeof cut - 1);
    messaging_send_ok(f.client, "Normal", "TagA", "still here");
}
END_TEST

START_TEST(a_call_that_is_not_served_is_unimplemented)
{
    struct err e;
    uint8_t *reply = NULL;
    size_t len = 0;
    int rc = client_call(f.client, PROTO_RECALL_MESSAGE, (struct span){0}, MESSAGING_CALL_MS,
                         &reply, &len, &e);
    ck_assert_int_eq(rc, ERR_UNSUPPORTED);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("publish");
    TCase *tc = tcase_create("publish");
    broker_child_use(argc > 1 ? argv[1] : NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_sent_message_is_answered_with_its_id_and_offset);
    tcase_add_test(tc, messages_of_one_group_go_to_one_queue);
    tcase_add_test(tc, a_batch_is_answered_message_by_message);
    tcase_add_test(tc, a_body_may_have_4_mib_and_not_one_byte_more);
    tcase_add_test(tc, an_empty_body_is_refused);
    tcase_add_test(tc, properties_tag_and_keys_may_have_16384_bytes);
    tcase_add_test(tc, a_message_may_have_128_properties);
    tcase_add_test(tc, a_message_group_may_have_63_bytes);
    tcase_add_test(tc, an_unknown_topic_is_named);
    tcase_add_test(tc, an_illegal_topic_name_is_refused);
    tcase_add_test(tc, a_type_that_is_not_served_is_refused_by_name);
    tcase_add_test(tc, a_message_must_fit_the_type_of_its_topic);
    tcase_add_test(tc, a_request_without_messages_is_refused);
    tcase_add_test(tc, a_request_for_two_topics_stores_nothing);
    tcase_add_test(tc, a_client_without_an_id_is_told_so);
    tcase_add_test(tc, malformed_requests_are_refused_and_the_broker_goes_on);
    tcase_add_test(tc, malformed_streams_are_refused_and_the_broker_goes_on);
    tcase_add_test(tc, a_call_that_is_not_served_is_unimplemented);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Tests of the responses of ReceiveMessage, with protobuf-c as the judge. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include "tests/lib/suite.h"

typedef Apache__Rocketmq__V2__ReceiveMessageResponse response_pb;
typedef Apache__Rocketmq__V2__SystemProperties system_pb;

static response_pb *unpack(struct span bytes)
{
    response_pb *r =
        apache__rocketmq__v2__receive_message_response__unpack(NULL, bytes.len, bytes.ptr);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->base.n_unknown_fields, 0);
    return r;
}

static void drop(response_pb *r)
{
    apache__rocketmq__v2__receive_message_response__free_unpacked(r, NULL);
}

/* Head and body put together and read by protobuf-c. The head is encoded into no more memory than
 * was said to be enough. */
static response_pb *deliver(const struct proto_delivery *d, const uint8_t *body)
{
    const size_t room = proto_delivery_room(d);
    uint8_t *buf = malloc(room);
    const struct span head = proto_delivery_encode(d, buf, room);
    ck_assert_ptr_eq(head.ptr + head.len, buf + room);
    buf = realloc(buf, room + d->body_len);
    if (d->body_len > 0)
        memcpy(buf + room, body, d->body_len);
    response_pb *r = unpack(span_of(buf + room - head.len, head.len + d->body_len));
    free(buf);
    ck_assert_int_eq(r->content_case,
                     APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_MESSAGE);
    ck_assert_ptr_nonnull(r->message->system_properties);
    return r;
}

static const struct span KEYS[] = {{(const uint8_t *)"k1", 2}, {(const uint8_t *)"k2", 2}};
static const struct proto_property PROPERTIES[] = {
    {{(const uint8_t *)"color", 5}, {(const uint8_t *)"red", 3}},
    {{(const uint8_t *)"none", 4}, {NULL, 0}},
};

/* What every delivery carries. */
static struct proto_delivery plain_delivery(void)
{
    return (struct proto_delivery){
        .topic = span_str("orders"),
        .message_id = span_str("0102FC000000014B2C0B142C5D00000000"),
        .digest_type = APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32,
        .digest = span_str("CAFEBABE"),
        .body_encoding = APACHE__ROCKETMQ__V2__ENCODING__IDENTITY,
        .message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL,
        .born_ms = 1700000000123,
        .born_host = span_str("10.0.0.9"),
        .store_ms = 1700000000456,
        .store_host = span_str("127.0.0.1:8081"),
        .receipt_handle = span_str("handle"),
        .delivery_attempt = 1,
        .body_len = 5,
    };
}

static int64_t ms_of(const Google__Protobuf__Timestamp *t)
{
    ck_assert_int_ge(t->nanos, 0);
    return t->seconds * 1000 + t->nanos / 1000000;
}

START_TEST(a_plain_delivery_has_what_clients_require)
{
    const struct proto_delivery d = plain_delivery();
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    const system_pb *s = r->message->system_properties;
    ck_assert_str_eq(r->message->topic->name, "orders");
    ck_assert_str_eq(s->message_id, "0102FC000000014B2C0B142C5D00000000");
    ck_assert_int_eq(s->body_digest->type, APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32);
    ck_assert_str_eq(s->body_digest->checksum, "CAFEBABE");
    ck_assert_int_eq(s->body_encoding, APACHE__ROCKETMQ__V2__ENCODING__IDENTITY);
    ck_assert_int_eq(s->message_type, APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL);
    ck_assert_int_eq(ms_of(s->born_timestamp), 1700000000123);
    ck_assert_str_eq(s->born_host, "10.0.0.9");
    ck_assert_int_eq(ms_of(s->store_timestamp), 1700000000456);
    ck_assert_str_eq(s->store_host, "127.0.0.1:8081");
    ck_assert_str_eq(s->receipt_handle, "handle");
    ck_assert_int_eq(s->delivery_attempt, 1);
    ck_assert_uint_eq(r->message->body.len, 5);
    ck_assert_mem_eq(r->message->body.data, "hello", 5);
    drop(r);
}
END_TEST

START_TEST(what_was_not_given_is_absent)
{
    const struct proto_delivery d = plain_delivery();
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    const system_pb *s = r->message->system_properties;
    ck_assert(!s->_tag_case && !s->_delivery_timestamp_case && !s->_invisible_duration_case);
    ck_assert(!s->_message_group_case && !s->_trace_context_case && !s->_priority_case);
    ck_assert(!s->_orphaned_transaction_recovery_duration_case && !s->_dead_letter_queue_case);
    ck_assert(!s->_lite_topic_case);
    ck_assert_uint_eq(s->n_keys, 0);
    ck_assert_uint_eq(r->message->n_user_properties, 0);
    drop(r);
}
END_TEST

START_TEST(offset_and_attempt_are_there_even_when_zero)
{
    struct proto_delivery d = plain_delivery();
    d.delivery_attempt = 0;
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    const system_pb *s = r->message->system_properties;
    ck_assert(s->_queue_offset_case && s->_delivery_attempt_case);
    ck_assert_int_eq(s->queue_offset, 0);
    ck_assert_int_eq(s->delivery_attempt, 0);
    drop(r);
}
END_TEST

/* A delivery with every field set. */
static struct proto_delivery full_delivery(void)
{
    struct proto_delivery d = plain_delivery();
    d.has = PROTO_HAS_TAG | PROTO_HAS_MESSAGE_GROUP | PROTO_HAS_TRACE_CONTEXT |
            PROTO_HAS_LITE_TOPIC | PROTO_HAS_PRIORITY | PROTO_HAS_DELIVERY_TIMESTAMP |
            PROTO_HAS_RECOVERY_DURATION | PROTO_HAS_DEAD_LETTER | PROTO_HAS_INVISIBLE_DURATION;
    d.topic_namespace = span_str("ns");
    d.tag = span_str("TagA");
    d.keys = KEYS;
    d.n_keys = 2;
    d.properties = PROPERTIES;
    d.n_properties = 2;
    d.delivery_ms = -1;
    d.queue_id = 7;
    d.queue_off = INT64_C(1) << 40;
    d.invisible_ms = 30500;
    d.message_group = span_str("group");
    d.trace_context = span_str("trace");
    d.recovery_ms = -1500;
    d.dead_letter_topic = span_str("dlq");
    d.dead_letter_message_id = span_str("dead");
    d.lite_topic = span_str("lite");
    d.priority = -2;
    return d;
}

START_TEST(texts_of_a_full_delivery_arrive)
{
    const struct proto_delivery d = full_delivery();
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    const system_pb *s = r->message->system_properties;
    ck_assert_str_eq(r->message->topic->resource_namespace, "ns");
    ck_assert_str_eq(s->tag, "TagA");
    ck_assert_uint_eq(s->n_keys, 2);
    ck_assert_str_eq(s->keys[1], "k2");
    ck_assert_uint_eq(r->message->n_user_properties, 2);
    ck_assert_str_eq(r->message->user_properties[0]->key, "color");
    ck_assert_str_eq(r->message->user_properties[0]->value, "red");
    ck_assert_str_eq(r->message->user_properties[1]->value, "");
    ck_assert_str_eq(s->message_group, "group");
    ck_assert_str_eq(s->trace_context, "trace");
    ck_assert_str_eq(s->dead_letter_queue->topic, "dlq");
    ck_assert_str_eq(s->dead_letter_queue->message_id, "dead");
    ck_assert_str_eq(s->lite_topic, "lite");
    drop(r);
}
END_TEST

START_TEST(numbers_and_times_of_a_full_delivery_arrive)
{
    const struct proto_delivery d = full_delivery();
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    const system_pb *s = r->message->system_properties;
    ck_assert_int_eq(s->queue_id, 7);
    ck_assert_int_eq(s->queue_offset, INT64_C(1) << 40);
    ck_assert_int_eq(s->priority, -2);
    ck_assert_int_eq(s->delivery_timestamp->seconds, -1);
    ck_assert_int_eq(s->delivery_timestamp->nanos, 999000000);
    ck_assert_int_eq(s->invisible_duration->seconds, 30);
    ck_assert_int_eq(s->invisible_duration->nanos, 500000000);
    ck_assert_int_eq(s->orphaned_transaction_recovery_duration->seconds, -1);
    ck_assert_int_eq(s->orphaned_transaction_recovery_duration->nanos, -500000000);
    drop(r);
}
END_TEST

START_TEST(an_empty_tag_is_there_and_empty)
{
    struct proto_delivery d = plain_delivery();
    d.has = PROTO_HAS_TAG;
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    ck_assert(r->message->system_properties->_tag_case);
    ck_assert_str_eq(r->message->system_properties->tag, "");
    drop(r);
}
END_TEST

/* Lengths around which the length of a length changes, of each thing that nests. */
static const size_t LENGTHS[] = {0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 4194304};

START_TEST(bodies_of_all_lengths_fit_their_head)
{
    const size_t len = LENGTHS[_i];
    uint8_t *body = malloc(len + 1);
    memset(body, 0x5a, len);
    struct proto_delivery d = full_delivery();
    d.body_len = len;
    response_pb *r = deliver(&d, body);
    ck_assert_uint_eq(r->message->body.len, len);
    ck_assert(len == 0 || memcmp(r->message->body.data, body, len) == 0);
    drop(r);
    free(body);
}
END_TEST

START_TEST(texts_of_many_lengths_fit_their_parts)
{
    static uint8_t text[600];
    memset(text, 'x', sizeof text);
    for (size_t len = 0; len < sizeof text; len++) {
        struct proto_property property = {span_of(text, len), span_of(text, len)};
        struct proto_delivery d = plain_delivery();
        d.topic = d.digest = d.message_id = span_of(text, len);
        d.properties = &property;
        d.n_properties = 1;
        response_pb *r = deliver(&d, (const uint8_t *)"hello");
        ck_assert_uint_eq(strlen(r->message->topic->name), len);
        ck_assert_uint_eq(strlen(r->message->user_properties[0]->value), len);
        drop(r);
    }
}
END_TEST

START_TEST(the_most_distant_times_are_encoded_without_overflow)
{
    struct proto_delivery d = plain_delivery();
    d.born_ms = INT64_MIN;
    d.store_ms = INT64_MAX;
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    const system_pb *s = r->message->system_properties;
    ck_assert_int_eq(s->born_timestamp->seconds, INT64_MIN / 1000 - 1);
    ck_assert_int_eq(s->born_timestamp->nanos, 192000000);
    ck_assert_int_eq(s->store_timestamp->seconds, INT64_MAX / 1000);
    ck_assert_int_eq(s->store_timestamp->nanos, 807000000);
    drop(r);
}
END_TEST

START_TEST(the_longest_numbers_fit_the_room)
{
    struct proto_delivery d = full_delivery();
    d.digest_type = d.body_encoding = d.message_type = d.queue_id = d.priority = -1;
    d.delivery_attempt = -1;
    d.queue_off = -1;
    d.born_ms = d.store_ms = d.delivery_ms = d.invisible_ms = d.recovery_ms = INT64_MIN;
    response_pb *r = deliver(&d, (const uint8_t *)"hello");
    ck_assert_int_eq(r->message->system_properties->queue_offset, -1);
    ck_assert_int_eq(r->message->system_properties->delivery_attempt, -1);
    drop(r);
}
END_TEST

START_TEST(a_status_response_carries_code_and_text)
{
    uint8_t buf[PROTO_RECEIVE_STATUS_BYTES];
    response_pb *r = unpack(proto_receive_status(buf, 40401, span_str("no message")));
    ck_assert_int_eq(r->content_case,
                     APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_STATUS);
    ck_assert_int_eq(r->status->code, APACHE__ROCKETMQ__V2__CODE__MESSAGE_NOT_FOUND);
    ck_assert_str_eq(r->status->message, "no message");
    drop(r);
}
END_TEST

START_TEST(a_long_status_text_is_cut_between_characters)
{
    char text[2 * PROTO_STATUS_TEXT_BYTES + 1];
    for (size_t start = 0; start < 3; start++) {
        memset(text, 'x', start);
        for (size_t i = start; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe6\xa0\x87", 4);
        uint8_t buf[PROTO_RECEIVE_STATUS_BYTES];
        response_pb *r = unpack(proto_receive_status(buf, 50001, span_str(text)));
        const size_t len = strlen(r->status->message);
        ck_assert_uint_le(len, PROTO_STATUS_TEXT_BYTES);
        ck_assert_uint_gt(len, PROTO_STATUS_TEXT_BYTES - 3);
        ck_assert(proto_utf8_ok(span_str(r->status->message)));
        drop(r);
    }
}
END_TEST

START_TEST(a_time_response_carries_the_time)
{
    uint8_t buf[PROTO_RECEIVE_TIME_BYTES];
    response_pb *r = unpack(proto_receive_time(buf, 1700000000123));
    ck_assert_int_eq(r->content_case,
                     APACHE__ROCKETMQ__V2__RECEIVE_MESSAGE_RESPONSE__CONTENT_DELIVERY_TIMESTAMP);
    ck_assert_int_eq(ms_of(r->delivery_timestamp), 1700000000123);
    drop(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto_receive");
    TCase *tc = tcase_create("responses");
    tcase_add_test(tc, a_plain_delivery_has_what_clients_require);
    tcase_add_test(tc, what_was_not_given_is_absent);
    tcase_add_test(tc, offset_and_attempt_are_there_even_when_zero);
    tcase_add_test(tc, texts_of_a_full_delivery_arrive);
    tcase_add_test(tc, numbers_and_times_of_a_full_delivery_arrive);
    tcase_add_test(tc, an_empty_tag_is_there_and_empty);
    tcase_add_loop_test(tc, bodies_of_all_lengths_fit_their_head, 0,
                        (int)(sizeof LENGTHS / sizeof LENGTHS[0]));
    tcase_add_test(tc, texts_of_many_lengths_fit_their_parts);
    tcase_add_test(tc, the_most_distant_times_are_encoded_without_overflow);
    tcase_add_test(tc, the_longest_numbers_fit_the_room);
    tcase_add_test(tc, a_status_response_carries_code_and_text);
    tcase_add_test(tc, a_long_status_text_is_cut_between_characters);
    tcase_add_test(tc, a_time_response_carries_the_time);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Tests of the walker over SendMessageRequest, with protobuf-c as the judge. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdio.h>

#include "tests/lib/packed.h"
#include "tests/lib/send_oracle.h"
#include "tests/lib/slices.h"
#include "tests/lib/suite.h"

typedef Apache__Rocketmq__V2__SendMessageRequest request_pb;
typedef Apache__Rocketmq__V2__Message message_pb;
typedef Apache__Rocketmq__V2__Message__UserPropertiesEntry entry_pb;
typedef Apache__Rocketmq__V2__SystemProperties system_pb;

/* One message as protobuf-c has it, with room for its parts. */
struct sample {
    message_pb message;
    Apache__Rocketmq__V2__Resource topic;
    system_pb system;
    Apache__Rocketmq__V2__Digest digest;
    Google__Protobuf__Timestamp born, delivery;
    Google__Protobuf__Duration recovery;
    entry_pb entries[3];
    entry_pb *entry_list[3];
    char *keys[2];
    uint8_t body[300];
};

static void fill_parts(struct sample *s)
{
    apache__rocketmq__v2__message__init(&s->message);
    apache__rocketmq__v2__resource__init(&s->topic);
    apache__rocketmq__v2__system_properties__init(&s->system);
    apache__rocketmq__v2__digest__init(&s->digest);
    google__protobuf__timestamp__init(&s->born);
    google__protobuf__timestamp__init(&s->delivery);
    google__protobuf__duration__init(&s->recovery);
    for (size_t i = 0; i < 3; i++) {
        apache__rocketmq__v2__message__user_properties_entry__init(&s->entries[i]);
        s->entry_list[i] = &s->entries[i];
    }
    s->message.topic = &s->topic;
    s->message.system_properties = &s->system;
    s->message.user_properties = s->entry_list;
}

static void fill_times(struct sample *s)
{
    s->born.seconds = 1700000000;
    s->born.nanos = 123456789;
    s->system.born_timestamp = &s->born;
    s->delivery.seconds = 1700000060;
    s->system.delivery_timestamp = &s->delivery;
    s->system._delivery_timestamp_case =
        APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___DELIVERY_TIMESTAMP_DELIVERY_TIMESTAMP;
    s->recovery.seconds = 30;
    s->recovery.nanos = 500000000;
    s->system.orphaned_transaction_recovery_duration = &s->recovery;
    s->system._orphaned_transaction_recovery_duration_case = 19;
}

/* What only a server sets, and what we do not look at: to be passed over. */
static void fill_ignored(struct sample *s)
{
    s->digest.type = APACHE__ROCKETMQ__V2__DIGEST_TYPE__MD5;
    s->digest.checksum = (char *)"00112233";
    s->system.body_digest = &s->digest;
    s->system.store_host = (char *)"10.0.0.1:10911";
    s->system.receipt_handle = (char *)"handle";
    s->system._receipt_handle_case = 12;
    s->system.queue_offset = 77;
    s->system._queue_offset_case = 14;
    s->system.delivery_attempt = -1;
    s->system._delivery_attempt_case = 16;
}

/* A message with every field set. */
static void fill(struct sample *s)
{
    fill_parts(s);
    fill_times(s);
    fill_ignored(s);
    s->topic.name = (char *)"orders";
    s->topic.resource_namespace = (char *)"ns";
    s->message.n_user_properties = 3;
    s->entries[0].key = (char *)"color";
    s->entries[0].value = (char *)"blau \xe6\xa0\x87";
    s->entries[1].key = (char *)"empty";
    s->entries[2].value = (char *)"value of the empty key";
    s->keys[0] = (char *)"key-1";
    s->keys[1] = (char *)"";
    s->system.keys = s->keys;
    s->system.n_keys = 2;
    s->system.tag = (char *)"TagA";
    s->system._tag_case = 1;
    s->system.message_id = (char *)"0102FC000000014B2C0B142C5D00000000";
    s->system.body_encoding = APACHE__ROCKETMQ__V2__ENCODING__IDENTITY;
    s->system.message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO;
    s->system.born_host = (char *)"client-host";
    s->system.queue_id = -3;
    s->system.message_group = (char *)"group-1";
    s->system._message_group_case = 17;
    s->system.trace_context = (char *)"trace";
    s->system._trace_context_case = 18;
    s->system.lite_topic = (char *)"lite";
    s->system._lite_topic_case = 21;
    s->system.priority = 0;
    s->system._priority_case = 22;
    for (size_t i = 0; i < sizeof s->body; i++)
        s->body[i] = (uint8_t)i;
    s->message.body = (ProtobufCBinaryData){.data = s->body, .len = sizeof s->body};
}

static struct span pack(message_pb **messages, size_t n)
{
    request_pb request = APACHE__ROCKETMQ__V2__SEND_MESSAGE_REQUEST__INIT;
    request.messages = messages;
    request.n_messages = n;
    return packed(&request.base);
}

/* The same, read as a whole, twice by one walker. */
static void expect_whole(struct proto_send *send, const struct slices *s, message_pb **messages,
                         size_t n)
{
    struct err e = {0};
    for (int round = 0; round < 2; round++) {
        const struct proto_message *read;
        size_t n_read;
        int rc = proto_send_read(send, s->spans, s->n, &read, &n_read, &e);
        ck_assert_msg(rc == 0, "%s", e.msg);
        ck_assert_uint_eq(n_read, n);
        for (size_t i = 0; i < n; i++) {
            const char *field = send_oracle_differs(&read[i], messages[i]);
            ck_assert_msg(!field, "message %zu of a whole request differs in %s", i, field);
        }
    }
}

/* Decodes the slices and compares each message with the original. */
static void expect(const struct slices *s, message_pb **messages, size_t n)
{
    struct proto_send *send;
    struct proto_message m;
    struct err e = {0};
    bool found;
    ck_assert_int_eq(proto_send_new(&send, s->spans, s->n, &e), 0);
    for (size_t i = 0; i < n; i++) {
        ck_assert_msg(proto_send_next(send, &m, &found, &e) == 0, "%s", e.msg);
        ck_assert(found);
        const char *field = send_oracle_differs(&m, messages[i]);
        ck_assert_msg(!field, "message %zu differs in %s", i, field);
    }
    ck_assert_int_eq(proto_send_next(send, &m, &found, &e), 0);
    ck_assert(!found);
    expect_whole(send, s, messages, n);
    proto_send_free(send);
}

/* The first error of decoding these bytes. */
static int first_error(struct span bytes, struct err *e)
{
    struct proto_send *send;
    struct proto_message m;
    bool found = true;
    int rc = proto_send_new(&send, &bytes, 1, e);
    while (rc == 0 && found)
        rc = proto_send_next(send, &m, &found, e);
    proto_send_free(send);
    return rc;
}

START_TEST(a_full_message_reads_the_same_cut_at_any_byte)
{
    struct sample sample = {0};
    fill(&sample);
    message_pb *messages[] = {&sample.message};
    const struct span bytes = pack(messages, 1);
    for (size_t at = 0; at <= bytes.len; at++) {
        struct slices s = slices_in_two(bytes, at);
        expect(&s, messages, 1);
        slices_free(&s);
    }
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(three_messages_read_the_same_in_many_slices)
{
    struct sample full = {0}, bare = {0};
    fill(&full);
    fill_parts(&bare);
    message_pb empty = APACHE__ROCKETMQ__V2__MESSAGE__INIT;
    message_pb *messages[] = {&full.message, &bare.message, &empty, &full.message};
    const struct span bytes = pack(messages, 4);
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct slices s = slices_at_random(bytes, 1 + seed % 40, seed);
        expect(&s, messages, 4);
        slices_free(&s);
    }
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(a_body_is_the_slices_themselves)
{
    struct sample sample = {0};
    fill(&sample);
    message_pb *messages[] = {&sample.message};
    const struct span bytes = pack(messages, 1);
    struct slices s = slices_at_random(bytes, 50, 9);
    struct proto_send *send;
    struct proto_message m;
    struct err e;
    bool found;
    ck_assert_int_eq(proto_send_new(&send, s.spans, s.n, &e), 0);
    ck_assert_int_eq(proto_send_next(send, &m, &found, &e), 0);
    ck_assert_uint_gt(m.n_body, 5);
    for (size_t i = 0; i < m.n_body; i++) {
        bool is_in_slice = false;
        for (size_t k = 0; k < s.n; k++)
            is_in_slice |= m.body[i].ptr >= s.spans[k].ptr &&
                           m.body[i].ptr + m.body[i].len <= s.spans[k].ptr + s.spans[k].len;
        ck_assert(is_in_slice);
    }
    proto_send_free(send);
    slices_free(&s);
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(an_absent_tag_differs_from_an_empty_one)
{
    struct sample absent = {0}, empty = {0};
    fill_parts(&absent);
    fill_parts(&empty);
    empty.system.tag = (char *)"";
    empty.system._tag_case = 1;
    message_pb *messages[] = {&absent.message, &empty.message};
    const struct span bytes = pack(messages, 2);
    struct slices s = slices_in_two(bytes, 0);
    expect(&s, messages, 2);
    slices_free(&s);
    free((void *)bytes.ptr);
}
END_TEST

/* Decodes one message of one slice; the caller frees the walker. */
static struct proto_send *decode_one(const struct span *bytes, struct proto_message *ret)
{
    struct proto_send *send;
    struct err e = {0};
    bool found = false;
    ck_assert_int_eq(proto_send_new(&send, bytes, 1, &e), 0);
    ck_assert_msg(proto_send_next(send, ret, &found, &e) == 0, "%s", e.msg);
    ck_assert(found);
    return send;
}

START_TEST(of_a_repeated_field_the_last_counts_and_messages_merge)
{
    /* Topic {namespace n}, body "old", topic {name t}, body "new", tags "a" then "b". */
    const struct span bytes =
        span_str("\x0a\x1e\x0a\x03\x0a\x01n\x22\x03old\x0a\x03\x12\x01t\x22\x03"
                 "new\x1a\x03\x0a\x01"
                 "a\x1a\x03\x0a\x01"
                 "b");
    struct proto_message m;
    struct proto_send *send = decode_one(&bytes, &m);
    ck_assert(span_equal(m.topic_namespace, span_str("n")));
    ck_assert(span_equal(m.topic, span_str("t")));
    ck_assert(span_equal(m.tag, span_str("b")));
    ck_assert_uint_eq(m.n_body, 1);
    ck_assert(span_equal(m.body[0], span_str("new")));
    proto_send_free(send);
}
END_TEST

START_TEST(a_property_named_twice_has_its_last_value)
{
    const struct span bytes = span_str("\x0a\x10\x12\x06\x0a\x01k\x12\x01"
                                       "1\x12\x06\x0a\x01k\x12\x01"
                                       "2");
    struct proto_message m;
    struct proto_send *send = decode_one(&bytes, &m);
    ck_assert_uint_eq(m.n_properties, 1);
    ck_assert(span_equal(m.properties[0].value, span_str("2")));
    proto_send_free(send);
}
END_TEST

START_TEST(unknown_fields_and_foreign_types_are_passed_over)
{
    /* In the request: field 15; in the message: field 9 fixed64, and the body (4) as a number. */
    const struct span bytes = span_of("\x7a\x02zz\x0a\x10\x49\1\2\3\4\5\6\7\x08\x20\x05\x0a\x03\x12"
                                      "\x01t",
                                      22);
    struct proto_message m;
    struct proto_send *send = decode_one(&bytes, &m);
    ck_assert(span_equal(m.topic, span_str("t")));
    ck_assert_uint_eq(m.body_len, 0);
    proto_send_free(send);
}
END_TEST

START_TEST(a_time_beyond_all_calendars_is_brought_back)
{
    /* delivery_timestamp {seconds INT64_MAX}, born_timestamp {seconds INT64_MIN}. */
    const struct span bytes =
        span_of("\x0a\x1b\x1a\x19\x5a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
                "\x3a\x0b\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
                29);
    struct proto_message m;
    struct proto_send *send = decode_one(&bytes, &m);
    ck_assert_int_eq(m.delivery_ms, INT64_C(253402300799000));
    ck_assert_int_eq(m.born_ms, INT64_C(-62135596800000));
    proto_send_free(send);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_refused)
{
    struct err e;
    ck_assert_int_eq(first_error(span_str("\x0a\x05\x0a\x03\x12\x01\xff"), &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "not UTF-8"));
    ck_assert_int_eq(first_error(span_str("\x0a\x05\x1a\x03\x12\x01\x80"), &e), ERR_INVAL);
    ck_assert_int_eq(first_error(span_str("\x0a\x05\x12\x03\x0a\x01\xc0"), &e), ERR_INVAL);
}
END_TEST

START_TEST(a_request_cut_short_anywhere_is_refused)
{
    struct sample sample = {0};
    fill(&sample);
    message_pb *messages[] = {&sample.message};
    const struct span bytes = pack(messages, 1);
    for (size_t len = 1; len < bytes.len; len++) {
        struct err e;
        uint8_t *copy = malloc(len);
        memcpy(copy, bytes.ptr, len);
        ck_assert_int_eq(first_error(span_of(copy, len), &e), ERR_INVAL);
        ck_assert_ptr_nonnull(strstr(e.msg, "decode SendMessageRequest"));
        free(copy);
    }
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(no_messages_are_found_in_an_empty_request)
{
    struct err e = {0};
    ck_assert_int_eq(first_error((struct span){0}, &e), 0);
}
END_TEST

/* A request of one message that repeats `part`, followed by the number of the repetition. */
static int error_of_many(const char *part, size_t part_len, size_t n, struct err *e)
{
    uint8_t *buf = malloc(16 + n * (part_len + 4) + 1);
    size_t len = 16;
    for (size_t i = 0; i < n; i++) {
        memcpy(buf + len, part, part_len);
        len += part_len;
        len += (size_t)sprintf((char *)buf + len, "%04zu", i);
    }
    /* The head, in front: field 1 with a length of three bytes. */
    const size_t body = len - 16;
    uint8_t *head = buf + 12;
    head[0] = 0x0a;
    head[1] = (uint8_t)(body | 0x80);
    head[2] = (uint8_t)(body >> 7 | 0x80);
    head[3] = (uint8_t)(body >> 14);
    const int rc = first_error(span_of(head, body + 4), e);
    free(buf);
    return rc;
}

START_TEST(the_number_of_properties_is_limited)
{
    struct err e;
    const char *part = "\x12\x06\x0a\x04"; /* and four digits: the key */
    ck_assert_int_eq(error_of_many(part, 4, PROTO_SEND_MAX_PROPERTIES, &e), 0);
    ck_assert_int_eq(error_of_many(part, 4, PROTO_SEND_MAX_PROPERTIES + 1, &e), ERR_TOOBIG);
    ck_assert_ptr_nonnull(strstr(e.msg, "over 256 user properties"));
}
END_TEST

START_TEST(the_number_of_keys_is_limited)
{
    struct err e;
    const char *part = "\x1a\x06\x12\x04"; /* and four digits: the key */
    ck_assert_int_eq(error_of_many(part, 4, PROTO_SEND_MAX_KEYS, &e), 0);
    ck_assert_int_eq(error_of_many(part, 4, PROTO_SEND_MAX_KEYS + 1, &e), ERR_TOOBIG);
    ck_assert_ptr_nonnull(strstr(e.msg, "over 1024 keys"));
}
END_TEST

START_TEST(the_number_of_messages_is_limited)
{
    uint8_t bytes[2 * (PROTO_SEND_MAX_MESSAGES + 1)];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i % 2 ? 0 : 0x0a;
    struct err e;
    ck_assert_int_eq(first_error(span_of(bytes, sizeof bytes - 2), &e), 0);
    ck_assert_int_eq(first_error(span_of(bytes, sizeof bytes), &e), ERR_TOOBIG);
    ck_assert_ptr_nonnull(strstr(e.msg, "over 1024 messages"));
}
END_TEST

static void add_readings(TCase *tc)
{
    tcase_add_test(tc, a_full_message_reads_the_same_cut_at_any_byte);
    tcase_add_test(tc, three_messages_read_the_same_in_many_slices);
    tcase_add_test(tc, a_body_is_the_slices_themselves);
    tcase_add_test(tc, an_absent_tag_differs_from_an_empty_one);
    tcase_add_test(tc, of_a_repeated_field_the_last_counts_and_messages_merge);
    tcase_add_test(tc, a_property_named_twice_has_its_last_value);
    tcase_add_test(tc, unknown_fields_and_foreign_types_are_passed_over);
    tcase_add_test(tc, a_time_beyond_all_calendars_is_brought_back);
}

START_TEST(a_walker_reads_on_after_a_malformed_request)
{
    const struct span bad = span_str("\x0a\x05zz"), empty = {0};
    const struct proto_message *read;
    struct proto_send *send;
    struct err e;
    size_t n = 1;
    ck_assert_int_eq(proto_send_new(&send, NULL, 0, &e), 0);
    ck_assert_int_eq(proto_send_read(send, &bad, 1, &read, &n, &e), ERR_INVAL);
    ck_assert_int_eq(proto_send_read(send, &empty, 1, &read, &n, &e), 0);
    ck_assert_uint_eq(n, 0);
    proto_send_free(send);
}
END_TEST

static void add_refusals(TCase *tc)
{
    tcase_add_test(tc, text_that_is_not_utf8_is_refused);
    tcase_add_test(tc, a_request_cut_short_anywhere_is_refused);
    tcase_add_test(tc, no_messages_are_found_in_an_empty_request);
    tcase_add_test(tc, the_number_of_properties_is_limited);
    tcase_add_test(tc, the_number_of_keys_is_limited);
    tcase_add_test(tc, the_number_of_messages_is_limited);
    tcase_add_test(tc, a_walker_reads_on_after_a_malformed_request);
}

int main(void)
{
    Suite *suite = suite_create("proto_send");
    TCase *readings = tcase_create("readings");
    TCase *refusals = tcase_create("refusals");
    add_readings(readings);
    add_refusals(refusals);
    suite_add_tcase(suite, readings);
    suite_add_tcase(suite, refusals);
    return suite_run(suite);
}

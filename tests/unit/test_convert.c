/* Wire message to record and back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/convert.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/suite.h"

static struct convert_properties props;
static struct convert_origin origin; /* of start() */

static struct span body = {(const uint8_t *)"body", 4};

static struct proto_message minimal(void)
{
    return (struct proto_message){.topic = span_str("T"),
                                  .message_id = span_str("ID"),
                                  .body_encoding = APACHE__ROCKETMQ__V2__ENCODING__IDENTITY,
                                  .body = &body,
                                  .n_body = 1,
                                  .body_len = 4};
}

static struct store_message to_record(const struct proto_message *m)
{
    struct store_message record;
    struct status st;
    ck_assert_int_eq(convert_to_record(m, &origin, &props, &record, &st), 0);
    return record;
}

static void expect_property(struct span properties, const char *name, const char *want)
{
    struct span value;
    if (!want) {
        ck_assert(!store_property_get(properties, name, &value));
        return;
    }
    ck_assert_msg(store_property_get(properties, name, &value), "'%s' is missing", name);
    ck_assert_msg(span_equal(value, span_str(want)), "'%s' is '%.*s', not '%s'", name,
                  (int)value.len, (const char *)value.ptr, want);
}

/* ---- from the wire ---- */

START_TEST(the_fields_become_rocketmq_s_properties)
{
    struct proto_message m = minimal();
    const struct span keys[] = {span_str("k1"), span_str("k2")};
    const struct proto_property user[] = {{span_str("colour"), span_str("blue")}};
    m.has = PROTO_HAS_TAG | PROTO_HAS_MESSAGE_GROUP | PROTO_HAS_TRACE_CONTEXT |
            PROTO_HAS_BORN_TIMESTAMP;
    m.tag = span_str("TagA");
    m.keys = keys;
    m.n_keys = 2;
    m.message_group = span_str("g");
    m.trace_context = span_str("trace");
    m.born_host = span_str("client-host");
    m.born_ms = 1234;
    m.properties = user;
    m.n_properties = 1;
    struct store_message record = to_record(&m);
    expect_property(record.properties, "TAGS", "TagA");
    expect_property(record.properties, "KEYS", "k1 k2");
    expect_property(record.properties, "UNIQ_KEY", "ID");
    expect_property(record.properties, "__SHARDINGKEY", "g");
    expect_property(record.properties, "TRACE_CONTEXT", "trace");
    expect_property(record.properties, "__BORNHOST", "client-host");
    expect_property(record.properties, "BORN_TIMESTAMP", "1234");
    expect_property(record.properties, "colour", "blue");
    ck_assert_uint_eq(record.born_ms, 1234);
}
END_TEST

START_TEST(what_the_client_does_not_say_comes_from_its_connection)
{
    struct proto_message m = minimal();
    struct store_message record = to_record(&m);
    const uint8_t want[] = {10, 1, 2, 3};
    expect_property(record.properties, "__BORNHOST", "10.1.2.3");
    expect_property(record.properties, "TAGS", NULL);
    expect_property(record.properties, "KEYS", NULL);
    ck_assert_uint_eq(record.born_ms, origin.now_ms);
    ck_assert_mem_eq(record.born_host.addr, want, 4);
    ck_assert_uint_eq(record.born_host.port, 4567);
}
END_TEST

START_TEST(a_time_is_written_in_decimal_without_an_end)
{
    static const int64_t times[] = {0, 9, 10, 1700000000123, INT64_MAX};
    static const char *const texts[] = {"0", "9", "10", "1700000000123", "9223372036854775807"};
    struct proto_message m = minimal();
    m.has = PROTO_HAS_BORN_TIMESTAMP;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        m.born_ms = times[i];
        expect_property(to_record(&m).properties, "BORN_TIMESTAMP", texts[i]);
    }
}
END_TEST

START_TEST(the_properties_of_a_record_fill_it_to_the_last_byte)
{
    static char trace[CONVERT_PROPERTIES_MAX];
    struct proto_message m = minimal();
    struct store_message record;
    struct status st;
    memset(trace, 'x', sizeof trace);
    m.has = PROTO_HAS_TRACE_CONTEXT;
    m.trace_context = span_of(trace, 1);
    size_t others = to_record(&m).properties.len - 1;
    m.trace_context = span_of(trace, CONVERT_PROPERTIES_MAX - others);
    ck_assert_uint_eq(to_record(&m).properties.len, CONVERT_PROPERTIES_MAX);
    m.trace_context.len++;
    ck_assert_int_ne(convert_to_record(&m, &origin, &props, &record, &st), 0);
    ck_assert_int_eq(st.code, CODE(MESSAGE_PROPERTIES_TOO_LARGE));
}
END_TEST

START_TEST(the_body_is_passed_on_where_it_lies)
{
    struct proto_message m = minimal();
    struct store_message record = to_record(&m);
    ck_assert_ptr_eq(record.body, &body);
    ck_assert_uint_eq(record.n_body, 1);
}
END_TEST

START_TEST(a_compressed_body_is_flagged)
{
    struct proto_message m = minimal();
    ck_assert_int_eq(to_record(&m).sys_flag, 0);
    m.body_encoding = APACHE__ROCKETMQ__V2__ENCODING__GZIP;
    ck_assert_int_eq(to_record(&m).sys_flag, STORE_SYSFLAG_COMPRESSED);
}
END_TEST

START_TEST(a_separator_in_a_trace_context_is_refused)
{
    struct proto_message m = minimal();
    struct store_message record;
    struct status st;
    m.has = PROTO_HAS_TRACE_CONTEXT;
    m.trace_context = span_of("a\002TAGS\001b", 8);
    ck_assert_int_ne(convert_to_record(&m, &origin, &props, &record, &st), 0);
    ck_assert_int_eq(st.code, CODE(BAD_REQUEST));
}
END_TEST

START_TEST(a_separator_in_a_born_host_is_not_stored)
{
    struct proto_message m = minimal();
    m.born_host = span_of("a\002TAGS\001b", 8);
    struct store_message record = to_record(&m);
    expect_property(record.properties, "__BORNHOST", "10.1.2.3");
    expect_property(record.properties, "TAGS", NULL);
}
END_TEST

START_TEST(properties_that_a_record_cannot_hold_are_refused)
{
    static char trace[CONVERT_PROPERTIES_MAX + 1];
    struct proto_message m = minimal();
    struct store_message record;
    struct status st;
    memset(trace, 'x', sizeof trace);
    m.has = PROTO_HAS_TRACE_CONTEXT;
    m.trace_context = span_of(trace, sizeof trace);
    ck_assert_int_ne(convert_to_record(&m, &origin, &props, &record, &st), 0);
    ck_assert_int_eq(st.code, CODE(MESSAGE_PROPERTIES_TOO_LARGE));
}
END_TEST

START_TEST(reserved_names_are_known)
{
    static const char *const yes[] = {"TAGS",       "KEYS", "UNIQ_KEY", "1ST_POP_TIME", "__CRC32#",
                                      "__BORNHOST", "TTL",  "POP_CK",   "POP_CK_OFFSET"};
    static const char *const no[] = {"", "TAG", "TAGSX", "tags", "__SHARDINGKEY", "TRACE_CONTEXT"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        ck_assert_msg(convert_is_reserved(span_str(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        ck_assert_msg(!convert_is_reserved(span_str(no[i])), "%s", no[i]);
}
END_TEST

START_TEST(addresses_are_parsed_or_refused)
{
    struct store_host host;
    ck_assert(convert_parse_host("[::1]:80", &host));
    ck_assert_uint_eq(host.addr_len, 16);
    ck_assert_uint_eq(host.addr[15], 1);
    ck_assert_uint_eq(host.port, 80);
    static const char *const bad[] = {"",      ":", "host:1", "1.2.3.4",
                                      "[::1]", "[", "[]:1",   "1.2.3:4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!convert_parse_host(bad[i], &host), "%s", bad[i]);
        ck_assert_uint_eq(host.addr_len, 4);
    }
}
END_TEST

/* ---- to the wire ---- */

static struct convert_delivery scratch;

static struct proto_delivery deliver(const char *properties, size_t len)
{
    struct err e;
    struct proto_delivery d;
    struct store_record rec = {.queue_id = 3,
                               .queue_off = 7,
                               .log_off = 0x1234,
                               .born_ms = 11,
                               .store_ms = 22,
                               .born_host = {.addr = {1, 2, 3, 4}, .addr_len = 4, .port = 5},
                               .store_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 8081},
                               .body = body,
                               .properties = span_of(properties, len)};
    ck_assert_int_eq(convert_to_delivery(&scratch, &rec, &d, &e), 0);
    return d;
}

#define DELIVER(text) deliver(text, sizeof(text) - 1)

START_TEST(a_record_s_header_and_properties_become_fields)
{
    struct proto_delivery d =
        DELIVER("TAGS\001TagA\002UNIQ_KEY\001ID\002KEYS\001k1 k2\002"
                "__BORNHOST\001h\002BORN_TIMESTAMP\00199\002colour\001blue\002");
    ck_assert(d.has & PROTO_HAS_TAG);
    ck_assert(span_equal(d.tag, span_str("TagA")));
    ck_assert(span_equal(d.message_id, span_str("ID")));
    ck_assert_uint_eq(d.n_keys, 2);
    ck_assert(span_equal(d.keys[1], span_str("k2")));
    ck_assert(span_equal(d.born_host, span_str("h")));
    ck_assert_int_eq(d.born_ms, 99);
    ck_assert_int_eq(d.store_ms, 22);
    ck_assert(span_equal(d.store_host, span_str("127.0.0.1:8081")));
    ck_assert_int_eq(d.queue_id, 3);
    ck_assert_int_eq(d.queue_off, 7);
    ck_assert_uint_eq(d.n_properties, 1);
    ck_assert(span_equal(d.properties[0].key, span_str("colour")));
    ck_assert_int_eq(d.message_type, APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL);
    ck_assert_int_eq(d.body_encoding, APACHE__ROCKETMQ__V2__ENCODING__IDENTITY);
    ck_assert_uint_eq(d.body_len, 4);
}
END_TEST

START_TEST(a_group_is_shown_as_a_field_and_as_a_property)
{
    struct proto_delivery d = DELIVER("__SHARDINGKEY\001g\002");
    ck_assert_int_eq(d.message_type, APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO);
    ck_assert(d.has & PROTO_HAS_MESSAGE_GROUP);
    ck_assert(span_equal(d.message_group, span_str("g")));
    ck_assert_uint_eq(d.n_properties, 1);
}
END_TEST

START_TEST(the_broker_s_own_properties_stay_hidden)
{
    struct proto_delivery d =
        DELIVER("MSG_REGION\001r\002TRACE_ON\001true\002CLUSTER\001c\002INNER_NUM\0011\002"
                "CHECK_IMMUNITY_TIME_IN_SECONDS\0016\002__transactionId__\001t\002");
    ck_assert_uint_eq(d.n_properties, 0);
}
END_TEST

START_TEST(a_message_without_an_id_is_named_by_its_place)
{
    struct proto_delivery d = DELIVER("");
    ck_assert(span_equal(d.message_id, span_str("7F00000100001F910000000000001234")));
    ck_assert(span_equal(d.born_host, span_str("1.2.3.4")));
}
END_TEST

START_TEST(text_that_is_no_utf8_is_left_out)
{
    struct proto_delivery d = DELIVER("TAGS\001ok\002a\001\xff\002b\001good\002\xfe\001c\002");
    ck_assert(span_equal(d.tag, span_str("ok")));
    ck_assert_uint_eq(d.n_properties, 1);
    ck_assert(span_equal(d.properties[0].key, span_str("b")));
}
END_TEST

START_TEST(more_properties_than_ever_before_find_room)
{
    static char text[8 * 500 + 1];
    size_t len = 0;
    for (int i = 0; i < 500; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "p%d\001v\002", i);
    struct proto_delivery d = deliver(text, len);
    ck_assert_uint_eq(d.n_properties, 500);
    ck_assert(span_equal(d.properties[499].key, span_str("p499")));
}
END_TEST

START_TEST(more_keys_than_usual_find_room)
{
    char text[8 + 3 * 90 + 1] = "KEYS\001";
    size_t len = strlen(text);
    for (int i = 10; i < 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%d ", i);
    text[len++] = '\002';
    for (int round = 0; round < 2; round++) {
        struct proto_delivery d = deliver(text, len);
        ck_assert_uint_eq(d.n_keys, 90);
        for (int i = 0; i < 90; i++)
            ck_assert_int_eq(d.keys[i].ptr[0] * 10 + d.keys[i].ptr[1], '0' * 11 + 10 + i);
    }
}
END_TEST

START_TEST(what_goes_in_comes_out)
{
    struct proto_message m = minimal();
    const struct span keys[] = {span_str("k")};
    const struct proto_property user[] = {{span_str("名"), span_str("値")}};
    m.has = PROTO_HAS_TAG;
    m.tag = span_str("标签");
    m.keys = keys;
    m.n_keys = 1;
    m.properties = user;
    m.n_properties = 1;
    struct store_message record = to_record(&m);
    struct proto_delivery d = deliver((const char *)record.properties.ptr, record.properties.len);
    ck_assert(span_equal(d.tag, m.tag));
    ck_assert(span_equal(d.message_id, m.message_id));
    ck_assert_uint_eq(d.n_keys, 1);
    ck_assert_uint_eq(d.n_properties, 1);
    ck_assert(span_equal(d.properties[0].value, user[0].value));
}
END_TEST

static void start(void)
{
    origin = convert_origin_of("10.1.2.3:4567", 1700000000123);
}

static void release(void)
{
    convert_delivery_fini(&scratch);
}

int main(void)
{
    Suite *suite = suite_create("convert");
    TCase *tc = tcase_create("convert");
    tcase_add_checked_fixture(tc, start, release);
    tcase_add_test(tc, the_fields_become_rocketmq_s_properties);
    tcase_add_test(tc, what_the_client_does_not_say_comes_from_its_connection);
    tcase_add_test(tc, a_time_is_written_in_decimal_without_an_end);
    tcase_add_test(tc, the_properties_of_a_record_fill_it_to_the_last_byte);
    tcase_add_test(tc, the_body_is_passed_on_where_it_lies);
    tcase_add_test(tc, a_compressed_body_is_flagged);
    tcase_add_test(tc, a_separator_in_a_trace_context_is_refused);
    tcase_add_test(tc, a_separator_in_a_born_host_is_not_stored);
    tcase_add_test(tc, properties_that_a_record_cannot_hold_are_refused);
    tcase_add_test(tc, reserved_names_are_known);
    tcase_add_test(tc, addresses_are_parsed_or_refused);
    tcase_add_test(tc, a_record_s_header_and_properties_become_fields);
    tcase_add_test(tc, a_group_is_shown_as_a_field_and_as_a_property);
    tcase_add_test(tc, the_broker_s_own_properties_stay_hidden);
    tcase_add_test(tc, a_message_without_an_id_is_named_by_its_place);
    tcase_add_test(tc, text_that_is_no_utf8_is_left_out);
    tcase_add_test(tc, more_properties_than_ever_before_find_room);
    tcase_add_test(tc, more_keys_than_usual_find_room);
    tcase_add_test(tc, what_goes_in_comes_out);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Tests of tools/dump_record.c: what a record looks like as JSON, foreign bytes included. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_record.h"

#include <string.h>

#include "tests/lib/suite.h"

static struct store_walk_item hello_item(void)
{
    return (struct store_walk_item){
        .kind = STORE_WALK_RECORD,
        .body_ok = true,
        .rec = {.log_off = 4096,
                .size = 115,
                .magic = STORE_MAGIC_V1,
                .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 50000},
                .store_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 10911},
                .body = span_str("Hello"),
                .topic = span_str("TopicTest"),
                .properties = span_str("TAGS\001TagA\002")},
    };
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "(none)";
}

START_TEST(names_and_values_are_those_of_the_listings)
{
    struct store_walk_item item = hello_item();
    struct dump_place place = {.is_known = true, .is_dispatched = true, .tag_code = 2598919};
    json_t *o = dump_record_json(&item, &place, DUMP_WITHOUT_BODY);
    ck_assert_str_eq(text_of(o, "magic"), "0xDAA320A7");
    ck_assert_str_eq(text_of(o, "version"), "V1");
    ck_assert_str_eq(text_of(o, "bornHost"), "127.0.0.1:50000");
    ck_assert_str_eq(text_of(o, "offsetMsgId"), "7F00000100002A9F0000000000001000");
    ck_assert_str_eq(text_of(o, "bodySha256"),
                     "185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969");
    ck_assert_int_eq(json_integer_value(json_object_get(o, "tagsCode")), 2598919);
    ck_assert_str_eq(text_of(json_object_get(o, "properties"), "TAGS"), "TagA");
    ck_assert_ptr_null(json_object_get(o, "batchNum"));
    json_decref(o);
}
END_TEST

START_TEST(what_a_lone_file_cannot_tell_is_null)
{
    struct store_walk_item item = hello_item();
    struct dump_place place = {0};
    json_t *o = dump_record_json(&item, &place, DUMP_WITHOUT_BODY);
    ck_assert(json_is_null(json_object_get(o, "tagsCode")));
    ck_assert(json_is_null(json_object_get(o, "dispatched")));
    json_decref(o);
    place.is_known = true;
    o = dump_record_json(&item, &place, DUMP_WITHOUT_BODY);
    ck_assert(json_is_null(json_object_get(o, "tagsCode")));
    ck_assert(json_is_false(json_object_get(o, "dispatched")));
    json_decref(o);
}
END_TEST

START_TEST(addresses_of_version_6_are_not_shortened)
{
    struct store_walk_item item = hello_item();
    struct dump_place place = {0};
    item.rec.born_host = (struct store_host){
        .addr = {0x20, 1, 0x0d, 0xb8, [13] = 1, [15] = 2}, .addr_len = 16, .port = 9};
    json_t *o = dump_record_json(&item, &place, DUMP_WITHOUT_BODY);
    ck_assert_str_eq(text_of(o, "bornHost"), "[2001:db8:0:0:0:0:1:2]:9");
    json_decref(o);
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced_one_by_one)
{
    struct store_walk_item item = hello_item();
    struct dump_place place = {0};
    item.rec.topic = span_str("a\xff\xc3\xa9\xe2\x82");
    item.rec.properties = span_str("k\xfe\001v\xfd\002");
    json_t *o = dump_record_json(&item, &place, DUMP_WITHOUT_BODY);
    ck_assert_str_eq(text_of(o, "topic"), "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
    ck_assert_str_eq(text_of(json_object_get(o, "properties"), "k\xef\xbf\xbd"), "v\xef\xbf\xbd");
    json_decref(o);
}
END_TEST

START_TEST(an_empty_body_and_no_properties_are_shown)
{
    struct store_walk_item item = hello_item();
    struct dump_place place = {0};
    item.rec.body = item.rec.properties = (struct span){0};
    json_t *o = dump_record_json(&item, &place, DUMP_WITHOUT_BODY);
    ck_assert_str_eq(text_of(o, "bodySha256"),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ck_assert_str_eq(text_of(o, "propertiesString"), "");
    ck_assert_uint_eq(json_object_size(json_object_get(o, "properties")), 0);
    json_decref(o);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dump_record");
    TCase *tc = tcase_create("dump_record");
    tcase_add_test(tc, names_and_values_are_those_of_the_listings);
    tcase_add_test(tc, what_a_lone_file_cannot_tell_is_null);
    tcase_add_test(tc, addresses_of_version_6_are_not_shortened);
    tcase_add_test(tc, bytes_that_are_not_utf8_are_replaced_one_by_one);
    tcase_add_test(tc, an_empty_body_and_no_properties_are_shown);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

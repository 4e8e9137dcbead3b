/* What a request may hold. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bounds.h"

#include <string.h>

#include "tests/lib/suite.h"

static struct config cfg;

static void setup(void)
{
    config_init(&cfg);
}

static struct proto_message legal(void)
{
    return (struct proto_message){
        .topic = span_str("T"), .message_id = span_str("ID"), .body_len = 1};
}

static int32_t code_of(const struct proto_message *m)
{
    struct status st;
    return bounds_check_message(m, cfg.max_message_bytes, &st) ? st.code : CODE(OK);
}

/* ---- messages ---- */

START_TEST(a_plain_message_is_legal)
{
    struct proto_message m = legal();
    ck_assert_int_eq(code_of(&m), CODE(OK));
}
END_TEST

START_TEST(a_message_needs_an_id)
{
    struct proto_message m = legal();
    m.message_id = span_str("  ");
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_ID));
    m.message_id = (struct span){0};
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_ID));
}
END_TEST

START_TEST(a_tag_is_not_blank_and_has_no_bar_or_control_character)
{
    static const char *const bad[] = {" ", "\t", "a|b", "|", "a\nb", "\x7f", "\xc2\x85"};
    struct proto_message m = legal();
    m.has = PROTO_HAS_TAG;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        m.tag = span_str(bad[i]);
        ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_TAG));
    }
    static const char *const good[] = {"TagA", "标签", "a b", "*", "\xc2\xa0"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        m.tag = span_str(good[i]);
        ck_assert_int_eq(code_of(&m), CODE(OK));
    }
}
END_TEST

START_TEST(a_control_character_is_found_wherever_it_stands)
{
    char tag[20];
    struct proto_message m = legal();
    m.has = PROTO_HAS_TAG;
    m.tag = span_of(tag, sizeof tag);
    for (size_t at = 0; at < sizeof tag; at++)
        for (int c = 0; c < 0x80; c++) {
            memset(tag, 'a', sizeof tag);
            tag[at] = (char)c;
            bool is_bad = c < 0x20 || c == 0x7f || c == '|';
            ck_assert_msg((code_of(&m) != CODE(OK)) == is_bad, "%d at %zu", c, at);
        }
    for (size_t at = 0; at + 1 < sizeof tag; at++) {
        memset(tag, 'a', sizeof tag);
        memcpy(tag + at, "\xc2\x85", 2);
        ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_TAG));
    }
}
END_TEST

START_TEST(each_key_is_checked)
{
    struct span keys[] = {span_str("good"), span_str("also good"), span_str(" ")};
    struct proto_message m = legal();
    m.keys = keys;
    m.n_keys = 2;
    ck_assert_int_eq(code_of(&m), CODE(OK));
    m.n_keys = 3;
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_KEY));
    keys[2] = span_of("a\0b", 3);
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_KEY));
}
END_TEST

START_TEST(property_names_are_free_but_for_reserved_ones_and_control_characters)
{
    struct proto_property p = {span_str("名 % _ || &&"), span_str("v")};
    struct proto_message m = legal();
    m.properties = &p;
    m.n_properties = 1;
    ck_assert_int_eq(code_of(&m), CODE(OK));
    p.key = span_str("TAGS");
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_PROPERTY_KEY));
    p.key = span_of("a\0b", 3);
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_PROPERTY_KEY));
    p.key = span_str("k");
    p.value = span_str("a\002TAGS\001b");
    ck_assert_int_eq(code_of(&m), CODE(ILLEGAL_MESSAGE_PROPERTY_KEY));
}
END_TEST

START_TEST(tag_keys_and_properties_share_16384_bytes)
{
    static char filler[16384];
    memset(filler, 'x', sizeof filler);
    struct span key = span_str("kk");
    struct proto_property p = {span_str("name"), span_of(filler, 16384 - 4 - 2 - 3)};
    struct proto_message m = legal();
    m.has = PROTO_HAS_TAG;
    m.tag = span_str("tag");
    m.keys = &key;
    m.n_keys = 1;
    m.properties = &p;
    m.n_properties = 1;
    ck_assert_int_eq(code_of(&m), CODE(OK));
    p.value.len++;
    ck_assert_int_eq(code_of(&m), CODE(MESSAGE_PROPERTIES_TOO_LARGE));
}
END_TEST

START_TEST(a_declared_type_that_is_special_is_believed)
{
    struct proto_message m = legal();
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_NORMAL);
    m.has = PROTO_HAS_MESSAGE_GROUP;
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_FIFO);
    m.has |= PROTO_HAS_DELIVERY_TIMESTAMP;
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_DELAY);
    m.has = 0;
    m.message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__TRANSACTION;
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_TRANSACTION);
    m.message_type = 4711; /* a number we do not know */
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_NORMAL);
    m.has = PROTO_HAS_PRIORITY;
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_PRIORITY);
    m.has = PROTO_HAS_LITE_TOPIC;
    ck_assert_int_eq(bounds_message_type(&m), TOPIC_LITE);
}
END_TEST

/* ---- times ---- */

START_TEST(an_invisible_time_has_bounds)
{
    struct status st;
    ck_assert_int_ne(bounds_check_receive_invisible(&cfg, 9999, &st), 0);
    ck_assert_int_eq(st.code, CODE(ILLEGAL_INVISIBLE_TIME));
    ck_assert_ptr_nonnull(strstr(st.text, "the invisibleTime is too small"));
    ck_assert_int_eq(bounds_check_receive_invisible(&cfg, 10000, &st), 0);
    ck_assert_int_eq(bounds_check_receive_invisible(&cfg, 43200000, &st), 0);
    ck_assert_int_ne(bounds_check_receive_invisible(&cfg, 43200001, &st), 0);
    ck_assert_ptr_nonnull(strstr(st.text, "the invisibleTime is too large"));
    ck_assert_int_eq(bounds_check_change_invisible(&cfg, 0, &st), 0);
    ck_assert_int_ne(bounds_check_change_invisible(&cfg, -1, &st), 0);
    ck_assert_int_ne(bounds_check_change_invisible(&cfg, 43200001, &st), 0);
}
END_TEST

/* The time, or -1 with ILLEGAL_POLLING_TIME. */
static int64_t poll_time(int64_t asked_ms, uint64_t remaining_ms)
{
    struct bounds_poll poll = {
        .asked_ms = asked_ms, .remaining_ms = remaining_ms, .request_ms = 3000};
    struct status st;
    uint64_t ms = 0;
    if (bounds_poll_time(&cfg, &poll, &ms, &st) == 0)
        return (int64_t)ms;
    ck_assert_int_eq(st.code, CODE(ILLEGAL_POLLING_TIME));
    return -1;
}

START_TEST(a_poll_takes_what_was_asked_within_5_and_20_seconds)
{
    ck_assert_int_eq(poll_time(10000, 13000), 10000);
    ck_assert_int_eq(poll_time(1000, 20000), 5000);
    ck_assert_int_eq(poll_time(60000, 63000), 20000);
    ck_assert_int_eq(poll_time(10000, UINT64_MAX), 10000);
}
END_TEST

START_TEST(a_poll_leaves_200_ms_before_the_deadline)
{
    ck_assert_int_eq(poll_time(20000, 20000), 19800);
    ck_assert_int_eq(poll_time(20000, 20100), 19900);
    ck_assert_int_eq(poll_time(20000, 20200), 20000);
    ck_assert_int_eq(poll_time(30000, 6000), 5800);
}
END_TEST

START_TEST(a_poll_of_unsaid_length_leaves_half_the_request_timeout)
{
    ck_assert_int_eq(poll_time(-1, 13000), 11500);
    ck_assert_int_eq(poll_time(-1, 60000), 20000);
    ck_assert_int_eq(poll_time(-1, UINT64_MAX), 20000);
}
END_TEST

START_TEST(a_deadline_that_is_too_near_is_refused)
{
    ck_assert_int_eq(poll_time(-1, 4499), -1);
    ck_assert_int_eq(poll_time(20000, 4499), -1);
    ck_assert_int_eq(poll_time(-1, 4500), 4300);
}
END_TEST

START_TEST(a_deadline_of_the_shortest_wait_may_have_run_for_half_a_second)
{
    ck_assert_int_eq(poll_time(5000, 5000), 4800);
    ck_assert_int_eq(poll_time(5000, 4999), 4799); /* the Rust client's */
    ck_assert_int_eq(poll_time(5000, 4500), 4300);
    ck_assert_int_eq(poll_time(5000, 4499), -1);
}
END_TEST

START_TEST(a_short_wait_with_room_for_it_is_legal)
{
    ck_assert_int_eq(poll_time(0, 3000), 2800);
    ck_assert_int_eq(poll_time(2800, 3000), 2800);
    ck_assert_int_eq(poll_time(2801, 3000), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bounds");
    TCase *tc = tcase_create("bounds");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, a_plain_message_is_legal);
    tcase_add_test(tc, a_message_needs_an_id);
    tcase_add_test(tc, a_tag_is_not_blank_and_has_no_bar_or_control_character);
    tcase_add_test(tc, a_control_character_is_found_wherever_it_stands);
    tcase_add_test(tc, each_key_is_checked);
    tcase_add_test(tc, property_names_are_free_but_for_reserved_ones_and_control_characters);
    tcase_add_test(tc, tag_keys_and_properties_share_16384_bytes);
    tcase_add_test(tc, a_declared_type_that_is_special_is_believed);
    tcase_add_test(tc, an_invisible_time_has_bounds);
    tcase_add_test(tc, a_poll_takes_what_was_asked_within_5_and_20_seconds);
    tcase_add_test(tc, a_poll_leaves_200_ms_before_the_deadline);
    tcase_add_test(tc, a_poll_of_unsaid_length_leaves_half_the_request_timeout);
    tcase_add_test(tc, a_deadline_that_is_too_near_is_refused);
    tcase_add_test(tc, a_deadline_of_the_shortest_wait_may_have_run_for_half_a_second);
    tcase_add_test(tc, a_short_wait_with_room_for_it_is_legal);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

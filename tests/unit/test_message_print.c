/* Received messages as text and as JSON, their ids and the progress line. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/message_print.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/suite.h"
#include "tools/message_id.h"
#include "tools/progress.h"

static struct {
    char printed[1024];
    Apache__Rocketmq__V2__Message message;
    Apache__Rocketmq__V2__SystemProperties sys;
    Apache__Rocketmq__V2__Resource topic;
    Apache__Rocketmq__V2__Digest digest;
    char *keys[2];
} f;

static void setup(void)
{
    memset(&f, 0, sizeof f);
    apache__rocketmq__v2__message__init(&f.message);
    apache__rocketmq__v2__system_properties__init(&f.sys);
    apache__rocketmq__v2__resource__init(&f.topic);
    apache__rocketmq__v2__digest__init(&f.digest);
    f.topic.name = (char *)"orders";
    f.message.topic = &f.topic;
    f.message.system_properties = &f.sys;
    f.sys.queue_id = 3;
    f.sys._queue_offset_case = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___QUEUE_OFFSET_QUEUE_OFFSET;
    f.sys.queue_offset = 17;
    f.sys.message_id = (char *)"id";
}

static void set_body(const char *body, size_t len)
{
    f.message.body = (ProtobufCBinaryData){.data = (uint8_t *)body, .len = len};
}

/* What `print` prints is in f.printed. */
static void capture(int (*print)(FILE *out, const Apache__Rocketmq__V2__Message *m, struct err *e))
{
    struct err e;
    memset(f.printed, 0, sizeof f.printed);
    FILE *out = fmemopen(f.printed, sizeof f.printed, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(print(out, &f.message, &e), 0);
    ck_assert_int_eq(fclose(out), 0);
}

START_TEST(a_line_has_offset_queue_tag_keys_and_body)
{
    f.sys._tag_case = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___TAG_TAG;
    f.sys.tag = (char *)"TagA";
    f.keys[0] = (char *)"k1";
    f.keys[1] = (char *)"k2";
    f.sys.keys = f.keys;
    f.sys.n_keys = 2;
    set_body("hello", 5);
    capture(message_print_text);
    ck_assert_str_eq(f.printed, "17\t3\tTagA\tk1 k2\thello\n");
}
END_TEST

START_TEST(what_is_absent_is_a_dash)
{
    set_body("x", 1);
    capture(message_print_text);
    ck_assert_str_eq(f.printed, "17\t3\t-\t-\tx\n");
}
END_TEST

START_TEST(a_body_stays_on_one_line)
{
    set_body("a\tb\nc\rd\\e\0f\x7f", 12);
    capture(message_print_text);
    ck_assert_str_eq(f.printed, "17\t3\t-\t-\ta\\tb\\nc\\rd\\\\e\\x00f\\x7f\n");
}
END_TEST

START_TEST(utf8_is_kept_and_other_bytes_are_escaped)
{
    set_body("\xc3\xa9", 2);
    capture(message_print_text);
    ck_assert_str_eq(f.printed, "17\t3\t-\t-\t\xc3\xa9\n");
    set_body("a\xff", 2);
    capture(message_print_text);
    ck_assert_str_eq(f.printed, "17\t3\t-\t-\ta\\xff\n");
}
END_TEST

static json_t *printed_json(void)
{
    json_t *root = json_loads(f.printed, 0, NULL);
    ck_assert_ptr_nonnull(root);
    return root;
}

START_TEST(an_object_has_the_names_of_a_dump)
{
    set_body("hello", 5);
    capture(message_print_json);
    json_t *root = printed_json();
    ck_assert_str_eq(json_string_value(json_object_get(root, "topic")), "orders");
    ck_assert_int_eq(json_integer_value(json_object_get(root, "queueId")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "queueOffset")), 17);
    ck_assert_int_eq(json_integer_value(json_object_get(root, "bodyLength")), 5);
    ck_assert_str_eq(json_string_value(json_object_get(root, "body")), "hello");
    ck_assert(json_is_null(json_object_get(root, "bodyBase64")));
    ck_assert(json_is_null(json_object_get(root, "tag")));
    json_decref(root);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_base64)
{
    set_body("a\xff\x01z", 4);
    capture(message_print_json);
    json_t *root = printed_json();
    ck_assert(json_is_null(json_object_get(root, "body")));
    ck_assert_str_eq(json_string_value(json_object_get(root, "bodyBase64")), "Yf8Beg==");
    json_decref(root);
}
END_TEST

START_TEST(a_body_that_does_not_fit_its_checksum_is_told)
{
    struct err e;
    set_body("123456789", 9);
    ck_assert_int_eq(message_check(&f.message, &e), 0);
    f.sys.body_digest = &f.digest;
    f.digest.type = APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32;
    f.digest.checksum = (char *)"CBF43926";
    ck_assert_int_eq(message_check(&f.message, &e), 0);
    f.digest.checksum = (char *)"CBF43927";
    ck_assert_int_eq(message_check(&f.message, &e), ERR_CORRUPT);
    f.digest.type = APACHE__ROCKETMQ__V2__DIGEST_TYPE__MD5; /* not looked at */
    ck_assert_int_eq(message_check(&f.message, &e), 0);
}
END_TEST

START_TEST(ids_have_34_digits_and_differ)
{
    struct message_id_maker maker;
    char a[MESSAGE_ID_DIGITS + 1], b[MESSAGE_ID_DIGITS + 1];
    message_id_init(&maker);
    message_id_make(&maker, a);
    message_id_make(&maker, b);
    ck_assert_uint_eq(strlen(a), MESSAGE_ID_DIGITS);
    ck_assert_uint_eq(strspn(a, "0123456789ABCDEF"), MESSAGE_ID_DIGITS);
    ck_assert_int_eq(strncmp(a, "01", 2), 0);
    ck_assert_str_ne(a, b);
}
END_TEST

static const char *progress_text(enum progress_unit unit, uint64_t total, uint64_t done,
                                 uint64_t ns)
{
    static char line[160];
    const struct progress p = {.unit = unit, .total = total};
    progress_line(line, sizeof line, &p, done, ns);
    return line;
}

START_TEST(the_progress_line_tells_share_rate_and_what_is_left)
{
    const uint64_t s = 1000000000, mib = 1 << 20;
    ck_assert_str_eq(progress_text(PROGRESS_MESSAGES, 1000, 500, 2 * s),
                     "[###############---------------]  50% 500 of 1000, 250/s, 2 s left");
    ck_assert_str_eq(progress_text(PROGRESS_MESSAGES, 0, 500, s), "500 messages, 500/s");
    ck_assert_str_eq(progress_text(PROGRESS_MESSAGES, 1000, 0, 0),
                     "[------------------------------]   0% 0 of 1000, 0/s");
    ck_assert_str_eq(progress_text(PROGRESS_BYTES, 2048 * mib, 1024 * mib, s),
                     "[###############---------------]  50% 1.0 of 2.0 GiB, 1024 MiB/s, 1 s left");
    ck_assert_str_eq(
        progress_text(PROGRESS_BYTES, 1000 * mib, mib, s),
        "[------------------------------]   0% 1.0 of 1000.0 MiB, 1 MiB/s, 17 min left");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("message_print");
    TCase *tc = tcase_create("message_print");
    tcase_add_checked_fixture(tc, setup, /* teardown = */ NULL);
    tcase_add_test(tc, a_line_has_offset_queue_tag_keys_and_body);
    tcase_add_test(tc, what_is_absent_is_a_dash);
    tcase_add_test(tc, a_body_stays_on_one_line);
    tcase_add_test(tc, utf8_is_kept_and_other_bytes_are_escaped);
    tcase_add_test(tc, an_object_has_the_names_of_a_dump);
    tcase_add_test(tc, bytes_that_are_no_text_are_base64);
    tcase_add_test(tc, a_body_that_does_not_fit_its_checksum_is_told);
    tcase_add_test(tc, ids_have_34_digits_and_differ);
    tcase_add_test(tc, the_progress_line_tells_share_rate_and_what_is_left);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}

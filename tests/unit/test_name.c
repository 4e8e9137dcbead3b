/* Names of topics and groups, and how a hostile one is shown. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/name.h"

#include <string.h>

#include "tests/lib/suite.h"

enum { MAX = 127, LONG_BYTES = 10000 };

static struct err e;

START_TEST(a_byte_of_a_name_is_one_of_these)
{
    static const char allowed[] =
        "%|_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < 3; at++) {
            uint8_t name[] = "abc";
            name[at] = (uint8_t)c;
            bool is_allowed = c != 0 && strchr(allowed, c);
            int rc = name_check("topic", span_of(name, 3), MAX, &e);
            ck_assert_msg(rc == (is_allowed ? 0 : ERR_INVAL), "byte %d", c);
        }
}
END_TEST

START_TEST(a_name_has_one_byte_at_least_and_so_many_at_most)
{
    char name[MAX + 1];
    memset(name, 'x', sizeof name);
    ck_assert_int_eq(name_check("group", span_of(name, 1), MAX, &e), 0);
    ck_assert_int_eq(name_check("group", span_of(name, MAX), MAX, &e), 0);
    ck_assert_int_eq(name_check("group", span_of(name, MAX + 1), MAX, &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "128 bytes, the limit is 127"));
    ck_assert_int_eq(name_check("group", (struct span){0}, MAX, &e), ERR_INVAL);
    ck_assert_str_eq(e.msg, "group name is empty");
}
END_TEST

START_TEST(a_refusal_says_of_what_and_shows_the_name)
{
    ck_assert_int_eq(name_check("topic", span_str("a/b"), MAX, &e), ERR_INVAL);
    ck_assert_ptr_eq(strstr(e.msg, "topic name 'a?b' has a character"), e.msg);
}
END_TEST

START_TEST(a_short_name_is_shown_whole)
{
    char shown[NAME_SHOWN_BYTES];
    ck_assert_ptr_eq(name_show(span_str("%RETRY%g|a_b-C09"), shown), shown);
    ck_assert_str_eq(shown, "%RETRY%g|a_b-C09");
    ck_assert_str_eq(name_show((struct span){0}, shown), "");
    ck_assert_str_eq(name_show(span_of("abc", 2), shown), "ab");
}
END_TEST

START_TEST(a_long_name_is_cut_and_says_so)
{
    static char name[LONG_BYTES];
    char shown[NAME_SHOWN_BYTES + 1];
    memset(name, 'x', sizeof name);
    for (size_t len = 0; len < sizeof name; len = len < 100 ? len + 1 : len * 2) {
        shown[NAME_SHOWN_BYTES] = '!';
        size_t n = strlen(name_show(span_of(name, len), shown));
        ck_assert_int_eq(shown[NAME_SHOWN_BYTES], '!');
        if (n == len)
            continue;
        ck_assert_uint_eq(n, NAME_SHOWN_BYTES - 1);
        ck_assert_str_eq(shown + n - 4, "x...");
    }
    ck_assert_uint_eq(strlen(name_show(span_of(name, NAME_SHOWN_BYTES - 4), shown)),
                      NAME_SHOWN_BYTES - 4);
    ck_assert_str_eq(shown + NAME_SHOWN_BYTES - 8, "xxxx");
}
END_TEST

START_TEST(bytes_that_do_not_belong_are_not_shown)
{
    char shown[NAME_SHOWN_BYTES];
    ck_assert_str_eq(name_show(span_of("a\0\x1b[\xff\n'.b", 9), shown), "a???????b");
}
END_TEST

START_TEST(a_prefix_is_at_the_front_and_whole)
{
    ck_assert(name_has_prefix(span_str("%DLQ%g"), "%DLQ%"));
    ck_assert(name_has_prefix(span_str("%DLQ%"), "%DLQ%"));
    ck_assert(name_has_prefix(span_str("g"), ""));
    ck_assert(!name_has_prefix(span_str("%DLQ"), "%DLQ%"));
    ck_assert(!name_has_prefix(span_of("%DLQ%g", 4), "%DLQ%")); /* what is behind is not its own */
    ck_assert(!name_has_prefix(span_str("g%DLQ%"), "%DLQ%"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("name");
    TCase *tc = tcase_create("name");
    tcase_add_test(tc, a_byte_of_a_name_is_one_of_these);
    tcase_add_test(tc, a_name_has_one_byte_at_least_and_so_many_at_most);
    tcase_add_test(tc, a_refusal_says_of_what_and_shows_the_name);
    tcase_add_test(tc, a_short_name_is_shown_whole);
    tcase_add_test(tc, a_long_name_is_cut_and_says_so);
    tcase_add_test(tc, bytes_that_do_not_belong_are_not_shown);
    tcase_add_test(tc, a_prefix_is_at_the_front_and_whole);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

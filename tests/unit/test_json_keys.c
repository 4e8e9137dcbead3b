/* Tests of base/json_keys.c: bare integer keys are quoted, and nothing else changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_keys.h"

#include <string.h>

#include "tests/lib/suite.h"

static const char *quoted(const char *text)
{
    static char out[256];
    size_t n = json_keys_quote(text, strlen(text), out);
    ck_assert_uint_le(n, 2 * strlen(text));
    out[n] = '\0';
    return out;
}

START_TEST(bare_integer_keys_are_quoted)
{
    ck_assert_str_eq(quoted("{0:5,1:7}"), "{\"0\":5,\"1\":7}");
    ck_assert_str_eq(quoted("{ 12 : { -3 :1}}"), "{ \"12\" : { \"-3\" :1}}");
}
END_TEST

START_TEST(everything_else_is_left_alone)
{
    static const char *const texts[] = {"{\"a\":[1,2]}",
                                        "{\"0:1,2:3\":\"{4:5}\"}",
                                        "[1,2]",
                                        "{\"a\\\"{1:2}\":3}",
                                        "{x:1}",
                                        "{1",
                                        "\"",
                                        "{1 ",
                                        ""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        ck_assert_str_eq(quoted(texts[i]), texts[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json_keys");
    TCase *tc = tcase_create("json_keys");
    tcase_add_test(tc, bare_integer_keys_are_quoted);
    tcase_add_test(tc, everything_else_is_left_alone);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

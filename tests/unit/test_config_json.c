/* Tests of tools/config_json.c: what RocketMQ writes is read, and damage says where. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/config_json.h"

#include <string.h>

#include "tests/lib/suite.h"

START_TEST(bare_integer_keys_are_read)
{
    static const char text[] = "{\n\t\"offsetTable\":{\"t@g\":{0:5,1:7}}\n}  ";
    json_t *root;
    struct err e;
    ck_assert_int_eq(config_json_parse(text, strlen(text), &root, &e), 0);
    const json_t *queues = json_object_get(json_object_get(root, "offsetTable"), "t@g");
    ck_assert_int_eq(json_integer_value(json_object_get(queues, "1")), 7);
    json_decref(root);
}
END_TEST

START_TEST(damage_says_where)
{
    static const char text[] = "{\n\"a\": }";
    json_t *root;
    struct err e;
    ck_assert_int_eq(config_json_parse(text, strlen(text), &root, &e), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(e.msg, "line 2"));
    ck_assert_int_eq(config_json_parse("", 0, &root, &e), ERR_CORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_json");
    TCase *tc = tcase_create("config_json");
    tcase_add_test(tc, bare_integer_keys_are_read);
    tcase_add_test(tc, damage_says_where);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

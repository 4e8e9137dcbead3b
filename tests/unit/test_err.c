/* Tests of error messages: cause, context in front, and what happens when it does not fit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/suite.h"

START_TEST(a_cause_is_stated_once_and_its_code_returned)
{
    struct err e = {0};
    ck_assert_int_eq(err_set(&e, ERR_TOOBIG, "body has %d bytes", 5), ERR_TOOBIG);
    ck_assert_int_eq(e.code, ERR_TOOBIG);
    ck_assert_str_eq(e.msg, "body has 5 bytes");
}
END_TEST

START_TEST(context_goes_in_front_and_keeps_the_code)
{
    struct err e = {0};
    (void)err_set(&e, ERR_CORRUPT, "bad magic");
    ck_assert_int_eq(err_wrap(&e, "read '%s'", "00000"), ERR_CORRUPT);
    ck_assert_int_eq(err_wrap(&e, "open store"), ERR_CORRUPT);
    ck_assert_str_eq(e.msg, "open store: read '00000': bad magic");
}
END_TEST

static const struct {
    int errno_value;
    int code;
} systems[] = {
    {ENOSPC, ERR_NOSPACE},  {EDQUOT, ERR_NOSPACE}, {ENOMEM, ERR_NOMEM},
    {ENOENT, ERR_NOTFOUND}, {EEXIST, ERR_EXISTS},  {EACCES, ERR_IO},
};

START_TEST(a_system_failure_carries_its_text_and_a_code)
{
    struct err e = {0};
    int cause = systems[_i].errno_value;
    ck_assert_int_eq(err_sys(&e, cause, "open '%s'", "x"), systems[_i].code);
    char want[ERR_MSG_BYTES];
    (void)snprintf(want, sizeof want, "open 'x': %s", strerror(cause));
    ck_assert_str_eq(e.msg, want);
}
END_TEST

START_TEST(a_long_path_does_not_push_out_the_systems_text)
{
    char path[1000];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = '\0';
    struct err e = {0};
    (void)err_sys(&e, ENOSPC, "open '%s'", path);
    ck_assert_ptr_nonnull(strstr(e.msg, strerror(ENOSPC)));
}
END_TEST

START_TEST(a_message_over_the_limit_is_cut_and_terminated)
{
    struct err e;
    memset(&e, 'x', sizeof e);
    (void)err_set(&e, ERR_INVAL, "%0*d", ERR_MSG_BYTES * 2, 7);
    ck_assert_uint_eq(strlen(e.msg), ERR_MSG_BYTES - 1);
}
END_TEST

START_TEST(wrapping_never_grows_past_the_limit)
{
    for (int width = 1; width < ERR_MSG_BYTES * 2; width++) {
        struct err e;
        memset(&e, 'x', sizeof e);
        (void)err_set(&e, ERR_INVAL, "cause");
        ck_assert_int_eq(err_wrap(&e, "%0*d", width, 7), ERR_INVAL);
        ck_assert_uint_lt(strlen(e.msg), ERR_MSG_BYTES);
        ck_assert_ptr_nonnull(strchr(e.msg, ':'));
    }
}
END_TEST

START_TEST(a_long_context_leaves_the_cause_whole)
{
    struct err e;
    char name[2 * ERR_MSG_BYTES];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    (void)err_set(&e, ERR_INVAL, "the name has too many bytes");
    (void)err_wrap(&e, "make topic '%s'", name);
    ck_assert_ptr_nonnull(strstr(e.msg, "nnn...: the name has too many bytes"));
    ck_assert_uint_eq(strlen(e.msg), ERR_MSG_BYTES - 1);
}
END_TEST

START_TEST(a_long_cause_leaves_room_for_what_was_done)
{
    struct err e;
    (void)err_set(&e, ERR_INVAL, "%0*d", 2 * ERR_MSG_BYTES, 7);
    (void)err_wrap(&e, "open store");
    ck_assert_int_eq(strncmp(e.msg, "open store: 0000", 16), 0);
    ck_assert_uint_eq(strlen(e.msg), ERR_MSG_BYTES - 1);
}
END_TEST

START_TEST(every_code_has_a_text)
{
    ck_assert_str_eq(err_text(0), "success");
    ck_assert_str_eq(err_text(ERR_NOSPACE), "no space left");
    ck_assert_str_eq(err_text(ERR_CLOSED), "shutting down");
    ck_assert_str_eq(err_text(12345), "unknown error");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("err");
    TCase *tc = tcase_create("err");
    tcase_add_test(tc, a_cause_is_stated_once_and_its_code_returned);
    tcase_add_test(tc, context_goes_in_front_and_keeps_the_code);
    tcase_add_loop_test(tc, a_system_failure_carries_its_text_and_a_code, 0,
                        (int)(sizeof systems / sizeof systems[0]));
    tcase_add_test(tc, a_long_path_does_not_push_out_the_systems_text);
    tcase_add_test(tc, a_message_over_the_limit_is_cut_and_terminated);
    tcase_add_test(tc, wrapping_never_grows_past_the_limit);
    tcase_add_test(tc, a_long_context_leaves_the_cause_whole);
    tcase_add_test(tc, a_long_cause_leaves_room_for_what_was_done);
    tcase_add_test(tc, every_code_has_a_text);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

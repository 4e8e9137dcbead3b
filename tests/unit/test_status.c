/* Error codes as wire codes, and texts that may be sent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/status.h"

#include <string.h>

#include "tests/lib/suite.h"

START_TEST(every_error_has_a_wire_code)
{
#define X(name, text)                                                                              \
    ck_assert_int_ge(status_code_of(ERR_##name), 40000);                                           \
    ck_assert_int_lt(status_code_of(ERR_##name), 60000);
    ERR_MAP(X)
#undef X
}
END_TEST

START_TEST(what_the_client_did_wrong_is_not_the_server_s_fault)
{
    ck_assert_int_lt(status_code_of(ERR_INVAL), 50000);
    ck_assert_int_lt(status_code_of(ERR_TOOBIG), 50000);
    ck_assert_int_eq(status_code_of(ERR_UNSUPPORTED), CODE(NOT_IMPLEMENTED));
    ck_assert_int_ge(status_code_of(ERR_NOSPACE), 50000);
    ck_assert_int_ge(status_code_of(ERR_FAILED), 50000);
    ck_assert_int_eq(status_code_of(ERR_UNKNOWN), CODE(MASTER_PERSISTENCE_TIMEOUT));
}
END_TEST

START_TEST(an_error_s_text_is_kept)
{
    struct err e;
    struct status st;
    (void)err_set(&e, ERR_NOTFOUND, "find '%s'", "it");
    ck_assert_int_eq(status_of_err(&st, &e), ERR_NOTFOUND);
    ck_assert_int_eq(st.code, CODE(NOT_FOUND));
    ck_assert_str_eq(st.text, "find 'it'");
}
END_TEST

START_TEST(a_text_cut_inside_a_character_stays_utf8)
{
    struct status st;
    char text[STATUS_TEXT_BYTES + 8];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    (void)status_set(&st, CODE(BAD_REQUEST), "x%s", text);
    ck_assert(proto_utf8_ok(span_str(st.text)));
    ck_assert_uint_ge(strlen(st.text), STATUS_TEXT_BYTES - 4);
    (void)status_set(&st, CODE(BAD_REQUEST), "%s", text);
    ck_assert(proto_utf8_ok(span_str(st.text)));
}
END_TEST

START_TEST(bytes_that_are_no_utf8_become_question_marks)
{
    struct status st;
    (void)status_set(&st, CODE(BAD_REQUEST), "a\xff\xfe tail that is long enough");
    ck_assert_str_eq(st.text, "a?? tail that is long enough");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tc = tcase_create("status");
    tcase_add_test(tc, every_error_has_a_wire_code);
    tcase_add_test(tc, what_the_client_did_wrong_is_not_the_server_s_fault);
    tcase_add_test(tc, an_error_s_text_is_kept);
    tcase_add_test(tc, a_text_cut_inside_a_character_stays_utf8);
    tcase_add_test(tc, bytes_that_are_no_utf8_become_question_marks);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

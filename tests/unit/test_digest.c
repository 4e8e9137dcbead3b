/* Digests in the text form of each client. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/digest.h"

#include <string.h>

#include "base/crc32.h"
#include "tests/lib/suite.h"

static const char body[] = "123456789"; /* CRC-32 CBF43926 */

static void expect(enum digest_form form, const char *text, const char *want)
{
    struct err e;
    char got[DIGEST_TEXT_BYTES];
    uint32_t crc = crc32_add(0, text, strlen(text));
    ck_assert_int_eq(digest_text(form, crc, span_str(text), got, &e), 0);
    ck_assert_str_eq(got, want);
}

START_TEST(each_language_has_its_form)
{
    ck_assert_int_eq(digest_form_of(span_str("JAVA")), DIGEST_CRC32_HEX);
    ck_assert_int_eq(digest_form_of(span_str("GO")), DIGEST_CRC32_HEX);
    ck_assert_int_eq(digest_form_of(span_str("DOTNET")), DIGEST_CRC32_HEX);
    ck_assert_int_eq(digest_form_of(span_str("RUST")), DIGEST_CRC32_HEX);
    ck_assert_int_eq(digest_form_of(span_str("PYTHON")), DIGEST_CRC32_HEX8);
    ck_assert_int_eq(digest_form_of(span_str("CPP")), DIGEST_CRC32_HEX8);
    ck_assert_int_eq(digest_form_of(span_str("HTTP")), DIGEST_CRC32_DECIMAL);
}
END_TEST

START_TEST(an_unknown_language_gets_md5)
{
    ck_assert_int_eq(digest_form_of(span_str("COBOL")), DIGEST_MD5);
    ck_assert_int_eq(digest_form_of(span_str("JAVAX")), DIGEST_MD5);
    ck_assert_int_eq(digest_form_of((struct span){0}), DIGEST_MD5);
}
END_TEST

START_TEST(each_form_is_written_as_its_clients_write_it)
{
    expect(DIGEST_CRC32_HEX, body, "CBF43926");
    expect(DIGEST_CRC32_HEX8, body, "CBF43926");
    expect(DIGEST_CRC32_DECIMAL, body, "3421780262");
    expect(DIGEST_MD5, body, "25F9E794323B453885F5181F1B624D0B");
}
END_TEST

START_TEST(only_python_and_cpp_pad_with_zeros)
{
    struct err e;
    char plain[DIGEST_TEXT_BYTES], filled[DIGEST_TEXT_BYTES];
    ck_assert_int_eq(digest_text(DIGEST_CRC32_HEX, 0x00abcdefu, (struct span){0}, plain, &e), 0);
    ck_assert_int_eq(digest_text(DIGEST_CRC32_HEX8, 0x00abcdefu, (struct span){0}, filled, &e), 0);
    ck_assert_str_eq(plain, "ABCDEF");
    ck_assert_str_eq(filled, "00ABCDEF");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("digest");
    TCase *tc = tcase_create("digest");
    tcase_add_test(tc, each_language_has_its_form);
    tcase_add_test(tc, an_unknown_language_gets_md5);
    tcase_add_test(tc, each_form_is_written_as_its_clients_write_it);
    tcase_add_test(tc, only_python_and_cpp_pad_with_zeros);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

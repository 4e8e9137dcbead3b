/* Tests of tools/hex.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/hex.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/suite.h"

/* What hex_print prints. */
static const char *printed(const void *bytes, size_t len, uint64_t pos)
{
    static char text[2048];
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
    hex_print(span_of(bytes, len), pos);
    ck_assert_int_eq(fflush(stdout), 0);
    ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
    (void)close(saved);
    rewind(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    (void)fclose(file);
    return text;
}

START_TEST(a_line_has_position_digits_and_text)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof wanted,
                   "            1000  48 65 6c 6c 6f 01 ff 74  68 65 72 65 2c 20 79 6f"
                   "  |Hello..there, yo|\n"
                   "            1010  75%46s  |u|\n",
                   "");
    ck_assert_str_eq(printed("Hello\x01\xffthere, you", 17, 0x1000), wanted);
}
END_TEST

START_TEST(equal_lines_are_one_star)
{
    static const char zeros[80];
    const char *text = printed(zeros, sizeof zeros, 0);
    size_t n_lines = 0;
    for (const char *c = text; *c; c++)
        n_lines += *c == '\n';
    ck_assert_uint_eq(n_lines, 3); /* the first, a star, the last */
    ck_assert_ptr_nonnull(strstr(text, "\n               *\n              40 "));
    ck_assert_str_eq(printed("", 0, 0), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hex");
    TCase *tc = tcase_create("hex");
    tcase_add_test(tc, a_line_has_position_digits_and_text);
    tcase_add_test(tc, equal_lines_are_one_star);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

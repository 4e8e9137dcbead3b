/* Tests of the UTF-8 check, whole and in runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/utf8.h"

#include "proto/proto.h"
#include "tests/lib/suite.h"

/* A text checked whole, and cut in two at every byte: the answers must agree. */
static bool is_ok(const char *text)
{
    const struct span all = span_str(text);
    const bool whole = proto_utf8_ok(all);
    for (size_t at = 0; at <= all.len; at++) {
        struct utf8 u = {0};
        const bool in_two = utf8_feed(&u, span_of(all.ptr, at)) &&
                            utf8_feed(&u, span_of(all.ptr + at, all.len - at)) && utf8_at_end(&u);
        ck_assert_int_eq(in_two, whole);
    }
    return whole;
}

START_TEST(text_of_every_length_of_character_is_good)
{
    ck_assert(is_ok(""));
    ck_assert(is_ok("plain ASCII, longer than a word"));
    ck_assert(is_ok("gr\xc3\xbc\xc3\x9f \xe6\xa0\x87\xe7\xad\xbe \xf0\x9f\x98\x80 tail"));
    ck_assert(
        is_ok("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    ck_assert(is_ok("\xed\x9f\xbf\xee\x80\x80")); /* the neighbours of the surrogates */
}
END_TEST

static const char *const malformed[] = {
    "\x80",             /* a tail without a head */
    "\xc3",             /* cut off */
    "\xe6\xa0",         /* cut off */
    "\xf0\x9f\x98",     /* cut off */
    "\xc3(",            /* a head without a tail */
    "\xe6\xa0(",        /* the same, later */
    "\xc0\x80",         /* NUL in two bytes */
    "\xc1\xbf",         /* long form */
    "\xe0\x9f\xbf",     /* long form */
    "\xf0\x8f\xbf\xbf", /* long form */
    "\xed\xa0\x80",     /* a surrogate */
    "\xf4\x90\x80\x80", /* over U+10FFFF */
    "\xf5\x80\x80\x80", /* never a head */
    "\xff",             /* never a byte */
    "good so far, then \xff and on",
};

START_TEST(malformed_text_is_refused)
{
    ck_assert(!is_ok(malformed[_i]));
}
END_TEST

START_TEST(a_nul_is_a_character)
{
    ck_assert(proto_utf8_ok(span_of("a\0b", 3)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tc = tcase_create("utf8");
    tcase_add_test(tc, text_of_every_length_of_character_is_good);
    tcase_add_loop_test(tc, malformed_text_is_refused, 0,
                        (int)(sizeof malformed / sizeof malformed[0]));
    tcase_add_test(tc, a_nul_is_a_character);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

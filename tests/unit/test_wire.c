/* Tests of the cursor over messages in slices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include "tests/lib/slices.h"
#include "tests/lib/suite.h"

/* Field 1: 300. Field 2: "hello". Field 3: a message {1: 7, 2: "xy"}. Field 4: fixed32. Field 5:
 * fixed64. Field 536870911: 1. */
static const uint8_t SAMPLE[] = {
    0x08, 0xac, 0x02, 0x12, 0x05, 'h',  'e',  'l',  'l',  'o',  0x1a, 0x06, 0x08,
    0x07, 0x12, 0x02, 'x',  'y',  0x25, 0x01, 0x02, 0x03, 0x04, 0x29, 0x01, 0x02,
    0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01,
};

static bool read_text(struct wire *w, const struct wire_field *f, const char *expected)
{
    char text[16] = {0};
    for (size_t at = 0; at < f->value;) {
        const struct span run = wire_run(w, f->value - at);
        memcpy(text + at, run.ptr, run.len);
        at += run.len;
    }
    return strcmp(text, expected) == 0;
}

static void expect(struct wire *w, struct wire_field *f, uint32_t key, uint64_t value)
{
    ck_assert_msg(wire_next(w, f), "%s", w->bad ? w->bad : "ended");
    ck_assert_uint_eq(f->key, key);
    ck_assert_uint_eq(f->value, value);
}

static void read_sample(const struct slices *s)
{
    struct wire w = wire_of(s->spans, s->n);
    struct wire_field f;
    expect(&w, &f, WIRE_KEY(1, WIRE_VARINT), 300);
    expect(&w, &f, WIRE_KEY(2, WIRE_BYTES), 5);
    ck_assert(read_text(&w, &f, "hello"));
    expect(&w, &f, WIRE_KEY(3, WIRE_BYTES), 6);
    const size_t outer = wire_enter(&w, &f);
    expect(&w, &f, WIRE_KEY(1, WIRE_VARINT), 7);
    expect(&w, &f, WIRE_KEY(2, WIRE_BYTES), 2);
    ck_assert(read_text(&w, &f, "xy"));
    ck_assert(!wire_next(&w, &f) && !w.bad);
    wire_leave(&w, outer);
    expect(&w, &f, WIRE_KEY(4, WIRE_FIXED32), 0x04030201);
    expect(&w, &f, WIRE_KEY(5, WIRE_FIXED64), UINT64_C(0x0807060504030201));
    expect(&w, &f, WIRE_KEY(0x1fffffff, WIRE_VARINT), 1);
    ck_assert(!wire_next(&w, &f) && !w.bad);
    ck_assert_uint_eq(wire_pos(&w), sizeof SAMPLE);
}

START_TEST(a_message_reads_the_same_cut_at_any_byte)
{
    for (size_t at = 0; at <= sizeof SAMPLE; at++) {
        struct slices s = slices_in_two(span_of(SAMPLE, sizeof SAMPLE), at);
        read_sample(&s);
        slices_free(&s);
    }
}
END_TEST

START_TEST(a_message_reads_the_same_in_many_slices_some_empty)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct slices s = slices_at_random(span_of(SAMPLE, sizeof SAMPLE), 1 + seed % 7, seed);
        read_sample(&s);
        slices_free(&s);
    }
}
END_TEST

START_TEST(skipping_lands_on_the_next_field)
{
    struct slices s = slices_at_random(span_of(SAMPLE, sizeof SAMPLE), 3, 1);
    struct wire w = wire_of(s.spans, s.n);
    struct wire_field f;
    unsigned n_fields = 0;
    for (; wire_next(&w, &f); n_fields++)
        wire_skip(&w, &f);
    ck_assert_ptr_null(w.bad);
    ck_assert_uint_eq(n_fields, 6);
    slices_free(&s);
}
END_TEST

START_TEST(leaving_early_lands_behind_the_message)
{
    const struct span bytes = span_of(SAMPLE + 10, sizeof SAMPLE - 10); /* starts with field 3 */
    struct wire w = wire_of(&bytes, 1);
    struct wire_field f;
    expect(&w, &f, WIRE_KEY(3, WIRE_BYTES), 6);
    wire_leave(&w, wire_enter(&w, &f));
    expect(&w, &f, WIRE_KEY(4, WIRE_FIXED32), 0x04030201);
}
END_TEST

START_TEST(no_bytes_are_an_empty_message)
{
    struct wire w = wire_of(NULL, 0);
    struct wire_field f;
    ck_assert(!wire_next(&w, &f));
    ck_assert_ptr_null(w.bad);
}
END_TEST

static const struct {
    const char *bytes;
    size_t len;
    const char *why;
} malformed[] = {
    {"\x80", 1, "number cut off"},
    {"\x08\xff\xff", 3, "number cut off"},
    {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "number longer than 10 bytes"},
    {"\x12\x05hell", 6, "length goes past the end"},
    {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "length goes past the end"},
    {"\x25\x01\x02\x03", 4, "number cut off"},
    {"\x29\x01\x02\x03\x04\x05\x06\x07", 8, "number cut off"},
    {"\x00\x01", 2, "illegal field number"},
    {"\xf8\xff\xff\xff\x1f\x01", 6, "illegal field number"},
    {"\x0b\x0c", 2, "illegal wire type"},
    {"\x0e", 1, "illegal wire type"},
};

START_TEST(malformed_bytes_are_refused_and_named)
{
    const struct span bytes = span_of(malformed[_i].bytes, malformed[_i].len);
    struct slices s = slices_at_random(bytes, 2, (uint64_t)_i);
    struct wire w = wire_of(s.spans, s.n);
    struct wire_field f;
    ck_assert(!wire_next(&w, &f));
    ck_assert_str_eq(w.bad, malformed[_i].why);
    ck_assert_msg(!wire_next(&w, &f), "goes on after an error");
    struct err e;
    ck_assert_int_eq(wire_err(&w, "Thing", &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, malformed[_i].why));
    slices_free(&s);
}
END_TEST

START_TEST(an_inner_length_may_not_pass_the_outer_end)
{
    /* Field 1 of 3 bytes holds a field 2 that claims 4, which the whole would have. */
    const struct span bytes = span_str("\x0a\x03\x12\x04"
                                       "abcdef");
    struct wire w = wire_of(&bytes, 1);
    struct wire_field f;
    expect(&w, &f, WIRE_KEY(1, WIRE_BYTES), 3);
    (void)wire_enter(&w, &f);
    ck_assert(!wire_next(&w, &f));
    ck_assert_str_eq(w.bad, "length goes past the end");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tc = tcase_create("cursor");
    tcase_add_test(tc, a_message_reads_the_same_cut_at_any_byte);
    tcase_add_test(tc, a_message_reads_the_same_in_many_slices_some_empty);
    tcase_add_test(tc, skipping_lands_on_the_next_field);
    tcase_add_test(tc, leaving_early_lands_behind_the_message);
    tcase_add_test(tc, no_bytes_are_an_empty_message);
    tcase_add_loop_test(tc, malformed_bytes_are_refused_and_named, 0,
                        (int)(sizeof malformed / sizeof malformed[0]));
    tcase_add_test(tc, an_inner_length_may_not_pass_the_outer_end);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

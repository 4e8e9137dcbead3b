/* Tests of tools/inflate.c: every compression comes back, and no body takes more than its limit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/inflate.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/lib/suite.h"

enum { TEXT_BYTES = 50000, ZLIB = 0x301, LZ4 = 0x101, ZSTD = 0x201, LEGACY = 0x1, MAX = 1 << 20 };

static uint8_t text[TEXT_BYTES];
static uint8_t packed[2 * TEXT_BYTES];

static void set_up(void)
{
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = (uint8_t)(i * i >> 7);
}

static struct span pack_zlib(int window_bits)
{
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = text;
    z.avail_in = TEXT_BYTES;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    (void)deflateEnd(&z);
    return span_of(packed, z.total_out);
}

static struct span pack(int type)
{
    if (type == LZ4)
        return span_of(packed, LZ4F_compressFrame(packed, sizeof packed, text, TEXT_BYTES, NULL));
    if (type == ZSTD)
        return span_of(packed, ZSTD_compress(packed, sizeof packed, text, TEXT_BYTES, 3));
    return pack_zlib(15);
}

static void expect_text(int32_t sys_flag, struct span body)
{
    struct inflated got;
    struct err e = {0};
    ck_assert_msg(inflate_body(sys_flag, body, MAX, &got, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(got.len, TEXT_BYTES);
    ck_assert_mem_eq(got.bytes, text, TEXT_BYTES);
    ck_assert(!got.is_cut);
    free(got.bytes);
}

START_TEST(every_compression_comes_back)
{
    expect_text(ZLIB, pack(ZLIB));
    expect_text(LEGACY, pack(ZLIB));
    expect_text(LZ4, pack(LZ4));
    expect_text(ZSTD, pack(ZSTD));
    expect_text(LEGACY, pack_zlib(15 + 16)); /* gzip */
}
END_TEST

START_TEST(a_body_is_cut_at_its_limit)
{
    static const int types[] = {ZLIB, LZ4, ZSTD};
    static const size_t limits[] = {0, 1, 4095, 4096, TEXT_BYTES - 1};
    for (size_t i = 0; i < 3 * 5; i++) {
        struct inflated got;
        struct err e;
        size_t max = limits[i % 5];
        ck_assert_int_eq(inflate_body(types[i / 5], pack(types[i / 5]), max, &got, &e), 0);
        ck_assert_uint_eq(got.len, max);
        ck_assert(got.is_cut);
        ck_assert(max == 0 || memcmp(got.bytes, text, max) == 0);
        free(got.bytes);
    }
}
END_TEST

START_TEST(a_cut_or_damaged_body_is_an_error)
{
    static const int types[] = {ZLIB, LZ4, ZSTD};
    for (size_t i = 0; i < 3; i++) {
        struct inflated got;
        struct err e;
        struct span body = pack(types[i]);
        body.len /= 2;
        ck_assert_int_eq(inflate_body(types[i], body, MAX, &got, &e), ERR_CORRUPT);
        ck_assert_int_eq(inflate_body(types[i], span_of(text + 7, 100), MAX, &got, &e),
                         ERR_CORRUPT);
        ck_assert_int_eq(inflate_body(types[i], span_of(NULL, 0), MAX, &got, &e), ERR_CORRUPT);
    }
}
END_TEST

START_TEST(flags_tell_the_compression)
{
    struct inflated got;
    struct err e;
    ck_assert_ptr_null(inflate_name(0x300));
    ck_assert_str_eq(inflate_name(LEGACY), "zlib");
    ck_assert_str_eq(inflate_name(LZ4), "lz4");
    ck_assert_str_eq(inflate_name(ZSTD), "zstd");
    ck_assert_int_eq(inflate_body(0x701, span_of(text, 10), MAX, &got, &e), ERR_UNSUPPORTED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inflate");
    TCase *tc = tcase_create("inflate");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, every_compression_comes_back);
    tcase_add_test(tc, a_body_is_cut_at_its_limit);
    tcase_add_test(tc, a_cut_or_damaged_body_is_an_error);
    tcase_add_test(tc, flags_tell_the_compression);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

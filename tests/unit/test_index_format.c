/* The bytes of a key-index file, and the keys of records. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_format.h"

#include "tests/lib/suite.h"

START_TEST(a_header_comes_back)
{
    uint8_t bytes[STORE_INDEX_HEADER_BYTES];
    const struct store_index_header in = {.begin_ms = 1795394837194,
                                          .end_ms = 1795394837819,
                                          .begin_log_off = 7,
                                          .end_log_off = 17375,
                                          .n_used_slots = 90,
                                          .n_next = 400};
    struct store_index_header out;
    index_header_encode(bytes, &in);
    ck_assert(store_index_header_decode(bytes, &out));
    ck_assert_uint_eq(out.begin_ms, in.begin_ms);
    ck_assert_uint_eq(out.end_ms, in.end_ms);
    ck_assert_uint_eq(out.begin_log_off, in.begin_log_off);
    ck_assert_uint_eq(out.end_log_off, in.end_log_off);
    ck_assert_uint_eq(out.n_used_slots, in.n_used_slots);
    ck_assert_uint_eq(out.n_next, in.n_next);
}
END_TEST

START_TEST(a_header_of_zeros_has_no_items)
{
    static const uint8_t zeros[STORE_INDEX_HEADER_BYTES];
    struct store_index_header h;
    ck_assert(store_index_header_decode(zeros, &h));
    ck_assert_uint_eq(h.n_next, 1);
}
END_TEST

START_TEST(a_header_that_ends_before_it_begins_is_refused)
{
    uint8_t bytes[STORE_INDEX_HEADER_BYTES];
    struct store_index_header h;
    index_header_encode(bytes, &(struct store_index_header){.begin_ms = 2, .end_ms = 1});
    ck_assert(!store_index_header_decode(bytes, &h));
    index_header_encode(bytes, &(struct store_index_header){.begin_log_off = 2});
    ck_assert(!store_index_header_decode(bytes, &h));
    index_header_encode(bytes, &(struct store_index_header){.end_log_off = UINT64_MAX});
    ck_assert(!store_index_header_decode(bytes, &h));
    index_header_encode(bytes, &(struct store_index_header){.n_used_slots = UINT32_MAX});
    ck_assert(!store_index_header_decode(bytes, &h));
}
END_TEST

START_TEST(an_item_comes_back_and_a_negative_one_is_refused)
{
    uint8_t bytes[STORE_INDEX_ITEM_BYTES];
    const struct store_index_item in = {
        .hash = 1655984460, .log_off = 25068, .seconds = 3, .prev = 5};
    struct store_index_item out;
    index_item_encode(bytes, &in);
    ck_assert(store_index_item_decode(bytes, &out));
    ck_assert_uint_eq(out.hash, in.hash);
    ck_assert_uint_eq(out.log_off, in.log_off);
    ck_assert_uint_eq(out.seconds, in.seconds);
    ck_assert_uint_eq(out.prev, in.prev);
    index_item_encode(bytes, &(struct store_index_item){.hash = 1u << 31});
    ck_assert(!store_index_item_decode(bytes, &out));
    index_item_encode(bytes, &(struct store_index_item){.prev = 1u << 31});
    ck_assert(!store_index_item_decode(bytes, &out));
}
END_TEST

START_TEST(a_file_length_tells_how_many_items_there_are)
{
    ck_assert_uint_eq(store_index_items(420000040, STORE_INDEX_SLOTS), STORE_INDEX_ITEMS);
    ck_assert_uint_eq(store_index_items(40 + 4 * 100 + 20 * 400, 100), 400);
    ck_assert_uint_eq(store_index_items(40 + 4 * 100 + 20 * 400 + 4, 100), 0);
    ck_assert_uint_eq(store_index_items(40 + 4 * 100, 100), 0);
    ck_assert_uint_eq(store_index_items(UINT64_MAX, 100), 0);
    ck_assert_uint_eq(store_index_items(8000, 0), 0);
}
END_TEST

START_TEST(a_hash_is_javas_without_its_sign)
{
    ck_assert_uint_eq(index_hash(span_str("TopicTest"), span_str("key1")), 1655984460);
    ck_assert_uint_eq(index_hash(span_str("T"), span_str("jllgvmc")), 0); /* INT32_MIN */
}
END_TEST

static struct span key_of(struct index_keys *keys)
{
    struct span key;
    ck_assert(index_keys_next(keys, &key));
    return key;
}

START_TEST(the_unique_key_comes_first_then_the_words_of_keys)
{
    struct store_record rec = {.properties = span_str("KEYS\001 a  bc \002UNIQ_KEY\001U\002")};
    struct index_keys keys = index_keys_of(&rec);
    struct span key;
    ck_assert(span_equal(key_of(&keys), span_str("U")));
    ck_assert(span_equal(key_of(&keys), span_str("a")));
    ck_assert(span_equal(key_of(&keys), span_str("bc")));
    ck_assert(!index_keys_next(&keys, &key));
}
END_TEST

START_TEST(a_rolled_back_half_has_no_keys)
{
    struct store_record rec = {.properties = span_str("KEYS\001a\002"),
                               .sys_flag = STORE_SYSFLAG_ROLLBACK};
    struct index_keys keys = index_keys_of(&rec);
    struct span key;
    ck_assert(!index_keys_next(&keys, &key));
    rec.sys_flag = STORE_SYSFLAG_PREPARED;
    keys = index_keys_of(&rec);
    ck_assert(index_keys_next(&keys, &key));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("index_format");
    TCase *tc = tcase_create("index_format");
    tcase_add_test(tc, a_header_comes_back);
    tcase_add_test(tc, a_header_of_zeros_has_no_items);
    tcase_add_test(tc, a_header_that_ends_before_it_begins_is_refused);
    tcase_add_test(tc, an_item_comes_back_and_a_negative_one_is_refused);
    tcase_add_test(tc, a_file_length_tells_how_many_items_there_are);
    tcase_add_test(tc, a_hash_is_javas_without_its_sign);
    tcase_add_test(tc, the_unique_key_comes_first_then_the_words_of_keys);
    tcase_add_test(tc, a_rolled_back_half_has_no_keys);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

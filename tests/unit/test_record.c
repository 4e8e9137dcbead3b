/* Tests of store/record.c: golden bytes, every limit, and every way a record can be damaged. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32.h"
#include "base/jhash.h"
#include "store/format.h"
#include "tests/lib/suite.h"

/* rocketmq-store 15, vector 1. */
static const char golden_hex[] =
    "00000073daa320a777d189820000000300000000000000000000000700000000000010000000000000000"
    "18bcfe568007f0000010000c3500000018bcfe568017f00000100002a9f00000000000000000000000000"
    "00000548656c6c6f09546f70696354657374000a54414753015461674102";

enum { GOLDEN_BYTES = 115, BUF_BYTES = 70000 };

static uint8_t buf[BUF_BYTES];

static void golden_bytes(uint8_t *dst)
{
    ck_assert_uint_eq(strlen(golden_hex), 2 * GOLDEN_BYTES);
    for (size_t i = 0; i < GOLDEN_BYTES; i++) {
        unsigned value;
        ck_assert_int_eq(sscanf(golden_hex + 2 * i, "%2x", &value), 1);
        dst[i] = (uint8_t)value;
    }
}

static struct store_host loopback(uint32_t port)
{
    return (struct store_host){.addr = {127, 0, 0, 1}, .addr_len = 4, .port = port};
}

static struct store_host loopback_v6(uint32_t port)
{
    return (struct store_host){.addr = {[15] = 1}, .addr_len = 16, .port = port};
}

static const struct span hello = {.ptr = (const uint8_t *)"Hello", .len = 5};

static struct store_message golden_message(void)
{
    return (struct store_message){
        .topic = span_str("TopicTest"),
        .queue_id = 3,
        .born_ms = 1700000000000,
        .born_host = loopback(50000),
        .properties = span_str("TAGS\001TagA\002"),
        .body = &hello,
        .n_body = 1,
    };
}

static uint32_t encode_at(uint8_t *dst, const struct store_message *m,
                          const struct store_host *host, uint64_t log_off)
{
    struct record_plan plan;
    struct err e = {0};
    ck_assert_msg(record_plan(m, host, FORMAT_BODY_MAX, &plan, &e) == 0, "%s", e.msg);
    record_write(dst, &plan, m);
    record_patch(dst, &plan, 7, log_off, 1700000000001);
    return plan.size;
}

static int plan_code(const struct store_message *m, uint32_t max_body_bytes)
{
    struct store_host host = loopback(10911);
    struct record_plan plan;
    struct err e = {0};
    return record_plan(m, &host, max_body_bytes, &plan, &e);
}

static enum record_check check_golden_with(size_t at, uint8_t value, const char **ret_why)
{
    golden_bytes(buf);
    buf[at] = value;
    struct store_record rec;
    return record_decode(span_of(buf, GOLDEN_BYTES), 4096, &rec, ret_why);
}

START_TEST(a_fixed_record_gives_the_bytes_on_file)
{
    uint8_t want[GOLDEN_BYTES];
    golden_bytes(want);
    struct store_message m = golden_message();
    struct store_host host = loopback(10911);
    ck_assert_uint_eq(encode_at(buf, &m, &host, 4096), GOLDEN_BYTES);
    ck_assert_mem_eq(buf, want, GOLDEN_BYTES);
}
END_TEST

START_TEST(the_bytes_on_file_decode_to_every_field)
{
    golden_bytes(buf);
    struct store_record rec;
    ck_assert_int_eq(record_decode(span_of(buf, BUF_BYTES), 4096, &rec, NULL), RECORD_OK);
    ck_assert_uint_eq(rec.size, GOLDEN_BYTES);
    ck_assert_uint_eq(rec.raw.len, GOLDEN_BYTES);
    ck_assert_uint_eq(rec.magic, STORE_MAGIC_V1);
    ck_assert_uint_eq(rec.body_crc, 2010220930);
    ck_assert_int_eq(rec.queue_id, 3);
    ck_assert_uint_eq(rec.queue_off, 7);
    ck_assert_uint_eq(rec.log_off, 4096);
    ck_assert_uint_eq(rec.born_ms, 1700000000000);
    ck_assert_uint_eq(rec.store_ms, 1700000000001);
    ck_assert_uint_eq(rec.born_host.port, 50000);
    ck_assert_uint_eq(rec.store_host.port, 10911);
    ck_assert(span_equal(rec.body, hello));
    ck_assert(span_equal(rec.topic, span_str("TopicTest")));
    ck_assert(span_equal(rec.properties, span_str("TAGS\001TagA\002")));
    ck_assert(store_body_check(&rec, NULL));
}
END_TEST

START_TEST(a_body_in_pieces_is_stored_as_one)
{
    const struct span pieces[] = {span_str("He"), {0}, span_str("ll"), span_str("o")};
    struct store_message m = golden_message();
    m.body = pieces;
    m.n_body = 4;
    struct store_host host = loopback(10911);
    uint8_t want[GOLDEN_BYTES];
    golden_bytes(want);
    ck_assert_uint_eq(encode_at(buf, &m, &host, 4096), GOLDEN_BYTES);
    ck_assert_mem_eq(buf, want, GOLDEN_BYTES);
}
END_TEST

START_TEST(an_empty_body_and_no_properties_are_the_shortest_record)
{
    struct store_message m = golden_message();
    m.n_body = 0;
    m.properties = (struct span){0};
    m.topic = span_str("T");
    struct store_host host = loopback(1);
    uint32_t size = encode_at(buf, &m, &host, 0);
    ck_assert_uint_eq(size, FORMAT_RECORD_MIN_BYTES + 1);
    struct store_record rec;
    ck_assert_int_eq(record_decode(span_of(buf, size), 0, &rec, NULL), RECORD_OK);
    ck_assert_uint_eq(rec.body_crc, 0);
    ck_assert(store_body_check(&rec, NULL));
}
END_TEST

START_TEST(hosts_of_both_families_come_back)
{
    const struct store_host hosts[2] = {loopback(80), loopback_v6(65535)};
    for (int born = 0; born < 2; born++) {
        for (int stored = 0; stored < 2; stored++) {
            struct store_message m = golden_message();
            m.born_host = hosts[born];
            m.sys_flag = STORE_SYSFLAG_COMPRESSED | (born ? 0 : STORE_SYSFLAG_BORN_V6);
            uint32_t size = encode_at(buf, &m, &hosts[stored], 9);
            ck_assert_uint_eq(size, (uint32_t)(GOLDEN_BYTES + 12 * (born + stored)));
            struct store_record rec;
            ck_assert_int_eq(record_decode(span_of(buf, size), 9, &rec, NULL), RECORD_OK);
            ck_assert_int_eq(rec.sys_flag, STORE_SYSFLAG_COMPRESSED |
                                               (born ? STORE_SYSFLAG_BORN_V6 : 0) |
                                               (stored ? STORE_SYSFLAG_STORE_V6 : 0));
            ck_assert_mem_eq(&rec.born_host, &hosts[born], sizeof hosts[0]);
            ck_assert_mem_eq(&rec.store_host, &hosts[stored], sizeof hosts[0]);
            ck_assert_uint_eq(rec.store_ms, 1700000000001);
        }
    }
}
END_TEST

START_TEST(a_topic_of_more_than_127_bytes_makes_version_2)
{
    char topic[256];
    memset(topic, 'x', 255);
    struct store_host host = loopback(1);
    for (size_t len = 126; len <= 255; len++) {
        struct store_message m = golden_message();
        m.topic = span_of(topic, len);
        uint32_t size = encode_at(buf, &m, &host, 0);
        struct store_record rec;
        ck_assert_int_eq(record_decode(span_of(buf, size), 0, &rec, NULL), RECORD_OK);
        ck_assert_uint_eq(rec.magic, len > 127 ? STORE_MAGIC_V2 : STORE_MAGIC_V1);
        ck_assert_uint_eq(rec.topic.len, len);
    }
}
END_TEST

START_TEST(a_topic_is_measured_in_bytes_not_in_characters)
{
    char topic[200] = {0}; /* 64 characters of two bytes each */
    for (int i = 0; i < 64; i++)
        memcpy(topic + 2 * i, "\xc3\xa9", 2);
    struct store_message m = golden_message();
    m.topic = span_str(topic);
    struct store_host host = loopback(1);
    uint32_t size = encode_at(buf, &m, &host, 0);
    struct store_record rec;
    ck_assert_int_eq(record_decode(span_of(buf, size), 0, &rec, NULL), RECORD_OK);
    ck_assert_uint_eq(rec.magic, STORE_MAGIC_V2);
    ck_assert_uint_eq(rec.topic.len, 128);
}
END_TEST

START_TEST(limits_are_kept_to_the_byte)
{
    static char big[FORMAT_PROPERTIES_MAX + 2];
    memset(big, 'p', sizeof big);
    struct store_message m = golden_message();
    ck_assert_int_eq(plan_code(&m, 5), 0);
    ck_assert_int_eq(plan_code(&m, 4), ERR_TOOBIG);
    m.properties = span_of(big, FORMAT_PROPERTIES_MAX);
    ck_assert_int_eq(plan_code(&m, 5), 0);
    m.properties.len++;
    ck_assert_int_eq(plan_code(&m, 5), ERR_TOOBIG);
    m = golden_message();
    m.topic = span_of(big, 255);
    ck_assert_int_eq(plan_code(&m, 5), 0);
    m.topic.len++;
    ck_assert_int_eq(plan_code(&m, 5), ERR_TOOBIG);
}
END_TEST

START_TEST(pieces_of_a_body_are_limited_together)
{
    const struct span pieces[] = {hello, hello, {.ptr = hello.ptr, .len = SIZE_MAX}};
    struct store_message m = golden_message();
    m.body = pieces;
    m.n_body = 2;
    ck_assert_int_eq(plan_code(&m, 10), 0);
    ck_assert_int_eq(plan_code(&m, 9), ERR_TOOBIG);
    m.n_body = 3;
    ck_assert_int_eq(plan_code(&m, 10), ERR_TOOBIG);
}
END_TEST

START_TEST(what_could_not_be_read_back_is_refused)
{
    struct store_message m = golden_message();
    m.queue_id = -1;
    ck_assert_int_eq(plan_code(&m, 5), ERR_INVAL);
    m = golden_message();
    m.properties = span_of("a\001b\0", 4);
    ck_assert_int_eq(plan_code(&m, 5), ERR_INVAL);
    const struct span bad_topics[] = {
        {0}, span_str("."), span_str(".."), span_str("a/b"), span_of("a\0b", 3)};
    for (size_t i = 0; i < sizeof bad_topics / sizeof bad_topics[0]; i++) {
        m = golden_message();
        m.topic = bad_topics[i];
        ck_assert_int_eq(plan_code(&m, 5), ERR_INVAL);
    }
    ck_assert(record_topic_is_safe(span_str("%RETRY%g..x")));
}
END_TEST

START_TEST(each_kind_of_damage_is_named)
{
    const struct {
        size_t at;
        uint8_t value;
        const char *why;
    } cases[] = {
        {FORMAT_AT_MAGIC, 0xdb, "magic is wrong"},
        {FORMAT_AT_MAGIC + 3, 0x94, "magic is wrong"},
        {FORMAT_AT_SIZE, 0x80, "size is impossible"},
        {FORMAT_AT_SIZE + 3, 90, "size is impossible"},
        {FORMAT_AT_SIZE + 3, 92, "body is longer than the record"},
        {FORMAT_AT_SIZE + 3, 114, "lengths do not add up to the size"},
        {FORMAT_AT_LOG_OFF + 6, 0x11, "own position is not where it is"},
        {84, 0x80, "body is longer than the record"},
        {87, 6, "lengths do not add up to the size"},
        {93, 8, "lengths do not add up to the size"},
        {93, 0x89, "lengths do not add up to the size"},
        {104, 11, "lengths do not add up to the size"},
        {114, 0, "properties end in zeros: the end was never written"},
        {FORMAT_AT_SYS_FLAG + 3, STORE_SYSFLAG_BORN_V6, "body is longer than the record"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *why = "nothing";
        enum record_check check = check_golden_with(cases[i].at, cases[i].value, &why);
        ck_assert_msg(check == RECORD_BAD, "case %zu gives %d", i, (int)check);
        ck_assert_msg(strcmp(why, cases[i].why) == 0, "case %zu: %s", i, why);
    }
}
END_TEST

START_TEST(a_version_1_topic_length_is_a_signed_byte)
{
    char topic[128];
    memset(topic, 'x', sizeof topic);
    struct store_message m = golden_message();
    m.topic = span_of(topic, 128);
    struct store_host host = loopback(1);
    uint32_t size = encode_at(buf, &m, &host, 0);
    /* the same lengths as version 1: the two-byte length becomes one byte */
    memmove(buf + 93, buf + 94, size - 94);
    be32_put(buf, size - 1);
    be32_put(buf + FORMAT_AT_MAGIC, STORE_MAGIC_V1);
    struct store_record rec;
    const char *why = "";
    ck_assert_int_eq(record_decode(span_of(buf, size - 1), 0, &rec, &why), RECORD_BAD);
    ck_assert_str_eq(why, "topic length is negative");
}
END_TEST

START_TEST(every_beginning_of_a_record_is_short)
{
    golden_bytes(buf);
    struct store_record rec = {0};
    for (size_t len = 0; len < GOLDEN_BYTES; len++) {
        ck_assert_int_eq(record_decode(span_of(buf, len), 4096, &rec, NULL), RECORD_SHORT);
        ck_assert_uint_eq(rec.size, len < 8 ? 0 : GOLDEN_BYTES);
    }
}
END_TEST

START_TEST(zeros_are_the_end_and_a_filler_says_what_is_left)
{
    uint8_t bytes[8] = {0};
    struct store_record rec = {0};
    ck_assert_int_eq(record_decode(span_of(bytes, 8), 0, &rec, NULL), RECORD_ZERO);
    record_write_filler(bytes, 1000);
    ck_assert_int_eq(record_decode(span_of(bytes, 8), 0, &rec, NULL), RECORD_BLANK);
    ck_assert_uint_eq(rec.size, 1000);
    be32_put(bytes, 7);
    ck_assert_int_eq(record_decode(span_of(bytes, 8), 0, &rec, NULL), RECORD_BAD);
    be32_put(bytes, 0x80000000);
    ck_assert_int_eq(record_decode(span_of(bytes, 8), 0, &rec, NULL), RECORD_BAD);
}
END_TEST

START_TEST(a_record_fits_when_eight_bytes_are_left_behind_it)
{
    ck_assert(format_record_fits(100, 108));
    ck_assert(!format_record_fits(100, 107));
    ck_assert(!format_record_fits(UINT32_MAX, UINT32_MAX));
}
END_TEST

START_TEST(an_unknown_position_is_not_compared)
{
    golden_bytes(buf);
    struct store_record rec;
    ck_assert_int_eq(record_decode(span_of(buf, GOLDEN_BYTES), 0, &rec, NULL), RECORD_BAD);
    ck_assert_int_eq(record_decode(span_of(buf, GOLDEN_BYTES), RECORD_OFF_UNKNOWN, &rec, NULL),
                     RECORD_OK);
}
END_TEST

START_TEST(a_changed_body_fails_its_check)
{
    golden_bytes(buf);
    buf[90] ^= 1;
    struct store_record rec;
    ck_assert_int_eq(record_decode(span_of(buf, GOLDEN_BYTES), 4096, &rec, NULL), RECORD_OK);
    uint32_t crc = 0;
    ck_assert(!store_body_check(&rec, &crc));
    ck_assert_uint_eq(crc, crc32_add(0, buf + 88, 5));
}
END_TEST

START_TEST(properties_without_name_or_value_are_passed_over)
{
    struct span rest = span_str("a\001b\002x\002\001v\002n\001\002\002k\001v\001w\002last\001z");
    const char *want[][2] = {{"a", "b"}, {"k", "v\001w"}, {"last", "z"}};
    for (size_t i = 0; i < 3; i++) {
        struct span name, value;
        ck_assert(store_property_next(&rest, &name, &value));
        ck_assert(span_equal(name, span_str(want[i][0])));
        ck_assert(span_equal(value, span_str(want[i][1])));
    }
    struct span name, value;
    ck_assert(!store_property_next(&rest, &name, &value));
    ck_assert_uint_eq(rest.len, 0);
}
END_TEST

START_TEST(a_property_is_found_by_its_whole_name)
{
    struct span text = span_str("TAGS2\001x\002TAG\001y\002TAGS\001first\002TAGS\001second\002");
    struct span value;
    ck_assert(store_property_get(text, "TAGS", &value));
    ck_assert(span_equal(value, span_str("first")));
    ck_assert(!store_property_get(text, "KEYS", &value));
    ck_assert(!store_property_get((struct span){0}, "KEYS", &value));
}
END_TEST

START_TEST(a_tag_code_is_the_sign_extended_hash)
{
    struct store_record rec = {.topic = span_str("T"), .properties = span_str("TAGS\001TagA\002")};
    ck_assert_int_eq(record_tag_code(&rec), 2598919);
    rec.properties = span_str("TAGS\001polygenelubricants\002");
    ck_assert_int_eq(record_tag_code(&rec), INT32_MIN);
    rec.properties = (struct span){0};
    ck_assert_int_eq(record_tag_code(&rec), 0);
}
END_TEST

START_TEST(a_delayed_record_has_its_delivery_time_as_tag_code)
{
    struct store_record rec = {.topic = span_str("SCHEDULE_TOPIC_XXXX"), .store_ms = 1000000};
    const struct {
        const char *properties;
        int64_t want;
    } cases[] = {
        {"DELAY\0011\002", 1001000},
        {"DELAY\00118\002", 8200000},
        {"DELAY\00199999999999999999999999\002", 8200000},
        {"DELAY\0010\002TAGS\001TagA\002", 2598919},
        {"DELAY\001-1\002", 0},
        {"TAGS\001TagA\002", 2598919},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rec.properties = span_str(cases[i].properties);
        ck_assert_int_eq(record_tag_code(&rec), cases[i].want);
    }
    rec.topic = span_str("Other");
    rec.properties = span_str("DELAY\0011\002");
    ck_assert_int_eq(record_tag_code(&rec), 0);
}
END_TEST

START_TEST(halves_of_transactions_are_not_queued)
{
    const bool want[] = {true, false, true, false};
    for (int type = 0; type < 4; type++) {
        struct store_record rec = {.sys_flag = 0x301 | type << 2};
        ck_assert_int_eq(record_is_queued(&rec), want[type]);
    }
}
END_TEST

START_TEST(queue_entries_come_back)
{
    struct store_queue_entry in = {.log_off = 1462145, .size = 115, .tag_code = -1655984460};
    struct store_queue_entry out;
    uint8_t bytes[STORE_QUEUE_ENTRY_BYTES];
    record_queue_entry_encode(bytes, &in);
    ck_assert(store_queue_entry_decode(bytes, &out));
    ck_assert_uint_eq(out.log_off, in.log_off);
    ck_assert_uint_eq(out.size, in.size);
    ck_assert_int_eq(out.tag_code, in.tag_code);
}
END_TEST

START_TEST(empty_and_negative_queue_entries_are_refused)
{
    uint8_t bytes[STORE_QUEUE_ENTRY_BYTES] = {0};
    struct store_queue_entry out;
    ck_assert(!store_queue_entry_decode(bytes, &out));
    record_queue_entry_encode(bytes, &(struct store_queue_entry){.log_off = 5, .size = 1u << 31});
    ck_assert(!store_queue_entry_decode(bytes, &out));
    record_queue_entry_encode(bytes, &(struct store_queue_entry){.log_off = 1ull << 63, .size = 9});
    ck_assert(!store_queue_entry_decode(bytes, &out));
}
END_TEST

START_TEST(a_checkpoint_comes_back)
{
    const struct store_checkpoint in = {1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct store_checkpoint out;
    struct err e = {0};
    record_checkpoint_encode(buf, &in);
    ck_assert_int_eq(store_checkpoint_decode(span_of(buf, STORE_CHECKPOINT_BYTES), &out, &e), 0);
    ck_assert_mem_eq(&in, &out, sizeof in);
    ck_assert_uint_eq(be64_get(buf + 40), 6);
}
END_TEST

START_TEST(a_cut_checkpoint_is_refused)
{
    struct store_checkpoint out;
    struct err e = {0};
    ck_assert_int_eq(store_checkpoint_decode(span_of(buf, 47), &out, &e), ERR_CORRUPT);
    ck_assert_int_eq(store_checkpoint_decode(span_of(buf, 48), &out, &e), 0);
}
END_TEST

static TCase *encoding_case(void)
{
    TCase *tc = tcase_create("encode");
    tcase_add_test(tc, a_fixed_record_gives_the_bytes_on_file);
    tcase_add_test(tc, a_body_in_pieces_is_stored_as_one);
    tcase_add_test(tc, an_empty_body_and_no_properties_are_the_shortest_record);
    tcase_add_test(tc, hosts_of_both_families_come_back);
    tcase_add_test(tc, a_topic_of_more_than_127_bytes_makes_version_2);
    tcase_add_test(tc, a_topic_is_measured_in_bytes_not_in_characters);
    tcase_add_test(tc, limits_are_kept_to_the_byte);
    tcase_add_test(tc, pieces_of_a_body_are_limited_together);
    tcase_add_test(tc, what_could_not_be_read_back_is_refused);
    tcase_add_test(tc, a_record_fits_when_eight_bytes_are_left_behind_it);
    return tc;
}

static TCase *decoding_case(void)
{
    TCase *tc = tcase_create("decode");
    tcase_add_test(tc, the_bytes_on_file_decode_to_every_field);
    tcase_add_test(tc, each_kind_of_damage_is_named);
    tcase_add_test(tc, a_version_1_topic_length_is_a_signed_byte);
    tcase_add_test(tc, every_beginning_of_a_record_is_short);
    tcase_add_test(tc, zeros_are_the_end_and_a_filler_says_what_is_left);
    tcase_add_test(tc, an_unknown_position_is_not_compared);
    tcase_add_test(tc, a_changed_body_fails_its_check);
    return tc;
}

static TCase *parts_case(void)
{
    TCase *tc = tcase_create("parts");
    tcase_add_test(tc, properties_without_name_or_value_are_passed_over);
    tcase_add_test(tc, a_property_is_found_by_its_whole_name);
    tcase_add_test(tc, a_tag_code_is_the_sign_extended_hash);
    tcase_add_test(tc, a_delayed_record_has_its_delivery_time_as_tag_code);
    tcase_add_test(tc, halves_of_transactions_are_not_queued);
    tcase_add_test(tc, queue_entries_come_back);
    tcase_add_test(tc, empty_and_negative_queue_entries_are_refused);
    tcase_add_test(tc, a_checkpoint_comes_back);
    tcase_add_test(tc, a_cut_checkpoint_is_refused);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("record");
    suite_add_tcase(suite, encoding_case());
    suite_add_tcase(suite, decoding_case());
    suite_add_tcase(suite, parts_case());
    return suite_run(suite);
}

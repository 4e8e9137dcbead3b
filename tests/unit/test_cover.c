/* Tests of store/cover.c: what fills a place in a log is believed, and nobody gets it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/record.h"
#include "store/store.h"
#include "tests/lib/suite.h"

START_TEST(a_cover_is_a_whole_record_of_exactly_its_size)
{
    static const uint32_t sizes[] = {STORE_COVER_MIN,     STORE_COVER_MIN + 1,  STORE_COVER_MIN + 8,
                                     STORE_COVER_MIN + 9, STORE_COVER_MIN + 10, 4825,
                                     STORE_COVER_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *bytes = malloc(sizes[i]);
        struct store_record rec;
        const char *why = "";
        memset(bytes, 0xff, sizes[i]);
        store_cover_write(bytes, sizes[i], 4096, 1234);
        ck_assert_msg(record_decode(span_of(bytes, sizes[i]), 4096, &rec, &why) == RECORD_OK, "%s",
                      why);
        ck_assert_uint_eq(rec.size, sizes[i]);
        ck_assert_uint_eq(rec.store_ms, 1234);
        ck_assert(span_equal(rec.topic, span_str(STORE_COVER_TOPIC)));
        ck_assert(store_body_check(&rec, NULL));
        ck_assert(!store_is_queued(&rec));
        free(bytes);
    }
}
END_TEST

START_TEST(a_lengthened_record_has_the_same_properties)
{
    static const char *const texts[] = {"", "a\001b\002", "a\001b"};
    for (uint32_t n = 1; n < STORE_COVER_MIN; n++) {
        uint8_t bytes[512];
        struct store_host host = {.addr_len = 4};
        struct span body = span_str("body");
        struct store_message m = {.topic = span_str("T"),
                                  .born_host = host,
                                  .properties = span_str(texts[n % 3]),
                                  .body = &body,
                                  .n_body = 1};
        struct record_plan plan;
        struct store_record rec;
        struct span value = {0};
        struct err e;
        ck_assert_int_eq(record_plan(&m, &host, FORMAT_BODY_MAX, &plan, &e), 0);
        record_write(bytes, &plan, &m);
        record_patch(bytes, &plan, 7, 1000, 5);
        ck_assert(store_record_pad(bytes, plan.size, n));
        ck_assert(store_record_decode(span_of(bytes, plan.size + n), &rec));
        ck_assert(store_body_check(&rec, NULL));
        ck_assert_uint_eq(rec.queue_off, 7);
        bool has_a = store_property_get(rec.properties, "a", &value);
        ck_assert(has_a == (n % 3 != 0));
        ck_assert(!has_a || span_equal(value, span_str("b")));
    }
}
END_TEST

START_TEST(properties_do_not_grow_over_their_limit)
{
    uint8_t *bytes = malloc(40000);
    char *text = malloc(FORMAT_PROPERTIES_MAX);
    struct store_host host = {.addr_len = 4};
    memset(text, 'x', FORMAT_PROPERTIES_MAX);
    struct store_message m = {.topic = span_str("T"),
                              .born_host = host,
                              .properties = span_of(text, FORMAT_PROPERTIES_MAX - 3)};
    struct record_plan plan;
    struct err e;
    ck_assert_int_eq(record_plan(&m, &host, FORMAT_BODY_MAX, &plan, &e), 0);
    record_write(bytes, &plan, &m);
    ck_assert(!store_record_pad(bytes, plan.size, 4));
    ck_assert(store_record_pad(bytes, plan.size, 3));
    free(text);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cover");
    TCase *tc = tcase_create("cover");
    tcase_add_test(tc, a_cover_is_a_whole_record_of_exactly_its_size);
    tcase_add_test(tc, a_lengthened_record_has_the_same_properties);
    tcase_add_test(tc, properties_do_not_grow_over_their_limit);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

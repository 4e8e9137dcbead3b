/* Tests of tools/dump_filter.c: each question alone, and where a walk may start. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_filter.h"

#include "base/jhash.h"
#include "tests/lib/suite.h"

static struct dump_filter f;
static struct store_record rec;

static void set_up(void)
{
    dump_filter_init(&f);
    rec = (struct store_record){.log_off = 1000,
                                .queue_id = 3,
                                .queue_off = 7,
                                .store_ms = 5000,
                                .topic = span_str("T"),
                                .properties =
                                    span_str("TAGS\001a\002KEYS\001k1 k2\002UNIQ_KEY\001U\002")};
}

/* Whether the record passes; the filter is open again afterwards. */
static bool passes(void)
{
    bool is_it = dump_filter_record(&f, &rec);
    ck_assert(!dump_filter_is_open(&f));
    dump_filter_init(&f);
    return is_it;
}

START_TEST(an_open_filter_lets_everything_pass)
{
    ck_assert(dump_filter_is_open(&f));
    ck_assert(dump_filter_record(&f, &rec));
    rec.properties = (struct span){0};
    ck_assert(dump_filter_record(&f, &rec));
}
END_TEST

START_TEST(texts_are_compared_whole)
{
    const struct {
        const char **at, *yes, *no;
    } texts[] = {
        {&f.topic, "T", "TT"}, {&f.tag, "a", "A"}, {&f.key, "k2", "k"}, {&f.unique_key, "U", ""}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i].at = texts[i].yes;
        ck_assert(passes());
        *texts[i].at = texts[i].no;
        ck_assert(!passes());
    }
    f.key = "k1";
    ck_assert(passes());
}
END_TEST

START_TEST(ranges_hold_their_beginning_and_not_their_end)
{
    const struct {
        struct dump_range *at;
        uint64_t value;
    } ranges[] = {{&f.log, 1000}, {&f.queue, 7}, {&f.store_ms, 5000}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        uint64_t v = ranges[i].value;
        *ranges[i].at = (struct dump_range){v, v + 1};
        ck_assert(passes());
        *ranges[i].at = (struct dump_range){v + 1, DUMP_ANY};
        ck_assert(!passes());
        *ranges[i].at = (struct dump_range){0, v};
        ck_assert(!passes());
    }
    f.queue_id = 3;
    ck_assert(passes());
    f.queue_id = 0;
    ck_assert(!passes());
}
END_TEST

START_TEST(an_entry_is_asked_for_what_it_knows)
{
    struct store_queue_entry entry = {
        .log_off = 1000, .size = 100, .tag_code = jhash(span_str("a"))};
    ck_assert(dump_filter_entry(&f, 7, &entry));
    f.tag = "a";
    ck_assert(dump_filter_entry(&f, 7, &entry));
    f.tag = "b";
    ck_assert(!dump_filter_entry(&f, 7, &entry));
    f.tag = NULL;
    f.queue.to = 7;
    ck_assert(!dump_filter_entry(&f, 7, &entry));
}
END_TEST

START_TEST(the_walk_ends_behind_the_range)
{
    struct store_walk_item item = {.kind = STORE_WALK_RECORD, .log_off = 1000, .rec = rec};
    ck_assert(!dump_filter_is_past(&f, &item));
    f.log.to = 1000;
    ck_assert(dump_filter_is_past(&f, &item));
    f.log.to = 1001;
    f.store_ms.to = 5000;
    ck_assert(!dump_filter_is_past(&f, &item)); /* a clock may have been set back */
    item.rec.store_ms = 5000 + 3600000;
    ck_assert(dump_filter_is_past(&f, &item));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dump_filter");
    TCase *tc = tcase_create("dump_filter");
    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, an_open_filter_lets_everything_pass);
    tcase_add_test(tc, texts_are_compared_whole);
    tcase_add_test(tc, ranges_hold_their_beginning_and_not_their_end);
    tcase_add_test(tc, an_entry_is_asked_for_what_it_knows);
    tcase_add_test(tc, the_walk_ends_behind_the_range);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

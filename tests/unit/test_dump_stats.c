/* Tests of tools/dump_stats.c: what is counted, as the JSON tells it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_stats.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/suite.h"

static struct dump_stats *stats;

static void set_up(void)
{
    struct err e;
    ck_assert_int_eq(dump_stats_new(&stats, &e), 0);
}

static void tear_down(void)
{
    dump_stats_free(stats);
}

static void add(const char *topic, const char *properties, size_t body_len, uint64_t store_ms)
{
    static const uint8_t body[1 << 16];
    struct err e;
    const struct store_walk_item item = {.kind = STORE_WALK_RECORD,
                                         .body_ok = body_len != 7,
                                         .rec = {.size = 100 + (uint32_t)body_len,
                                                 .store_ms = store_ms,
                                                 .topic = span_str(topic),
                                                 .properties = span_str(properties),
                                                 .body = span_of(body, body_len)}};
    ck_assert_int_eq(dump_stats_add(stats, &item, &e), 0);
}

/* The line with this topic (NULL: of all) of what is printed; the caller drops it. */
static json_t *line_of(const char *topic)
{
    const struct dump_stats_rest rest = {.n_damaged = 1, .damaged_bytes = 50, .filler_bytes = 60};
    char line[4096];
    struct err e;
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
    ck_assert_int_eq(dump_stats_json(stats, &rest, &e), 0);
    ck_assert_int_eq(fflush(stdout), 0);
    ck_assert_int_ge(dup2(saved, STDOUT_FILENO), 0);
    rewind(file);
    json_t *found = NULL;
    while (!found && fgets(line, sizeof line, file)) {
        json_t *object = json_loads(line, 0, NULL);
        const char *name = json_string_value(json_object_get(object, "topic"));
        if (topic ? name && strcmp(name, topic) == 0 : !name)
            found = object;
        else
            json_decref(object);
    }
    (void)fclose(file);
    (void)close(saved);
    ck_assert_ptr_nonnull(found);
    return found;
}

static json_int_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

START_TEST(messages_are_counted_by_topic_and_tag)
{
    add("A", "TAGS\001x\002", 10, 2000);
    add("B", "TAGS\001x\002", 20, 1000);
    add("A", "TAGS\001y\002", 7, 1500);
    add("A", "TAGS\001x\002", 0, 3000);
    add("A", "", 5000, 2500);
    json_t *a = line_of("A"), *all = line_of(NULL);
    ck_assert_int_eq(number(a, "messages"), 4);
    ck_assert_int_eq(number(a, "bytes"), 400 + 5017);
    ck_assert_int_eq(number(a, "bodyBytes"), 5017);
    ck_assert_int_eq(number(a, "wrongChecksums"), 1);
    ck_assert_int_eq(number(a, "firstStoreTimestamp"), 1500);
    ck_assert_int_eq(number(a, "lastStoreTimestamp"), 3000);
    ck_assert_int_eq(number(a, "untagged"), 1);
    ck_assert_int_eq(number(json_object_get(a, "tags"), "x"), 2);
    ck_assert_int_eq(number(json_object_get(a, "tags"), "y"), 1);
    ck_assert_int_eq(number(all, "messages"), 5);
    ck_assert_int_eq(number(all, "topics"), 2);
    ck_assert_int_eq(number(all, "damagedBytes"), 50);
    ck_assert_int_eq(number(all, "fillerBytes"), 60);
    json_decref(a);
    json_decref(all);
}
END_TEST

START_TEST(bodies_are_counted_by_size)
{
    static const size_t lens[] = {0, 1, 16, 17, 64, 65, 65536};
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
        add("T", "", lens[i], 1);
    json_t *t = line_of("T");
    const json_t *sizes = json_object_get(t, "bodySizes");
    static const json_int_t wanted[][2] = {{0, 1}, {16, 2}, {64, 2}, {256, 1}, {65536, 1}};
    ck_assert_uint_eq(json_array_size(sizes), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(number(json_array_get(sizes, i), "upTo"), wanted[i][0]);
        ck_assert_int_eq(number(json_array_get(sizes, i), "messages"), wanted[i][1]);
    }
    json_decref(t);
}
END_TEST

START_TEST(tags_beyond_the_limit_are_counted_together)
{
    for (int i = 0; i < 1100; i++) {
        char properties[32];
        (void)snprintf(properties, sizeof properties, "TAGS\001t%d\002", i);
        add("T", properties, 1, 1);
    }
    json_t *all = line_of(NULL);
    ck_assert_int_eq(number(all, "messages"), 1100);
    json_decref(all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dump_stats");
    TCase *tc = tcase_create("dump_stats");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, messages_are_counted_by_topic_and_tag);
    tcase_add_test(tc, bodies_are_counted_by_size);
    tcase_add_test(tc, tags_beyond_the_limit_are_counted_together);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

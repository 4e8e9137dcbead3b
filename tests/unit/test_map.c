/* Tests of the hash map, beside a naive model. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/suite.h"

static struct map map;
static struct err e;

static void setup(void)
{
    map = (struct map){0};
}

static void teardown(void)
{
    map_fini(&map);
}

static void put(const char *key, void *value)
{
    ck_assert_int_eq(map_put(&map, span_str(key), value, &e), 0);
}

START_TEST(an_empty_map_has_nothing)
{
    size_t pos = 0;
    ck_assert_ptr_null(map_get(&map, span_str("a")));
    ck_assert_ptr_null(map_remove(&map, span_str("a")));
    ck_assert_ptr_null(map_next(&map, &pos));
}
END_TEST

START_TEST(a_value_is_found_replaced_and_removed)
{
    int one, two;
    put("key", &one);
    ck_assert_ptr_eq(map_get(&map, span_str("key")), &one);
    put("key", &two);
    ck_assert_uint_eq(map.n_used, 1);
    ck_assert_ptr_eq(map_remove(&map, span_str("key")), &two);
    ck_assert_ptr_null(map_get(&map, span_str("key")));
    ck_assert_uint_eq(map.n_used, 0);
}
END_TEST

START_TEST(keys_are_copied_compared_whole_and_may_hold_any_byte)
{
    int x, y, z;
    char key[] = "a\0b";
    ck_assert_int_eq(map_put(&map, span_of(key, 3), &x, &e), 0);
    ck_assert_int_eq(map_put(&map, span_of(key, 1), &y, &e), 0);
    ck_assert_int_eq(map_put(&map, (struct span){0}, &z, &e), 0);
    key[0] = 'c';
    ck_assert_ptr_eq(map_get(&map, span_of("a\0b", 3)), &x);
    ck_assert_ptr_eq(map_get(&map, span_of("a", 1)), &y);
    ck_assert_ptr_eq(map_get(&map, (struct span){0}), &z);
}
END_TEST

START_TEST(iteration_meets_every_entry_once)
{
    enum { N = 500 };
    char seen[N] = {0};
    for (int i = 0; i < N; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key-%d", i);
        put(key, &seen[i]);
    }
    size_t pos = 0;
    for (const struct map_entry *at; (at = map_next(&map, &pos));)
        ++*(char *)at->value;
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(seen[i], 1);
}
END_TEST

START_TEST(entries_may_be_removed_while_the_map_is_walked)
{
    int value;
    size_t n_met = 0;
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key-%d", i);
        put(key, &value);
    }
    const struct map_entry *at;
    for (size_t pos = 0; (at = map_next(&map, &pos)) != NULL; n_met++)
        if (n_met % 2 == 0)
            ck_assert_ptr_eq(map_remove(&map, span_of(at->key, at->key_len)), &value);
    ck_assert_uint_eq(n_met, 100);
    ck_assert_uint_eq(map.n_used, 50);
}
END_TEST

START_TEST(adding_and_removing_for_ever_does_not_grow_the_map)
{
    int value;
    for (int i = 0; i < 20000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key-%d", i);
        put(key, &value);
        ck_assert_ptr_eq(map_remove(&map, span_str(key)), &value);
    }
    ck_assert_uint_le(map.n_slots, 32);
}
END_TEST

enum { N_KEYS = 200, N_STEPS = 50000 };

/* What the map should hold: the value of each key, or NULL. */
struct model {
    void *values[N_KEYS];
    size_t n_used;
};

static struct span key_number(size_t number, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%zu", number * number);
    return span_of(buf, (size_t)n);
}

static void step(struct model *model, unsigned draw)
{
    static char values[256];
    char buf[24];
    size_t number = draw % N_KEYS;
    struct span key = key_number(number, buf, sizeof buf);
    void *value = &values[draw / 7 % sizeof values];
    bool had = model->values[number] != NULL;
    if (draw / N_KEYS % 5 < 2) {
        ck_assert_ptr_eq(map_remove(&map, key), model->values[number]);
        model->values[number] = NULL;
        model->n_used -= had;
    } else {
        ck_assert_int_eq(map_put(&map, key, value, &e), 0);
        model->values[number] = value;
        model->n_used += !had;
    }
}

START_TEST(random_operations_agree_with_a_naive_model)
{
    struct model model = {0};
    unsigned seed = 20260101;
    for (int i = 0; i < N_STEPS; i++) {
        seed = seed * 1103515245u + 12345u;
        step(&model, seed >> 4);
        ck_assert_uint_eq(map.n_used, model.n_used);
    }
    for (size_t number = 0; number < N_KEYS; number++) {
        char buf[24];
        struct span key = key_number(number, buf, sizeof buf);
        ck_assert_ptr_eq(map_get(&map, key), model.values[number]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *tc = tcase_create("map");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_empty_map_has_nothing);
    tcase_add_test(tc, a_value_is_found_replaced_and_removed);
    tcase_add_test(tc, keys_are_copied_compared_whole_and_may_hold_any_byte);
    tcase_add_test(tc, iteration_meets_every_entry_once);
    tcase_add_test(tc, entries_may_be_removed_while_the_map_is_walked);
    tcase_add_test(tc, adding_and_removing_for_ever_does_not_grow_the_map);
    tcase_add_test(tc, random_operations_agree_with_a_naive_model);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

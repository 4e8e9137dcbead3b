/* Objects kept from one request for the next. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/idle.h"

#include "tests/lib/suite.h"

static unsigned n_freed;

static void note_freed(struct idle_item *item)
{
    (void)item;
    n_freed++;
}

START_TEST(the_object_used_last_comes_first)
{
    struct idle idle;
    struct idle_item a, b;
    idle_init(&idle, 2);
    ck_assert_ptr_null(idle_take(&idle));
    ck_assert(idle_keep(&idle, &a));
    ck_assert(idle_keep(&idle, &b));
    ck_assert_ptr_eq(idle_take(&idle), &b);
    ck_assert_ptr_eq(idle_take(&idle), &a);
    ck_assert_ptr_null(idle_take(&idle));
    idle_fini(&idle, note_freed);
}
END_TEST

START_TEST(only_so_many_are_kept_and_those_are_freed_at_the_end)
{
    struct idle idle;
    struct idle_item items[4];
    idle_init(&idle, 3);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(idle_keep(&idle, &items[i]) == (i < 3));
    n_freed = 0;
    idle_fini(&idle, note_freed);
    ck_assert_uint_eq(n_freed, 3);
}
END_TEST

START_TEST(of_a_list_as_many_are_kept_as_there_is_room_for)
{
    struct idle idle;
    struct idle_item items[4];
    idle_init(&idle, 3);
    for (unsigned i = 0; i < 4; i++)
        items[i].next = i < 3 ? &items[i + 1] : NULL;
    ck_assert_ptr_null(idle_keep_list(&idle, NULL));
    ck_assert_ptr_eq(idle_keep_list(&idle, &items[0]), &items[3]);
    ck_assert_ptr_null(items[3].next);
    ck_assert_ptr_eq(idle_take(&idle), &items[2]);
    ck_assert_ptr_null(idle_keep_list(&idle, &items[3]));
    n_freed = 0;
    idle_fini(&idle, note_freed);
    ck_assert_uint_eq(n_freed, 3);
}
END_TEST

START_TEST(room_is_made_once_for_as_much_as_was_ever_needed)
{
    struct idle_room room = {0};
    void *first = idle_room_get(&room, 100);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_eq(idle_room_get(&room, 10), first);
    ck_assert_ptr_eq(idle_room_get(&room, 100), first);
    ck_assert_ptr_nonnull(idle_room_get(&room, 101));
    ck_assert_uint_eq(room.bytes, 101);
    idle_room_fini(&room);
    ck_assert_uint_eq(room.bytes, 0);
}
END_TEST

START_TEST(room_of_an_unusual_request_is_given_back)
{
    struct idle_room room = {0};
    void *usual = idle_room_get(&room, 64 * 1024);
    idle_room_trim(&room);
    ck_assert_ptr_eq(room.memory, usual);
    ck_assert_ptr_nonnull(idle_room_get(&room, 64 * 1024 + 1));
    idle_room_trim(&room);
    ck_assert_uint_eq(room.bytes, 0);
    ck_assert_ptr_null(room.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idle");
    TCase *tc = tcase_create("idle");
    tcase_add_test(tc, the_object_used_last_comes_first);
    tcase_add_test(tc, only_so_many_are_kept_and_those_are_freed_at_the_end);
    tcase_add_test(tc, of_a_list_as_many_are_kept_as_there_is_room_for);
    tcase_add_test(tc, room_is_made_once_for_as_much_as_was_ever_needed);
    tcase_add_test(tc, room_of_an_unusual_request_is_given_back);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

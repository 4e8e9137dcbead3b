/* Memory taken bit by bit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "tests/lib/suite.h"

START_TEST(what_is_taken_is_aligned_and_apart)
{
    enum { N = 200 };
    struct arena a = {0};
    uint8_t *taken[N];
    for (size_t i = 0; i < N; i++) {
        taken[i] = arena_take(&a, i);
        ck_assert_ptr_nonnull(taken[i]);
        ck_assert_uint_eq((uintptr_t)taken[i] % alignof(max_align_t), 0);
        memset(taken[i], (int)(i % 256), i);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < i; j++)
            ck_assert_uint_eq(taken[i][j], i % 256);
    arena_fini(&a);
}
END_TEST

/* Takes as much as a request, in small bits; where the first lay. */
static uint8_t *take_all(struct arena *a, size_t bytes)
{
    uint8_t *first = arena_take(a, 16);
    for (size_t n = 16; n < bytes; n += 16)
        ck_assert_ptr_nonnull(arena_take(a, 16));
    return first;
}

START_TEST(what_one_request_took_serves_the_next)
{
    struct arena a = {0};
    uint8_t *first = take_all(&a, 1000);
    arena_forget(&a);
    ck_assert_ptr_eq(take_all(&a, 4000), first);
    arena_forget(&a);
    (void)take_all(&a, 30000); /* several blocks */
    arena_forget(&a);
    first = take_all(&a, 10000); /* one */
    arena_forget(&a);
    ck_assert_ptr_eq(take_all(&a, 15000), first);
    ck_assert_ptr_eq(arena_take(&a, 0), first + 15008);
    arena_fini(&a);
}
END_TEST

START_TEST(what_a_large_request_took_is_not_kept)
{
    struct arena a = {0};
    ck_assert_ptr_nonnull(arena_take(&a, 1 << 20));
    arena_forget(&a);
    ck_assert_ptr_null(a.last);
    arena_forget(&a);
    arena_fini(&a);
}
END_TEST

START_TEST(more_than_there_can_be_is_refused)
{
    struct arena a = {0};
    ck_assert_ptr_null(arena_take(&a, SIZE_MAX));
    ck_assert_ptr_nonnull(arena_take(&a, 1));
    arena_fini(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arena");
    TCase *tc = tcase_create("arena");
    tcase_add_test(tc, what_is_taken_is_aligned_and_apart);
    tcase_add_test(tc, what_one_request_took_serves_the_next);
    tcase_add_test(tc, what_a_large_request_took_is_not_kept);
    tcase_add_test(tc, more_than_there_can_be_is_refused);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

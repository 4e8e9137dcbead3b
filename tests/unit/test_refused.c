/* Why parts of a request were refused: the texts live until they are cleared. The linker puts
 * malloc below in front of the C library's (--wrap). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/refused.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/suite.h"

enum { N_NOTED = 100 };

/* Only of what is under test: Check allocates too. */
static bool is_counting, is_memory_out;
static int n_allocated;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void __real_free(void *p);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n)
{
    if (!is_counting)
        return __real_malloc(n);
    if (is_memory_out)
        return NULL;
    n_allocated++;
    return memset(__real_malloc(n), '?', n);
}

void __wrap_free(void *p)
{
    n_allocated -= is_counting && p;
    __real_free(p);
}

static struct span note(struct refused **list, const struct status *st)
{
    is_counting = true;
    struct span text = refused_note(list, st);
    is_counting = false;
    return text;
}

static void clear(struct refused **list)
{
    is_counting = true;
    refused_clear(list);
    is_counting = false;
    ck_assert_ptr_null(*list);
    ck_assert_int_eq(n_allocated, 0);
}

START_TEST(each_text_stays_what_it_was_until_all_are_cleared)
{
    struct refused *list = NULL;
    struct span noted[N_NOTED];
    struct status st;
    char text[32];
    for (int i = 0; i < N_NOTED; i++) {
        (void)status_set(&st, CODE(BAD_REQUEST), "part %d", i);
        noted[i] = note(&list, &st);
    }
    for (int i = 0; i < N_NOTED; i++) {
        (void)snprintf(text, sizeof text, "part %d", i);
        ck_assert(span_equal(noted[i], span_str(text)));
    }
    clear(&list);
}
END_TEST

START_TEST(the_longest_text_is_kept_whole)
{
    struct refused *list = NULL;
    struct status st;
    char text[STATUS_TEXT_BYTES];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)status_set(&st, CODE(BAD_REQUEST), "%s", text);
    ck_assert(span_equal(note(&list, &st), span_str(text)));
    clear(&list);
}
END_TEST

START_TEST(clearing_none_is_fine_and_a_cleared_list_takes_more)
{
    struct refused *list = NULL;
    struct status st;
    clear(&list);
    for (int i = 0; i < 2; i++) {
        (void)status_set(&st, CODE(BAD_REQUEST), "again");
        ck_assert(span_equal(note(&list, &st), span_str("again")));
        clear(&list);
    }
}
END_TEST

START_TEST(without_memory_the_part_is_refused_all_the_same)
{
    struct refused *list = NULL;
    struct status st;
    (void)status_set(&st, CODE(BAD_REQUEST), "first");
    struct span first = note(&list, &st);
    is_memory_out = true;
    struct span second = note(&list, &st);
    is_memory_out = false;
    ck_assert(span_equal(second, span_str("no memory for the reason")));
    ck_assert(span_equal(first, span_str("first")));
    clear(&list);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refused");
    TCase *tc = tcase_create("refused");
    tcase_add_test(tc, each_text_stays_what_it_was_until_all_are_cleared);
    tcase_add_test(tc, the_longest_text_is_kept_whole);
    tcase_add_test(tc, clearing_none_is_fine_and_a_cleared_list_takes_more);
    tcase_add_test(tc, without_memory_the_part_is_refused_all_the_same);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

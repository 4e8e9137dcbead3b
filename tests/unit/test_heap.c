/* What the allocator holds, of an allocator that is the test's: mallctl below is what jemalloc
 * would have. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/heap.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/suite.h"

static const struct {
    const char *name;
    size_t bytes;
} counts[] = {{"stats.allocated", 1},
              {"stats.active", 2},
              {"stats.metadata", 3},
              {"stats.resident", 4},
              {"stats.retained", 5}};

static const char *unknown; /* what this allocator cannot tell */
static bool is_fresh;       /* the counts were taken anew */

int mallctl(const char *name, void *old, size_t *old_bytes, void *new_value, size_t new_bytes);

int mallctl(const char *name, void *old, size_t *old_bytes, void *new_value, size_t new_bytes)
{
    if (unknown && strcmp(name, unknown) == 0)
        return ENOENT;
    if (strcmp(name, "epoch") == 0) {
        ck_assert_ptr_nonnull(new_value);
        ck_assert_uint_eq(new_bytes, sizeof(uint64_t));
        is_fresh = true;
        return 0;
    }
    ck_assert_ptr_null(new_value);
    ck_assert_uint_eq(*old_bytes, sizeof(size_t));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (strcmp(name, counts[i].name) == 0) {
            size_t bytes = is_fresh ? counts[i].bytes : 0;
            memcpy(old, &bytes, sizeof bytes);
            return 0;
        }
    return ENOENT;
}

static void setup(void)
{
    unknown = NULL;
    is_fresh = false;
}

START_TEST(each_count_is_the_one_of_its_name_and_of_now)
{
    struct heap_stats s;
    ck_assert(heap_stats(&s));
    ck_assert_uint_eq(s.allocated_bytes, 1);
    ck_assert_uint_eq(s.active_bytes, 2);
    ck_assert_uint_eq(s.metadata_bytes, 3);
    ck_assert_uint_eq(s.resident_bytes, 4);
    ck_assert_uint_eq(s.retained_bytes, 5);
}
END_TEST

START_TEST(what_counts_only_some_of_it_says_nothing)
{
    struct heap_stats s, before;
    memset(&before, 7, sizeof before);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        s = before;
        unknown = counts[i].name;
        ck_assert(!heap_stats(&s));
        ck_assert_mem_eq(&s, &before, sizeof s);
    }
    unknown = "epoch";
    ck_assert(!heap_stats(&s));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *tc = tcase_create("heap");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, each_count_is_the_one_of_its_name_and_of_now);
    tcase_add_test(tc, what_counts_only_some_of_it_says_nothing);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Tests of base/memory_limit.c: control groups of both versions, as a tree of files of ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory_limit.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static char *root;
static struct memory_limit limit;
static struct err e;

static void put(const char *name, const char *text)
{
    char folder[512], *path = tmpdir_path(root, name);
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    ck_assert_int_eq(io_make_dirs(io_posix(), folder, &e), 0);
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    free(path);
}

static void setup(void)
{
    root = tmpdir_make();
    put("proc/meminfo", "MemTotal:       8388608 kB\nMemAvailable:   4194304 kB\n");
}

static void teardown(void)
{
    tmpdir_remove(root);
}

static void expect(uint64_t bytes, enum memory_source source)
{
    ck_assert_msg(memory_limit_read(&limit, io_posix(), root, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(limit.bytes, bytes);
    ck_assert_int_eq((int)limit.source, (int)source);
}

START_TEST(without_a_group_it_is_what_the_machine_has_available)
{
    expect((uint64_t)4 << 30, MEMORY_AVAILABLE);
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/memory.max", "max\n");
    expect((uint64_t)4 << 30, MEMORY_AVAILABLE);
}
END_TEST

START_TEST(a_group_of_version_2_bounds_it)
{
    put("proc/self/cgroup", "0::/system.slice/sluice.service\n");
    put("sys/fs/cgroup/system.slice/sluice.service/memory.max", "268435456\n");
    expect(268435456, MEMORY_CGROUP_V2);
}
END_TEST

START_TEST(the_mark_at_which_it_is_slowed_down_counts_too)
{
    put("proc/self/cgroup", "0::/a\n");
    put("sys/fs/cgroup/a/memory.max", "268435456\n");
    put("sys/fs/cgroup/a/memory.high", "134217728\n");
    expect(134217728, MEMORY_CGROUP_V2);
}
END_TEST

START_TEST(the_lowest_limit_of_all_groups_above_counts)
{
    put("proc/self/cgroup", "0::/a/b/c\n");
    put("sys/fs/cgroup/a/memory.max", "100000000\n");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/b/c/memory.max", "200000000\n");
    expect(100000000, MEMORY_CGROUP_V2);
}
END_TEST

START_TEST(a_group_of_version_1_bounds_it)
{
    put("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb,memory:/a/b\n0::/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n");
    put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
    expect(536870912, MEMORY_CGROUP_V1);
}
END_TEST

START_TEST(a_container_that_sees_only_its_own_folder_is_bounded)
{
    put("proc/self/cgroup", "4:memory:/docker/0123456789ab\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "300000000\n");
    expect(300000000, MEMORY_CGROUP_V1);
}
END_TEST

START_TEST(a_limit_above_what_is_available_does_not_count)
{
    put("proc/self/cgroup", "0::/a\n");
    put("sys/fs/cgroup/a/memory.max", "68719476736\n");
    expect((uint64_t)4 << 30, MEMORY_AVAILABLE);
}
END_TEST

START_TEST(a_machine_that_does_not_tell_is_an_error)
{
    put("proc/meminfo", "MemTotal:       8388608 kB\n");
    ck_assert_int_eq(memory_limit_read(&limit, io_posix(), root, &e), ERR_UNSUPPORTED);
}
END_TEST

START_TEST(this_machine_tells)
{
    ck_assert_msg(memory_limit_read(&limit, io_posix(), "", &e) == 0, "%s", e.msg);
    ck_assert_uint_gt(limit.bytes, 1 << 20);
}
END_TEST

/* ---- texts ---- */

static bool number(const char *text, uint64_t *ret)
{
    return memory_limit_number(span_str(text), ret);
}

START_TEST(a_limit_is_a_number_or_none)
{
    uint64_t n;
    ck_assert(number("0\n", &n) && n == 0);
    ck_assert(number("18446744073709551615", &n) && n == UINT64_MAX);
    ck_assert(number("max\n", &n) && n == UINT64_MAX);
    static const char *const wrong[] = {"", "\n", "-1\n", "12k\n", "18446744073709551616", "maxi"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!number(wrong[i], &n), "%s", wrong[i]);
}
END_TEST

START_TEST(what_is_available_is_in_kib)
{
    uint64_t n;
    ck_assert(memory_limit_available(span_str("MemAvailable: 3 kB"), &n) && n == 3072);
    static const char *const wrong[] = {"",
                                        "MemAvailable:",
                                        "MemAvailable: 3\n",
                                        "MemAvailable: 3 MB\n",
                                        "MemAvailable: 18014398509481985 kB\n",
                                        "XMemAvailable: 3 kB\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!memory_limit_available(span_str(wrong[i]), &n), "%s", wrong[i]);
}
END_TEST

START_TEST(the_group_is_the_one_of_the_memory_controller)
{
    struct span path;
    struct span text = span_str("7:cpu:/c\n4:memory:/m\n0::/u\n");
    ck_assert(memory_limit_group(text, MEMORY_CGROUP_V1, &path));
    ck_assert(span_equal(path, span_str("/m")));
    ck_assert(memory_limit_group(text, MEMORY_CGROUP_V2, &path));
    ck_assert(span_equal(path, span_str("/u")));
    static const char *const without[] = {"",         "0::",        "0::x\n",      "0:/x\n",
                                          "4:mem:/x", "0::/../x\n", "4:memory2:/x"};
    for (size_t i = 0; i < sizeof without / sizeof without[0]; i++) {
        ck_assert(!memory_limit_group(span_str(without[i]), MEMORY_CGROUP_V1, &path));
        ck_assert(!memory_limit_group(span_str(without[i]), MEMORY_CGROUP_V2, &path));
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("memory_limit");
    TCase *c = tcase_create("read");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, without_a_group_it_is_what_the_machine_has_available);
    tcase_add_test(c, a_group_of_version_2_bounds_it);
    tcase_add_test(c, the_mark_at_which_it_is_slowed_down_counts_too);
    tcase_add_test(c, the_lowest_limit_of_all_groups_above_counts);
    tcase_add_test(c, a_group_of_version_1_bounds_it);
    tcase_add_test(c, a_container_that_sees_only_its_own_folder_is_bounded);
    tcase_add_test(c, a_limit_above_what_is_available_does_not_count);
    tcase_add_test(c, a_machine_that_does_not_tell_is_an_error);
    tcase_add_test(c, this_machine_tells);
    suite_add_tcase(s, c);
    c = tcase_create("texts");
    tcase_add_test(c, a_limit_is_a_number_or_none);
    tcase_add_test(c, what_is_available_is_in_kib);
    tcase_add_test(c, the_group_is_the_one_of_the_memory_controller);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return suite_run(suite());
}

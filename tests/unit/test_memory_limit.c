/* Tests of base/memory_limit.c: control groups of both versions, as a tree of files of ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory_limit.h"

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static char *root;
static struct memory_limit limit;
static struct err e;

static void put(const char *name, const char *text)
{
    tmpdir_put(root, name, text);
}

static void setup(void)
{
    root = tmpdir_make();
    put("proc/meminfo", "MemTotal:       8388608 kB\nMemAvailable:   4194304 kB\n");
    put("proc/self/mountinfo",
        "9 1 0:7 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "9 1 0:8 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n");
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

START_TEST(a_group_that_is_mounted_elsewhere_bounds_it)
{
    put("proc/self/mountinfo", "9 1 0:7 / /cg rw - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "0::/a\n");
    put("cg/a/memory.max", "268435456\n");
    expect(268435456, MEMORY_CGROUP_V2);
}
END_TEST

START_TEST(the_lower_of_both_versions_counts)
{
    put("proc/self/cgroup", "4:memory:/m\n0::/u\n");
    put("sys/fs/cgroup/u/memory.max", "300000000\n");
    put("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "200000000\n");
    expect(200000000, MEMORY_CGROUP_V1);
    put("sys/fs/cgroup/u/memory.max", "100000000\n");
    expect(100000000, MEMORY_CGROUP_V2);
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
    tcase_add_test(c, a_group_that_is_mounted_elsewhere_bounds_it);
    tcase_add_test(c, the_lower_of_both_versions_counts);
    tcase_add_test(c, a_limit_above_what_is_available_does_not_count);
    tcase_add_test(c, a_machine_that_does_not_tell_is_an_error);
    tcase_add_test(c, this_machine_tells);
    suite_add_tcase(s, c);
    return s;
}

int main(void)
{
    return suite_run(suite());
}

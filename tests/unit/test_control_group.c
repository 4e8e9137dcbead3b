/* Tests of base/control_group.c: groups of both versions, as a tree of files of ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/control_group.h"

#include <string.h>

#include "base/host_text.h"
#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

#define V2_MOUNT "9 1 0:7 / /cg rw - cgroup2 cgroup2 rw\n"

static char *root;
static struct control_groups groups;
static struct control_group group;

static void put(const char *name, const char *text)
{
    tmpdir_put(root, name, text);
}

static void setup(void)
{
    root = tmpdir_make();
}

static void teardown(void)
{
    control_groups_fini(&groups);
    tmpdir_remove(root);
}

static bool find(const char *controller, uint64_t pid)
{
    struct err e;
    control_groups_fini(&groups);
    ck_assert_int_eq(control_groups_read(&groups, io_posix(), root, pid, &e), 0);
    return control_group_find(&groups, controller, &group);
}

/* That the group, without the root in front, is this folder. */
static void expect_folder(const char *want)
{
    ck_assert_uint_ge(strlen(group.folder), strlen(root));
    ck_assert_str_eq(group.folder + strlen(root), want);
}

START_TEST(a_group_lies_where_its_version_is_mounted)
{
    put("proc/self/mountinfo", V2_MOUNT "9 1 0:8 / /cg1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    put("proc/self/cgroup", "2:cpu,cpuacct:/c\n0::/u\n");
    put("cg/u/cpu.max", "");
    put("cg1/cpu/c/cpu.stat", "");
    ck_assert(find(/* controller = */ NULL, 0));
    expect_folder("/cg/u");
    ck_assert(find("cpu", 0));
    expect_folder("/cg1/cpu/c");
    ck_assert(!find("memory", 0));
}
END_TEST

START_TEST(those_above_it_are_seen_up_to_the_mount)
{
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/a/b\n");
    put("cg/a/b/memory.max", "");
    ck_assert(find(/* controller = */ NULL, 0));
    expect_folder("/cg/a/b");
    ck_assert(control_group_up(&group));
    expect_folder("/cg/a");
    ck_assert(control_group_up(&group));
    expect_folder("/cg");
    ck_assert(!control_group_up(&group));
    expect_folder("/cg");
}
END_TEST

START_TEST(the_topmost_group_has_none_above_it)
{
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/\n");
    put("cg/memory.max", "");
    ck_assert(find(/* controller = */ NULL, 0));
    expect_folder("/cg");
    ck_assert(!control_group_up(&group));
}
END_TEST

START_TEST(of_a_part_that_is_mounted_the_path_goes_on_below_it)
{
    put("proc/self/mountinfo", "9 1 0:7 /box /cg rw - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "0::/box/in\n");
    put("cg/in/memory.max", "");
    ck_assert(find(/* controller = */ NULL, 0));
    expect_folder("/cg/in");
    put("proc/self/cgroup", "0::/boxes\n"); /* another one */
    put("cg/boxes/memory.max", "");
    ck_assert(find(/* controller = */ NULL, 0));
    expect_folder("/cg/boxes");
}
END_TEST

START_TEST(a_container_that_is_told_another_s_path_sees_its_own_group)
{
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/docker/0123456789ab\n");
    put("cg/memory.max", "");
    ck_assert(find(/* controller = */ NULL, 0));
    expect_folder("/cg");
}
END_TEST

START_TEST(what_lies_outside_is_none)
{
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/../x\n");
    put("cg/memory.max", "");
    ck_assert(!find(/* controller = */ NULL, 0));
    put("proc/self/cgroup", "0::x\n");
    ck_assert(!find(/* controller = */ NULL, 0));
}
END_TEST

START_TEST(without_groups_or_mounts_there_is_none)
{
    ck_assert(!find(/* controller = */ NULL, 0));
    put("proc/self/cgroup", "0::/a\n");
    ck_assert(!find(/* controller = */ NULL, 0));
}
END_TEST

START_TEST(another_process_is_in_a_group_of_its_own)
{
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/mine\n");
    put("proc/77/cgroup", "0::/its\n");
    put("cg/its/memory.max", "");
    ck_assert(find(/* controller = */ NULL, 77));
    expect_folder("/cg/its");
}
END_TEST

START_TEST(a_file_of_a_group_has_a_number)
{
    put("proc/self/mountinfo", V2_MOUNT);
    put("proc/self/cgroup", "0::/a\n");
    put("cg/a/memory.max", "4096\n");
    put("cg/a/memory.high", "max\n");
    ck_assert(find(/* controller = */ NULL, 0));
    ck_assert_uint_eq(control_group_number(&groups, &group, "memory.max"), 4096);
    ck_assert_uint_eq(control_group_number(&groups, &group, "memory.high"), HOST_NO_LIMIT);
    ck_assert_uint_eq(control_group_number(&groups, &group, "memory.low"), HOST_UNKNOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control_group");
    TCase *tc = tcase_create("control_group");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_group_lies_where_its_version_is_mounted);
    tcase_add_test(tc, those_above_it_are_seen_up_to_the_mount);
    tcase_add_test(tc, the_topmost_group_has_none_above_it);
    tcase_add_test(tc, of_a_part_that_is_mounted_the_path_goes_on_below_it);
    tcase_add_test(tc, a_container_that_is_told_another_s_path_sees_its_own_group);
    tcase_add_test(tc, what_lies_outside_is_none);
    tcase_add_test(tc, without_groups_or_mounts_there_is_none);
    tcase_add_test(tc, another_process_is_in_a_group_of_its_own);
    tcase_add_test(tc, a_file_of_a_group_has_a_number);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

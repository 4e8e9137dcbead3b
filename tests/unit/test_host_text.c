/* Tests of base/host_text.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host_text.h"

#include "tests/lib/suite.h"

static const char mountinfo[] =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard,data=ordered\n"
    "31 27 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "34 31 0:31 /box /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "40 27 8:17 / /srv/a\\040b rw,noatime master:2 shared:7 - xfs /dev/sdb1 rw,attr2\n"
    "40 27 8:49 / /srv/c\\134d rw - ext4 /dev/sdd1 rw\n"
    "41 27 0:99 / /srv/x rw - tmpfs none rw\n"
    "42 27 8:33 /sub /srv/x ro - btrfs /dev/sdc1 rw,subvol=/sub\n"
    "43 31 0:41 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

START_TEST(a_number_is_read_and_what_is_none_is_unknown)
{
    ck_assert_uint_eq(host_number("65530\n"), 65530);
    ck_assert_uint_eq(host_number("0"), 0);
    ck_assert_uint_eq(host_number(""), HOST_UNKNOWN);
    ck_assert_uint_eq(host_number("-7\n"), HOST_UNKNOWN);
    ck_assert_uint_eq(host_number("12x\n"), HOST_UNKNOWN);
    ck_assert_uint_eq(host_number("123456789012345678901234567890"), HOST_UNKNOWN);
}
END_TEST

START_TEST(every_way_to_say_no_limit_is_one)
{
    ck_assert_uint_eq(host_number("max\n"), HOST_NO_LIMIT);
    ck_assert_uint_eq(host_number("-1\n"), HOST_NO_LIMIT);
    ck_assert_uint_eq(host_number("9223372036854771712\n"), HOST_NO_LIMIT);
    ck_assert_uint_eq(
        host_limit("Max file size    unlimited    unlimited   bytes\n", "Max file size"),
        HOST_NO_LIMIT);
}
END_TEST

START_TEST(the_choice_is_the_word_in_brackets_or_the_only_one)
{
    char word[8];
    host_choice("always [madvise] never\n", word, sizeof word);
    ck_assert_str_eq(word, "madvise");
    host_choice("tsc\n", word, sizeof word);
    ck_assert_str_eq(word, "tsc");
    host_choice("[much-too-long] none\n", word, sizeof word);
    ck_assert_str_eq(word, "much-to");
    host_choice("", word, sizeof word);
    ck_assert_str_eq(word, "");
}
END_TEST

START_TEST(a_line_is_found_by_its_whole_name)
{
    static const char text[] = "MemTotal:       24684092 kB\nSwapTotalX: 1 kB\nSwapTotal: 2 kB\n";
    ck_assert_uint_eq(host_meminfo(text, "MemTotal"), UINT64_C(24684092) * 1024);
    ck_assert_uint_eq(host_meminfo(text, "SwapTotal"), 2048);
    ck_assert_uint_eq(host_meminfo(text, "Mem"), HOST_UNKNOWN);
    ck_assert_uint_eq(host_limit("Max open files   1024   4096   files\n", "Max open files"), 1024);
    ck_assert_uint_eq(host_stat("nr_periods 9\nnr_throttled 4\n", "nr_throttled"), 4);
}
END_TEST

START_TEST(a_release_begins_with_two_numbers)
{
    unsigned major, minor;
    ck_assert(host_release("6.18.44-fc", &major, &minor));
    ck_assert_uint_eq(major, 6);
    ck_assert_uint_eq(minor, 18);
    ck_assert(!host_release("next", &major, &minor));
}
END_TEST

START_TEST(a_quota_of_cpus_has_its_period)
{
    uint64_t quota_us, period_us;
    host_cpu_max("150000 100000\n", &quota_us, &period_us);
    ck_assert_uint_eq(quota_us, 150000);
    ck_assert_uint_eq(period_us, 100000);
    host_cpu_max("max 100000\n", &quota_us, &period_us);
    ck_assert_uint_eq(quota_us, HOST_NO_LIMIT);
    host_cpu_max("", &quota_us, &period_us);
    ck_assert_uint_eq(quota_us, HOST_UNKNOWN);
}
END_TEST

START_TEST(the_mount_of_a_path_is_the_longest_one_above_it)
{
    struct host_mount m;
    ck_assert(host_mount_of(mountinfo, "/var/lib/sluice", &m));
    ck_assert_str_eq(m.point, "/");
    ck_assert_str_eq(m.kind, "ext4");
    ck_assert_str_eq(m.source, "/dev/vda1");
    ck_assert_str_eq(m.super_options, "rw,discard,data=ordered");
    ck_assert_uint_eq(m.major, 254);
    ck_assert_uint_eq(m.minor, 1);
    ck_assert(host_mount_of(mountinfo, "/srv/a b/store", &m));
    ck_assert_str_eq(m.point, "/srv/a b");
    ck_assert_str_eq(m.options, "rw,noatime");
    ck_assert(host_mount_of(mountinfo, "/srv/c\\d", &m));
    ck_assert_str_eq(m.point, "/srv/c\\d");
    ck_assert(host_mount_of(mountinfo, "/srv/a bc", &m));
    ck_assert_str_eq(m.point, "/");
}
END_TEST

START_TEST(of_two_mounts_on_one_point_the_later_counts)
{
    struct host_mount m;
    ck_assert(host_mount_of(mountinfo, "/srv/x/y", &m));
    ck_assert_str_eq(m.kind, "btrfs");
    ck_assert_str_eq(m.root, "/sub");
}
END_TEST

START_TEST(torn_lines_of_mountinfo_are_passed_over)
{
    struct host_mount m;
    ck_assert(!host_mount_of("27 1 254:1 / /", "/x", &m));
    ck_assert(!host_mount_of("a b c\n\n\n", "/x", &m));
    ck_assert(host_mount_of("27\n9 9 1:2 / / rw - ext4 d rw\n", "/x", &m));
    ck_assert_uint_eq(m.minor, 2);
}
END_TEST

START_TEST(cgroups_of_both_versions_are_found)
{
    static const char text[] = "8:cpuacct,cpu:/a\n4:memory:/box/b\n1:name=systemd:/\n0::/c.d/e\n";
    struct host_mount m;
    char path[32];
    ck_assert(host_cgroup_mount(mountinfo, "cpu", &m));
    ck_assert_str_eq(m.point, "/sys/fs/cgroup/cpu,cpuacct");
    ck_assert(host_cgroup_mount(mountinfo, NULL, &m));
    ck_assert_str_eq(m.point, "/sys/fs/cgroup/unified");
    ck_assert(!host_cgroup_mount(mountinfo, "pids", &m));
    ck_assert(!host_cgroup_mount("9 1 0:1 /../.. /host rw - cgroup2 cgroup2 rw\n", NULL, &m));
    ck_assert(host_cgroup_path(text, "cpu", path, sizeof path));
    ck_assert_str_eq(path, "/a");
    ck_assert(host_cgroup_path(text, NULL, path, sizeof path));
    ck_assert_str_eq(path, "/c.d/e");
    ck_assert(!host_cgroup_path(text, "pids", path, sizeof path));
}
END_TEST

START_TEST(an_option_is_a_whole_word_of_the_list)
{
    ck_assert(host_has_option("rw,sync", "sync"));
    ck_assert(host_has_option("ro", "ro"));
    ck_assert(!host_has_option("rw,async,nosync", "sync"));
    ck_assert(!host_has_option("", "ro"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host_text");
    TCase *tc = tcase_create("host_text");
    tcase_add_test(tc, a_number_is_read_and_what_is_none_is_unknown);
    tcase_add_test(tc, every_way_to_say_no_limit_is_one);
    tcase_add_test(tc, the_choice_is_the_word_in_brackets_or_the_only_one);
    tcase_add_test(tc, a_line_is_found_by_its_whole_name);
    tcase_add_test(tc, a_release_begins_with_two_numbers);
    tcase_add_test(tc, a_quota_of_cpus_has_its_period);
    tcase_add_test(tc, the_mount_of_a_path_is_the_longest_one_above_it);
    tcase_add_test(tc, of_two_mounts_on_one_point_the_later_counts);
    tcase_add_test(tc, torn_lines_of_mountinfo_are_passed_over);
    tcase_add_test(tc, cgroups_of_both_versions_are_found);
    tcase_add_test(tc, an_option_is_a_whole_word_of_the_list);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

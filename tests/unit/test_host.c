/* Tests of tools/host.c, over folders that look like /proc and /sys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/host.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"

static char *root; /* of one test */

static void setup(void)
{
    root = tmpdir_make();
}

static void teardown(void)
{
    tmpdir_remove(root);
}

static void put(const char *name, const char *text)
{
    tmpdir_put(root, name, text);
}

static struct host read_at(const char *path, uint64_t pid)
{
    struct host h;
    host_read(&h, root, path, pid);
    return h;
}

START_TEST(an_empty_machine_is_unknown)
{
    struct host h = read_at("/srv", 0);
    ck_assert_uint_eq(h.kernel.major, 0);
    ck_assert_str_eq(h.kernel.clock, "");
    ck_assert_uint_eq(h.vm.max_map_count, HOST_UNKNOWN);
    ck_assert_uint_eq(h.vm.total_bytes, HOST_UNKNOWN);
    ck_assert_str_eq(h.mount.kind, "");
    ck_assert_uint_eq(h.device.read_ahead_kib, HOST_UNKNOWN);
    ck_assert_uint_eq(h.process.nofile, HOST_UNKNOWN);
    ck_assert_uint_eq(h.cgroup.memory_bytes, HOST_UNKNOWN);
}
END_TEST

START_TEST(settings_of_the_kernel_are_read)
{
    put("proc/sys/kernel/osrelease", "5.10.0-35-amd64\n");
    put("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
    put("proc/sys/vm/max_map_count", "65530\n");
    put("proc/sys/vm/dirty_background_bytes", "1048576\n");
    put("proc/meminfo", "MemTotal: 8 kB\nMemAvailable: 4 kB\nSwapTotal: 0 kB\n");
    put("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    struct host h = read_at("/srv", 0);
    ck_assert_uint_eq(h.kernel.major, 5);
    ck_assert_uint_eq(h.kernel.minor, 10);
    ck_assert_str_eq(h.kernel.clock, "hpet");
    ck_assert_uint_eq(h.vm.max_map_count, 65530);
    ck_assert_uint_eq(h.vm.background_bytes, 1048576);
    ck_assert_uint_eq(h.vm.available_bytes, 4096);
    ck_assert_uint_eq(h.vm.swap_bytes, 0);
    ck_assert_str_eq(h.vm.thp, "always");
}
END_TEST

START_TEST(a_partition_has_the_queue_of_its_disk)
{
    char from[PATH_MAX], to[PATH_MAX];
    put("proc/self/mountinfo", "9 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    put("sys/devices/sda/queue/read_ahead_kb", "128\n");
    put("sys/devices/sda/queue/scheduler", "none [mq-deadline]\n");
    put("sys/devices/sda/queue/rotational", "1\n");
    put("sys/devices/sda/queue/write_cache", "write back\n");
    put("sys/devices/sda/sda1/partition", "1\n");
    put("sys/dev/block/x", "");
    (void)snprintf(from, sizeof from, "%s/sys/dev/block/8:1", root);
    (void)snprintf(to, sizeof to, "%s/sys/devices/sda/sda1", root);
    ck_assert_int_eq(symlink(to, from), 0);
    struct host h = read_at("/srv", 0);
    ck_assert_str_eq(h.mount.kind, "ext4");
    ck_assert_uint_eq(h.device.read_ahead_kib, 128);
    ck_assert_uint_eq(h.device.rotational, 1);
    ck_assert_str_eq(h.device.scheduler, "mq-deadline");
    ck_assert_str_eq(h.device.write_cache, "write back");
}
END_TEST

START_TEST(limits_are_those_of_the_process_asked_for)
{
    put("proc/self/limits", "Max open files  1024  1024  files\n");
    put("proc/77/limits", "Max open files  65536  65536  files\nMax locked memory 8192 1 bytes\n");
    put("proc/77/maps", "a\nb\nc\n");
    ck_assert_uint_eq(read_at("/srv", 0).process.nofile, 1024);
    struct host h = read_at("/srv", 77);
    ck_assert_uint_eq(h.process.nofile, 65536);
    ck_assert_uint_eq(h.process.memlock_bytes, 8192);
    ck_assert_uint_eq(h.process.n_maps, 3);
}
END_TEST

START_TEST(the_tightest_limit_on_the_way_up_counts)
{
    put("proc/self/mountinfo", "9 1 0:7 / /cg rw - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "0::/a.slice/b.service\n");
    put("cg/a.slice/b.service/memory.max", "max\n");
    put("cg/a.slice/b.service/cpu.max", "200000 100000\n");
    put("cg/a.slice/b.service/cpu.stat", "nr_throttled 3\n");
    put("cg/a.slice/memory.max", "1073741824\n");
    put("cg/a.slice/memory.high", "536870912\n");
    put("cg/a.slice/cpu.max", "50000 50000\n");
    put("cg/io.max", "8:0 rbps=max wbps=1048576 riops=max wiops=max\n");
    struct host h = read_at("/srv", 0);
    ck_assert_uint_eq(h.cgroup.memory_bytes, 1 << 30);
    ck_assert_uint_eq(h.cgroup.memory_high_bytes, 512 << 20);
    ck_assert_uint_eq(h.cgroup.quota_us, 50000);
    ck_assert_uint_eq(h.cgroup.period_us, 50000);
    ck_assert_uint_eq(h.cgroup.n_throttled, 3);
    ck_assert_ptr_nonnull(strstr(h.cgroup.io, "wbps=1048576"));
}
END_TEST

START_TEST(cgroups_of_version_1_are_read_from_their_own_trees)
{
    put("proc/5/cgroup", "4:memory:/box/in\n2:cpu,cpuacct:/gone\n0::/\n");
    put("proc/self/mountinfo", "9 1 0:7 /box /cg/memory rw - cgroup cgroup rw,memory\n"
                               "9 1 0:8 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    put("cg/memory/in/memory.limit_in_bytes", "134217728\n");
    put("cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("cg/cpu/cpu.cfs_quota_us", "-1\n");
    put("cg/cpu/cpu.cfs_period_us", "100000\n");
    struct host h = read_at("/srv", 5);
    ck_assert_uint_eq(h.cgroup.memory_bytes, 128 << 20);
    ck_assert_uint_eq(h.cgroup.quota_us, HOST_NO_LIMIT);
}
END_TEST

START_TEST(who_has_a_file_open_is_found)
{
    char link[PATH_MAX];
    put("proc/1/fd/x", "");
    put("proc/42/fd/x", "");
    (void)snprintf(link, sizeof link, "%s/proc/42/fd/3", root);
    ck_assert_int_eq(symlink("/srv/store/lock", link), 0);
    ck_assert_uint_eq(host_holder(root, "/srv/store/lock"), 42);
    ck_assert_uint_eq(host_holder(root, "/srv/store/loc"), 0);
}
END_TEST

START_TEST(this_machine_is_known)
{
    struct host h;
    host_read(&h, "", "/", 0);
    ck_assert_uint_gt(h.kernel.major, 2);
    ck_assert_uint_lt(h.vm.total_bytes, HOST_NO_LIMIT);
    ck_assert_str_ne(h.mount.kind, "");
    ck_assert_uint_ne(h.process.nofile, HOST_UNKNOWN);
    ck_assert_uint_gt(h.process.n_maps, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("host");
    TCase *tc = tcase_create("host");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_empty_machine_is_unknown);
    tcase_add_test(tc, settings_of_the_kernel_are_read);
    tcase_add_test(tc, a_partition_has_the_queue_of_its_disk);
    tcase_add_test(tc, limits_are_those_of_the_process_asked_for);
    tcase_add_test(tc, the_tightest_limit_on_the_way_up_counts);
    tcase_add_test(tc, cgroups_of_version_1_are_read_from_their_own_trees);
    tcase_add_test(tc, who_has_a_file_open_is_found);
    tcase_add_test(tc, this_machine_is_known);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Tests of tools/doctor.c and its checks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/doctor.h"

#include <stdio.h>
#include <string.h>

#include "tests/lib/suite.h"

/* A machine with nothing to say of. */
static struct host good_host(void)
{
    struct host h = {
        .kernel = {.release = "6.18.0", .major = 6, .minor = 18, .clock = "tsc"},
        .vm = {.max_map_count = 1048576,
               .dirty_ratio = 20,
               .background_ratio = 10,
               .swappiness = 60,
               .total_bytes = UINT64_C(64) << 30,
               .available_bytes = UINT64_C(60) << 30,
               .thp = "madvise",
               .thp_defrag = "madvise"},
        .mount = {.major = 8,
                  .root = "/",
                  .point = "/srv",
                  .options = "rw,noatime",
                  .kind = "ext4",
                  .source = "/dev/sda",
                  .super_options = "rw"},
        .device = {.read_ahead_kib = 128, .scheduler = "none", .write_cache = "write back"},
        .process = {.n_maps = 100,
                    .nofile = 65536,
                    .memlock_bytes = 8 << 20,
                    .as_bytes = HOST_NO_LIMIT,
                    .fsize_bytes = HOST_NO_LIMIT},
        .cgroup = {.memory_bytes = HOST_NO_LIMIT,
                   .memory_high_bytes = HOST_NO_LIMIT,
                   .quota_us = HOST_NO_LIMIT,
                   .n_throttled = HOST_UNKNOWN},
    };
    return h;
}

static const struct doctor_store good_store = {
    .n_log_files = 3,
    .n_queue_files = 20,
    .log_file_bytes = 1 << 30,
    .free_bytes = UINT64_C(100) << 30,
    .disk_bytes = UINT64_C(200) << 30,
    .n_free_inodes = 1000000,
    .n_disk_inodes = 2000000,
};

struct seen {
    const char *wanted; /* the check to be kept */
    struct doctor_check check;
    size_t n, n_states[4];
};

static void on_check(void *arg, const struct doctor_check *c)
{
    struct seen *seen = arg;
    seen->n++;
    seen->n_states[c->state]++;
    ck_assert(c->value[0] && c->why[0]);
    ck_assert_msg(c->state != DOCTOR_FOUND || c->remedy[0], "%s: no remedy", c->name);
    ck_assert_msg(strlen(c->why) + 1 < sizeof c->why, "%s: cut", c->name);
    if (seen->wanted && strcmp(seen->wanted, c->name) == 0)
        seen->check = *c;
}

static struct seen examine(const struct host *h, const struct doctor_store *s, const char *wanted)
{
    struct seen seen = {.wanted = wanted};
    doctor_examine(h, s, on_check, &seen);
    ck_assert(!wanted || seen.check.name);
    return seen;
}

static enum doctor_state state_of(const struct host *h, const char *name)
{
    return examine(h, &good_store, name).check.state;
}

/* That the check comes to this, and that its reason has these words in it. */
static void expect(const struct host *h, const struct doctor_store *s, const char *name,
                   enum doctor_state state, const char *why)
{
    struct doctor_check c = examine(h, s, name).check;
    ck_assert_int_eq(c.state, state);
    ck_assert_msg(strstr(c.why, why), "'%s' is not in '%s'", why, c.why);
}

START_TEST(a_good_machine_is_fine)
{
    struct host h = good_host();
    struct seen seen = examine(&h, &good_store, NULL);
    ck_assert_uint_ge(seen.n, 20);
    ck_assert_uint_eq(seen.n_states[DOCTOR_FINE], seen.n);
}
END_TEST

START_TEST(what_the_kernel_does_not_tell_is_no_finding)
{
    struct host h = good_host();
    h.kernel.major = 0;
    h.kernel.clock[0] = h.mount.kind[0] = h.vm.thp[0] = h.device.scheduler[0] = '\0';
    h.vm.max_map_count = h.vm.available_bytes = h.device.read_ahead_kib = HOST_UNKNOWN;
    h.process.nofile = h.cgroup.memory_bytes = HOST_UNKNOWN;
    struct seen seen = examine(&h, &good_store, NULL);
    ck_assert_uint_eq(seen.n_states[DOCTOR_FOUND], 0);
    ck_assert_uint_ge(seen.n_states[DOCTOR_UNKNOWN], 8);
}
END_TEST

START_TEST(many_queues_need_mappings_up_to_a_number)
{
    struct host h = good_host();
    struct doctor_store s = good_store;
    h.vm.max_map_count = 65530;
    s.n_queue_files = 60000;
    expect(&h, &s, "vm.max_map_count", DOCTOR_FINE, "60003 files");
    h.vm.max_map_count = 20000;
    struct doctor_check c = examine(&h, &s, "vm.max_map_count").check;
    ck_assert_int_eq(c.state, DOCTOR_FOUND);
    ck_assert_ptr_nonnull(strstr(c.remedy, "vm.max_map_count="));
}
END_TEST

START_TEST(an_old_kernel_cannot_make_pages_ready)
{
    struct host h = good_host();
    h.kernel.major = 5;
    h.kernel.minor = 13;
    ck_assert_int_eq(state_of(&h, "release"), DOCTOR_FOUND);
    h.kernel.minor = 14;
    ck_assert_int_eq(state_of(&h, "release"), DOCTOR_NOTE);
    h.kernel.major = 6;
    h.kernel.minor = 5;
    ck_assert_int_eq(state_of(&h, "release"), DOCTOR_FINE);
}
END_TEST

START_TEST(marks_of_dirty_pages_are_held_against_what_the_store_has)
{
    struct host h = good_host();
    h.vm.dirty_bytes = 512 << 20;
    h.vm.background_bytes = 64 << 20;
    ck_assert_int_eq(state_of(&h, "vm.dirty_bytes"), DOCTOR_FOUND);
    ck_assert_int_eq(state_of(&h, "vm.dirty_background_bytes"), DOCTOR_FOUND);
    h.vm.dirty_bytes = h.vm.background_bytes = 0;
    ck_assert_int_eq(state_of(&h, "vm.dirty_ratio"), DOCTOR_FINE);
    h.vm.available_bytes = UINT64_C(2) << 30;
    ck_assert_int_eq(state_of(&h, "vm.dirty_ratio"), DOCTOR_FOUND);
    ck_assert_int_eq(state_of(&h, "vm.dirty_background_ratio"), DOCTOR_FINE);
}
END_TEST

START_TEST(swappiness_matters_where_there_is_swap)
{
    struct host h = good_host();
    ck_assert_int_eq(state_of(&h, "vm.swappiness"), DOCTOR_FINE);
    h.vm.swap_bytes = 1 << 30;
    ck_assert_int_eq(state_of(&h, "vm.swappiness"), DOCTOR_FOUND);
    h.vm.swappiness = 1;
    ck_assert_int_eq(state_of(&h, "vm.swappiness"), DOCTOR_FINE);
}
END_TEST

START_TEST(a_strict_commit_limit_must_leave_room_for_requests)
{
    struct host h = good_host();
    h.vm.overcommit = 2;
    h.vm.commit_limit_bytes = UINT64_C(10) << 30;
    h.vm.committed_bytes = UINT64_C(4) << 30;
    ck_assert_int_eq(state_of(&h, "vm.overcommit_memory"), DOCTOR_NOTE);
    h.vm.committed_bytes = UINT64_C(11) << 30;
    ck_assert_int_eq(state_of(&h, "vm.overcommit_memory"), DOCTOR_FOUND);
}
END_TEST

START_TEST(file_systems_that_break_a_promise_are_found)
{
    static const char *const kinds[] = {"tmpfs", "nfs4", "fuse.sshfs", "btrfs", "overlay"};
    struct host h = good_host();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        (void)snprintf(h.mount.kind, sizeof h.mount.kind, "%s", kinds[i]);
        ck_assert_int_eq(state_of(&h, "file system"), DOCTOR_FOUND);
    }
    (void)snprintf(h.mount.kind, sizeof h.mount.kind, "xfs");
    ck_assert_int_eq(state_of(&h, "file system"), DOCTOR_FINE);
    (void)snprintf(h.mount.kind, sizeof h.mount.kind, "jfs");
    ck_assert_int_eq(state_of(&h, "file system"), DOCTOR_NOTE);
}
END_TEST

START_TEST(mount_options_are_judged_by_the_worst)
{
    struct host h = good_host();
    (void)snprintf(h.mount.super_options, sizeof h.mount.super_options, "rw,discard");
    ck_assert_int_eq(state_of(&h, "mount options"), DOCTOR_NOTE);
    (void)snprintf(h.mount.super_options, sizeof h.mount.super_options, "rw,discard,nobarrier");
    struct doctor_check c = examine(&h, &good_store, "mount options").check;
    ck_assert_int_eq(c.state, DOCTOR_FOUND);
    ck_assert_int_eq(strncmp(c.why, "nobarrier:", 10), 0);
}
END_TEST

START_TEST(room_is_counted_in_files_of_the_log)
{
    struct host h = good_host();
    struct doctor_store s = good_store;
    s.disk_bytes = UINT64_C(20) << 30; /* of which that is much */
    s.free_bytes = (UINT64_C(2) << 30) - 1;
    expect(&h, &s, "free space", DOCTOR_FOUND, "room for 1 more");
    s.n_free_inodes = 10;
    ck_assert_int_eq(examine(&h, &s, "free inodes").check.state, DOCTOR_FOUND);
}
END_TEST

START_TEST(a_long_read_ahead_is_found)
{
    struct host h = good_host();
    h.device.read_ahead_kib = 8192;
    ck_assert_int_eq(state_of(&h, "read-ahead"), DOCTOR_FOUND);
    h.device.read_ahead_kib = 0;
    ck_assert_int_eq(state_of(&h, "read-ahead"), DOCTOR_NOTE);
}
END_TEST

START_TEST(limits_of_the_process_are_held_against_the_store)
{
    struct host h = good_host();
    h.process.nofile = 1024;
    h.process.as_bytes = UINT64_C(8) << 30;
    h.process.fsize_bytes = 1 << 20;
    expect(&h, &good_store, "open files", DOCTOR_FOUND, "256 here");
    ck_assert_int_eq(state_of(&h, "address space"), DOCTOR_FOUND);
    ck_assert_int_eq(state_of(&h, "file size"), DOCTOR_FOUND);
}
END_TEST

START_TEST(limits_of_the_cgroup_are_told)
{
    struct host h = good_host();
    h.cgroup.memory_bytes = UINT64_C(4) << 30;
    h.cgroup.quota_us = 150000;
    h.cgroup.period_us = 100000;
    h.cgroup.n_throttled = 0;
    ck_assert_int_eq(state_of(&h, "memory limit"), DOCTOR_NOTE);
    ck_assert_int_eq(state_of(&h, "CPU quota"), DOCTOR_NOTE);
    h.cgroup.memory_bytes = 512 << 20;
    h.cgroup.n_throttled = 7;
    ck_assert_int_eq(state_of(&h, "memory limit"), DOCTOR_FOUND);
    struct doctor_check c = examine(&h, &good_store, "CPU quota").check;
    ck_assert_int_eq(c.state, DOCTOR_FOUND);
    ck_assert_str_eq(c.value, "1.50 CPUs");
    ck_assert_ptr_nonnull(strstr(c.why, "7 times"));
}
END_TEST

START_TEST(a_smaller_limit_is_held_against_what_is_derived_from_it)
{
    struct host h = good_host();
    h.cgroup.memory_bytes = 1 << 30;
    expect(&h, &good_store, "memory limit", DOCTOR_NOTE, " 832 MiB "); /* 8 * 32 + 64 + 512 */
    h.cgroup.memory_high_bytes = 256 << 20;
    expect(&h, &good_store, "memory limit", DOCTOR_NOTE, " 592 MiB "); /* 8 * 8 + 16 + 512 */
    h.cgroup.memory_bytes = 256 << 20;
    struct doctor_check c = examine(&h, &good_store, "memory limit").check;
    ck_assert_int_eq(c.state, DOCTOR_FOUND);
    ck_assert_ptr_null(strstr(c.remedy, "flushBytes")); /* it follows */
}
END_TEST

START_TEST(a_small_machine_is_held_against_what_is_derived_from_it)
{
    struct host h = good_host();
    h.vm.available_bytes = 1 << 30;
    expect(&h, &good_store, "available", DOCTOR_FINE, " 832 MiB ");
    h.vm.dirty_bytes = 320 << 20;
    h.vm.background_bytes = 96 << 20;
    ck_assert_int_eq(state_of(&h, "vm.dirty_bytes"), DOCTOR_FINE);
    ck_assert_int_eq(state_of(&h, "vm.dirty_background_bytes"), DOCTOR_FINE);
    h.vm.available_bytes = 600 << 20;
    ck_assert_int_eq(state_of(&h, "available"), DOCTOR_FOUND);
}
END_TEST

START_TEST(bytes_are_put_into_words)
{
    char text[DOCTOR_BYTES_TEXT];
    ck_assert_str_eq(doctor_bytes(512, text), "512 bytes");
    ck_assert_str_eq(doctor_bytes(1536, text), "1.5 KiB");
    ck_assert_str_eq(doctor_bytes(UINT64_C(300) << 30, text), "300 GiB");
    ck_assert_str_eq(doctor_bytes(UINT64_MAX, text), "16.0 EiB");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor");
    TCase *tc = tcase_create("doctor");
    tcase_add_test(tc, a_good_machine_is_fine);
    tcase_add_test(tc, what_the_kernel_does_not_tell_is_no_finding);
    tcase_add_test(tc, many_queues_need_mappings_up_to_a_number);
    tcase_add_test(tc, an_old_kernel_cannot_make_pages_ready);
    tcase_add_test(tc, marks_of_dirty_pages_are_held_against_what_the_store_has);
    tcase_add_test(tc, swappiness_matters_where_there_is_swap);
    tcase_add_test(tc, a_strict_commit_limit_must_leave_room_for_requests);
    tcase_add_test(tc, file_systems_that_break_a_promise_are_found);
    tcase_add_test(tc, mount_options_are_judged_by_the_worst);
    tcase_add_test(tc, room_is_counted_in_files_of_the_log);
    tcase_add_test(tc, a_long_read_ahead_is_found);
    tcase_add_test(tc, limits_of_the_process_are_held_against_the_store);
    tcase_add_test(tc, limits_of_the_cgroup_are_told);
    tcase_add_test(tc, a_smaller_limit_is_held_against_what_is_derived_from_it);
    tcase_add_test(tc, a_small_machine_is_held_against_what_is_derived_from_it);
    tcase_add_test(tc, bytes_are_put_into_words);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

/* Tests of tools/mem/policy.c, memory_group.c and run_report.c: what a policy does to pages, where
 * memory cannot be limited, and what is told of an experiment. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"
#include "tools/mem/memory_group.h"
#include "tools/mem/policy.h"
#include "tools/mem/run_report.h"

/* FEW: page faults of the test itself, which a sanitizer has. */
enum { PAGE = 4096, N_PAGES = 256, BYTES = N_PAGES * PAGE, FEW = 8 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HAS_MUNLOCK = 0 }; /* a sanitizer's does nothing */
#else
enum { HAS_MUNLOCK = 1 };
#endif

static char *root;
static struct mem_policy_io p;
static uint8_t *base;

static void set_up(void)
{
    root = tmpdir_make();
    base = NULL;
}

static void tear_down(void)
{
    if (base)
        ck_assert_int_eq(p.io.unmap(&p.io, base, BYTES), 0);
    tmpdir_remove(root);
}

/* A file of holes, mapped for writing under a policy. */
static void map_under(enum mem_policy policy)
{
    char *path = tmpdir_path(root, "log");
    mem_policy_init(&p, policy, BYTES);
    int fd = p.io.open(&p.io, path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(p.io.truncate(&p.io, fd, BYTES), 0);
    ck_assert_int_eq(p.io.map(&p.io, fd, BYTES, /* writable = */ true, &base), 0);
    ck_assert_int_eq(p.io.close(&p.io, fd), 0);
    free(path);
}

__attribute__((no_sanitize("address", "thread"))) static uint64_t faults(void)
{
    struct rusage used;
    ck_assert_int_eq(getrusage(RUSAGE_THREAD, &used), 0);
    return (uint64_t)used.ru_minflt + (uint64_t)used.ru_majflt;
}

/* Page faults of writing to each page. A sanitizer would have its own. */
__attribute__((no_sanitize("address", "thread"))) static uint64_t faults_of_writing(void)
{
    uint64_t before = faults();
    for (size_t i = 0; i < N_PAGES; i++)
        ((volatile uint8_t *)base)[i * PAGE] = 1;
    return faults() - before;
}

static uint64_t locked_bytes(void)
{
    struct store_memory m;
    struct err e;
    ck_assert_int_eq(store_memory(&m, &e), 0);
    return m.locked_bytes;
}

static void populate(void)
{
    ck_assert_int_eq(p.io.populate(&p.io, base, BYTES), 0);
}

static void drop(void)
{
    ck_assert_int_eq(p.io.advise(&p.io, base, BYTES, IO_DONTNEED), 0);
}

/* ---- policies ---- */

START_TEST(lazily_the_writer_meets_the_faults)
{
    map_under(POLICY_LAZY);
    populate();
    ck_assert_uint_gt(faults_of_writing(), FEW);
    drop();
    ck_assert_uint_le(faults_of_writing(), FEW);
}
END_TEST

START_TEST(a_whole_file_is_there_once_it_is_mapped)
{
    map_under(POLICY_WHOLE);
    ck_assert_uint_le(faults_of_writing(), FEW);
    drop();
    ck_assert_uint_le(faults_of_writing(), FEW);
}
END_TEST

START_TEST(of_a_whole_file_only_the_log_is_meant)
{
    mem_policy_init(&p, POLICY_WHOLE, 2 * BYTES);
    char *path = tmpdir_path(root, "queue");
    int fd = p.io.open(&p.io, path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(p.io.truncate(&p.io, fd, BYTES), 0);
    ck_assert_int_eq(p.io.map(&p.io, fd, BYTES, /* writable = */ true, &base), 0);
    ck_assert_int_eq(p.io.close(&p.io, fd), 0);
    free(path);
    ck_assert_uint_gt(faults_of_writing(), FEW);
}
END_TEST

START_TEST(a_window_is_there_and_stays)
{
    map_under(POLICY_WINDOW);
    populate();
    ck_assert_uint_le(faults_of_writing(), FEW);
    drop();
    ck_assert_uint_le(faults_of_writing(), FEW);
}
END_TEST

START_TEST(dropped_behind_it_is_mapped_anew)
{
    map_under(POLICY_DROP);
    populate();
    ck_assert_uint_le(faults_of_writing(), FEW);
    drop();
    ck_assert_uint_gt(faults_of_writing(), FEW);
}
END_TEST

START_TEST(a_locked_file_is_locked_until_it_is_dropped)
{
    uint64_t before = locked_bytes();
    map_under(POLICY_LOCKED);
    ck_assert_uint_eq(locked_bytes() - before, BYTES);
    populate();
    ck_assert_uint_le(faults_of_writing(), FEW);
    if (!HAS_MUNLOCK)
        return;
    drop();
    ck_assert_uint_eq(locked_bytes(), before);
    ck_assert_uint_gt(faults_of_writing(), FEW);
}
END_TEST

/* ---- limits ---- */

static void put(const char *name, const char *text)
{
    tmpdir_put(root, name, text);
}

static void expect_refused(const char *why)
{
    struct memory_group g = {.folder = ""};
    struct err e;
    ck_assert_int_eq(memory_group_make(&g, root, 1 << 27, &e), ERR_UNSUPPORTED);
    ck_assert_msg(strstr(e.msg, why), "'%s' is not in '%s'", why, e.msg);
    ck_assert_str_eq(g.folder, "");
}

START_TEST(without_control_groups_nothing_is_limited)
{
    expect_refused("in no control group");
    put("proc/self/mountinfo", "9 1 0:7 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "0::/a\n");
    expect_refused("use control group");
    put("proc/self/cgroup", "4:cpu:/a\n");
    expect_refused("in no control group");
}
END_TEST

START_TEST(a_folder_that_is_no_group_is_left_as_it_was)
{
    put("proc/self/mountinfo", "9 1 0:7 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("proc/self/cgroup", "0::/a\n");
    put("sys/fs/cgroup/a/cgroup.procs", "");
    expect_refused("memory.max"); /* of the folder made in it */
    char *path = tmpdir_path(root, "sys/fs/cgroup/a/cgroup.procs");
    ck_assert_int_eq(unlink(path), 0);
    path[strlen(path) - strlen("/cgroup.procs")] = '\0';
    ck_assert_int_eq(rmdir(path), 0); /* so nothing was left in it */
    free(path);
}
END_TEST

/* ---- what is told ---- */

static const struct experiment x = {
    .policy = POLICY_DROP, .file_bytes = 64 << 20, .record_bytes = 1024, .limit_bytes = 128 << 20};

static struct experiment_outcome outcome(void)
{
    struct experiment_outcome o = {.append = {2, 512 << 20, {10, 1}, 50 << 20},
                                   .read = {1, 512 << 20, {0, 7}, 100 << 20},
                                   .samples = {{100, 1 << 20, 2 << 20}, {200, 3 << 20, 4 << 20}},
                                   .n_samples = 2};
    o.paths[STORE_PATH_POPULATE].minor = 20;
    o.paths[STORE_PATH_DISPATCH].major = 3;
    latency_add(&o.appends, 500);
    latency_add(&o.appends, 600);
    latency_add(&o.appends, 3000000);
    return o;
}

START_TEST(faults_are_told_by_the_gib)
{
    struct experiment_outcome o = outcome();
    double figures[RUN_N_FIGURES];
    run_figures(&o, figures);
    ck_assert_double_eq(figures[RUN_APPEND_RATE], 256);
    ck_assert_double_eq(figures[RUN_APPEND_MINOR], 20);
    ck_assert_double_eq(figures[RUN_APPEND_MAJOR], 2);
    ck_assert_double_eq(figures[RUN_AHEAD], 40);
    ck_assert_double_eq(figures[RUN_DISPATCH], 6);
    ck_assert_double_eq(figures[RUN_STALLS], 2);
    ck_assert_double_eq(figures[RUN_WORST], 3);
    ck_assert_double_eq(figures[RUN_READ_MAJOR], 14);
    ck_assert_double_eq(figures[RUN_RSS], 50);
    ck_assert_double_eq(figures[RUN_READ_RSS], 100);
}
END_TEST

static json_t *report_of(const struct experiment_outcome *o)
{
    struct bench_report *report;
    struct err e;
    double figures[RUN_N_FIGURES] = {0};
    char *path = tmpdir_path(root, "report.json");
    ck_assert_int_eq(bench_report_new(&report, &e), 0);
    ck_assert_int_eq(run_report_add(report, &x, o, figures, &e), 0);
    ck_assert_int_eq(bench_report_write(report, path, &e), 0);
    bench_report_free(report);
    json_t *json = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(json);
    free(path);
    return json;
}

START_TEST(the_report_has_results_and_series)
{
    struct experiment_outcome o = outcome();
    json_t *report = report_of(&o);
    const char *name, *series, *unit;
    double at, n;
    ck_assert_uint_eq(json_array_size(json_object_get(report, "results")), RUN_N_FIGURES);
    ck_assert_int_eq(json_unpack(report, "{s:[{s:s}]}", "results", "case", &name), 0);
    ck_assert_str_eq(name, "drop-behind 64.0M 1.0K 128.0M append");
    ck_assert_uint_eq(json_array_size(json_object_get(report, "series")), 3);
    ck_assert_int_eq(json_unpack(report, "{s:[{s:s, s:s, s:[[f, f]]}]}", "series", "name", &series,
                                 "y_unit", &unit, "points", &at, &n),
                     0);
    ck_assert_str_eq(series,
                     "append latencies, 64.0M file, 1.0K records, limit 128.0M: drop-behind");
    ck_assert_str_eq(unit, "appends");
    ck_assert_double_eq(at, 0.512);
    ck_assert_double_eq(n, 1);
    json_decref(report);
}
END_TEST

START_TEST(of_what_was_killed_its_memory_is_told)
{
    struct experiment_outcome o = {
        .end = EXPERIMENT_KILLED, .why = "no memory", .samples = {{1, 2, 3}}, .n_samples = 1};
    double figures[RUN_N_FIGURES] = {0};
    char *text = NULL;
    size_t len = 0;
    json_t *report = report_of(&o);
    ck_assert_uint_eq(json_array_size(json_object_get(report, "results")), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(report, "series")), 2);
    json_decref(report);
    FILE *out = open_memstream(&text, &len);
    run_report_row(&x, &o, figures, out);
    (void)fclose(out);
    ck_assert_str_eq(text, "drop-behind   64.0M    1.0K  128.0M  killed: no memory\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mem_run");
    TCase *tc = tcase_create("run");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, lazily_the_writer_meets_the_faults);
    tcase_add_test(tc, a_whole_file_is_there_once_it_is_mapped);
    tcase_add_test(tc, of_a_whole_file_only_the_log_is_meant);
    tcase_add_test(tc, a_window_is_there_and_stays);
    tcase_add_test(tc, dropped_behind_it_is_mapped_anew);
    tcase_add_test(tc, a_locked_file_is_locked_until_it_is_dropped);
    tcase_add_test(tc, without_control_groups_nothing_is_limited);
    tcase_add_test(tc, a_folder_that_is_no_group_is_left_as_it_was);
    tcase_add_test(tc, faults_are_told_by_the_gib);
    tcase_add_test(tc, the_report_has_results_and_series);
    tcase_add_test(tc, of_what_was_killed_its_memory_is_told);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

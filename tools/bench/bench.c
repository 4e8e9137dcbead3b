/* Collects benchmark results and prints them as a table or as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/bench.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct bench_report {
    struct bench_result *results;
    size_t n_results;
    char cpu[96];
    char kernel[96];
    long n_cpus;
    long long memory_mib;
};

static void read_cpu_model(char *buf, size_t len)
{
    (void)snprintf(buf, len, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (colon && strncmp(line, "model name", strlen("model name")) == 0) {
            (void)snprintf(buf, len, "%s", colon + 2);
            buf[strcspn(buf, "\n")] = '\0';
            break;
        }
    }
    (void)fclose(f);
}

int bench_report_new(struct bench_report **ret_report, struct err *e)
{
    struct bench_report *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "make a benchmark report");
    struct utsname u;
    if (uname(&u) == 0)
        (void)snprintf(r->kernel, sizeof r->kernel, "%.20s %.64s", u.sysname, u.release);
    read_cpu_model(r->cpu, sizeof r->cpu);
    r->n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    r->memory_mib = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) >> 20;
    *ret_report = r;
    return 0;
}

void bench_report_free(struct bench_report *report)
{
    if (!report)
        return;
    free(report->results);
    free(report);
}

int bench_report_add(struct bench_report *report, const struct bench_result *r, struct err *e)
{
    struct bench_result *grown =
        reallocarray(report->results, report->n_results + 1, sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, "add a benchmark result");
    grown[report->n_results++] = *r;
    report->results = grown;
    return 0;
}

static double ratio_of(const struct bench_result *r)
{
    return r->limit > 0 ? r->value / r->limit : 0;
}

static bool is_met(const struct bench_result *r)
{
    return ratio_of(r) >= r->target;
}

void bench_report_print(const struct bench_report *report, FILE *out)
{
    fprintf(out, "machine: %s, %ld CPUs, %lld MiB, %s\n\n", report->cpu, report->n_cpus,
            report->memory_mib, report->kernel);
    fprintf(out, "%-7s %-28s %14s %14s  %-8s %6s %7s  %s\n", "bench", "case", "value", "limit",
            "unit", "ratio", "target", "met");
    for (size_t i = 0; i < report->n_results; i++) {
        const struct bench_result *r = &report->results[i];
        fprintf(out, "%-7s %-28s %14.1f ", r->bench, r->name, r->value);
        if (r->limit > 0)
            fprintf(out, "%14.1f  %-8s %6.2f ", r->limit, r->unit, ratio_of(r));
        else
            fprintf(out, "%14s  %-8s %6s ", "-", r->unit, "-");
        if (r->limit > 0 && r->target > 0)
            fprintf(out, "%7.2f  %s\n", r->target, is_met(r) ? "yes" : "no");
        else
            fprintf(out, "%7s  -\n", "-");
    }
}

static json_t *result_to_json(const struct bench_result *r)
{
    bool has_ratio = r->limit > 0;
    bool has_target = has_ratio && r->target > 0;
    return json_pack("{s:s, s:s, s:f, s:s, s:o, s:o, s:o, s:o}", "bench", r->bench, "case", r->name,
                     "value", r->value, "unit", r->unit, "limit",
                     has_ratio ? json_real(r->limit) : json_null(), "ratio",
                     has_ratio ? json_real(ratio_of(r)) : json_null(), "target",
                     r->target > 0 ? json_real(r->target) : json_null(), "met",
                     has_target ? json_boolean(is_met(r)) : json_null());
}

static json_t *report_to_json(const struct bench_report *report)
{
    json_t *results = json_array();
    for (size_t i = 0; i < report->n_results; i++)
        if (json_array_append_new(results, result_to_json(&report->results[i])) < 0)
            goto fail;
    return json_pack("{s:{s:s, s:I, s:I, s:s}, s:o}", "machine", "cpu", report->cpu, "cpus",
                     (json_int_t)report->n_cpus, "memory_mib", (json_int_t)report->memory_mib,
                     "kernel", report->kernel, "results", results);
fail:
    json_decref(results);
    return NULL;
}

int bench_report_write(const struct bench_report *report, const char *path, struct err *e)
{
    json_t *root = report_to_json(report);
    if (!root)
        return err_set(e, ERR_NOMEM, "write '%s'", path);
    int rc = json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    return rc < 0 ? err_set(e, ERR_IO, "write '%s'", path) : 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return values[(n - 1) / 2];
}

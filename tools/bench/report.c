/* Collects benchmark results and prints them as a table or as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct bench_report {
    struct bench_result *results;
    size_t n_results;
    json_t *series; /* an array; owned */
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
    if (!r || !(r->series = json_array())) {
        free(r);
        return err_set(e, ERR_NOMEM, "make a benchmark report");
    }
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
    json_decref(report->series);
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

static json_t *points_to_json(const struct bench_series *s)
{
    json_t *points = json_array();
    for (size_t i = 0; i < s->n; i++) {
        json_t *point = json_pack("[f, f]", s->points[i].x, s->points[i].y);
        if (json_array_append_new(points, point) < 0) {
            json_decref(points);
            return NULL;
        }
    }
    return points;
}

int bench_report_add_series(struct bench_report *report, const struct bench_series *s,
                            struct err *e)
{
    json_t *series = json_pack("{s:s, s:s, s:s, s:o}", "name", s->name, "x_unit", s->x_unit,
                               "y_unit", s->y_unit, "points", points_to_json(s));
    if (json_array_append_new(report->series, series) < 0)
        return err_set(e, ERR_NOMEM, "add a series to a report");
    return 0;
}

static double ratio_of(const struct bench_result *r)
{
    return r->limit > 0 ? r->value / r->limit : 0;
}

static bool has_verdict(const struct bench_result *r)
{
    return r->target && (r->is_absolute || r->limit > 0);
}

static bool is_met(const struct bench_result *r)
{
    double found = r->is_absolute ? r->value : ratio_of(r);
    return r->is_most ? found <= r->bound : found >= r->bound;
}

static void print_number(FILE *out, double value)
{
    static const double whole = 1000, tenths = 10;
    fprintf(out, " %11.*f", value >= whole ? 0 : value >= tenths ? 1 : 3, value);
}

static void print_verdict(const struct bench_result *r, FILE *out)
{
    if (r->limit > 0) {
        print_number(out, r->limit);
        fprintf(out, "  %-6s %7.3f  ", r->unit, ratio_of(r));
    } else {
        fprintf(out, " %11s  %-6s %7s  ", "-", r->unit, "-");
    }
    if (has_verdict(r))
        fprintf(out, "%-3s %s %-5.4g %-3s", r->target, r->is_most ? "<=" : ">=", r->bound,
                is_met(r) ? "yes" : "no");
    else
        fprintf(out, "%-16s", "-");
}

static void print_machine(const struct bench_report *report, FILE *out)
{
    fprintf(out, "machine: %s, %ld CPUs, %lld MiB, %s\n\n", report->cpu, report->n_cpus,
            report->memory_mib, report->kernel);
}

void bench_report_print(const struct bench_report *report, FILE *out)
{
    print_machine(report, out);
    fprintf(out, "%-6s %-42s %11s %5s %11s  %-6s %7s  %-16s %5s %6s %5s  %s\n", "bench", "case",
            "value", "+-", "limit", "unit", "ratio", "target       met", "cores", "server", "disk",
            "bound by");
    for (size_t i = 0; i < report->n_results; i++) {
        const struct bench_result *r = &report->results[i];
        fprintf(out, "%-6s %-42s", r->bench, r->name);
        print_number(out, r->value);
        fprintf(out, " %4.0f%%", r->spread * 100);
        print_verdict(r, out);
        fprintf(out, " %5.2f %6.2f %4.0f%%  %s\n", r->cores, r->server_cores, r->disk * 100,
                r->bound_by ? r->bound_by : "-");
    }
}

static bool is_of_one(const struct bench_report *report, size_t i, size_t first)
{
    return i < report->n_results && report->results[i].of == report->results[first].of;
}

static const char *figure_name(const struct bench_result *r)
{
    return r->figure ? r->figure : "";
}

/* Names above units. */
static void print_wide_head(const struct bench_report *report, FILE *out)
{
    fprintf(out, "%-38s", "case");
    for (size_t i = 0; is_of_one(report, i, 0); i++)
        fprintf(out, " %13s%s", figure_name(&report->results[i]), i ? "" : "  ratio   +-");
    fprintf(out, "\n%-38s", "");
    for (size_t i = 0; is_of_one(report, i, 0); i++)
        fprintf(out, " %13s%s", report->results[i].unit, i ? "" : "            ");
    fputc('\n', out);
}

static void print_wide_first(const struct bench_result *r, FILE *out)
{
    fprintf(out, "%-38s  ", r->of);
    print_number(out, r->value);
    if (r->limit > 0)
        fprintf(out, "  %5.2f", ratio_of(r));
    else
        fprintf(out, "  %5s", "-");
    fprintf(out, " %3.0f%%", r->spread * 100);
}

void bench_report_print_wide(const struct bench_report *report, FILE *out)
{
    print_machine(report, out);
    if (report->n_results > 0)
        print_wide_head(report, out);
    for (size_t first = 0, i = 0; first < report->n_results; first = i) {
        print_wide_first(&report->results[first], out);
        for (i = first + 1; is_of_one(report, i, first); i++) {
            fputs("  ", out);
            print_number(out, report->results[i].value);
        }
        fputc('\n', out);
    }
}

static json_t *real_or_null(bool is_there, double value)
{
    return is_there ? json_real(value) : json_null();
}

/* What the bound is of, and from which side it is met. */
static const char *bound_is(const struct bench_result *r)
{
    if (!r->target)
        return NULL;
    if (r->is_absolute)
        return r->is_most ? "value <=" : "value >=";
    return r->is_most ? "ratio <=" : "ratio >=";
}

static json_t *result_to_json(const struct bench_result *r)
{
    bool has_ratio = r->limit > 0;
    return json_pack(
        "{s:s, s:s, s:f, s:s, s:f, s:o, s:o, s:s?, s:o, s:o, s:f, s:f, s:f, s:s?, s:s?}", "bench",
        r->bench, "case", r->name, "value", r->value, "unit", r->unit, "spread", r->spread, "limit",
        real_or_null(has_ratio, r->limit), "ratio", real_or_null(has_ratio, ratio_of(r)), "target",
        r->target, "bound", real_or_null(r->target, r->bound), "met",
        has_verdict(r) ? json_boolean(is_met(r)) : json_null(), "cores", r->cores, "server_cores",
        r->server_cores, "disk", r->disk, "bound_by", r->bound_by, "bound_is", bound_is(r));
}

static json_t *report_to_json(const struct bench_report *report)
{
    json_t *results = json_array();
    for (size_t i = 0; i < report->n_results; i++)
        if (json_array_append_new(results, result_to_json(&report->results[i])) < 0)
            goto fail;
    return json_pack("{s:{s:s, s:I, s:I, s:s}, s:o, s:O}", "machine", "cpu", report->cpu, "cpus",
                     (json_int_t)report->n_cpus, "memory_mib", (json_int_t)report->memory_mib,
                     "kernel", report->kernel, "results", results, "series", report->series);
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

int bench_report_check_path(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0)
        (void)unlink(path); /* until there is something to write */
    else if (errno == EEXIST)
        fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "write '%s'", path);
    (void)close(fd); /* nothing was written */
    return 0;
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

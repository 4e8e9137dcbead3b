/* What experiments came to. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/run_report.h"

#include <stdlib.h>

#include "tools/mem/amount.h"

enum { CASE_BYTES = 48, LATENCY_POWERS = 40 };
#define GIB ((double)(UINT64_C(1) << 30))
#define MIB ((double)(UINT64_C(1) << 20))
#define NS_PER_MS 1e6
#define NS_PER_US 1e3
#define MS_PER_S 1e3
#define STALL_NS UINT64_C(1000000)

static const struct {
    const char *name, *unit, *head;
    int width, n_digits;
} kinds[RUN_N_FIGURES] = {
    [RUN_APPEND_RATE] = {"append", "MiB/s", "MiB/S", 7, 0},
    [RUN_APPEND_MINOR] = {"append minor", "faults/GiB", "MINOR", 8, 0},
    [RUN_APPEND_MAJOR] = {"append major", "faults/GiB", "MAJOR", 8, 0},
    [RUN_AHEAD] = {"ahead", "faults/GiB", "AHEAD", 8, 0},
    [RUN_DISPATCH] = {"dispatch", "faults/GiB", "DISPATCH", 8, 0},
    [RUN_P50] = {"append p50", "us", "P50us", 8, 1},
    [RUN_P99] = {"append p99", "us", "P99us", 8, 1},
    [RUN_P999] = {"append p99.9", "us", "P99.9us", 8, 1},
    [RUN_WORST] = {"append worst", "ms", "WORSTms", 8, 1},
    [RUN_STALLS] = {"append stalls", "1/GiB", "STALLS", 7, 0},
    [RUN_RSS] = {"append RSS", "MiB", "RSSMiB", 7, 0},
    [RUN_READ_RATE] = {"read", "MiB/s", "R-MiB/S", 7, 0},
    [RUN_READ_MINOR] = {"read minor", "faults/GiB", "R-MINOR", 8, 0},
    [RUN_READ_MAJOR] = {"read major", "faults/GiB", "R-MAJOR", 8, 0},
    [RUN_READ_RSS] = {"read RSS", "MiB", "R-RSSMiB", 8, 0},
};

/* ---- figures ---- */

static double by_gib(uint64_t n, uint64_t bytes)
{
    return bytes > 0 ? (double)n * GIB / (double)bytes : 0;
}

static double rate_of(const struct experiment_part *p)
{
    return p->seconds > 0 ? (double)p->bytes / MIB / p->seconds : 0;
}

static uint64_t faults_of(const struct experiment_outcome *o, enum store_path path)
{
    return o->paths[path].minor + o->paths[path].major;
}

void run_figures(const struct experiment_outcome *o, double ret[RUN_N_FIGURES])
{
    uint64_t appended = o->append.bytes, read = o->read.bytes;
    uint64_t ahead = faults_of(o, STORE_PATH_POPULATE) + faults_of(o, STORE_PATH_RECOVERY);
    ret[RUN_APPEND_RATE] = rate_of(&o->append);
    ret[RUN_APPEND_MINOR] = by_gib(o->append.faults.minor, appended);
    ret[RUN_APPEND_MAJOR] = by_gib(o->append.faults.major, appended);
    ret[RUN_AHEAD] = by_gib(ahead, appended);
    ret[RUN_DISPATCH] = by_gib(faults_of(o, STORE_PATH_DISPATCH), appended);
    ret[RUN_P50] = (double)latency_at(&o->appends, 0.50) / NS_PER_US;
    ret[RUN_P99] = (double)latency_at(&o->appends, 0.99) / NS_PER_US;
    ret[RUN_P999] = (double)latency_at(&o->appends, 0.999) / NS_PER_US;
    ret[RUN_WORST] = (double)o->appends.worst_ns / NS_PER_MS;
    ret[RUN_STALLS] = by_gib(latency_over(&o->appends, STALL_NS), appended);
    ret[RUN_RSS] = (double)o->append.peak_rss_bytes / MIB;
    ret[RUN_READ_RATE] = rate_of(&o->read);
    ret[RUN_READ_MINOR] = by_gib(o->read.faults.minor, read);
    ret[RUN_READ_MAJOR] = by_gib(o->read.faults.major, read);
    ret[RUN_READ_RSS] = (double)o->read.peak_rss_bytes / MIB;
}

/* ---- the table ---- */

void run_report_head(FILE *out)
{
    fprintf(out, "%-11s %7s %7s %7s ", "POLICY", "FILE", "RECORD", "LIMIT");
    for (size_t i = 0; i < RUN_N_FIGURES; i++)
        fprintf(out, " %*s", kinds[i].width, kinds[i].head);
    fputc('\n', out);
}

static const char *limit_text(char buf[AMOUNT_BYTES], uint64_t limit_bytes)
{
    return limit_bytes == 0 ? "none" : amount_text(buf, limit_bytes);
}

void run_report_row(const struct experiment *x, const struct experiment_outcome *o,
                    const double figures[RUN_N_FIGURES], FILE *out)
{
    char file[AMOUNT_BYTES], record[AMOUNT_BYTES], limit[AMOUNT_BYTES];
    fprintf(out, "%-11s %7s %7s %7s ", mem_policy_name(x->policy), amount_text(file, x->file_bytes),
            amount_text(record, x->record_bytes), limit_text(limit, x->limit_bytes));
    if (o->end == EXPERIMENT_DONE)
        for (size_t i = 0; i < RUN_N_FIGURES; i++)
            fprintf(out, " %*.*f", kinds[i].width, kinds[i].n_digits, figures[i]);
    else
        fprintf(out, " %s: %s", o->end == EXPERIMENT_KILLED ? "killed" : "skipped", o->why);
    fputc('\n', out);
}

/* ---- the report ---- */

static void name_case(char buf[CASE_BYTES], const struct experiment *x)
{
    char file[AMOUNT_BYTES], record[AMOUNT_BYTES], limit[AMOUNT_BYTES];
    (void)snprintf(buf, CASE_BYTES, "%.11s %.9s %.9s %.9s", mem_policy_name(x->policy),
                   amount_text(file, x->file_bytes), amount_text(record, x->record_bytes),
                   limit_text(limit, x->limit_bytes));
}

/* Policies are lines in one plot (see tools/bench/report.h). */
static void name_series(struct bench_series *s, const struct experiment *x, const char *what)
{
    char file[AMOUNT_BYTES], record[AMOUNT_BYTES], limit[AMOUNT_BYTES];
    (void)snprintf(s->name, sizeof s->name, "%.20s, %.9s file, %.9s records, limit %.9s: %.11s",
                   what, amount_text(file, x->file_bytes), amount_text(record, x->record_bytes),
                   limit_text(limit, x->limit_bytes), mem_policy_name(x->policy));
}

static int add_results(struct bench_report *report, const char *of,
                       const double figures[RUN_N_FIGURES], struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < RUN_N_FIGURES; i++) {
        struct bench_result r = {.bench = "mem", .unit = kinds[i].unit, .value = figures[i]};
        (void)snprintf(r.name, sizeof r.name, "%.44s %s", of, kinds[i].name);
        rc = bench_report_add(report, &r, e);
    }
    return rc;
}

static uint64_t anon_of(const struct experiment_sample *s)
{
    return s->rss_anon_bytes;
}

static uint64_t file_of(const struct experiment_sample *s)
{
    return s->rss_file_bytes;
}

static int add_rss(struct bench_report *report, const struct experiment *x, const char *what,
                   const struct experiment_outcome *o,
                   uint64_t (*bytes_of)(const struct experiment_sample *s), struct err *e)
{
    struct bench_point *points = calloc(o->n_samples + 1, sizeof *points);
    if (!points)
        return err_set(e, ERR_NOMEM, "report resident bytes");
    for (size_t i = 0; i < o->n_samples; i++) {
        points[i].x = (double)o->samples[i].ms / MS_PER_S;
        points[i].y = (double)bytes_of(&o->samples[i]) / MIB;
    }
    struct bench_series s = {.x_unit = "s", .y_unit = "MiB", .points = points, .n = o->n_samples};
    name_series(&s, x, what);
    int rc = bench_report_add_series(report, &s, e);
    free(points);
    return rc;
}

/* How many appends took longer than half of `x` us and at most `x`, for each power of two. */
static int add_latencies(struct bench_report *report, const struct experiment *x,
                         const struct latency *l, struct err *e)
{
    struct bench_point points[LATENCY_POWERS];
    size_t n = 0;
    uint64_t left = l->n;
    for (unsigned power = 0; power < LATENCY_POWERS && left > 0; power++) {
        uint64_t upto_ns = UINT64_C(1) << power;
        uint64_t over = latency_over(l, upto_ns);
        if (over == left)
            continue;
        points[n++] = (struct bench_point){(double)upto_ns / NS_PER_US, (double)(left - over)};
        left = over;
    }
    struct bench_series s = {.x_unit = "us", .y_unit = "appends", .points = points, .n = n};
    name_series(&s, x, "append latencies");
    return bench_report_add_series(report, &s, e);
}

int run_report_add(struct bench_report *report, const struct experiment *x,
                   const struct experiment_outcome *o, const double figures[RUN_N_FIGURES],
                   struct err *e)
{
    char of[CASE_BYTES];
    name_case(of, x);
    int rc = o->end == EXPERIMENT_DONE ? add_results(report, of, figures, e) : 0;
    if (rc == 0 && o->end == EXPERIMENT_DONE)
        rc = add_latencies(report, x, &o->appends, e);
    if (rc == 0 && o->n_samples > 0)
        rc = add_rss(report, x, "RSS anonymous", o, anon_of, e);
    if (rc == 0 && o->n_samples > 0)
        rc = add_rss(report, x, "RSS files", o, file_of, e);
    return rc;
}

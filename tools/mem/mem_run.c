/* `sluice mem run`: experiments with page-cache policies on scratch stores. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command.h"
#include "tools/mem/run_report.h"
#include "tools/options.h"

enum { LIST_MAX = 16, RUNS_MAX = 99 };
#define FILE_MIN_BYTES (UINT64_C(1) << 20)
#define FILE_MAX_BYTES (UINT64_C(1) << 30)
#define RECORD_MAX_BYTES (UINT64_C(4) << 20)
#define WINDOW_MIN_BYTES (UINT64_C(1) << 20)
#define LIMIT_MIN_BYTES (UINT64_C(16) << 20)
#define TOTAL_MIN_BYTES (UINT64_C(1) << 20)
#define TIME_MIN_MS 100

/* Numbers that a comma separates on the command line. */
struct list {
    uint64_t values[LIST_MAX];
    size_t n;
};

struct matrix {
    struct list policies, files, records, limits;
    struct experiment common; /* what is the same in all */
    uint64_t n_runs;
    const char *json; /* NULL: no report file */
};

/* ---- running ---- */

/* The medians of all runs; the last run's outcome is in `o`. */
static int run_one(const struct matrix *m, const struct experiment *x, struct experiment_outcome *o,
                   double figures[RUN_N_FIGURES], struct err *e)
{
    double values[RUN_N_FIGURES][RUNS_MAX], of_run[RUN_N_FIGURES];
    for (uint64_t i = 0; i < m->n_runs; i++) {
        int rc = experiment_run(x, o, e);
        if (rc < 0 || o->end != EXPERIMENT_DONE)
            return rc; /* what kills or forbids one run does so to all */
        run_figures(o, of_run);
        for (size_t k = 0; k < RUN_N_FIGURES; k++)
            values[k][i] = of_run[k];
    }
    for (size_t k = 0; k < RUN_N_FIGURES; k++)
        figures[k] = bench_median(values[k], m->n_runs);
    return 0;
}

static int run_and_report(const struct matrix *m, const struct experiment *x,
                          struct bench_report *report, struct err *e)
{
    double figures[RUN_N_FIGURES] = {0};
    struct experiment_outcome *o = calloc(1, sizeof *o);
    if (!o)
        return err_set(e, ERR_NOMEM, "run an experiment");
    int rc = run_one(m, x, o, figures, e);
    if (rc == 0) {
        run_report_row(x, o, figures, stdout);
        rc = run_report_add(report, x, o, figures, e);
    }
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(e, errno, "write to stdout");
    free(o);
    return rc;
}

/* The experiment of that number: policies change fastest, so that they stand side by side. */
static struct experiment nth(const struct matrix *m, size_t i)
{
    struct experiment x = m->common;
    x.policy = (enum mem_policy)m->policies.values[i % m->policies.n];
    i /= m->policies.n;
    x.record_bytes = m->records.values[i % m->records.n];
    i /= m->records.n;
    x.file_bytes = m->files.values[i % m->files.n];
    x.limit_bytes = m->limits.values[i / m->files.n];
    return x;
}

static int run_all(const struct matrix *m, struct err *e)
{
    struct bench_report *report;
    size_t n = m->policies.n * m->records.n * m->files.n * m->limits.n;
    int rc = m->json ? bench_report_check_path(m->json, e) : 0;
    if (rc == 0)
        rc = bench_report_new(&report, e);
    if (rc < 0)
        return rc;
    run_report_head(stdout);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct experiment x = nth(m, i);
        rc = run_and_report(m, &x, report, e);
    }
    if (rc == 0 && m->json)
        rc = bench_report_write(report, m->json, e);
    bench_report_free(report);
    return rc;
}

/* ---- lists ---- */

typedef int (*read_fn)(const char *word, uint64_t *ret, struct err *e);

static int read_policy(const char *word, uint64_t *ret, struct err *e)
{
    for (int i = 0; i < POLICY_N; i++) {
        if (strcmp(word, mem_policy_name((enum mem_policy)i)) != 0)
            continue;
        *ret = (uint64_t)i;
        return 0;
    }
    return err_set(e, ERR_INVAL, "'%.80s' is no policy", word);
}

static int read_file_size(const char *word, uint64_t *ret, struct err *e)
{
    int rc = options_size(word, FILE_MIN_BYTES, FILE_MAX_BYTES, ret, e);
    if (rc == 0 && *ret % 4096 != 0)
        return err_set(e, ERR_INVAL, "'%.80s' is not a multiple of 4096", word);
    return rc;
}

static int read_record_size(const char *word, uint64_t *ret, struct err *e)
{
    return options_size(word, 1, RECORD_MAX_BYTES, ret, e);
}

static int read_limit(const char *word, uint64_t *ret, struct err *e)
{
    if (strcmp(word, "none") != 0)
        return options_size(word, LIMIT_MIN_BYTES, 0, ret, e);
    *ret = 0;
    return 0;
}

static int read_list(const char *text, read_fn read, struct list *ret, struct err *e)
{
    struct list list = {.n = 0};
    char *words = strdup(text), *rest = words;
    int rc = words ? 0 : err_set(e, ERR_NOMEM, "read a list");
    while (rc == 0 && rest) {
        const char *word = strsep(&rest, ",");
        rc = list.n == LIST_MAX ? err_set(e, ERR_INVAL, "over %d values", LIST_MAX)
                                : read(word, &list.values[list.n++], e);
    }
    free(words);
    if (rc == 0)
        *ret = list;
    return rc;
}

/* ---- the command line ---- */

/* Lists as they were typed. */
struct texts {
    const char *policies, *files, *records, *limits;
    bool smoke;
};

static int read_lists(const struct texts *t, struct matrix *m, const char **ret_option,
                      struct err *e)
{
    const struct {
        const char *option, *text;
        read_fn read;
        struct list *ret;
    } lists[] = {
        {"policy", t->policies, read_policy, &m->policies},
        {"file", t->files, read_file_size, &m->files},
        {"record", t->records, read_record_size, &m->records},
        {"limit", t->limits, read_limit, &m->limits},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        int rc = read_list(lists[i].text, lists[i].read, lists[i].ret, e);
        *ret_option = lists[i].option;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void make_smoke(struct texts *t, struct matrix *m)
{
    t->files = "16M";
    t->records = "1K";
    t->limits = "none,128M";
    m->common.total_bytes = UINT64_C(24) << 20;
    m->n_runs = 1;
}

static int parse(struct matrix *m, struct texts *t, const struct options *o, int argc, char **argv)
{
    struct err e;
    int first;
    const char *option = "";
    int rc = options_parse(o, argc, argv, &first);
    if (rc != OPTIONS_RUN)
        return rc;
    if (t->smoke)
        make_smoke(t, m);
    if (read_lists(t, m, &option, &e) < 0)
        return options_refuse(o, "option '--%s': %s", option, e.msg);
    return OPTIONS_RUN;
}

static struct option_spec list_spec(const char *name, const char **ret, const char *fallback,
                                    const char *help)
{
    return (struct option_spec){.name = name,
                                .kind = OPTION_TEXT,
                                .ret = ret,
                                .value = "LIST",
                                .fallback = fallback,
                                .help = help};
}

int mem_run(int argc, char **argv)
{
    struct matrix m = {0};
    struct texts t = {0};
    const struct option_spec specs[] = {
        list_spec("policy", &t.policies, "lazy,whole,window,drop-behind,locked",
                  "how pages of the log are treated"),
        list_spec("file", &t.files, "64M,1G", "sizes of a commit-log file"),
        list_spec("record", &t.records, "1K,16K", "sizes of a body"),
        list_spec("limit", &t.limits, "none,512M,128M", "memory limits, each by a control group"),
        {.name = "window",
         .kind = OPTION_SIZE,
         .ret = &m.common.window_bytes,
         .value = "SIZE",
         .fallback = "64M",
         .help = "populated ahead of the writer at most, by the policies that do",
         .min = WINDOW_MIN_BYTES,
         .max = FILE_MAX_BYTES},
        {.name = "bytes",
         .kind = OPTION_SIZE,
         .ret = &m.common.total_bytes,
         .value = "SIZE",
         .fallback = "1G",
         .help = "bodies appended and read in each run",
         .min = TOTAL_MIN_BYTES},
        {.name = "time",
         .kind = OPTION_DURATION,
         .ret = &m.common.max_ms,
         .value = "TIME",
         .fallback = "30s",
         .help = "appending ends then at the latest",
         .min = TIME_MIN_MS},
        {.name = "runs",
         .kind = OPTION_NUMBER,
         .ret = &m.n_runs,
         .value = "N",
         .fallback = "1",
         .help = "runs of each; medians are shown",
         .min = 1,
         .max = RUNS_MAX},
        {.name = "dir",
         .kind = OPTION_TEXT,
         .ret = &m.common.dir,
         .value = "DIR",
         .fallback = "/var/tmp",
         .help = "where scratch stores are made"},
        {.name = "smoke",
         .kind = OPTION_FLAG,
         .ret = &t.smoke,
         .help = "short runs that only show that it works (default: whole ones)"},
        {.name = "json",
         .kind = OPTION_TEXT,
         .ret = &m.json,
         .value = "FILE",
         .help = "write a report there as JSON too (default: no)"},
        {0},
    };
    const struct options o = {
        .program = "sluice mem run",
        .operands = "",
        .summary =
            "Appends to scratch stores under policies for the pages of their log, and reads it "
            "all,\n"
            "each in a process of its own: page faults, stalls of the writer, resident memory.",
        .specs = specs,
    };
    int status = parse(&m, &t, &o, argc, argv);
    if (status != OPTIONS_RUN)
        return status;
    struct err e;
    return run_all(&m, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

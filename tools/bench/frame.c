/* Runs the cases of a benchmark in turns with their limits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/frame.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/bench/report.h"
#include "tools/command.h"
#include "tools/options.h"

enum { SMOKE_RUN_MS = 200 };
#define SMOKE_BYTES (UINT64_C(8) << 20)
#define MIN_BYTES (UINT64_C(1) << 20)
#define MAX_BYTES (UINT64_C(1) << 40)
#define MIN_RUN_MS 100
#define MAX_RUN_MS UINT64_C(3600000)
#define NS_PER_S 1e9

struct frame {
    const char *name;
    const struct bench_set *const *sets;
    struct bench_options opt;
    dev_t disk;
    struct bench_report *report;
    void (*print)(const struct bench_report *report, FILE *out);
    bool needs_endpoint;
};

/* What the runs of one case yielded. */
struct case_runs {
    double values[BENCH_FIGURES_MAX][BENCH_RUNS_MAX];
    double limits[BENCH_FIGURES_MAX][BENCH_RUNS_MAX];
    double cores[BENCH_RUNS_MAX], server_cores[BENCH_RUNS_MAX], disk[BENCH_RUNS_MAX];
    struct usage spent; /* of the last run of value() */
};

void bench_start(struct bench_run *run)
{
    usage_read(&run->begun, run->servers, run->disk);
}

double bench_stop(struct bench_run *run)
{
    struct usage now;
    usage_read(&now, run->servers, run->disk);
    run->spent = usage_between(&run->begun, &now);
    return (double)run->spent.wall_ns / NS_PER_S;
}

static size_t n_figures(const struct bench_case *c)
{
    size_t n = 0;
    while (n < BENCH_FIGURES_MAX && c->figures[n].unit)
        n++;
    return n;
}

/* ---- running ---- */

static void show_run(const struct bench_case *c, const double *values, const double *limits)
{
    for (size_t i = 0; i < n_figures(c); i++) {
        const char *name = c->figures[i].name;
        fprintf(stderr, "%s %s%s%.4g %s", i ? "," : "", name ? name : "", name ? " " : "",
                values[i], c->figures[i].unit);
        if (limits[i] > 0)
            fprintf(stderr, " (limit %.4g)", limits[i]);
    }
    fputc('\n', stderr);
}

static int run_once(const struct frame *f, const struct bench_case *c, void *state, uint64_t i,
                    struct case_runs *runs, struct err *e)
{
    double values[BENCH_FIGURES_MAX] = {0}, limits[BENCH_FIGURES_MAX] = {0};
    struct bench_run run = {
        .opt = &f->opt, .io = io_posix(), .state = state, .index = i, .disk = f->disk};
    int rc = c->value(&run, c, values, e);
    struct usage spent = run.spent;
    if (rc == 0 && c->limit)
        rc = c->limit(&run, c, limits, e);
    if (rc < 0)
        return rc;
    for (size_t k = 0; k < n_figures(c); k++) {
        runs->values[k][i] = values[k];
        runs->limits[k][i] = limits[k];
    }
    runs->spent = spent;
    runs->cores[i] = usage_cores(spent.self_ns, &spent);
    runs->server_cores[i] = usage_cores(spent.server_ns, &spent);
    runs->disk[i] = usage_cores(spent.disk_ns, &spent);
    fprintf(stderr, "%s, run %" PRIu64 " of %" PRIu64 ":", c->name, i + 1, f->opt.n_runs);
    show_run(c, values, limits);
    return 0;
}

static double spread_of(const double *sorted, size_t n)
{
    double middle = sorted[(n - 1) / 2];
    return middle > 0 ? (sorted[n - 1] - sorted[0]) / 2 / middle : 0;
}

static int report_case(struct frame *f, const struct bench_case *c, struct case_runs *runs,
                       struct err *e)
{
    size_t n = f->opt.n_runs;
    double cores = bench_median(runs->cores, n);
    double server_cores = bench_median(runs->server_cores, n);
    double disk = bench_median(runs->disk, n);
    int rc = 0;
    for (size_t k = 0; k < n_figures(c) && rc == 0; k++) {
        const struct bench_figure *figure = &c->figures[k];
        struct bench_result r = {
            .bench = f->name,
            .of = c->name,
            .figure = figure->name,
            .unit = figure->unit,
            .value = bench_median(runs->values[k], n),
            .spread = spread_of(runs->values[k], n),
            .limit = figure->limit > 0 ? figure->limit : bench_median(runs->limits[k], n),
            .target = figure->target,
            .bound = figure->bound,
            .is_most = figure->is_most,
            .is_absolute = figure->is_absolute,
            .cores = cores,
            .server_cores = server_cores,
            .disk = disk,
            .bound_by = usage_bound(&runs->spent, (unsigned)sysconf(_SC_NPROCESSORS_ONLN)),
        };
        (void)snprintf(r.name, sizeof r.name, "%s%s%s", c->name, figure->name ? " " : "",
                       figure->name ? figure->name : "");
        rc = bench_report_add(f->report, &r, e);
    }
    return rc;
}

static int run_case(struct frame *f, const struct bench_case *c, void *state, struct err *e)
{
    struct case_runs *runs = calloc(1, sizeof *runs);
    if (!runs)
        return err_set(e, ERR_NOMEM, "run '%s'", c->name);
    int rc = 0;
    for (uint64_t i = 0; i < f->opt.n_runs && rc == 0; i++)
        rc = run_once(f, c, state, i, runs, e);
    if (rc == 0)
        rc = report_case(f, c, runs, e);
    else
        err_wrap(e, "%s", c->name);
    free(runs);
    return rc;
}

static bool is_wanted(const struct frame *f, const struct bench_case *c)
{
    return !f->opt.only || strstr(c->name, f->opt.only);
}

static int run_set(struct frame *f, const struct bench_set *set, struct err *e)
{
    void *state = NULL;
    bool is_open = false;
    int rc = 0;
    for (const struct bench_case *c = set->cases; c->name && rc == 0; c++) {
        if (!is_wanted(f, c))
            continue;
        if (!is_open && set->open)
            rc = set->open(&f->opt, &state, e);
        is_open = rc == 0;
        if (rc == 0)
            rc = run_case(f, c, state, e);
    }
    if (state && set->close)
        set->close(state);
    return rc;
}

static int run_all(struct frame *f, struct err *e)
{
    struct stat folder;
    if (stat(f->opt.dir, &folder) < 0)
        return err_sys(e, errno, "look at '%s'", f->opt.dir);
    f->disk = folder.st_dev;
    int rc = f->opt.json ? bench_report_check_path(f->opt.json, e) : 0;
    if (rc < 0)
        return rc;
    rc = bench_report_new(&f->report, e);
    for (size_t i = 0; f->sets[i] && rc == 0; i++)
        rc = run_set(f, f->sets[i], e);
    if (rc == 0)
        f->print(f->report, stdout);
    if (rc == 0 && f->opt.json)
        rc = bench_report_write(f->report, f->opt.json, e);
    bench_report_free(f->report);
    return rc;
}

/* ---- the command line ---- */

static void list_cases(const struct frame *f)
{
    for (size_t i = 0; f->sets[i]; i++)
        for (const struct bench_case *c = f->sets[i]->cases; c->name; c++)
            if (is_wanted(f, c))
                puts(c->name);
}

/* "12,34": the processes of a broker. */
static int parse_servers(struct bench_options *o, const char *text, struct err *e)
{
    size_t n = 0;
    for (const char *at = text; *at && n < USAGE_SERVERS_MAX; n++) {
        char *end;
        long pid = strtol(at, &end, 10);
        if (end == at || pid <= 0 || (*end != ',' && *end != '\0'))
            break;
        o->servers[n] = (pid_t)pid;
        if (*end == '\0')
            return 0;
        at = end + 1;
    }
    return err_set(e, ERR_INVAL,
                   "option '--servers': '%.80s' is not a list of at most %d processes", text,
                   USAGE_SERVERS_MAX);
}

static size_t n_wanted(const struct frame *f)
{
    size_t n = 0;
    for (size_t i = 0; f->sets[i]; i++)
        for (const struct bench_case *c = f->sets[i]->cases; c->name; c++)
            n += is_wanted(f, c);
    return n;
}

/* What the options say together with each other and with the cases there are. */
static int check(struct frame *f, const char *servers, struct err *e)
{
    const struct bench_options *o = &f->opt;
    if (servers && parse_servers(&f->opt, servers, e) < 0)
        return e->code;
    if (o->endpoint && options_endpoint(o->endpoint, e) < 0)
        return err_wrap(e, "option '--endpoint'");
    if (o->list)
        return 0;
    if (!o->endpoint && f->needs_endpoint)
        return err_set(e, ERR_INVAL, "option '--endpoint' is needed: it names the peer");
    if (n_wanted(f) == 0)
        return err_set(e, ERR_INVAL, "option '--case': no case has '%s' in its name; see '--list'",
                       o->only);
    return 0;
}

static int parse(struct frame *f, const char *program, const char *summary, int argc, char **argv)
{
    struct bench_options *o = &f->opt;
    const char *servers = NULL;
    const struct option_spec specs[] = {
        {.name = "case",
         .kind = OPTION_TEXT,
         .ret = &o->only,
         .value = "TEXT",
         .help = "only cases with this in their names (default: all)"},
        {.name = "list",
         .kind = OPTION_FLAG,
         .ret = &o->list,
         .help = "print the names of the cases and end (default: no)"},
        {.name = "runs",
         .kind = OPTION_NUMBER,
         .ret = &o->n_runs,
         .value = "N",
         .fallback = "5",
         .help = "runs of each, in turns with its limit; medians are shown",
         .min = 1,
         .max = BENCH_RUNS_MAX},
        {.name = "bytes",
         .kind = OPTION_SIZE,
         .ret = &o->bytes,
         .value = "SIZE",
         .fallback = "2G",
         .help = "bodies moved in one run of a store, or in a log to be sent",
         .min = MIN_BYTES,
         .max = MAX_BYTES},
        {.name = "time",
         .kind = OPTION_DURATION,
         .ret = &o->run_ms,
         .value = "TIME",
         .fallback = "3s",
         .help = "length of one run of a server or of a transfer",
         .min = MIN_RUN_MS,
         .max = MAX_RUN_MS},
        {.name = "dir",
         .kind = OPTION_TEXT,
         .ret = &o->dir,
         .value = "DIR",
         .fallback = "/var/tmp",
         .help = "where scratch stores are made"},
        {.name = "endpoint",
         .kind = OPTION_TEXT,
         .ret = &o->endpoint,
         .value = "HOST:PORT",
         .help = "a running broker (default: one is started on a scratch store)"},
        {.name = "servers",
         .kind = OPTION_TEXT,
         .ret = &servers,
         .value = "PID,...",
         .help = "its processes, to be measured (default: those are not)"},
        {.name = "smoke",
         .kind = OPTION_FLAG,
         .ret = &o->smoke,
         .help = "a short run that only shows that it works (default: a whole one)"},
        {.name = "json",
         .kind = OPTION_TEXT,
         .ret = &o->json,
         .value = "FILE",
         .help = "write the report there as JSON too (default: no)"},
        {0},
    };
    const struct options options = {
        .program = program, .operands = "", .summary = summary, .specs = specs};
    int first;
    int rc = options_parse(&options, argc, argv, &first);
    struct err e;
    if (rc == OPTIONS_RUN && check(f, servers, &e) < 0)
        return options_refuse(&options, "%s", e.msg);
    return rc;
}

static int run_frame(struct frame *f, const char *summary, int argc, char **argv)
{
    char program[64];
    (void)snprintf(program, sizeof program, "sluice bench %s", f->name);
    int rc = parse(f, program, summary, argc, argv);
    if (rc != OPTIONS_RUN)
        return rc;
    if (f->opt.smoke) {
        f->opt.bytes = SMOKE_BYTES;
        f->opt.run_ms = SMOKE_RUN_MS;
        f->opt.n_runs = 1;
    }
    if (f->opt.list) {
        list_cases(f);
        return COMMAND_OK;
    }
    struct err e;
    return run_all(f, &e) < 0 ? command_failed(program, &e) : COMMAND_OK;
}

int bench_main(const char *name, const char *summary, const struct bench_set *const *sets, int argc,
               char **argv)
{
    struct frame f = {.name = name, .sets = sets, .print = bench_report_print};
    return run_frame(&f, summary, argc, argv);
}

int bench_main_wide(const char *name, const char *summary, const struct bench_set *const *sets,
                    int argc, char **argv)
{
    struct frame f = {.name = name, .sets = sets, .print = bench_report_print_wide};
    return run_frame(&f, summary, argc, argv);
}

int bench_main_peer(const char *name, const char *summary, const struct bench_set *const *sets,
                    int argc, char **argv)
{
    struct frame f = {
        .name = name, .sets = sets, .print = bench_report_print, .needs_endpoint = true};
    return run_frame(&f, summary, argc, argv);
}

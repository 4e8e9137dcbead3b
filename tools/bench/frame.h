/* The frame of `sluice bench`: tables of cases, run in turns with their limits; medians, what was
 * used up, the report. A case lives in a file of its own, which offers a `struct bench_set`; the
 * set is named in sets.h and in the list of its benchmark (bench_store.c, ...), and nowhere else.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_FRAME_H
#define TOOLS_BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/io.h"
#include "tools/bench/usage.h"

enum { BENCH_FIGURES_MAX = 12, BENCH_RUNS_MAX = 99 };

/* What the command line said. */
struct bench_options {
    const char *dir;      /* where scratch folders are made, on the disk to be measured */
    const char *json;     /* NULL: no report file */
    const char *only;     /* cases whose name has this in it; NULL: all */
    const char *endpoint; /* a running broker; NULL: one of our own */
    uint64_t bytes;       /* of bodies moved in one run */
    uint64_t run_ms;      /* length of one run of what goes by time */
    uint64_t n_runs;
    pid_t servers[USAGE_SERVERS_MAX]; /* that broker's processes; 0 ends */
    bool smoke; /* `bytes` and `run_ms` are small: nothing is proved but that it works */
    bool list;
};

/* One run of one side of a case. */
struct bench_run {
    const struct bench_options *opt;
    struct io *io;
    void *state;                      /* what the set's open() made */
    uint64_t index;                   /* of this run, from 0 */
    pid_t servers[USAGE_SERVERS_MAX]; /* whose processor time is the server's; 0 ends */
    /* the frame's */
    struct usage begun;
    struct usage spent;
    dev_t disk;
};

/* Around what is measured, once in a run: preparing and clearing away stay outside. */
void bench_start(struct bench_run *run);
double bench_stop(struct bench_run *run); /* seconds since bench_start */

/* A figure that a case yields. */
struct bench_figure {
    const char *name; /* behind the case's name: "p99"; NULL: the name alone */
    const char *unit;
    double limit;       /* a limit known beforehand; 0: the case's limit() yields it, if any */
    const char *target; /* "S1"; NULL: none */
    double bound;       /* of value / limit, to meet the target */
    bool is_most;       /* met at or below the bound, not at or above */
    bool is_absolute;   /* the bound is of the value itself */
};

struct bench_case;

/* Writes a value for each figure of the case; what is not known is left alone (it is 0). */
typedef int (*bench_fn)(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e);

struct bench_case {
    const char *name; /* NULL ends a table */
    bench_fn value;
    bench_fn limit;     /* the yardstick, run in turns with value(); NULL: none */
    const void *params; /* the case's own */
    struct bench_figure figures[BENCH_FIGURES_MAX]; /* those with a unit */
};

/* Cases that share what is prepared for them. */
struct bench_set {
    const struct bench_case *cases;
    /* Once before the first case that runs; NULL: nothing to prepare. */
    int (*open)(const struct bench_options *opt, void **ret_state, struct err *e);
    void (*close)(void *state);
};

/* Parses the command line and runs the cases of the sets (the list ends in NULL). Returns what the
 * program is to return. `name` is "store", `summary` the text of --help. */
int bench_main(const char *name, const char *summary, const struct bench_set *const *sets, int argc,
               char **argv);

/* The same, but a case is one line of the printed table, its figures side by side. */
int bench_main_wide(const char *name, const char *summary, const struct bench_set *const *sets,
                    int argc, char **argv);

/* The same as bench_main, but --endpoint must be given: it names what is measured beside ours. */
int bench_main_peer(const char *name, const char *summary, const struct bench_set *const *sets,
                    int argc, char **argv);

#endif

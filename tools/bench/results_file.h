/* What a benchmark or an experiment wrote as JSON, read back; the file may be anybody's. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_RESULTS_FILE_H
#define TOOLS_BENCH_RESULTS_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

enum results_verdict { RESULTS_NO_TARGET, RESULTS_MET, RESULTS_MISSED };

/* What a bound is of: the ratio or the value, and met from above or below. */
enum results_bound {
    RESULTS_BOUND_UNKNOWN,
    RESULTS_RATIO_AT_LEAST,
    RESULTS_RATIO_AT_MOST,
    RESULTS_VALUE_AT_LEAST,
    RESULTS_VALUE_AT_MOST,
};

/* Texts are the file's, NULL where there is none; numbers NAN. */
struct results_row {
    const char *bench, *name, *unit, *target, *bound_by;
    double value, spread, limit, ratio, bound, cores, server_cores, disk;
    enum results_verdict verdict;
    enum results_bound bound_kind;
};

/* y over x. Of a name "a: b", a is the plot and b the line in it. */
struct results_series {
    const char *name, *x_unit, *y_unit;
    size_t n_points;
    double (*points)[2]; /* x, y */
};

struct results_file {
    char *name;            /* without the folder */
    json_t *root;          /* the texts are in it */
    const json_t *machine; /* an object, or NULL */
    struct results_row *rows;
    size_t n_rows;
    struct results_series *series;
    size_t n_series;
};

/* ERR_CORRUPT: it is not JSON, or not of that form; ERR_TOOBIG: it has more than a page can show.
 */
int results_file_parse(struct results_file *ret, const char *name, struct span bytes,
                       struct err *e) MUST_CHECK;

/* The same of a file on disk. */
int results_file_read(struct results_file *ret, const char *folder, const char *name,
                      struct err *e) MUST_CHECK;

void results_file_fini(struct results_file *f); /* a zeroed one is fine */

#endif

/* Bars of ratios and lines of series; plot_curves.c has the third kind.
 *
 * A script consists of settings of ours, numbers, and foreign texts within quotes (gnuplot_quote);
 * nothing foreign stands outside of them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/gnuplot.h"
#include "tools/bench/plot_sketch.h"

enum {
    BAR_HEIGHT = 20,
    BARS_HEIGHT = 110, /* beside the bars themselves */
    MAX_BARS = 40,
    LOG_SPREAD = 30,
    LOG_SPREAD_X = 1000,
};

#define COLOUR_MET "#2e9e6b"
#define COLOUR_MISSED "#d14f6a"
#define COLOUR_PLAIN "#7d93ab"

/* ---- ratios ---- */

static bool has_ratio(const struct results_row *row)
{
    return isfinite(row->ratio) && row->ratio > 0;
}

static bool has_ratio_bound(const struct results_row *row)
{
    return isfinite(row->bound) && row->bound > 0 &&
           (row->bound_kind == RESULTS_RATIO_AT_LEAST || row->bound_kind == RESULTS_RATIO_AT_MOST);
}

/* The bars of one verdict, as "place ratio". */
static void write_bars(struct sketch *s, const struct results_row *const *rows, size_t n,
                       enum results_verdict verdict)
{
    fprintf(s->out, "$v%d << EOD\n", (int)verdict);
    for (size_t i = 0; i < n; i++)
        if (rows[i]->verdict == verdict)
            fprintf(s->out, "%zu %.17g\n", i, rows[i]->ratio);
    fputs("EOD\n", s->out);
}

static void write_bounds(struct sketch *s, const struct results_row *const *rows, size_t n)
{
    fputs("$bounds << EOD\n", s->out);
    for (size_t i = 0; i < n; i++)
        if (has_ratio_bound(rows[i]))
            fprintf(s->out, "%zu %.17g\n", i, rows[i]->bound);
    fputs("EOD\n", s->out);
}

static void write_names(struct sketch *s, const struct results_row *const *rows, size_t n)
{
    fputs("set ytics (", s->out);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputs(", ", s->out);
        gnuplot_quote_tic(s->out, rows[i]->name);
        fprintf(s->out, " %zu", i);
    }
    fputs(") noenhanced\n", s->out);
}

/* The marks of bounds; none is drawn where there is no such row. */
static void write_bound_marks(struct sketch *s, const struct results_row *const *rows, size_t n)
{
    size_t n_bounds = 0;
    for (size_t i = 0; i < n; i++)
        n_bounds += has_ratio_bound(rows[i]);
    if (n_bounds > 0)
        fputs(", $bounds using 2:1:(0):(0.42) with xyerrorbars pt 0 lw 2 lc rgb 'black' "
              "title 'target'",
              s->out);
}

static size_t count_verdict(const struct results_row *const *rows, size_t n,
                            enum results_verdict verdict)
{
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++)
        n_rows += rows[i]->verdict == verdict;
    return n_rows;
}

/* Bars begin at `low`: at 0, or at the left end of a logarithmic axis. */
static void write_ratio_plot(struct sketch *s, const struct results_row *const *rows, size_t n,
                             double low)
{
    static const struct {
        enum results_verdict verdict;
        const char *colour, *title;
    } kinds[] = {{RESULTS_MET, COLOUR_MET, "target met"},
                 {RESULTS_MISSED, COLOUR_MISSED, "target missed"},
                 {RESULTS_NO_TARGET, COLOUR_PLAIN, "no target"}};
    fputs("set style fill solid noborder\nplot NaN notitle", s->out);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (count_verdict(rows, n, kinds[i].verdict) > 0)
            fprintf(s->out,
                    ", $v%d using 2:1:(%.17g):2:($1-0.34):($1+0.34) with boxxyerror lc rgb '%s' "
                    "title '%s'",
                    (int)kinds[i].verdict, low, kinds[i].colour, kinds[i].title);
    write_bound_marks(s, rows, n);
    fputc('\n', s->out);
}

/* Where bars begin. */
static double set_ratio_axis(struct sketch *s, const struct sketch_extent *x)
{
    double low = sketch_wants_log(x, LOG_SPREAD) ? x->low / 1.5 : 0;
    sketch_set_text(s, "xlabel", "value / limit measured beside it");
    if (low > 0)
        fprintf(s->out, "set logscale x 10\nset xrange [%.17g:%.17g]\n", low, x->high * 1.5);
    else
        fprintf(s->out, "set xrange [0:%.17g]\n", x->high * 1.05);
    return low;
}

static int draw_ratios(struct sketch *s, const struct results_row *const *rows, size_t n,
                       struct err *e)
{
    struct sketch_extent x = {0};
    int rc = sketch_begin(s, BARS_HEIGHT + BAR_HEIGHT * (int)n, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        sketch_extend(&x, rows[i]->ratio);
        if (has_ratio_bound(rows[i]))
            sketch_extend(&x, rows[i]->bound);
    }
    sketch_extend(&x, 1);
    write_bars(s, rows, n, RESULTS_MET);
    write_bars(s, rows, n, RESULTS_MISSED);
    write_bars(s, rows, n, RESULTS_NO_TARGET);
    write_bounds(s, rows, n);
    write_names(s, rows, n);
    fprintf(s->out,
            "set key outside top center horizontal maxrows 1\n"
            "set yrange [%zu.5:-0.5]\n"
            "set arrow from 1,graph 0 to 1,graph 1 nohead lw 1 dt 2 lc rgb 'black'\n",
            n - 1);
    write_ratio_plot(s, rows, n, set_ratio_axis(s, &x));
    (void)snprintf(s->title, sizeof s->title, "%s: ratio to the limit measured beside it",
                   rows[0]->bench);
    return sketch_end(s, e);
}

/* Bars of one benchmark at a time. */
static int each_ratio(struct sketch *s, const struct results_file *f, struct err *e)
{
    const struct results_row *rows[MAX_BARS];
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < f->n_rows; i++) {
        if (!has_ratio(&f->rows[i]))
            continue;
        if (n == MAX_BARS || (n > 0 && strcmp(rows[0]->bench, f->rows[i].bench) != 0)) {
            rc = draw_ratios(s, rows, n, e);
            n = 0;
        }
        rows[n++] = &f->rows[i];
    }
    return rc == 0 && n > 0 ? draw_ratios(s, rows, n, e) : rc;
}

/* ---- series ---- */

/* The bytes of a series' name that name the plot; 0: all of it names the line. */
static size_t plot_len(const struct results_series *series)
{
    const char *colon = strstr(series->name, ": ");
    return colon ? (size_t)(colon - series->name) : 0;
}

static const char *line_of(const struct results_series *series)
{
    size_t len = plot_len(series);
    return len > 0 ? series->name + len + 2 : series->name;
}

static bool is_together(const struct results_series *a, const struct results_series *b)
{
    size_t len = plot_len(a);
    return strcmp(a->x_unit, b->x_unit) == 0 && strcmp(a->y_unit, b->y_unit) == 0 &&
           len == plot_len(b) && strncmp(a->name, b->name, len) == 0;
}

static void write_points(struct sketch *s, const struct results_series *series,
                         struct sketch_extent *x, struct sketch_extent *y)
{
    for (size_t i = 0; i < series->n_points; i++) {
        fprintf(s->out, "%.17g %.17g\n", series->points[i][0], series->points[i][1]);
        sketch_extend(x, series->points[i][0]);
        sketch_extend(y, series->points[i][1]);
    }
}

/* Time goes on evenly; what else spans magnitudes is drawn by them. */
static void set_axes(struct sketch *s, const struct results_series *first,
                     const struct sketch_extent *x, const struct sketch_extent *y)
{
    bool is_time = strcmp(first->x_unit, "s") == 0;
    sketch_set_text(s, "xlabel", first->x_unit);
    sketch_set_text(s, "ylabel", first->y_unit);
    if (!is_time && sketch_wants_log(x, LOG_SPREAD_X))
        fprintf(s->out, "set logscale x 10\nset format x '%s'\n",
                x->low >= 1 ? "%.0s%c" : "%.12g"); /* 1k, 1M; but 0.1 and not 100m */
    sketch_set_y(s, y, LOG_SPREAD_X);
}

/* Up to SKETCH_LINES of those that go with `first`; `is_drawn` says which ones have been. */
static int draw_series(struct sketch *s, const struct results_file *f, size_t first, bool *is_drawn,
                       struct err *e)
{
    const struct results_series *like = &f->series[first];
    const char *lines[SKETCH_LINES];
    struct sketch_extent x = {0}, y = {0};
    unsigned n = 0;
    int rc = sketch_begin(s, SKETCH_HEIGHT, e);
    if (rc < 0)
        return rc;
    for (size_t i = first; i < f->n_series && n < SKETCH_LINES; i++) {
        if (is_drawn[i] || !is_together(&f->series[i], like))
            continue;
        is_drawn[i] = true;
        if (f->series[i].n_points == 0)
            continue;
        fprintf(s->out, "$d%u << EOD\n", n);
        write_points(s, &f->series[i], &x, &y);
        fputs("EOD\n", s->out);
        lines[n++] = line_of(&f->series[i]);
    }
    set_axes(s, like, &x, &y);
    for (unsigned k = 0; k < n; k++)
        sketch_line(s, k, lines[k], "1:2 with lines");
    fputs(n > 0 ? "\n" : "plot [0:1] [0:1] NaN notitle\n", s->out); /* a series without a point */
    (void)snprintf(s->title, sizeof s->title, "%.*s%s%s over %s", (int)plot_len(like), like->name,
                   plot_len(like) > 0 ? ": " : "", like->y_unit, like->x_unit);
    return sketch_end(s, e);
}

static int each_series(struct sketch *s, const struct results_file *f, struct err *e)
{
    bool *is_drawn = calloc(f->n_series + 1, sizeof *is_drawn);
    int rc = 0;
    if (!is_drawn)
        return err_set(e, ERR_NOMEM, "plot series");
    for (size_t i = 0; rc == 0 && i < f->n_series; i++)
        if (!is_drawn[i])
            rc = draw_series(s, f, i, is_drawn, e);
    free(is_drawn);
    return rc;
}

int plot_each(const struct results_file *f, plot_fn fn, void *arg, struct err *e)
{
    struct sketch s = {.fn = fn, .arg = arg};
    int rc = each_ratio(&s, f, e);
    if (rc == 0)
        rc = plot_curves(&s, f, e);
    return rc == 0 ? each_series(&s, f, e) : rc;
}

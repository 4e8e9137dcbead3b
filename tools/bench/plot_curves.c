/* Curves: where the names of cases differ by a size alone, their values over that size. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/plot_sketch.h"

enum {
    MIN_SIZES = 3,       /* of a curve */
    MAX_WITH_LIMITS = 4, /* curves of a plot that also shows their limits */
    LOG_SPREAD = 30,
    MAX_SIZE = 1000000, /* in any unit */
};

/* ---- sizes in names ---- */

static double unit_bytes(const char *word, size_t len)
{
    static const struct {
        const char *unit;
        double bytes;
    } units[] = {{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].unit) == len && strncmp(word, units[i].unit, len) == 0)
            return units[i].bytes;
    return 0;
}

/* Blanks and commas around the size are not part of a name. */
static void copy_trimmed(const char *from, size_t len, char ret[PLOT_TEXT_BYTES])
{
    while (len > 0 && strchr(" ,:", from[0])) {
        from++;
        len--;
    }
    while (len > 0 && strchr(" ,:", from[len - 1]))
        len--;
    (void)snprintf(ret, PLOT_TEXT_BYTES, "%.*s", (int)(len < PLOT_TEXT_BYTES ? len : 0), from);
}

bool plot_find_size(const char *name, struct plot_size *ret)
{
    for (const char *at = name; *at; at++) {
        if (!isdigit((unsigned char)*at) || (at > name && at[-1] != ' '))
            continue;
        char *end;
        double n = strtod(at, &end);
        size_t len = *end == ' ' ? strcspn(end + 1, " ,:") : 0;
        double bytes = len > 0 ? unit_bytes(end + 1, len) : 0;
        if (bytes <= 0 || n <= 0 || n > MAX_SIZE)
            continue;
        copy_trimmed(name, (size_t)(at - name), ret->before);
        copy_trimmed(end + 1 + len, strlen(end + 1 + len), ret->behind);
        ret->bytes = n * bytes;
        return true;
    }
    return false;
}

/* ---- rows that go together ---- */

/* A row with a size in its name. */
struct sized {
    const struct results_row *row;
    struct plot_size size;
    /* The place of the first row that differs from it by the size alone, and of the first that
     * goes into the same plot: of the same benchmark and unit, and with the same text before. */
    size_t line, plot;
    size_t n_in_line; /* of the first of a line */
    bool has_limits;  /* likewise: all of it have one */
};

struct all_sized {
    struct sized *rows;
    size_t n;
};

static bool is_of_plot(const struct sized *a, const struct sized *b)
{
    return strcmp(a->row->unit, b->row->unit) == 0 && strcmp(a->size.before, b->size.before) == 0 &&
           strcmp(a->row->bench, b->row->bench) == 0;
}

static void find_place(const struct all_sized *all, size_t at)
{
    struct sized *own = &all->rows[at];
    own->plot = own->line = at;
    for (size_t i = 0; i < at && own->line == at; i++) {
        if (!is_of_plot(&all->rows[i], own))
            continue;
        own->plot = all->rows[i].plot;
        if (strcmp(all->rows[i].size.behind, own->size.behind) == 0)
            own->line = all->rows[i].line;
    }
    struct sized *first = &all->rows[own->line];
    first->has_limits = (own->line == at || first->has_limits) && isfinite(own->row->limit);
    first->n_in_line++;
}

/* Whether a drawn line of that plot begins here. */
static bool begins_line(const struct all_sized *all, size_t at, size_t plot)
{
    return all->rows[at].plot == plot && all->rows[at].line == at &&
           all->rows[at].n_in_line >= MIN_SIZES;
}

/* ---- one plot ---- */

struct extents {
    struct sketch_extent x, y;
};

/* "size value limit"; the order is gnuplot's affair. */
static void write_line(struct sketch *s, const struct all_sized *all, size_t line,
                       struct extents *ret)
{
    for (size_t i = line; i < all->n; i++) {
        if (all->rows[i].line != line)
            continue;
        const struct results_row *row = all->rows[i].row;
        fprintf(s->out, "%.17g %.17g", all->rows[i].size.bytes, row->value);
        sketch_extend(&ret->x, all->rows[i].size.bytes);
        sketch_extend(&ret->y, row->value);
        if (all->rows[line].has_limits) {
            fprintf(s->out, " %.17g", row->limit);
            sketch_extend(&ret->y, row->limit);
        }
        fputc('\n', s->out);
    }
}

/* The axis of sizes: powers of two, with their units. */
static void set_size_axis(struct sketch *s, const struct sketch_extent *x)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    sketch_set_text(s, "xlabel", "size");
    fputs("set logscale x 2\nset xtics (", s->out);
    for (int i = 0; i <= 33; i++)
        fprintf(s->out, "%s'%d %s' %.0f", i ? ", " : "", 1 << (i % 10), units[i / 10], ldexp(1, i));
    fprintf(s->out, ")\nset xrange [%.17g:%.17g]\n", x->low / 1.05, x->high * 1.05);
}

static void write_curves(struct sketch *s, const struct all_sized *all, const size_t *lines,
                         unsigned n)
{
    char title[PLOT_TEXT_BYTES + 8];
    for (unsigned k = 0; k < n; k++) {
        const char *behind = all->rows[lines[k]].size.behind;
        sketch_line(s, k, behind[0] ? behind : "value",
                    "1:2 smooth unique with linespoints pt 7 ps 0.6");
    }
    for (unsigned k = 0; k < n && n <= MAX_WITH_LIMITS; k++) {
        if (!all->rows[lines[k]].has_limits)
            continue;
        const char *behind = all->rows[lines[k]].size.behind;
        (void)snprintf(title, sizeof title, "%s%slimit", behind, behind[0] ? ": " : "");
        sketch_more_line(s, k, title, "1:3 smooth unique with lines dt 2");
    }
    fputc('\n', s->out);
}

/* The lines from `*at` on, as many as a plot takes; `*at` moves behind them. */
static int draw_curves(struct sketch *s, const struct all_sized *all, size_t plot, size_t *at,
                       struct err *e)
{
    const struct results_row *row = all->rows[plot].row;
    const char *before = all->rows[plot].size.before;
    size_t lines[SKETCH_LINES];
    struct extents extents = {0};
    unsigned n_lines = 0;
    int rc = sketch_begin(s, SKETCH_HEIGHT, e);
    if (rc < 0)
        return rc;
    for (; *at < all->n && n_lines < SKETCH_LINES; (*at)++) {
        if (!begins_line(all, *at, plot))
            continue;
        fprintf(s->out, "$d%u << EOD\n", n_lines);
        write_line(s, all, *at, &extents);
        fputs("EOD\n", s->out);
        lines[n_lines++] = *at;
    }
    set_size_axis(s, &extents.x);
    sketch_set_text(s, "ylabel", row->unit);
    sketch_set_y(s, &extents.y, LOG_SPREAD);
    write_curves(s, all, lines, n_lines);
    (void)snprintf(s->title, sizeof s->title, "%s%s%s by size, %s", row->bench,
                   before[0] ? ": " : "", before, row->unit);
    return sketch_end(s, e);
}

static size_t next_line(const struct all_sized *all, size_t plot, size_t at)
{
    while (at < all->n && !begins_line(all, at, plot))
        at++;
    return at;
}

static int each_plot(struct sketch *s, const struct all_sized *all, struct err *e)
{
    int rc = 0;
    for (size_t plot = 0; rc == 0 && plot < all->n; plot++) {
        if (all->rows[plot].plot != plot)
            continue;
        size_t at = next_line(all, plot, plot);
        while (rc == 0 && at < all->n) {
            rc = draw_curves(s, all, plot, &at, e);
            at = next_line(all, plot, at);
        }
    }
    return rc;
}

int plot_curves(struct sketch *s, const struct results_file *f, struct err *e)
{
    struct all_sized all = {.rows = calloc(f->n_rows + 1, sizeof all.rows[0])};
    if (!all.rows)
        return err_set(e, ERR_NOMEM, "plot values over sizes");
    for (size_t i = 0; i < f->n_rows; i++)
        if (plot_find_size(f->rows[i].name, &all.rows[all.n].size))
            all.rows[all.n++].row = &f->rows[i];
    for (size_t i = 0; i < all.n; i++)
        find_place(&all, i);
    int rc = each_plot(s, &all, e);
    free(all.rows);
    return rc;
}

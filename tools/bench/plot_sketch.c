/* What all plots have in common: size, frame, grid, key; nothing foreign but within quotes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/plot_sketch.h"

#include <math.h>
#include <stdlib.h>

#include "tools/bench/gnuplot.h"

enum { WIDTH = 900, LARGE = 10000 };

/* Seen on light and on dark ground. */
static const char *const colours[SKETCH_LINES] = {"#3b82c4", "#d97706", "#2e9e6b", "#d14f6a",
                                                  "#8b6fd6", "#0e9aa7", "#8a8f2a", "#b06a3b",
                                                  "#c05fb0", "#5b7fa8", "#a0522d", "#4fa04f"};

int sketch_begin(struct sketch *s, int height, struct err *e)
{
    s->script = NULL;
    s->out = open_memstream(&s->script, &s->len);
    if (!s->out)
        return err_set(e, ERR_NOMEM, "write a plot");
    fprintf(s->out,
            "set encoding utf8\n"
            "set terminal svg size %d,%d dynamic noenhanced font 'system-ui,12'\n"
            "set border 3 lc rgb 'black' lw 0.5\n"
            "set tics nomirror out scale 0.5\n"
            "set errorbars 0\n"
            "set grid lc rgb 'grey' lw 0.5\n"
            "set key outside right top Left reverse samplen 1.5 noenhanced\n",
            WIDTH, height);
    return 0;
}

int sketch_end(struct sketch *s, struct err *e)
{
    bool is_whole = fclose(s->out) == 0 && s->script;
    s->out = NULL;
    const struct plot plot = {.title = s->title, .script = s->script};
    int rc = is_whole ? s->fn(s->arg, &plot, e) : err_set(e, ERR_NOMEM, "write a plot");
    free(s->script);
    s->script = NULL;
    return rc;
}

void sketch_set_text(struct sketch *s, const char *what, const char *text)
{
    fprintf(s->out, "set %s ", what);
    gnuplot_quote(s->out, text);
    fputs(" noenhanced\n", s->out);
}

void sketch_extend(struct sketch_extent *x, double value)
{
    if (!isfinite(value) || value <= 0) {
        x->has_others = true;
        return;
    }
    if (x->high == 0 || value > x->high)
        x->high = value;
    if (x->low == 0 || value < x->low)
        x->low = value;
}

bool sketch_wants_log(const struct sketch_extent *x, double spread)
{
    return !x->has_others && x->low > 0 && x->high / x->low >= spread;
}

/* From 10,000 on k, M and G stand for thousands. */
void sketch_set_y(struct sketch *s, const struct sketch_extent *y, double spread)
{
    bool is_log = sketch_wants_log(y, spread);
    if (is_log)
        fputs("set logscale y 10\n", s->out);
    else if (y->high > 0)
        fputs("set yrange [0:*]\n", s->out);
    if (y->high >= LARGE && (!is_log || y->low >= 1))
        fprintf(s->out, "set format y '%s'\n", is_log ? "%.0s%c" : "%.1s%c");
}

static void write_line(struct sketch *s, unsigned k, const char *title, const char *how)
{
    fprintf(s->out, "$d%u using %s lw 2 lc rgb '%s' title ", k, how, colours[k % SKETCH_LINES]);
    gnuplot_quote(s->out, title);
}

void sketch_line(struct sketch *s, unsigned k, const char *title, const char *how)
{
    fputs(k ? ", " : "plot ", s->out);
    write_line(s, k, title, how);
}

void sketch_more_line(struct sketch *s, unsigned k, const char *title, const char *how)
{
    fputs(", ", s->out);
    write_line(s, k, title, how);
}

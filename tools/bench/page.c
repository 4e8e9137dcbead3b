/* Foreign are all texts of the files; each is written by page_text, or drawn by gnuplot, which
 * escapes them in the image. The page's own rules forbid it to run or to fetch anything. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/bench/page_style.h"
#include "tools/bench/plot.h"

/* ---- texts and numbers ---- */

void page_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*text, out);
        }
    }
}

/* "617,374", "12.3", "0.109"; nothing for NAN. */
static void write_number(FILE *out, double n)
{
    char digits[64];
    if (!isfinite(n))
        return;
    if (fabs(n) < 1000 || fabs(n) >= 1e15) {
        fprintf(out, fabs(n) >= 10 && fabs(n) < 1000 ? "%.1f" : "%.3g", n);
        return;
    }
    int len = snprintf(digits, sizeof digits, "%.0f", fabs(n));
    fputs(n < 0 ? "-" : "", out);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            fputc(',', out);
        fputc(digits[i], out);
    }
}

/* ---- the table of a file ---- */

static void cell_text(FILE *out, const char *text)
{
    fputs("<td>", out);
    page_text(out, text ? text : "");
    fputs("</td>", out);
}

static void cell_number(FILE *out, double n, const char *unit)
{
    fputs("<td class=n>", out);
    write_number(out, n);
    if (isfinite(n) && *unit) {
        fputs("<span class=u> ", out);
        page_text(out, unit);
        fputs("</span>", out);
    }
    fputs("</td>", out);
}

/* "-6 %": of a share between 0 and 1. */
static void cell_share(FILE *out, const char *sign, double share)
{
    fputs("<td class=n>", out);
    if (isfinite(share))
        fprintf(out, "%s%.0f %%", sign, share * 100);
    fputs("</td>", out);
}

static void cell_bound(FILE *out, const struct results_row *row)
{
    static const char *const signs[] = {
        [RESULTS_BOUND_UNKNOWN] = "",
        [RESULTS_RATIO_AT_LEAST] = "ratio &ge; ",
        [RESULTS_RATIO_AT_MOST] = "ratio &le; ",
        [RESULTS_VALUE_AT_LEAST] = "value &ge; ",
        [RESULTS_VALUE_AT_MOST] = "value &le; ",
    };
    fputs("<td class=t>", out);
    if (row->target) {
        page_text(out, row->target);
        if (isfinite(row->bound)) {
            fprintf(out, ": %s", signs[row->bound_kind]);
            write_number(out, row->bound);
        }
    }
    fputs("</td>", out);
}

static void cell_verdict(FILE *out, const struct results_row *row)
{
    static const char *const badges[] = {
        [RESULTS_NO_TARGET] = "",
        [RESULTS_MET] = "<span class=met>&#10003; met</span>",
        [RESULTS_MISSED] = "<span class=missed>&#10007; missed</span>",
    };
    fprintf(out, "<td>%s</td>", badges[row->verdict]);
}

/* Which columns have something in any row; the others are left out. */
struct columns {
    bool limit, spread, target, cores, server, disk, bound_by;
};

static struct columns columns_of(const struct results_file *f)
{
    struct columns c = {0};
    for (size_t i = 0; i < f->n_rows; i++) {
        const struct results_row *row = &f->rows[i];
        c.limit |= isfinite(row->limit);
        c.spread |= isfinite(row->spread) && row->spread > 0;
        c.target |= row->target != NULL;
        c.cores |= isfinite(row->cores) && row->cores > 0;
        c.server |= isfinite(row->server_cores) && row->server_cores > 0;
        c.disk |= isfinite(row->disk) && row->disk > 0;
        c.bound_by |= row->bound_by != NULL;
    }
    return c;
}

static void write_heads(FILE *out, const struct columns *c)
{
    fputs("<thead><tr><th>bench</th><th>case</th><th class=n>value</th>", out);
    if (c->spread)
        fputs("<th class=n title='half of highest minus lowest run'>&plusmn;</th>", out);
    if (c->limit)
        fputs("<th class=n title='measured beside it'>limit</th><th class=n>ratio</th>", out);
    if (c->target)
        fputs("<th>target</th><th></th>", out);
    if (c->cores)
        fputs("<th class=n>cores</th>", out);
    if (c->server)
        fputs("<th class=n>server</th>", out);
    if (c->disk)
        fputs("<th class=n>disk busy</th>", out);
    if (c->bound_by)
        fputs("<th>used up</th>", out);
    fputs("</tr></thead>\n", out);
}

static void write_row(FILE *out, const struct columns *c, const struct results_row *row)
{
    fputs("<tr>", out);
    cell_text(out, row->bench);
    cell_text(out, row->name);
    cell_number(out, row->value, row->unit);
    if (c->spread)
        cell_share(out, "", row->spread);
    if (c->limit) {
        cell_number(out, row->limit, row->unit);
        cell_number(out, row->ratio, "");
    }
    if (c->target) {
        cell_bound(out, row);
        cell_verdict(out, row);
    }
    if (c->cores)
        cell_number(out, row->cores, "");
    if (c->server)
        cell_number(out, row->server_cores, "");
    if (c->disk)
        cell_share(out, "", row->disk);
    if (c->bound_by)
        cell_text(out, row->bound_by);
    fputs("</tr>\n", out);
}

static void write_table(FILE *out, const struct results_file *f)
{
    struct columns c = columns_of(f);
    if (f->n_rows == 0)
        return;
    fputs("<div class=wide><table>\n", out);
    write_heads(out, &c);
    fputs("<tbody>\n", out);
    for (size_t i = 0; i < f->n_rows; i++)
        write_row(out, &c, &f->rows[i]);
    fputs("</tbody></table></div>\n", out);
}

/* ---- the machine ---- */

static void write_scalar(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        page_text(out, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        write_number(out, json_real_value(value));
    else
        fputs(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "?", out);
}

/* Our own reports' words for a reader; others stay as they are. */
static const char *label_of(const char *key)
{
    static const char *const labels[][2] = {
        {"cpu", "CPU"}, {"cpus", "processors"}, {"memory_mib", "memory, MiB"}};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        if (strcmp(key, labels[i][0]) == 0)
            return labels[i][1];
    return key;
}

/* Whatever the file says of it. */
static void write_machine(FILE *out, const struct results_file *f)
{
    const char *key;
    json_t *value;
    if (!f->machine)
        return;
    fputs("<dl>", out);
    json_object_foreach((json_t *)(uintptr_t)f->machine, key, value)
    {
        fputs("<div><dt>", out);
        page_text(out, label_of(key));
        fputs("</dt><dd>", out);
        write_scalar(out, value);
        fputs("</dd></div>", out);
    }
    fputs("</dl>\n", out);
}

/* ---- plots ---- */

struct drawing {
    const struct page *page;
    FILE *out;
};

/* From the element on: HTML takes no XML head. */
static const char *svg_element(const char *svg)
{
    const char *at = strstr(svg, "<svg");
    return at ? at : "";
}

static int write_plot(void *arg, const struct plot *plot, struct err *e)
{
    struct drawing *d = arg;
    char *svg = NULL;
    int rc = d->page->draw(d->page->draw_arg, plot->script, &svg, e);
    if (rc < 0)
        return rc;
    fputs("<figure><figcaption>", d->out);
    page_text(d->out, plot->title);
    fprintf(d->out, "</figcaption>\n%s</figure>\n", svg_element(svg));
    free(svg);
    return 0;
}

/* ---- the targets of all files ---- */

static size_t count_verdicts(const struct page *p, enum results_verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_files; i++)
        for (size_t k = 0; k < p->files[i].n_rows; k++)
            n += p->files[i].rows[k].verdict == verdict;
    return n;
}

static void write_target(FILE *out, size_t i, const struct results_file *f,
                         const struct results_row *row)
{
    fputs("<tr>", out);
    cell_verdict(out, row);
    cell_bound(out, row);
    cell_text(out, row->name);
    cell_number(out, row->value, row->unit);
    cell_number(out, row->ratio, "");
    fprintf(out, "<td><a href='#f%zu'>", i);
    page_text(out, f->name);
    fputs("</a></td></tr>\n", out);
}

static void write_targets(FILE *out, const struct page *p)
{
    size_t n_met = count_verdicts(p, RESULTS_MET), n_missed = count_verdicts(p, RESULTS_MISSED);
    if (n_met + n_missed == 0)
        return;
    fprintf(out,
            "<section><h2>Targets</h2><p class=tally><span class=met>%zu met</span> "
            "<span class=missed>%zu missed</span></p>\n<div class=wide><table><thead><tr>"
            "<th></th><th>target</th><th>case</th><th class=n>value</th><th class=n>ratio</th>"
            "<th>file</th></tr></thead><tbody>\n",
            n_met, n_missed);
    for (size_t i = 0; i < p->n_files; i++)
        for (size_t k = 0; k < p->files[i].n_rows; k++)
            if (p->files[i].rows[k].verdict != RESULTS_NO_TARGET)
                write_target(out, i, &p->files[i], &p->files[i].rows[k]);
    fputs("</tbody></table></div></section>\n", out);
}

/* ---- the page ---- */

static void write_head(FILE *out, const struct page *p)
{
    char when[64] = "";
    struct tm tm;
    time_t now = time(/* tloc = */ NULL);
    if (gmtime_r(&now, &tm))
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm);
    fputs("<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
          "<meta http-equiv=Content-Security-Policy "
          "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
          "<meta name=viewport content='width=device-width'>\n<title>",
          out);
    page_text(out, p->title);
    fprintf(out, "</title>\n<style>%s</style></head>\n<body><header><h1>", page_style);
    page_text(out, p->title);
    fprintf(out, "</h1><p>%zu %s, put together on %s</p><nav>", p->n_files,
            p->n_files == 1 ? "file" : "files", when);
    for (size_t i = 0; i < p->n_files; i++) {
        fprintf(out, "<a href='#f%zu'>", i);
        page_text(out, p->files[i].name);
        fputs("</a> ", out);
    }
    fputs("</nav></header>\n<main>\n", out);
}

static int write_file(FILE *out, const struct page *p, size_t i, struct err *e)
{
    struct drawing d = {.page = p, .out = out};
    const struct results_file *f = &p->files[i];
    fprintf(out, "<section id=f%zu><h2>", i);
    page_text(out, f->name);
    fputs("</h2>\n", out);
    write_machine(out, f);
    int rc = plot_each(f, write_plot, &d, e);
    if (rc < 0)
        return err_wrap(e, "draw '%s'", f->name);
    write_table(out, f);
    fputs("</section>\n", out);
    return 0;
}

int page_write(const struct page *p, FILE *out, struct err *e)
{
    write_head(out, p);
    write_targets(out, p);
    for (size_t i = 0; i < p->n_files; i++) {
        int rc = write_file(out, p, i, e);
        if (rc < 0)
            return rc;
    }
    fputs("</main>\n<footer>Made by <code>sluice bench report</code>, plots by gnuplot."
          "</footer></body></html>\n",
          out);
    return 0;
}

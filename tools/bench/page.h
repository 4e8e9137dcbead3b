/* One HTML page of files of results: tables and plots, nothing outside of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PAGE_H
#define TOOLS_BENCH_PAGE_H

#include <stdio.h>

#include "tools/bench/results_file.h"

/* Draws a script as an SVG image, a text to be freed. */
typedef int (*page_draw_fn)(void *arg, const char *script, char **ret_svg, struct err *e);

struct page {
    const char *title;
    const struct results_file *files;
    size_t n_files;
    page_draw_fn draw;
    void *draw_arg;
};

/* Writes it whole; whether `out` took it is the caller's to check. An error is of `draw`, or
 * ERR_NOMEM. */
int page_write(const struct page *p, FILE *out, struct err *e) MUST_CHECK;

/* A foreign text in HTML, also within quotes. */
void page_text(FILE *out, const char *text);

#endif

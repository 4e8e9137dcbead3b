/* Draws with gnuplot, a program of its own: a script goes in by a pipe, an SVG image comes out. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_GNUPLOT_H
#define TOOLS_BENCH_GNUPLOT_H

#include <stdio.h>

#include "base/err.h"

/* Runs `program` ("gnuplot", found in PATH) with the script and returns its standard output as a
 * text to be freed. ERR_NOTFOUND: there is no such program; ERR_FAILED: it complained, and what it
 * said is in the text. */
int gnuplot_run(const char *program, const char *script, char **ret_svg, struct err *e) MUST_CHECK;

/* Writes a foreign text as a quoted string of gnuplot's, in which it sees nothing but characters.
 */
void gnuplot_quote(FILE *out, const char *text);

/* The same of the text at a tic, which gnuplot takes for a format. */
void gnuplot_quote_tic(FILE *out, const char *text);

#endif

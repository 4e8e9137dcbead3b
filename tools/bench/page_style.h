/* The style of the page of results. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_PAGE_STYLE_H
#define TOOLS_BENCH_PAGE_STYLE_H

/* CSS for light and dark ground; the rules of svg are about what gnuplot draws in black and grey.
 */
extern const char page_style[];

#endif

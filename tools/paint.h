/* Colours on a terminal, and whether it is one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_PAINT_H
#define TOOLS_PAINT_H

#include <stdbool.h>
#include <stdio.h>

enum paint { PAINT_BAD, PAINT_GOOD, PAINT_NOTE, PAINT_FAINT };

/* What to print before a text in that colour, and behind it: both empty unless `out` is a terminal
 * that can, and the environment has no NO_COLOR. */
const char *paint_on(FILE *out, enum paint paint);
const char *paint_off(FILE *out);

/* Whether `out` is a terminal that understands escape sequences, and so can be drawn on again. */
bool paint_is_screen(FILE *out);

#endif

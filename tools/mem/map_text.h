/* Draws residency maps as lines of shaded blocks. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_MAP_TEXT_H
#define TOOLS_MEM_MAP_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "tools/mem/residency_map.h"

enum map_charset { MAP_ASCII, MAP_UTF8 };

struct map_text {
    FILE *out; /* coloured when it is a terminal that can, see tools/paint.h */
    enum map_charset charset;
    size_t width; /* of a line, in characters */
};

/* Cells fit into a line behind its margin. */
size_t map_text_cells(const struct map_text *t);

/* A line about the file, then its cells, and a line that says what they mean. */
void map_text_draw(const struct map_text *t, const struct residency_map *map);
void map_text_legend(const struct map_text *t);

/* What the environment says of the terminal's characters, and how wide `out` is: $COLUMNS, else 80,
 * where it is no terminal. */
enum map_charset map_text_charset(void);
size_t map_text_width(FILE *out);

#endif

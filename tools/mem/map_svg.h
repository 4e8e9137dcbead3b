/* Draws residency maps as an SVG picture. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_MAP_SVG_H
#define TOOLS_MEM_MAP_SVG_H

#include <stddef.h>
#include <stdio.h>

#include "tools/mem/residency_map.h"

enum { MAP_SVG_CELLS = 480 }; /* in a strip at most */

/* A strip for each map, below one another, with a title and what the colours mean. */
void map_svg_write(FILE *out, const struct residency_map *maps, size_t n);

#endif

/* Draws residency maps as SVG: a strip for each file, neighbours of one colour as one rectangle. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/map_svg.h"

#include <inttypes.h>

#include "tools/mem/amount.h"

enum {
    CELL_WIDTH = 2,
    MARGIN = 16,
    HEAD_HEIGHT = 56,
    STRIP_HEIGHT = 18,
    ROW_HEIGHT = 44,
    BASELINE = 14, /* of a text, below its top */
    KEY_WIDTH = 150,
    WIDTH = MAP_SVG_CELLS * CELL_WIDTH + 2 * MARGIN,
};

static const char *const clean[SHADE_N] = {"#eceff1", "#bbdefb", "#64b5f6", "#1e88e5", "#0d47a1"};
static const char dirty[] = "#ef6c00";

static const char *colour_of(const struct residency_cell *cell)
{
    return cell->dirty_bytes > 0 && cell->dirty_bytes != UINT64_MAX ? dirty
                                                                    : clean[residency_shade(cell)];
}

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else
            fputc((unsigned char)*text < ' ' ? '?' : *text, out);
    }
}

static void put_rect(FILE *out, size_t x, size_t y, size_t width, const char *colour)
{
    fprintf(out, "<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" fill=\"%s\"/>\n", x, y,
            width, STRIP_HEIGHT, colour);
}

static void put_strip(FILE *out, const struct residency_map *map, size_t y)
{
    size_t from = 0;
    for (size_t i = 1; i <= map->n; i++) {
        if (i < map->n && colour_of(&map->cells[i]) == colour_of(&map->cells[from]))
            continue;
        put_rect(out, MARGIN + from * CELL_WIDTH, y, (i - from) * CELL_WIDTH,
                 colour_of(&map->cells[from]));
        from = i;
    }
}

static void put_map(FILE *out, const struct residency_map *map, size_t y)
{
    char bytes[AMOUNT_BYTES], resident[AMOUNT_BYTES];
    struct residency_cell sum = residency_map_sum(map);
    fprintf(out, "<g><text x=\"%d\" y=\"%zu\">", MARGIN, y + BASELINE);
    put_text(out, map->name);
    fprintf(out, " &#8212; %s of %s resident</text>\n", amount_text(resident, sum.resident_bytes),
            amount_text(bytes, map->bytes));
    put_strip(out, map, y + BASELINE + 4);
    fputs("</g>\n", out);
}

static void put_key(FILE *out)
{
    const struct {
        const char *colour, *text;
    } keys[] = {
        {clean[SHADE_NONE], "not in memory"},
        {clean[SHADE_HALF], "in part"},
        {clean[SHADE_ALL], "in the page cache"},
        {dirty, "not yet on the disk"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t x = MARGIN + i * KEY_WIDTH;
        put_rect(out, x, MARGIN, STRIP_HEIGHT, keys[i].colour);
        fprintf(out, "<text x=\"%zu\" y=\"%d\">%s</text>\n", x + STRIP_HEIGHT + 4,
                MARGIN + BASELINE, keys[i].text);
    }
}

void map_svg_write(FILE *out, const struct residency_map *maps, size_t n)
{
    size_t height = HEAD_HEIGHT + n * ROW_HEIGHT;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
            "viewBox=\"0 0 %d %zu\" font-family=\"sans-serif\" font-size=\"12\">\n"
            "<title>Residency of files in the page cache</title>\n"
            "<rect width=\"%d\" height=\"%zu\" fill=\"#ffffff\"/>\n",
            WIDTH, height, WIDTH, height, WIDTH, height);
    put_key(out);
    for (size_t i = 0; i < n; i++)
        put_map(out, &maps[i], HEAD_HEIGHT + i * ROW_HEIGHT);
    fputs("</svg>\n", out);
}

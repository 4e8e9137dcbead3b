/* Draws residency maps in a terminal.
 *
 * A cell is a character whose shade says how much of it is in the page cache. Cells with dirty
 * pages have another colour; without colours, another character. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/map_text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tools/mem/amount.h"
#include "tools/paint.h"

enum { MARGIN = 2, WIDTH_MIN = 10, WIDTH_MAX = 1000, WIDTH_ELSE = 80 };

static const char *const shades[][SHADE_N] = {
    [MAP_ASCII] = {".", "-", "+", "*", "#"},
    [MAP_UTF8] = {"·", "░", "▒", "▓", "█"},
};

static const char dirty_letter[] = "d";

size_t map_text_cells(const struct map_text *t)
{
    return t->width > MARGIN ? t->width - MARGIN : 1;
}

static bool is_dirty(const struct residency_cell *cell)
{
    return cell->dirty_bytes > 0 && cell->dirty_bytes != UINT64_MAX;
}

static enum paint colour_of(const struct residency_cell *cell)
{
    if (is_dirty(cell))
        return PAINT_NOTE;
    return cell->resident_bytes > 0 ? PAINT_GOOD : PAINT_FAINT;
}

/* Cells of one colour are painted together. */
static void draw_line(const struct map_text *t, const struct residency_cell *cells, size_t n)
{
    bool has_colours = *paint_off(t->out) != '\0';
    fprintf(t->out, "%*s", MARGIN, "");
    for (size_t i = 0; i < n; i++) {
        enum paint colour = colour_of(&cells[i]);
        if (i == 0 || colour != colour_of(&cells[i - 1]))
            fprintf(t->out, "%s%s", paint_off(t->out), paint_on(t->out, colour));
        bool is_letter = is_dirty(&cells[i]) && !has_colours;
        fputs(is_letter ? dirty_letter : shades[t->charset][residency_shade(&cells[i])], t->out);
    }
    fprintf(t->out, "%s\n", paint_off(t->out));
}

static void draw_head(const struct map_text *t, const struct residency_map *map)
{
    char bytes[AMOUNT_BYTES], resident[AMOUNT_BYTES], dirty[AMOUNT_BYTES];
    struct residency_cell sum = residency_map_sum(map);
    for (const char *c = map->name; *c; c++)
        fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, t->out);
    fprintf(t->out, "  %s, %s resident", amount_text(bytes, map->bytes),
            amount_text(resident, sum.resident_bytes));
    if (is_dirty(&sum))
        fprintf(t->out, ", %s dirty", amount_text(dirty, sum.dirty_bytes));
    fprintf(t->out, "; a cell is %s\n", amount_text(bytes, map->cell_bytes));
}

void map_text_draw(const struct map_text *t, const struct residency_map *map)
{
    size_t n_max = map_text_cells(t);
    draw_head(t, map);
    for (size_t at = 0; at < map->n; at += n_max)
        draw_line(t, map->cells + at, map->n - at < n_max ? map->n - at : n_max);
}

void map_text_legend(const struct map_text *t)
{
    const char *const *shade = shades[t->charset];
    fprintf(t->out, "%s none  %s to a quarter  %s to half  %s more  %s all in the page cache; ",
            shade[SHADE_NONE], shade[SHADE_QUARTER], shade[SHADE_HALF], shade[SHADE_MOST],
            shade[SHADE_ALL]);
    if (*paint_off(t->out))
        fprintf(t->out, "%sin this colour%s some is not on the disk\n",
                paint_on(t->out, PAINT_NOTE), paint_off(t->out));
    else
        fprintf(t->out, "%s some of it not on the disk\n", dirty_letter);
}

enum map_charset map_text_charset(void)
{
    (void)setlocale(LC_CTYPE, ""); /* refused, plain characters will do */
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? MAP_UTF8 : MAP_ASCII;
}

size_t map_text_width(FILE *out)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    unsigned long width = columns ? strtoul(columns, /* endptr = */ NULL, 10) : 0;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        width = size.ws_col;
    if (width < WIDTH_MIN || width > WIDTH_MAX)
        return WIDTH_ELSE;
    return width;
}

/* Tests of tools/mem/residency_map.c, map_text.c and map_svg.c: cells of a file, and both drawings.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/suite.h"
#include "tests/lib/tmpdir.h"
#include "tools/mem/map_svg.h"
#include "tools/mem/map_text.h"
#include "tools/mem/residency_map.h"

enum { PAGE = 4096 };

static char *root, *path;

/* A file of holes but for the pages at `at`, which are in the page cache. */
static void make_sparse(uint64_t n_pages, const uint64_t *at, size_t n)
{
    static const char page[PAGE];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq((int)pwrite(fd, page, PAGE, (off_t)(at[i] * PAGE)), PAGE);
    ck_assert_int_eq(ftruncate(fd, (off_t)(n_pages * PAGE)), 0);
    ck_assert_int_eq(close(fd), 0);
}

static void set_up(void)
{
    root = tmpdir_make();
    path = tmpdir_path(root, "file");
}

static void tear_down(void)
{
    free(path);
    tmpdir_remove(root);
}

static struct residency_map read_map(uint64_t cell_bytes, size_t n_max)
{
    struct residency_map map;
    struct err e;
    ck_assert_int_eq(residency_map_read(&map, path, "name", cell_bytes, n_max, &e), 0);
    return map;
}

/* ---- cells ---- */

START_TEST(each_cell_tells_of_its_own_pages)
{
    static const uint64_t at[] = {0, 1, 2, 3, 9};
    make_sparse(16, at, 5);
    struct residency_map map = read_map(4 * PAGE, 1);
    ck_assert_uint_eq(map.n, 4);
    ck_assert_uint_eq(map.cells[0].resident_bytes, 4 * PAGE);
    ck_assert_uint_eq(map.cells[1].resident_bytes, 0);
    ck_assert_uint_eq(map.cells[2].resident_bytes, PAGE);
    ck_assert_uint_eq(residency_map_sum(&map).resident_bytes, 5 * PAGE);
    residency_map_free(&map);
}
END_TEST

START_TEST(a_file_is_cut_into_at_most_so_many_cells_of_whole_pages)
{
    make_sparse(10, /* at = */ NULL, 0);
    struct residency_map map = read_map(0, 4);
    ck_assert_uint_eq(map.cell_bytes, 3 * PAGE);
    ck_assert_uint_eq(map.n, 4);
    ck_assert_uint_eq(map.cells[3].bytes, PAGE);
    residency_map_free(&map);
}
END_TEST

START_TEST(an_empty_file_has_no_cells)
{
    make_sparse(0, /* at = */ NULL, 0);
    struct residency_map map = read_map(0, 80);
    ck_assert_uint_eq(map.n, 0);
    residency_map_free(&map);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    struct residency_map map;
    struct err e;
    ck_assert_int_eq(residency_map_read(&map, path, "name", 0, 80, &e), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(e.msg, path));
}
END_TEST

START_TEST(too_many_cells_are_refused)
{
    struct residency_map map;
    struct err e;
    make_sparse(UINT64_C(2) << 20, /* at = */ NULL, 0);
    ck_assert_int_eq(residency_map_read(&map, path, "name", PAGE, 80, &e), ERR_TOOBIG);
}
END_TEST

START_TEST(shades_go_by_quarters)
{
    static const struct {
        uint64_t resident;
        enum residency_shade shade;
    } wanted[] = {
        {0, SHADE_NONE},        {1, SHADE_QUARTER},         {PAGE, SHADE_QUARTER},
        {2 * PAGE, SHADE_HALF}, {2 * PAGE + 1, SHADE_MOST}, {4 * PAGE - 1, SHADE_MOST},
        {4 * PAGE, SHADE_ALL},  {5 * PAGE, SHADE_ALL}, /* a last page that is cut */
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct residency_cell cell = {.bytes = 4 * PAGE, .resident_bytes = wanted[i].resident};
        ck_assert_int_eq(residency_shade(&cell), wanted[i].shade);
    }
}
END_TEST

/* ---- drawings ---- */

static struct residency_cell cells[] = {{PAGE, 0, 0},
                                        {PAGE, PAGE / 4, 0},
                                        {PAGE, PAGE, 0},
                                        {PAGE, PAGE, PAGE},
                                        {PAGE, PAGE, UINT64_MAX}};

static const struct residency_map drawn = {
    .name = "a<b&\n", .bytes = 5 * PAGE, .cell_bytes = PAGE, .cells = cells, .n = 5};

static char *text_of(enum map_charset charset, size_t width)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    struct map_text t = {.out = out, .charset = charset, .width = width};
    map_text_draw(&t, &drawn);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(a_map_is_a_line_of_characters)
{
    char *text = text_of(MAP_ASCII, 80);
    ck_assert_str_eq(text, "a<b&?  20.0K, 13.0K resident; a cell is 4.0K\n"
                           "  .-#d#\n");
    free(text);
}
END_TEST

START_TEST(a_terminal_of_unicode_gets_blocks)
{
    char *text = text_of(MAP_UTF8, 80);
    ck_assert_ptr_nonnull(strstr(text, "\n  ·░█d█\n"));
    free(text);
}
END_TEST

START_TEST(a_long_map_goes_on_in_the_next_line)
{
    char *text = text_of(MAP_ASCII, 5);
    ck_assert_ptr_nonnull(strstr(text, "\n  .-#\n  d#\n"));
    free(text);
}
END_TEST

START_TEST(a_picture_joins_neighbours_of_one_colour)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(out);
    cells[3].dirty_bytes = 0; /* three full ones in a row */
    map_svg_write(out, &drawn, 1);
    cells[3].dirty_bytes = PAGE;
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_ptr_nonnull(strstr(text, "a&lt;b&amp;?"));
    ck_assert_ptr_nonnull(strstr(text, "x=\"20\" y=\"74\" width=\"6\""));
    ck_assert_str_eq(text + len - strlen("</svg>\n"), "</svg>\n");
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mem_map");
    TCase *tc = tcase_create("maps");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, each_cell_tells_of_its_own_pages);
    tcase_add_test(tc, a_file_is_cut_into_at_most_so_many_cells_of_whole_pages);
    tcase_add_test(tc, an_empty_file_has_no_cells);
    tcase_add_test(tc, a_file_that_is_not_there_is_named);
    tcase_add_test(tc, too_many_cells_are_refused);
    tcase_add_test(tc, shades_go_by_quarters);
    tcase_add_test(tc, a_map_is_a_line_of_characters);
    tcase_add_test(tc, a_terminal_of_unicode_gets_blocks);
    tcase_add_test(tc, a_long_map_goes_on_in_the_next_line);
    tcase_add_test(tc, a_picture_joins_neighbours_of_one_colour);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

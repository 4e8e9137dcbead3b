/* `sluice mem map`: where in each file pages are in the page cache, drawn. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/command.h"
#include "tools/json_line.h"
#include "tools/mem/map_svg.h"
#include "tools/mem/map_text.h"
#include "tools/mem/snapshot.h"

enum { CELL_MIN = 4096, WIDTH_MIN = 10, WIDTH_MAX = 1000 };

struct map_options {
    const char *path; /* of a store or a file */
    const char *svg;  /* NULL: none */
    uint64_t cell_bytes, width;
    bool json;
};

struct maps {
    struct residency_map *list; /* owned; each cell is one of a drawing */
    size_t n;
    struct mem_snapshot files; /* of a store: names the maps */
};

static void maps_fini(struct maps *m)
{
    for (size_t i = 0; i < m->n; i++)
        residency_map_free(&m->list[i]);
    free(m->list);
    mem_snapshot_free(&m->files);
}

/* ---- reading ---- */

static size_t cells_of_line(const struct map_options *opt)
{
    struct map_text t = {.width = opt->width};
    return opt->svg ? MAP_SVG_CELLS : map_text_cells(&t);
}

static int add_map(struct maps *m, const struct map_options *opt, const char *path,
                   const char *name, struct err *e)
{
    int rc = residency_map_read(&m->list[m->n], path, name, opt->cell_bytes, cells_of_line(opt), e);
    if (rc == 0)
        m->n++;
    return rc;
}

static int add_file_of_store(struct maps *m, const struct map_options *opt, const char *name,
                             struct err *e)
{
    char *path;
    if (asprintf(&path, "%s/%s", opt->path, name) < 0)
        return err_set(e, ERR_NOMEM, "map '%s'", name);
    int rc = add_map(m, opt, path, name, e);
    free(path);
    return rc == ERR_NOTFOUND ? 0 : rc; /* it went away meanwhile */
}

static int make_room(struct maps *m, size_t n, struct err *e)
{
    m->list = calloc(n + 1, sizeof *m->list);
    return m->list ? 0 : err_set(e, ERR_NOMEM, "map %zu files", n);
}

static int read_store(struct maps *m, const struct map_options *opt, struct err *e)
{
    struct mem_source source;
    int rc = mem_source_open(&source, opt->path, /* broker = */ NULL, e);
    if (rc == 0)
        rc = mem_snapshot_take(&source, &m->files, e);
    if (rc == 0)
        rc = make_room(m, m->files.n_files, e);
    for (size_t i = 0; rc == 0 && i < m->files.n_files; i++)
        if (m->files.files[i].bytes > 0)
            rc = add_file_of_store(m, opt, m->files.files[i].path, e);
    return rc;
}

static int read_maps(struct maps *m, const struct map_options *opt, struct err *e)
{
    struct stat st;
    if (stat(opt->path, &st) < 0)
        return err_sys(e, errno, "look at '%s'", opt->path);
    if (!S_ISREG(st.st_mode))
        return read_store(m, opt, e);
    int rc = make_room(m, 1, e);
    return rc == 0 ? add_map(m, opt, opt->path, opt->path, e) : rc;
}

/* ---- showing ---- */

static json_t *dirty_to_json(uint64_t bytes)
{
    return bytes == UINT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *map_to_json(const struct residency_map *map)
{
    json_t *resident = json_array(), *dirty = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < map->n; i++) {
        rc =
            json_array_append_new(resident, json_integer((json_int_t)map->cells[i].resident_bytes));
        if (rc == 0)
            rc = json_array_append_new(dirty, dirty_to_json(map->cells[i].dirty_bytes));
    }
    if (rc == 0)
        return json_pack("{s:s, s:I, s:I, s:o, s:o}", "path", map->name, "fileBytes",
                         (json_int_t)map->bytes, "cellBytes", (json_int_t)map->cell_bytes,
                         "residentBytes", resident, "dirtyBytes", dirty);
    json_decref(resident);
    json_decref(dirty);
    return NULL;
}

static int print_json(const struct maps *m, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        rc = json_line(map_to_json(&m->list[i]), e);
    return rc;
}

static int write_svg(const struct maps *m, const char *path, struct err *e)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return err_sys(e, errno, "write '%s'", path);
    map_svg_write(f, m->list, m->n);
    bool is_bad = ferror(f) != 0;
    if (fclose(f) == EOF || is_bad)
        return err_sys(e, errno, "write '%s'", path);
    return 0;
}

static int draw(const struct maps *m, const struct map_options *opt, struct err *e)
{
    struct map_text t = {.out = stdout, .charset = map_text_charset(), .width = opt->width};
    for (size_t i = 0; i < m->n; i++)
        map_text_draw(&t, &m->list[i]);
    map_text_legend(&t);
    return fflush(stdout) == EOF || ferror(stdout) ? err_sys(e, errno, "write to stdout") : 0;
}

static int map(struct map_options *opt, struct err *e)
{
    struct maps m = {0};
    if (opt->width == 0)
        opt->width = map_text_width(stdout);
    int rc = read_maps(&m, opt, e);
    if (rc == 0 && opt->svg)
        rc = write_svg(&m, opt->svg, e);
    else if (rc == 0)
        rc = opt->json ? print_json(&m, e) : draw(&m, opt, e);
    maps_fini(&m);
    return rc;
}

int mem_map(int argc, char **argv)
{
    struct map_options opt = {0};
    const struct option_spec specs[] = {
        {.name = "cell",
         .kind = OPTION_SIZE,
         .ret = &opt.cell_bytes,
         .value = "SIZE",
         .help = "bytes of one cell, a multiple of 4K (default: a file fits into a line)",
         .min = CELL_MIN},
        {.name = "width",
         .kind = OPTION_NUMBER,
         .ret = &opt.width,
         .value = "N",
         .help = "characters in a line (default: the terminal's, else $COLUMNS, else 80)",
         .min = WIDTH_MIN,
         .max = WIDTH_MAX},
        {.name = "svg",
         .kind = OPTION_TEXT,
         .ret = &opt.svg,
         .value = "FILE",
         .help = "write a picture there (default: draw in the terminal)"},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &opt.json,
         .help = "one JSON object a line for each file (default: draw)"},
        {0},
    };
    const struct options o = {
        .program = "sluice mem map",
        .operands = "PATH",
        .summary = "Draws which parts of a store's files, or of one file, are in the page cache,\n"
                   "and which of those are not on the disk yet.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    if (opt.cell_bytes % CELL_MIN != 0)
        return options_refuse(&o, "option '--cell': not a multiple of %d bytes", CELL_MIN);
    if (opt.svg && opt.json)
        return options_refuse(&o, "options '--svg' and '--json' exclude each other");
    opt.path = argv[first];
    struct err e;
    return map(&opt, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

/* `sluice bench report`: the JSON of benchmarks and experiments as one page. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tools/bench/gnuplot.h"
#include "tools/bench/page.h"
#include "tools/command.h"
#include "tools/options.h"

#define PROGRAM "sluice bench report"
#define GNUPLOT "gnuplot"

struct reporter {
    const char *folder;
    const char *output; /* NULL: report.html in the folder */
    struct results_file *files;
    size_t n_files, n_bad;
};

/* ---- the files ---- */

static int is_json(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

/* A file that is none of ours is named, and the others go on. */
static int add_file(struct reporter *r, const char *name, struct err *e)
{
    struct err bad;
    int rc = results_file_read(&r->files[r->n_files], r->folder, name, &bad);
    if (rc == ERR_NOMEM)
        return err_set(e, rc, "%s", bad.msg);
    if (rc < 0) {
        fprintf(stderr, "%s: read %s, leaving it out\n", PROGRAM, bad.msg);
        r->n_bad++;
        return 0;
    }
    r->n_files++;
    return 0;
}

static int read_files(struct reporter *r, struct err *e)
{
    struct dirent **entries;
    int n = scandir(r->folder, &entries, is_json, alphasort);
    if (n < 0)
        return err_sys(e, errno, "read folder '%s'", r->folder);
    r->files = calloc((size_t)n + 1, sizeof r->files[0]);
    int rc = r->files ? 0 : err_set(e, ERR_NOMEM, "read %d files", n);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = add_file(r, entries[i]->d_name, e);
        free(entries[i]);
    }
    free(entries);
    if (rc == 0 && r->n_files == 0)
        rc = err_set(e, ERR_NOTFOUND, "find a report in '%s': there is no JSON file of one",
                     r->folder);
    return rc;
}

static void close_files(struct reporter *r)
{
    for (size_t i = 0; i < r->n_files; i++)
        results_file_fini(&r->files[i]);
    free(r->files);
}

/* ---- the page ---- */

static int draw(void *arg, const char *script, char **ret_svg, struct err *e)
{
    (void)arg; /* there is one gnuplot */
    return gnuplot_run(GNUPLOT, script, ret_svg, e);
}

/* In memory first: nothing is left of a page that could not be drawn. */
static int make_page(const struct reporter *r, char **ret_page, size_t *ret_len, struct err *e)
{
    const struct page page = {
        .title = "What was measured of Sluice",
        .files = r->files,
        .n_files = r->n_files,
        .draw = draw,
    };
    FILE *out = open_memstream(ret_page, ret_len);
    if (!out)
        return err_set(e, ERR_NOMEM, "write the page");
    int rc = page_write(&page, out, e);
    if (fclose(out) != 0 && rc == 0)
        rc = err_set(e, ERR_NOMEM, "write the page");
    if (rc == 0)
        return 0;
    free(*ret_page);
    return rc;
}

static int write_page(const struct reporter *r, const char *page, size_t len, struct err *e)
{
    char path[PATH_MAX];
    if (r->output && strcmp(r->output, "-") == 0)
        return fwrite(page, 1, len, stdout) == len ? 0 : err_sys(e, errno, "write to stdout");
    int n = r->output ? snprintf(path, sizeof path, "%s", r->output)
                      : snprintf(path, sizeof path, "%s/report.html", r->folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, ERR_TOOBIG, "the path of the page is too long");
    int rc = io_replace_file(io_posix(), path, page, len, /* keep_bak = */ false, e);
    if (rc == 0)
        printf("%s\n", path);
    return rc;
}

static int report(struct reporter *r, struct err *e)
{
    char *page;
    size_t len;
    int rc = read_files(r, e);
    if (rc == 0)
        rc = make_page(r, &page, &len, e);
    if (rc < 0)
        return rc;
    rc = write_page(r, page, len, e);
    free(page);
    return rc;
}

int bench_report(int argc, char **argv)
{
    struct reporter r = {0};
    const struct option_spec specs[] = {
        {.name = "output",
         .letter = 'o',
         .kind = OPTION_TEXT,
         .ret = &r.output,
         .value = "FILE",
         .help = "where the page goes, - for stdout (default: report.html in DIR)"},
        {0},
    };
    const struct options o = {
        .program = PROGRAM,
        .operands = "DIR",
        .summary =
            "Makes one HTML page of the JSON that benchmarks and experiments left in DIR, with\n"
            "tables and plots; it needs nothing beside it. gnuplot draws the plots.\n"
            "Exit status: 0 all is on the page, 3 files were left out.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    r.folder = argv[first];
    struct err e;
    int rc = report(&r, &e);
    close_files(&r);
    if (rc < 0)
        return command_failed(o.program, &e);
    return r.n_bad > 0 ? COMMAND_FOUND : COMMAND_OK;
}

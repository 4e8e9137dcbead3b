/* `sluice doctor`: what of this machine matters to a store, and why. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/store.h"
#include "tools/command.h"
#include "tools/doctor.h"
#include "tools/json_line.h"
#include "tools/options.h"
#include "tools/paint.h"
#include "tools/store_root.h"

#define DEFAULT_STORE "/var/lib/sluice"

enum { NAME_COLUMNS = 26, INDENT = 10, MAX_COLUMNS = 100 };

struct doctor {
    const char *dir;
    bool json;
    bool is_store, is_live;
    char looked_at[PATH_MAX]; /* the folder, or the nearest one above that is there */
    struct host host;
    struct doctor_store store;
    const char *group; /* of the last check that was printed */
    uint64_t n_notes, n_findings, n_unknown;
    int columns;
    json_t *checks; /* NULL for text */
    bool has_failed;
};

/* ---- the store ---- */

static int count_file(void *arg, const struct store_file_info *info)
{
    struct doctor_store *s = arg;
    if (strncmp(info->path, "commitlog/", strlen("commitlog/")) == 0) {
        s->n_log_files++;
        if (info->bytes > s->log_file_bytes)
            s->log_file_bytes = info->bytes;
    } else if (strncmp(info->path, "consumequeue/", strlen("consumequeue/")) == 0) {
        s->n_queue_files++;
    } else if (strncmp(info->path, "index/", strlen("index/")) == 0) {
        s->n_index_files++;
    }
    s->total_bytes += info->bytes;
    s->resident_bytes += info->resident_bytes;
    return 0;
}

static void measure_disk(struct doctor *d)
{
    struct statvfs fs;
    if (statvfs(d->looked_at, &fs) < 0) /* stays unknown */
        return;
    d->store.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    d->store.disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    d->store.n_free_inodes = fs.f_favail;
    d->store.n_disk_inodes = fs.f_files;
}

/* The folder itself, or the nearest one above it that is there. */
static int find_folder(struct doctor *d, struct err *e)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s", d->dir);
    if (n <= 0 || (size_t)n >= sizeof path)
        return err_set(e, ERR_INVAL, "look at '%.100s': it is no path", d->dir);
    while (!realpath(path, d->looked_at)) {
        if (errno != ENOENT)
            return err_sys(e, errno, "look at '%s'", path);
        char *slash = strrchr(path, '/');
        if (slash && slash != path)
            *slash = '\0';
        else
            (void)snprintf(path, sizeof path, "%s", slash ? "/" : ".");
    }
    struct stat st;
    if (stat(d->looked_at, &st) < 0)
        return err_sys(e, errno, "look at '%s'", d->looked_at);
    return S_ISDIR(st.st_mode) ? 0 : err_set(e, ERR_INVAL, "'%s' is no folder", d->looked_at);
}

static int look_at_store(struct doctor *d, struct err *e)
{
    struct err none;
    int rc = find_folder(d, e);
    if (rc < 0)
        return rc;
    measure_disk(d);
    d->is_store = store_root_check(d->dir, &none) == 0;
    d->is_live = d->is_store && store_root_is_live(d->dir);
    return d->is_store ? store_each_file_at(d->dir, count_file, &d->store, io_posix(), e) : 0;
}

static uint64_t find_broker(const struct doctor *d)
{
    char path[PATH_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/lock", d->looked_at);
    return d->is_live ? host_holder("", path) : 0;
}

/* ---- text ---- */

/* Breaks a text between words; every line is indented. */
static void print_wrapped(const struct doctor *d, const char *text)
{
    size_t width = (size_t)(d->columns - INDENT);
    while (*text) {
        size_t len = strlen(text);
        if (len > width) {
            len = width;
            while (len > 0 && text[len] != ' ')
                len--;
            if (len == 0)
                len = strcspn(text, " ");
        }
        printf("%*s%.*s\n", INDENT, "", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

/* Control characters of a mount point or a cgroup are not for the terminal. */
static void print_plain(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void print_check(struct doctor *d, const struct doctor_check *c)
{
    static const struct {
        const char *word;
        enum paint paint;
    } states[] = {
        [DOCTOR_FINE] = {"fine", PAINT_GOOD},
        [DOCTOR_NOTE] = {"note", PAINT_FAINT},
        [DOCTOR_FOUND] = {"found", PAINT_BAD},
        [DOCTOR_UNKNOWN] = {"unknown", PAINT_FAINT},
    };
    if (!d->group || strcmp(d->group, c->group) != 0)
        printf("%s%s\n", d->group ? "\n" : "", c->group);
    d->group = c->group;
    printf("  %s%-*s%s%-*s ", paint_on(stdout, states[c->state].paint), INDENT - 2,
           states[c->state].word, paint_off(stdout), NAME_COLUMNS, c->name);
    print_plain(c->value);
    putchar('\n');
    print_wrapped(d, c->why);
    if (c->remedy[0]) {
        char line[sizeof c->remedy + 8];
        (void)snprintf(line, sizeof line, "-> %s", c->remedy);
        print_wrapped(d, line);
    }
}

static void print_head(const struct doctor *d)
{
    if (!d->is_store)
        printf("no store in '%s' yet: its file system is looked at in '%s'\n\n", d->dir,
               d->looked_at);
    else if (d->host.process.pid)
        printf("the store in '%s', which process %" PRIu64 " has open\n\n", d->dir,
               d->host.process.pid);
    else
        printf("the store in '%s'%s\n\n", d->dir,
               d->is_live ? ", which a broker has open that cannot be looked at" : "");
}

static void print_end(const struct doctor *d)
{
    printf("\n");
    if (d->n_findings == 0)
        printf("%snothing found%s", paint_on(stdout, PAINT_GOOD), paint_off(stdout));
    else
        printf("%s%" PRIu64 " found%s", paint_on(stdout, PAINT_BAD), d->n_findings,
               paint_off(stdout));
    printf(", %" PRIu64 " to note, %" PRIu64 " unknown\n", d->n_notes, d->n_unknown);
}

/* ---- JSON ---- */

static json_t *text_or_null(const char *text)
{
    return text[0] ? json_string(text) : json_null();
}

static json_t *check_to_json(const struct doctor_check *c)
{
    static const char *const states[] = {"fine", "note", "found", "unknown"};
    json_t *value = json_string(c->value);
    if (!value) /* a mount point need not be UTF-8 */
        value = json_string("(not UTF-8)");
    return json_pack("{s:s, s:s, s:o, s:s, s:s, s:o}", "group", c->group, "check", c->name, "value",
                     value, "state", states[c->state], "why", c->why, "remedy",
                     text_or_null(c->remedy));
}

static int print_json(const struct doctor *d, struct err *e)
{
    json_t *pid = d->host.process.pid ? json_integer((json_int_t)d->host.process.pid) : json_null();
    return json_line(json_pack("{s:s, s:b, s:b, s:o, s:I, s:I, s:I, s:O}", "store", d->dir,
                               "isStore", d->is_store, "live", d->is_live, "pid", pid, "findings",
                               (json_int_t)d->n_findings, "notes", (json_int_t)d->n_notes,
                               "unknown", (json_int_t)d->n_unknown, "checks", d->checks),
                     e);
}

/* ---- all of it ---- */

static void on_check(void *arg, const struct doctor_check *c)
{
    struct doctor *d = arg;
    d->n_findings += c->state == DOCTOR_FOUND;
    d->n_notes += c->state == DOCTOR_NOTE;
    d->n_unknown += c->state == DOCTOR_UNKNOWN;
    if (!d->json)
        print_check(d, c);
    else if (json_array_append_new(d->checks, check_to_json(c)) < 0)
        d->has_failed = true;
}

static int terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    int columns = size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
    return columns > 4 * INDENT ? columns : 4 * INDENT;
}

static int examine(struct doctor *d, struct err *e)
{
    d->columns = terminal_columns();
    d->checks = d->json ? json_array() : NULL;
    int rc = look_at_store(d, e);
    if (rc < 0)
        return rc;
    host_read(&d->host, "", d->looked_at, find_broker(d));
    if (!d->json)
        print_head(d);
    doctor_examine(&d->host, &d->store, on_check, d);
    if (d->has_failed)
        return err_set(e, ERR_NOMEM, "make a line of JSON");
    if (d->json)
        return print_json(d, e);
    print_end(d);
    return 0;
}

int cmd_doctor(int argc, char **argv)
{
    struct doctor d = {0};
    const struct option_spec specs[] = {
        {.name = "store",
         .kind = OPTION_TEXT,
         .ret = &d.dir,
         .value = "DIR",
         .help = "the store, or where one is to be (default: " DEFAULT_STORE ")"},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &d.json,
         .help = "one JSON object (default: text)"},
        {0},
    };
    const struct options o = {
        .program = "sluice doctor",
        .operands = "[DIR]",
        .summary =
            "Looks at what of this machine matters to a store: kernel, memory, disk, limits\n"
            "and cgroup; says what each does to it, and changes nothing. DIR is the same\n"
            "as --store DIR. Exit status: 0 nothing to change, 3 something was found.",
        .specs = specs,
        .max_operands = 1,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    if (argv[first] && d.dir)
        return options_refuse(&o, "a store is named twice, by --store and by '%s'", argv[first]);
    if (!d.dir)
        d.dir = argv[first] ? argv[first] : DEFAULT_STORE;
    struct err e;
    int rc = examine(&d, &e);
    json_decref(d.checks);
    if (rc < 0)
        return command_failed(o.program, &e);
    return d.n_findings > 0 ? COMMAND_FOUND : COMMAND_OK;
}

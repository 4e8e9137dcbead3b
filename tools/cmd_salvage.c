/* `sluice salvage`: writes what is good of a damaged store into a new one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command.h"
#include "tools/json_line.h"
#include "tools/options.h"
#include "tools/paint.h"
#include "tools/salvage.h"
#include "tools/store_root.h"

enum { FILE_BYTES_UNIT = 4096, ABORT_MODE = 0644 };

void salvage_tell(struct salvage *s, uint64_t log_off, const char *fmt, ...)
{
    char text[512];
    struct err e;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    progress_hide(&s->progress);
    if (!s->json)
        printf("%s%12" PRIu64 "  %s%s\n", paint_on(stdout, PAINT_BAD), log_off, text,
               paint_off(stdout));
    else if (json_line(json_pack("{s:s, s:I}", "lost", text, "physicalOffset", (json_int_t)log_off),
                       &e) < 0)
        fprintf(stderr, "sluice salvage: %s\n", e.msg);
}

/* ---- before ---- */

/* The real path of `path`, or of the nearest folder above it that exists. */
static char *real_path_of(const char *path)
{
    char at[PATH_MAX];
    char *slash, *real;
    int n = snprintf(at, sizeof at, "%s%s", *path == '/' ? "" : "./", path);
    if (n < 0 || (size_t)n >= sizeof at) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    while (!(real = realpath(at, NULL)) && errno == ENOENT && (slash = strrchr(at, '/')) != NULL)
        slash[slash == at] = '\0'; /* "/" stays */
    return real;
}

/* The old store is only read, and what is copied of it must not be what was just written. */
static int check_apart(const struct salvage *s, struct err *e)
{
    char *from = realpath(s->from, NULL);
    char *to = real_path_of(s->to);
    size_t n = from ? strlen(from) : 0;
    int rc = 0;
    if (!from || !to)
        rc = err_sys(e, errno, "look at '%s'", from ? s->to : s->from);
    else if (strncmp(to, from, n) == 0 && (to[n] == '/' || to[n] == '\0'))
        rc = err_set(e, ERR_INVAL, "'%s' is in '%s', which is only read: name another place", s->to,
                     s->from);
    free(from);
    free(to);
    return rc;
}

/* The new store gets a folder of its own, and until it is whole the mark of a crash. */
static int make_root(struct salvage *s, struct err *e)
{
    char path[PATH_MAX];
    struct dirent **names;
    int n = scandir(s->to, &names, NULL, NULL);
    for (int i = 0; i < n; i++)
        free(names[i]);
    if (n >= 0)
        free(names);
    if (n > 2)
        return err_set(e, ERR_EXISTS, "folder '%s' is not empty", s->to);
    if (n < 0 && errno != ENOENT)
        return err_sys(e, errno, "open folder '%s'", s->to);
    (void)snprintf(path, sizeof path, "%s/commitlog", s->to);
    int rc = io_make_dirs(s->io, path, e);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof path, "%s/abort", s->to);
    int fd = s->io->open(s->io, path, O_WRONLY | O_CREAT, ABORT_MODE);
    if (fd < 0)
        return err_sys(e, -fd, "make '%s'", path);
    (void)s->io->close(s->io, fd); /* empty */
    return 0;
}

static int check_sizes(struct salvage *s, struct err *e)
{
    struct store_walk_bounds bounds;
    store_walk_bounds(s->walk, &bounds);
    if (bounds.file_bytes % FILE_BYTES_UNIT != 0 || bounds.file_bytes > INT32_MAX)
        return err_set(e, ERR_INVAL,
                       "the length of a commit-log file cannot be told: %" PRIu64
                       " bytes are none; say it with '--file-size'",
                       bounds.file_bytes);
    s->file_bytes = bounds.file_bytes;
    return 0;
}

static int open_both(struct salvage *s, salvage_placed_fn placed, struct err *e)
{
    int rc = store_root_check(s->from, e);
    if (rc == 0 && store_root_is_live(s->from))
        rc = err_set(e, ERR_BUSY, "a broker has '%s' open: stop it first", s->from);
    if (rc == 0)
        rc = store_walk_open(&s->walk, s->from, s->file_bytes, s->io, e);
    if (rc == 0)
        rc = check_sizes(s, e);
    if (rc == 0)
        rc = queue_files_open(&s->files, s->from, s->io, e);
    if (rc == 0)
        rc = check_apart(s, e);
    if (rc == 0)
        rc = make_root(s, e);
    if (rc == 0)
        rc = salvage_log_open(s, placed, e);
    return rc < 0 ? rc : salvage_queues_open(s, e);
}

/* ---- the log ---- */

static void lose(struct salvage *s, const struct store_walk_item *item, const char *why)
{
    s->n_lost_places++;
    s->lost_bytes += item->len;
    salvage_tell(s, item->log_off, "%" PRIu64 " bytes are lost: %s", item->len, why);
}

/* `*torn` says whether something was lost behind the last record or file. */
static int take_item(struct salvage *s, const struct store_walk_item *item, bool *torn,
                     struct err *e)
{
    switch (item->kind) {
    case STORE_WALK_RECORD:
        *torn = !item->body_ok;
        if (item->body_ok)
            return salvage_log_record(s, &item->rec, e);
        lose(s, item, "the body does not have its checksum");
        return 0;
    case STORE_WALK_FILLER:
        *torn = false;
        return salvage_log_end_file(s, item->log_off + item->len, e);
    case STORE_WALK_DAMAGE:
        *torn = true;
        lose(s, item, item->why);
        return 0;
    case STORE_WALK_END:
        return salvage_log_finish(s, *torn, e);
    }
    return 0;
}

static int copy_log(struct salvage *s, struct err *e)
{
    struct store_walk_bounds bounds;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    bool torn = false;
    int rc = 0;
    store_walk_bounds(s->walk, &bounds);
    if (bounds.end > bounds.begin)
        progress_start_bytes(&s->progress, bounds.end - bounds.begin);
    while (rc == 0 && item.kind != STORE_WALK_END) {
        rc = store_walk_next(s->walk, &item, e);
        if (rc == 0)
            rc = take_item(s, &item, &torn, e);
        progress_set(&s->progress, item.log_off - bounds.begin);
    }
    progress_clear(&s->progress);
    return rc;
}

/* ---- after ---- */

static int write_checkpoint(struct salvage *s, struct err *e)
{
    char path[PATH_MAX];
    uint8_t bytes[STORE_CHECKPOINT_BYTES];
    const struct store_checkpoint cp = {.log_ms = s->last_ms,
                                        .queue_ms = s->last_ms,
                                        .index_ms = s->last_ms,
                                        .confirm_off = (int64_t)s->log_end,
                                        .queue_off = (int64_t)s->log_end};
    store_checkpoint_encode(bytes, &cp);
    (void)snprintf(path, sizeof path, "%s/checkpoint", s->to);
    return io_replace_file(s->io, path, bytes, sizeof bytes, /* keep_bak = */ false, e);
}

static int remove_abort(struct salvage *s, struct err *e)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/abort", s->to);
    int rc = s->io->unlink(s->io, path);
    if (rc == 0)
        rc = s->io->sync_dir(s->io, s->to);
    return rc < 0 ? err_sys(e, -rc, "remove '%s'", path) : 0;
}

static int salvage_all(struct salvage *s, struct err *e)
{
    int rc = open_both(s, salvage_queues_record, e);
    if (rc == 0)
        rc = copy_log(s, e);
    if (rc == 0)
        rc = salvage_queues_finish(s, e);
    if (rc == 0)
        rc = salvage_copy_rest(s, e);
    if (rc == 0)
        rc = write_checkpoint(s, e);
    return rc < 0 ? rc : remove_abort(s, e);
}

static bool has_losses(const struct salvage *s)
{
    return s->n_lost_places + s->n_unnumbered + s->n_lost_queues + s->n_stand_ins > 0;
}

static int print_report(const struct salvage *s, struct err *e)
{
    if (s->json)
        return json_line(
            json_pack("{s:n, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "lost",
                      "records", (json_int_t)s->n_saved, "recordBytes", (json_int_t)s->saved_bytes,
                      "lostPlaces", (json_int_t)s->n_lost_places, "lostBytes",
                      (json_int_t)s->lost_bytes, "paddedRecords", (json_int_t)s->n_padded,
                      "recordsWithoutEntry", (json_int_t)s->n_unnumbered, "queues",
                      (json_int_t)s->n_queues, "entries", (json_int_t)s->n_entries, "standIns",
                      (json_int_t)s->n_stand_ins, "copiedFiles", (json_int_t)s->n_copied, "logEnd",
                      (json_int_t)s->log_end),
            e);
    printf("saved    %" PRIu64 " records of %" PRIu64 " bytes\n", s->n_saved, s->saved_bytes);
    printf("lost     %" PRIu64 " places of %" PRIu64 " bytes\n", s->n_lost_places, s->lost_bytes);
    if (s->n_padded > 0)
        printf("         %" PRIu64 " records lengthened to fill a small place\n", s->n_padded);
    printf("queues   %" PRIu64 " queues with %" PRIu64 " entries, and %" PRIu64
           " in place of lost messages\n",
           s->n_queues, s->n_entries, s->n_stand_ins);
    printf("copied   %" PRIu64 " other files\n", s->n_copied);
    printf("The new store is '%s'; its log ends at %" PRIu64 ".\n", s->to, s->log_end);
    return 0;
}

int cmd_salvage(int argc, char **argv)
{
    struct salvage s = {.io = io_posix()};
    const struct option_spec specs[] = {
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &s.json,
         .help = "one JSON object for each loss, and one of all (default: text)"},
        {.name = "file-size",
         .kind = OPTION_SIZE,
         .ret = &s.file_bytes,
         .value = "SIZE",
         .help = "length of a commit-log file (default: taken from the files)",
         .min = FILE_BYTES_UNIT},
        {.name = "queue-file-size",
         .kind = OPTION_NUMBER,
         .ret = &s.queue_file_bytes,
         .value = "BYTES",
         .help = "length of a consume-queue file (default: from the files, else 6000000)",
         .min = STORE_QUEUE_ENTRY_BYTES,
         .max = INT32_MAX},
        {.name = "batch-file-size",
         .kind = OPTION_NUMBER,
         .ret = &s.batch_file_bytes,
         .value = "BYTES",
         .help = "length of a file of a queue of batches (default: from the files, else 13800000)",
         .min = QUEUE_BATCH_ENTRY_BYTES,
         .max = INT32_MAX},
        {0},
    };
    const struct options o = {
        .program = "sluice salvage",
        .operands = "DIR OUT",
        .summary = "Writes the good messages of the damaged store in DIR into a new store in OUT,\n"
                   "each at its position in the log and with its number in its queue. DIR is only\n"
                   "read. Exit status: 0 nothing was lost, 3 something was.",
        .specs = specs,
        .min_operands = 2,
        .max_operands = 2,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    if (s.queue_file_bytes % STORE_QUEUE_ENTRY_BYTES != 0)
        return options_refuse(&o, "option '--queue-file-size': it is no multiple of %d",
                              STORE_QUEUE_ENTRY_BYTES);
    if (s.batch_file_bytes % QUEUE_BATCH_ENTRY_BYTES != 0)
        return options_refuse(&o, "option '--batch-file-size': it is no multiple of %d",
                              QUEUE_BATCH_ENTRY_BYTES);
    s.from = argv[first];
    s.to = argv[first + 1];
    struct err e;
    int rc = salvage_all(&s, &e);
    if (rc == 0)
        rc = print_report(&s, &e);
    salvage_log_close(&s);
    salvage_queues_close(&s);
    queue_files_close(s.files);
    store_walk_close(s.walk);
    if (rc < 0)
        return command_failed(o.program, &e);
    return has_losses(&s) ? COMMAND_FOUND : COMMAND_OK;
}

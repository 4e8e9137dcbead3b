/* `sluice dump`: shows what is in the files of a store, read-only, live or damaged ones too. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"
#include "tools/command.h"
#include "tools/dump_kind.h"
#include "tools/dump_queues.h"
#include "tools/dump_record.h"
#include "tools/json_line.h"
#include "tools/options.h"

/* The exit status when the files were read but not all in them was whole. */
enum { DUMP_DAMAGED = 3 };

struct dump {
    const char *path;
    bool json;
    uint64_t limit; /* records or entries still to be shown */
    uint64_t file_bytes;
    struct io *io;
    uint64_t n_records, record_bytes;
    uint64_t n_damaged, damaged_bytes; /* places passed over, and records whose body fails */
};

/* ---- the log ---- */

/* Where text goes on stdout, between the records; beside JSON on stderr. */
static void print_damage(struct dump *d, const struct store_walk_item *item)
{
    d->n_damaged++;
    d->damaged_bytes += item->len;
    fprintf(d->json ? stderr : stdout, "%12" PRIu64 "  DAMAGED, %" PRIu64 " bytes: %s\n",
            item->log_off, item->len, item->why);
}

static int print_record(struct dump *d, struct dump_queues *queues,
                        const struct store_walk_item *item, struct err *e)
{
    struct dump_place place = {0};
    d->n_records++;
    d->record_bytes += item->len;
    d->n_damaged += !item->body_ok;
    d->limit--;
    if (!d->json) {
        dump_record_text(item);
        return 0;
    }
    int rc = queues ? dump_queues_find(queues, &item->rec, &place, e) : 0;
    return rc < 0 ? rc : json_line(dump_record_json(item, &place), e);
}

static int print_item(struct dump *d, struct dump_queues *queues,
                      const struct store_walk_item *item, struct err *e)
{
    switch (item->kind) {
    case STORE_WALK_RECORD:
        return print_record(d, queues, item, e);
    case STORE_WALK_DAMAGE:
        print_damage(d, item);
        break;
    case STORE_WALK_FILLER:
        if (!d->json)
            printf("%12" PRIu64 "  filler, %" PRIu64 " bytes\n", item->log_off, item->len);
        break;
    case STORE_WALK_END:
        if (!d->json)
            printf("%12" PRIu64 "  end\n", item->log_off);
        break;
    }
    return 0;
}

static int walk_log(struct dump *d, struct dump_queues *queues, struct err *e)
{
    struct store_walk *walk;
    int rc = store_walk_open(&walk, d->path, d->file_bytes, d->io, e);
    if (rc < 0)
        return rc;
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    while (rc == 0 && item.kind != STORE_WALK_END && d->limit > 0 && !ferror(stdout)) {
        rc = store_walk_next(walk, &item, e);
        if (rc == 0)
            rc = print_item(d, queues, &item, e);
    }
    store_walk_close(walk);
    if (rc == 0 && !d->json)
        printf("%" PRIu64 " records of %" PRIu64 " bytes; %" PRIu64 " damaged\n", d->n_records,
               d->record_bytes, d->n_damaged);
    return rc;
}

static int dump_log(struct dump *d, struct err *e)
{
    return walk_log(d, /* queues = */ NULL, e);
}

/* ---- the checkpoint ---- */

static int print_checkpoint_json(const struct store_checkpoint *cp, struct err *e)
{
    return json_line(
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "physicMsgTimestamp", (json_int_t)cp->log_ms,
                  "logicsMsgTimestamp", (json_int_t)cp->queue_ms, "indexMsgTimestamp",
                  (json_int_t)cp->index_ms, "masterFlushedOffset",
                  (json_int_t)cp->master_flushed_off, "confirmPhyOffset",
                  (json_int_t)cp->confirm_off, "logicsPhysicalOffset", (json_int_t)cp->queue_off),
        e);
}

static void print_checkpoint_text(const struct store_checkpoint *cp)
{
    printf("checkpoint: log stored until %" PRIu64 " ms, queues until %" PRIu64
           " ms, index until %" PRIu64 " ms\n"
           "            flushed by the master to %" PRId64 ", confirmed to %" PRId64
           ", queues hold the log to %" PRId64 "\n",
           cp->log_ms, cp->queue_ms, cp->index_ms, cp->master_flushed_off, cp->confirm_off,
           cp->queue_off);
}

static int read_checkpoint(struct dump *d, const char *path, struct store_checkpoint *ret,
                           struct err *e)
{
    uint8_t *buf;
    size_t len;
    int rc = io_read_file(d->io, path, STORE_CHECKPOINT_BYTES, &buf, &len, e);
    if (rc < 0)
        return rc;
    if (len == 0)
        rc = err_set(e, ERR_NOTFOUND, "the checkpoint was not written yet");
    else
        rc = store_checkpoint_decode(span_of(buf, len), ret, e);
    free(buf);
    return rc < 0 ? err_wrap(e, "read '%s'", path) : 0;
}

static int dump_checkpoint(struct dump *d, struct err *e)
{
    struct store_checkpoint cp = {0};
    int rc = read_checkpoint(d, d->path, &cp, e);
    if (rc == ERR_CORRUPT) {
        fprintf(stderr, "sluice dump: %s\n", e->msg);
        d->n_damaged++;
        return 0;
    }
    if (rc < 0)
        return rc;
    if (d->json)
        return print_checkpoint_json(&cp, e);
    print_checkpoint_text(&cp);
    return 0;
}

/* ---- consume queues ---- */

static int dump_one_queue(struct dump *d, const char *path, struct err *e)
{
    uint64_t n_bad = 0;
    int rc = dump_queue_file(path, d->json, &d->limit, &n_bad, d->io, e);
    if (rc < 0 || n_bad == 0)
        return rc;
    d->n_damaged += n_bad;
    fprintf(d->json ? stderr : stdout,
            "DAMAGED: %" PRIu64 " empty entries between others in '%s'\n", n_bad, path);
    return 0;
}

static int dump_queue(struct dump *d, struct err *e)
{
    return dump_one_queue(d, d->path, e);
}

struct queue_visit {
    struct dump *dump;
    struct err *e;
};

static int visit_queue(void *arg, const struct store_file_info *info)
{
    const struct queue_visit *visit = arg;
    struct dump *d = visit->dump;
    const char *slash = strrchr(info->path, '/');
    char path[PATH_MAX];
    uint64_t start;
    if (!dump_parse_name(slash ? slash + 1 : info->path, &start) || d->limit == 0)
        return 0;
    int n = snprintf(path, sizeof path, "%s/%s", d->path, info->path);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(visit->e, ERR_TOOBIG, "path of '%s' is too long", info->path);
    if (!d->json)
        printf("%s\n", info->path);
    return dump_one_queue(d, path, visit->e);
}

static int dump_queues(struct dump *d, struct err *e)
{
    struct queue_visit visit = {.dump = d, .e = e};
    return store_each_file_at(d->path, visit_queue, &visit, d->io, e);
}

/* ---- a whole store ---- */

static void show_checkpoint(struct dump *d)
{
    char path[PATH_MAX];
    struct store_checkpoint cp = {0};
    struct err e;
    (void)snprintf(path, sizeof path, "%s/checkpoint", d->path);
    int rc = read_checkpoint(d, path, &cp, &e);
    if (rc == 0)
        print_checkpoint_text(&cp);
    else if (rc != ERR_NOTFOUND)
        printf("checkpoint: %s\n", e.msg);
}

static int dump_store(struct dump *d, struct err *e)
{
    struct dump_queues *queues;
    int rc = dump_queues_open(&queues, d->path, d->io, e);
    if (rc < 0)
        return rc;
    if (!d->json)
        show_checkpoint(d);
    rc = walk_log(d, queues, e);
    dump_queues_close(queues);
    return rc;
}

/* ---- the command ---- */

static int dump_path(struct dump *d, struct err *e)
{
    enum dump_kind kind;
    int rc = dump_detect(d->path, d->io, &kind, e);
    if (rc < 0)
        return rc;
    switch (kind) {
    case DUMP_STORE:
        return dump_store(d, e);
    case DUMP_LOG:
        return dump_log(d, e);
    case DUMP_QUEUE:
        return dump_queue(d, e);
    case DUMP_QUEUES:
        return dump_queues(d, e);
    case DUMP_CHECKPOINT:
        return dump_checkpoint(d, e);
    }
    return err_set(e, ERR_UNSUPPORTED, "'%s' cannot be dumped", d->path);
}

int cmd_dump(int argc, char **argv)
{
    struct dump d = {.limit = UINT64_MAX, .io = io_posix()};
    const struct option_spec specs[] = {
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &d.json,
         .help = "one JSON object per message (default: text)"},
        {.name = "limit",
         .letter = 'n',
         .kind = OPTION_NUMBER,
         .ret = &d.limit,
         .value = "N",
         .help = "end after N records or entries (default: all)",
         .min = 1},
        {.name = "file-size",
         .kind = OPTION_SIZE,
         .ret = &d.file_bytes,
         .value = "SIZE",
         .help = "length of a commit-log file (default: taken from the files)",
         .min = 4096},
        {0},
    };
    const struct options o = {
        .program = "sluice dump",
        .operands = "PATH",
        .summary = "Shows what is in a store, a commit log, a consume queue or a checkpoint.\n"
                   "Only reads; the store may be in use or damaged. Exit status 3: damage found.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    d.path = argv[first];
    struct err e;
    int rc = dump_path(&d, &e);
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(&e, errno, "write to stdout");
    if (rc < 0)
        return command_failed(o.program, &e);
    return d.n_damaged > 0 ? DUMP_DAMAGED : COMMAND_OK;
}

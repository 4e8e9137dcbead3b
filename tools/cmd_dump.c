/* `sluice dump`: shows what is in the files of a store, read-only, live or damaged ones too. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/command.h"
#include "tools/dump.h"
#include "tools/dump_kind.h"
#include "tools/interrupt.h"
#include "tools/options.h"
#include "tools/paint.h"
#include "tools/start_at.h"

/* The options that need more than the table to be understood. */
struct dump_texts {
    const char *since, *until;
    bool json, hex;
};

/* ---- findings ---- */

void dump_finding(struct dump *d, const char *fmt, ...)
{
    FILE *out = d->format == DUMP_JSON ? stderr : stdout;
    va_list ap;
    d->n_damaged++;
    fputs(paint_on(out, PAINT_BAD), out);
    va_start(ap, fmt);
    vfprintf(out, fmt, ap);
    va_end(ap);
    fprintf(out, "%s\n", paint_off(out));
}

bool dump_goes_on(const struct dump *d)
{
    return d->limit > 0 && !ferror(stdout) && !(d->follow && interrupt_came());
}

/* ---- a whole store ---- */

static int dump_store(struct dump *d, struct err *e)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/checkpoint", d->path), rc = 0;
    bool is_wanted = d->format != DUMP_JSON && !d->stats && dump_filter_is_open(&d->filter);
    if (is_wanted && n > 0 && (size_t)n < sizeof path)
        rc = dump_checkpoint(d, path, e);
    return rc < 0 && rc != ERR_NOTFOUND ? rc : dump_log(d, /* has_queues = */ true, e);
}

static int dump_path(struct dump *d, enum dump_kind kind, struct err *e)
{
    switch (kind) {
    case DUMP_STORE:
        return dump_store(d, e);
    case DUMP_LOG:
        return dump_log(d, /* has_queues = */ false, e);
    case DUMP_QUEUE:
        return dump_queue_file(d, d->path, e);
    case DUMP_QUEUES:
        return dump_queue_folder(d, e);
    case DUMP_INDEX:
        return dump_index(d, e);
    case DUMP_CHECKPOINT:
        return dump_checkpoint(d, d->path, e);
    case DUMP_TIMER_LOG:
        return dump_timer_log(d, e);
    case DUMP_TIMER_WHEEL:
        return dump_timer_wheel(d, e);
    case DUMP_TIMER_PROGRESS:
        return dump_timer_check(d, d->path, e);
    case DUMP_CONFIG:
        return dump_config_file(d, d->path, e);
    case DUMP_CONFIGS:
        return dump_config_folder(d, e);
    }
    return err_set(e, ERR_UNSUPPORTED, "'%s' cannot be dumped", d->path);
}

/* ---- the options ---- */

/* A time, a duration ago, or milliseconds since 1970. */
static int read_time(const char *text, uint64_t *ret_ms, struct err *e)
{
    struct io *io = io_posix();
    struct start_at at;
    if (!text)
        return 0;
    struct err ignored;
    int rc = start_at_parse(text, io->now_ms(io), &at, &ignored);
    if (rc < 0 || (at.kind != START_TIME && at.kind != START_OFFSET))
        return err_set(e, ERR_INVAL,
                       "'%s' is none of a time such as 2026-01-31T12:30:00Z, a duration ago such "
                       "as 10m, milliseconds since 1970",
                       text);
    *ret_ms = (uint64_t)at.value;
    return 0;
}

/* What each kind of file can be asked, by the name of the option; NULL: all was fine. */
static const char *meaningless_option(const struct dump *d, enum dump_kind kind)
{
    bool is_log = kind == DUMP_STORE || kind == DUMP_LOG;
    bool is_queue = kind == DUMP_QUEUE || kind == DUMP_QUEUES;
    const struct {
        const char *name;
        bool is_given, has_meaning;
    } options[] = {
        {"topic", d->filter.topic, is_log || kind == DUMP_QUEUES},
        {"queue", d->filter.queue_id != DUMP_ANY, is_log || kind == DUMP_QUEUES},
        {"tag", d->filter.tag, is_log || is_queue},
        {"key", d->filter.key, is_log},
        {"unique-key", d->filter.unique_key, is_log},
        {"log-from", d->filter.log.from > 0,
         is_log || is_queue || kind == DUMP_INDEX || kind == DUMP_TIMER_LOG},
        {"log-to", d->filter.log.to != DUMP_ANY,
         is_log || is_queue || kind == DUMP_INDEX || kind == DUMP_TIMER_LOG},
        {"queue-from", d->filter.queue.from > 0, is_log || is_queue},
        {"queue-to", d->filter.queue.to != DUMP_ANY, is_log || is_queue},
        {"since", d->filter.store_ms.from > 0, is_log},
        {"until", d->filter.store_ms.to != DUMP_ANY, is_log},
        {"stats", d->stats, is_log},
        {"follow", d->follow, is_log},
        {"body", d->with_body, is_log},
        {"index-slots", d->index_slots > 0, kind == DUMP_INDEX},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (options[i].is_given && !options[i].has_meaning)
            return options[i].name;
    return NULL;
}

static int settle(const struct options *o, struct dump *d, const struct dump_texts *t)
{
    struct err e;
    if (t->json && t->hex)
        return options_refuse(o, "option '--hex': there is '--json' too");
    if (d->with_body && !t->json)
        return options_refuse(o, "option '--body': it needs '--json'");
    if (d->stats && (t->hex || d->follow || d->with_body))
        return options_refuse(o, "option '--stats': it does not go with '--%s'",
                              t->hex      ? "hex"
                              : d->follow ? "follow"
                                          : "body");
    if (read_time(t->since, &d->filter.store_ms.from, &e) < 0)
        return options_refuse(o, "option '--since': %s", e.msg);
    if (read_time(t->until, &d->filter.store_ms.to, &e) < 0)
        return options_refuse(o, "option '--until': %s", e.msg);
    d->format = t->json ? DUMP_JSON : t->hex ? DUMP_HEX : DUMP_TEXT;
    return OPTIONS_RUN;
}

static int run(const struct options *o, struct dump *d)
{
    enum dump_kind kind;
    struct err e;
    int rc = dump_detect(d->path, d->io, &kind, &e);
    const char *option = rc < 0 ? NULL : meaningless_option(d, kind);
    if (option)
        return options_refuse(o, "option '--%s': it means nothing for '%s'", option, d->path);
    if (d->follow)
        interrupt_catch(); /* so that what was shown goes out */
    if (rc == 0)
        rc = dump_path(d, kind, &e);
    bool is_written = fflush(stdout) != EOF && !ferror(stdout);
    if (!is_written && d->follow && interrupt_came()) {
        interrupt_drop_output();
        rc = 0; /* it ended the write: as wanted */
    } else if (rc == 0 && !is_written) {
        rc = err_sys(&e, errno, "write to stdout");
    }
    if (rc < 0)
        return command_failed(o->program, &e);
    return d->n_damaged > 0 ? COMMAND_FOUND : COMMAND_OK;
}

/* What this run of the command was asked; the table below fills it in. */
static struct dump asked;
static struct dump_texts texts;

static const struct option_spec specs[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .ret = &texts.json,
     .help = "one JSON object a line (default: text)"},
    {.name = "hex",
     .kind = OPTION_FLAG,
     .ret = &texts.hex,
     .help = "the bytes too, in hexadecimal (default: text)"},
    {.name = "body",
     .kind = OPTION_FLAG,
     .ret = &asked.with_body,
     .help = "with --json the bodies too, decompressed (default: without)"},
    {.name = "stats",
     .kind = OPTION_FLAG,
     .ret = &asked.stats,
     .help = "counts, sizes, tags and times of each topic (default: messages)"},
    {.name = "follow",
     .letter = 'f',
     .kind = OPTION_FLAG,
     .ret = &asked.follow,
     .help = "wait at the end for more (default: end there)"},
    {.name = "limit",
     .letter = 'n',
     .kind = OPTION_NUMBER,
     .ret = &asked.limit,
     .value = "N",
     .help = "end after N records or entries (default: all)",
     .min = 1},
    {.name = "topic",
     .kind = OPTION_TEXT,
     .ret = &asked.filter.topic,
     .value = "TOPIC",
     .help = "of this topic (default: any)"},
    {.name = "queue",
     .kind = OPTION_NUMBER,
     .ret = &asked.filter.queue_id,
     .value = "ID",
     .help = "of the queue with this number (default: any)",
     .max = INT32_MAX},
    {.name = "tag",
     .kind = OPTION_TEXT,
     .ret = &asked.filter.tag,
     .value = "TAG",
     .help = "with this tag (default: any)"},
    {.name = "key",
     .kind = OPTION_TEXT,
     .ret = &asked.filter.key,
     .value = "KEY",
     .help = "with this key among its keys (default: any)"},
    {.name = "unique-key",
     .kind = OPTION_TEXT,
     .ret = &asked.filter.unique_key,
     .value = "ID",
     .help = "with this message id (default: any)"},
    {.name = "log-from",
     .kind = OPTION_NUMBER,
     .ret = &asked.filter.log.from,
     .value = "OFFSET",
     .help = "at or behind this byte of the log (default: its beginning)"},
    {.name = "log-to",
     .kind = OPTION_NUMBER,
     .ret = &asked.filter.log.to,
     .value = "OFFSET",
     .help = "before this byte of the log (default: its end)"},
    {.name = "queue-from",
     .kind = OPTION_NUMBER,
     .ret = &asked.filter.queue.from,
     .value = "OFFSET",
     .help = "at or behind this number in its queue (default: the first)"},
    {.name = "queue-to",
     .kind = OPTION_NUMBER,
     .ret = &asked.filter.queue.to,
     .value = "OFFSET",
     .help = "before this number in its queue (default: all)"},
    {.name = "since",
     .kind = OPTION_TEXT,
     .ret = &texts.since,
     .value = "TIME",
     .help = "stored at this time or later (default: any time)"},
    {.name = "until",
     .kind = OPTION_TEXT,
     .ret = &texts.until,
     .value = "TIME",
     .help = "stored before this time (default: any time)"},
    {.name = "index-slots",
     .kind = OPTION_NUMBER,
     .ret = &asked.index_slots,
     .value = "N",
     .help = "hash slots of an index file (default: taken from the file)",
     .min = 1,
     .max = INT32_MAX},
    {.name = "file-size",
     .kind = OPTION_SIZE,
     .ret = &asked.file_bytes,
     .value = "SIZE",
     .help = "length of a commit-log file (default: taken from the files)",
     .min = 4096},
    {0},
};

int cmd_dump(int argc, char **argv)
{
    asked = (struct dump){.limit = UINT64_MAX, .io = io_posix()};
    texts = (struct dump_texts){0};
    dump_filter_init(&asked.filter);
    const struct options o = {
        .program = "sluice dump",
        .operands = "PATH",
        .summary =
            "Shows what is in a store or a part of it: commit log, consume queues, key\n"
            "index, checkpoint, timer files, config. Only reads, and leaves no trace in the\n"
            "page cache; the store may be in use or damaged.\n"
            "TIME is 2026-01-31T12:30, 10m (ago) or milliseconds since 1970.\n"
            "Exit status: 0 all is whole, 3 damage was found.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status == OPTIONS_RUN)
        status = settle(&o, &asked, &texts);
    if (status != OPTIONS_RUN)
        return status;
    asked.path = argv[first];
    return run(&o, &asked);
}

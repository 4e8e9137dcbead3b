/* `sluice verify`: compares the log of a store with its queues and its index. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/quiet_file.h"
#include "tools/command.h"
#include "tools/config_json.h"
#include "tools/dump_record.h"
#include "tools/json_line.h"
#include "tools/options.h"
#include "tools/paint.h"
#include "tools/store_root.h"
#include "tools/verify.h"

/* ---- findings ---- */

static void print_place(const struct verify_at *at)
{
    if (at->has_log_off)
        printf("%12" PRIu64 "  ", at->log_off);
    else
        printf("%12s  ", "-");
    if (at->has_queue) {
        dump_print_escaped(at->topic);
        printf("/%" PRId32, at->queue_id);
    }
    if (at->has_queue_off)
        printf("@%" PRIu64, at->queue_off);
    if (at->file)
        printf("%s'%s'", at->has_queue ? ", " : "", at->file);
    if (at->has_queue || at->file)
        fputs(": ", stdout);
}

static json_t *finding_to_json(const char *kind, const struct verify_at *at, const char *text)
{
    json_t *object = json_pack("{s:s, s:s}", "finding", kind, "text", text);
    int rc = object ? 0 : -1;
    if (rc == 0 && at->has_log_off)
        rc = json_object_set_new(object, "physicalOffset", json_integer((json_int_t)at->log_off));
    if (rc == 0 && at->has_queue)
        rc = json_object_set_new(object, "topic", dump_text_to_json(at->topic)) |
             json_object_set_new(object, "queueId", json_integer(at->queue_id));
    if (rc == 0 && at->has_queue_off)
        rc = json_object_set_new(object, "queueOffset", json_integer((json_int_t)at->queue_off));
    if (rc == 0 && at->file)
        rc = json_object_set_new(object, "file", dump_text_to_json(span_str(at->file)));
    if (rc < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

void verify_finding(struct verify *v, const char *kind, const struct verify_at *at, const char *fmt,
                    ...)
{
    char text[512];
    struct err e;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    v->n_findings++;
    progress_hide(&v->progress);
    if (v->json) {
        if (json_line(finding_to_json(kind, at, text), &e) < 0)
            fprintf(stderr, "sluice verify: %s\n", e.msg);
        return;
    }
    fputs(paint_on(stdout, PAINT_BAD), stdout);
    print_place(at);
    printf("%s%s\n", text, paint_off(stdout));
}

/* ---- the small files ---- */

static int check_config(struct verify *v, const char *name, json_t **ret_root, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *buf;
    size_t len;
    struct err damage;
    (void)snprintf(path, sizeof path, "%s/config/%s", v->root, name);
    int rc = quiet_read_whole(v->io, path, CONFIG_BYTES_MAX, &buf, &len, e);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    struct verify_at at = {.file = path};
    rc = config_json_parse(buf, len, ret_root, &damage);
    free(buf);
    if (rc == ERR_CORRUPT)
        verify_finding(v, "config", &at, "%s", damage.msg);
    return rc == ERR_CORRUPT ? 0 : rc;
}

static int check_configs(struct verify *v, struct err *e)
{
    static const char *const names[] = {"subscriptionGroup.json", "consumerOffset.json",
                                        "delayOffset.json", "consumerOrderInfo.json",
                                        "consumerFilter.json"};
    json_t *root = NULL;
    int rc = check_config(v, "topics.json", &root, e);
    const json_t *table = json_object_get(root, "topicConfigTable");
    v->topics = json_is_object(table) ? json_incref((json_t *)(uintptr_t)table) : NULL;
    json_decref(root);
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++) {
        root = NULL;
        rc = check_config(v, names[i], &root, e);
        json_decref(root);
    }
    return rc;
}

static int check_checkpoint(struct verify *v, struct err *e)
{
    char path[PATH_MAX];
    uint8_t *buf;
    size_t len;
    struct store_checkpoint cp;
    struct err damage;
    (void)snprintf(path, sizeof path, "%s/checkpoint", v->root);
    int rc = quiet_read_whole(v->io, path, STORE_CHECKPOINT_BYTES, &buf, &len, e);
    if (rc < 0)
        return rc == ERR_NOTFOUND ? 0 : rc;
    struct verify_at at = {.file = path};
    if (len > 0 && store_checkpoint_decode(span_of(buf, len), &cp, &damage) < 0)
        verify_finding(v, "checkpoint", &at, "%s", damage.msg);
    free(buf);
    return 0;
}

/* ---- the store ---- */

static int open_store(struct verify *v, struct err *e)
{
    int rc = store_root_check(v->root, e);
    if (rc < 0)
        return rc;
    v->is_live = store_root_is_live(v->root);
    rc = store_walk_open(&v->walk, v->root, v->file_bytes, v->io, e);
    if (rc == 0)
        rc = store_walk_open(&v->look, v->root, v->file_bytes, v->io, e);
    if (rc == 0)
        rc = queue_files_open(&v->files, v->root, v->io, e);
    return rc;
}

static void close_store(struct verify *v)
{
    verify_index_close(v);
    queue_files_close(v->files);
    store_walk_close(v->walk);
    store_walk_close(v->look);
    json_decref(v->topics);
    free(v->queues);
    free(v->ranges);
}

static void print_count(const char *name, uint64_t n, const char *what)
{
    if (n > 0)
        printf("%-8s %" PRIu64 " %s\n", name, n, what);
}

static void print_summary(const struct verify *v)
{
    printf("log      %" PRIu64 " records of %" PRIu64 " bytes, from %" PRIu64 " to %" PRIu64 "\n",
           v->n_records, v->record_bytes, v->log_begin, v->log_end);
    if (v->n_places > 0)
        printf("         %" PRIu64 " damaged places of %" PRIu64 " bytes\n", v->n_places,
               v->place_bytes);
    print_count("", v->n_bad_bodies, "bodies without their checksum");
    if (v->n_covers > 0)
        printf("         %" PRIu64 " places of %" PRIu64
               " bytes of messages that were lost before\n",
               v->n_covers, v->cover_bytes);
    print_count("", v->n_deleted, "records of topics that were deleted");
    print_count("", v->n_superseded, "records of topics that were deleted and made anew");
    printf("queues   %" PRIu64 " queues with %" PRIu64 " entries\n", v->n_folders, v->n_entries);
    print_count("", v->n_expired, "entries of records that the log no longer holds");
    print_count("", v->n_pre_blank, "entries before a queue's first message");
    print_count("", v->n_repeated, "entries in place of lost messages");
    if (v->n_index_files > 0)
        printf("index    %" PRIu64 " files with %" PRIu64 " items\n", v->n_index_files, v->n_items);
    else
        printf("index    none\n");
    print_count("", v->n_lost_items, "items of messages that were lost before");
    if (v->is_live)
        printf("         a broker has the store open: what it wrote last may not be in here\n");
    if (v->n_findings == 0)
        printf("%ssound%s\n", paint_on(stdout, PAINT_GOOD), paint_off(stdout));
    else
        printf("%s%" PRIu64 " %s%s\n", paint_on(stdout, PAINT_BAD), v->n_findings,
               v->n_findings == 1 ? "finding" : "findings", paint_off(stdout));
}

static int print_summary_json(const struct verify *v, struct err *e)
{
    return json_line(
        json_pack("{s:n, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
                  "s:I, s:I, s:I, s:I, s:b}",
                  "finding", "findings", (json_int_t)v->n_findings, "records",
                  (json_int_t)v->n_records, "recordBytes", (json_int_t)v->record_bytes, "logBegin",
                  (json_int_t)v->log_begin, "logEnd", (json_int_t)v->log_end, "damagedPlaces",
                  (json_int_t)v->n_places, "damagedBytes", (json_int_t)v->place_bytes,
                  "wrongChecksums", (json_int_t)v->n_bad_bodies, "recordsOfDeletedTopics",
                  (json_int_t)(v->n_deleted + v->n_superseded), "queues", (json_int_t)v->n_folders,
                  "entries", (json_int_t)v->n_entries, "expiredEntries", (json_int_t)v->n_expired,
                  "preBlankEntries", (json_int_t)v->n_pre_blank, "repeatedEntries",
                  (json_int_t)v->n_repeated, "indexFiles", (json_int_t)v->n_index_files,
                  "indexItems", (json_int_t)v->n_items, "coveredPlaces", (json_int_t)v->n_covers,
                  "coveredBytes", (json_int_t)v->cover_bytes, "live", v->is_live),
        e);
}

static int check_store(struct verify *v, struct err *e)
{
    int rc = open_store(v, e);
    if (rc == 0)
        rc = check_configs(v, e);
    if (rc == 0)
        rc = check_checkpoint(v, e);
    if (rc == 0)
        rc = verify_index_open(v, e);
    if (rc == 0)
        rc = verify_log(v, e);
    if (rc == 0)
        rc = verify_queues(v, e);
    if (rc == 0)
        rc = verify_index_check(v, e);
    if (rc == 0 && v->json)
        rc = print_summary_json(v, e);
    else if (rc == 0)
        print_summary(v);
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(e, errno, "write to stdout");
    return rc;
}

int cmd_verify(int argc, char **argv)
{
    struct verify v = {.io = io_posix()};
    const struct option_spec specs[] = {
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &v.json,
         .help = "one JSON object for each finding, and one of all (default: text)"},
        {.name = "file-size",
         .kind = OPTION_SIZE,
         .ret = &v.file_bytes,
         .value = "SIZE",
         .help = "length of a commit-log file (default: taken from the files)",
         .min = 4096},
        {0},
    };
    const struct options o = {
        .program = "sluice verify",
        .operands = "DIR",
        .summary =
            "Compares the commit log of the store in DIR with its consume queues and its key\n"
            "index, and names each thing that does not agree. Only reads; the store may be\n"
            "in use. Exit status: 0 all is sound, 3 something was found.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    v.root = argv[first];
    struct err e;
    int rc = check_store(&v, &e);
    close_store(&v);
    if (rc < 0)
        return command_failed(o.program, &e);
    return v.n_findings > 0 ? COMMAND_FOUND : COMMAND_OK;
}

/* `sluice mem show`: what each file and the process cost, as tables or as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "tools/command.h"
#include "tools/json_line.h"
#include "tools/mem/amount.h"
#include "tools/mem/rates.h"

/* ---- tables ---- */

static void print_bytes(uint64_t bytes)
{
    char text[AMOUNT_BYTES];
    printf(" %9s", bytes == UINT64_MAX ? "?" : amount_text(text, bytes));
}

static void print_file(const struct store_file_info *info)
{
    print_bytes(info->bytes);
    print_bytes(info->mapped_bytes);
    print_bytes(info->resident_bytes);
    print_bytes(info->dirty_bytes);
    print_bytes(info->locked_bytes);
    printf(" %5" PRIu64 "  ", info->n_pins);
    for (const char *c = info->path; *c; c++)
        putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    putchar('\n');
}

static void print_files(const struct mem_snapshot *s)
{
    printf(" %9s %9s %9s %9s %9s %5s  %s\n", "SIZE", "MAPPED", "RESIDENT", "DIRTY", "LOCKED",
           "PINS", "FILE");
    for (size_t i = 0; i < s->n_files; i++)
        print_file(&s->files[i]);
    print_file(&s->total);
}

static void print_process(const struct mem_snapshot *s)
{
    const struct store_memory *m = &s->process;
    const struct {
        const char *name;
        uint64_t bytes;
    } parts[] = {
        {"resident, anonymous", m->rss_anon_bytes},
        {"resident, files", m->rss_file_bytes},
        {"resident, shared", m->rss_shmem_bytes},
        {"page tables", m->page_table_bytes},
        {"locked", m->locked_bytes},
    };
    printf("\nThe process:\n");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        print_bytes(parts[i].bytes);
        printf("  %s\n", parts[i].name);
    }
    print_bytes(s->lead_bytes);
    printf("  populated ahead of the writer");
    if (s->lead_ms > 0)
        printf(", %" PRIu64 " ms of it at this rate", s->lead_ms);
    putchar('\n');
}

static void print_heap(const struct mem_snapshot *s)
{
    const struct mem_heap *h = &s->heap;
    if (!s->has_heap)
        return;
    printf("\nIts allocator:\n");
    print_bytes(h->allocated_bytes);
    printf("  allocated\n");
    print_bytes(h->active_bytes);
    printf("  in pages that hold some of that\n");
    print_bytes(h->metadata_bytes);
    printf("  for its own books\n");
    print_bytes(h->resident_bytes);
    printf("  resident, with pages not given back yet\n");
    print_bytes(h->retained_bytes);
    printf("  addresses kept without memory\n");
}

static void print_path(const struct mem_faults *f)
{
    printf(" %9" PRIu64 " %9" PRIu64 "  %s", f->minor, f->major, f->path);
    if (f->n_sampled < f->n_batches)
        printf(" (%" PRIu64 " of %" PRIu64 " batches looked at)", f->n_sampled, f->n_batches);
    putchar('\n');
}

static void print_faults(const struct mem_snapshot *s)
{
    struct mem_faults other = mem_faults_other(s);
    printf("\nPage faults:\n %9s %9s  %s\n", "MINOR", "MAJOR", "PATH");
    for (size_t i = 0; i < s->n_faults; i++)
        print_path(&s->faults[i]);
    print_path(&other);
    printf(" %9" PRIu64 " %9" PRIu64 "  total\n", s->process.minor_faults, s->process.major_faults);
}

static void print_groups(const struct mem_snapshot *s)
{
    char text[AMOUNT_BYTES];
    if (s->n_groups == 0)
        return;
    printf("\nGroup commit: %" PRIu64 " groups of %.1f messages, at most %" PRIu64 ", %s written\n",
           s->n_groups, (double)s->n_grouped / (double)s->n_groups, s->max_grouped,
           amount_text(text, s->written_bytes));
}

/* ---- JSON ---- */

static json_t *file_to_json(const struct store_file_info *info)
{
    json_t *dirty =
        info->dirty_bytes == UINT64_MAX ? json_null() : json_integer((json_int_t)info->dirty_bytes);
    return json_pack("{s:s, s:I, s:I, s:I, s:o, s:I, s:I}", "path", info->path, "fileBytes",
                     (json_int_t)info->bytes, "mappedBytes", (json_int_t)info->mapped_bytes,
                     "residentBytes", (json_int_t)info->resident_bytes, "dirtyBytes", dirty,
                     "lockedBytes", (json_int_t)info->locked_bytes, "pins",
                     (json_int_t)info->n_pins);
}

/* An array of `n` objects; NULL without memory. */
static json_t *files_to_json(const struct mem_snapshot *s)
{
    json_t *files = json_array();
    for (size_t i = 0; i < s->n_files; i++) {
        if (json_array_append_new(files, file_to_json(&s->files[i])) < 0) {
            json_decref(files);
            return NULL;
        }
    }
    return files;
}

static json_t *process_to_json(const struct store_memory *m)
{
    uint64_t rss_bytes = m->rss_anon_bytes + m->rss_file_bytes + m->rss_shmem_bytes;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rssBytes", (json_int_t)rss_bytes,
                     "rssAnonBytes", (json_int_t)m->rss_anon_bytes, "rssFileBytes",
                     (json_int_t)m->rss_file_bytes, "rssShmemBytes", (json_int_t)m->rss_shmem_bytes,
                     "pageTableBytes", (json_int_t)m->page_table_bytes, "lockedBytes",
                     (json_int_t)m->locked_bytes, "minorFaults", (json_int_t)m->minor_faults,
                     "majorFaults", (json_int_t)m->major_faults);
}

static json_t *path_to_json(const struct mem_faults *f)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I}", "path", f->path, "minor", (json_int_t)f->minor,
                     "major", (json_int_t)f->major, "batches", (json_int_t)f->n_batches, "sampled",
                     (json_int_t)f->n_sampled);
}

static json_t *faults_to_json(const struct mem_snapshot *s)
{
    struct mem_faults other = mem_faults_other(s);
    json_t *faults = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n_faults; i++)
        rc = json_array_append_new(faults, path_to_json(&s->faults[i]));
    if (rc == 0)
        rc = json_array_append_new(faults, path_to_json(&other));
    if (rc == 0)
        return faults;
    json_decref(faults);
    return NULL;
}

static json_t *groups_to_json(const struct mem_snapshot *s)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "groups", (json_int_t)s->n_groups, "messages",
                     (json_int_t)s->n_grouped, "largest", (json_int_t)s->max_grouped,
                     "writtenBytes", (json_int_t)s->written_bytes);
}

static json_t *heap_to_json(const struct mem_snapshot *s)
{
    const struct mem_heap *h = &s->heap;
    if (!s->has_heap)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "allocatedBytes", (json_int_t)h->allocated_bytes,
                     "activeBytes", (json_int_t)h->active_bytes, "metadataBytes",
                     (json_int_t)h->metadata_bytes, "residentBytes", (json_int_t)h->resident_bytes,
                     "retainedBytes", (json_int_t)h->retained_bytes);
}

static json_t *to_json(const struct mem_snapshot *s)
{
    if (!s->is_broker)
        return json_pack("{s:o, s:n, s:n, s:n, s:n, s:n}", "files", files_to_json(s), "process",
                         "heap", "faults", "groupCommit", "lead");
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I}}", "files", files_to_json(s),
                     "process", process_to_json(&s->process), "heap", heap_to_json(s), "faults",
                     faults_to_json(s), "groupCommit", groups_to_json(s), "lead", "bytes",
                     (json_int_t)s->lead_bytes, "ms", (json_int_t)s->lead_ms);
}

/* ---- the command ---- */

enum form { FORM_TABLES, FORM_JSON };

static int show(const struct mem_snapshot *s, enum form form, struct err *e)
{
    if (form == FORM_JSON)
        return json_line(to_json(s), e);
    print_files(s);
    if (s->is_broker) {
        print_process(s);
        print_heap(s);
        print_faults(s);
        print_groups(s);
    }
    return fflush(stdout) == EOF || ferror(stdout) ? err_sys(e, errno, "write to stdout") : 0;
}

static int report(const char *store, const struct options_broker *broker, enum form form,
                  struct err *e)
{
    struct mem_source source;
    struct mem_snapshot s;
    int rc = mem_source_open(&source, store, broker, e);
    if (rc < 0)
        return rc;
    rc = mem_snapshot_take(&source, &s, e);
    mem_source_close(&source);
    if (rc < 0)
        return rc;
    rc = show(&s, form, e);
    mem_snapshot_free(&s);
    return rc;
}

int mem_show(int argc, char **argv)
{
    struct options_broker broker = {0};
    const char *store = NULL;
    bool json = false;
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        {.name = "store",
         .kind = OPTION_TEXT,
         .ret = &store,
         .value = "DIR",
         .help = "look at the files of a store (default: ask a broker)"},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &json,
         .help = "one JSON object (default: tables)"},
        {0},
    };
    const struct options o = {
        .program = "sluice mem show",
        .operands = "[DIR]",
        .summary = "Tells what a broker costs in memory, or the files of a store: mapped,\n"
                   "in the page cache, dirty and locked bytes; page faults by what they were met\n"
                   "for. DIR is the same as --store DIR.",
        .specs = specs,
        .max_operands = 1,
        .broker = &broker,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    if (argv[first] && store)
        return options_refuse(&o, "a store is named twice, by --store and by '%s'", argv[first]);
    if (argv[first])
        store = argv[first];
    struct err e;
    int rc = report(store, &broker, json ? FORM_JSON : FORM_TABLES, &e);
    return rc < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

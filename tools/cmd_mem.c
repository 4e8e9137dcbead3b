/* `sluice mem`: what a broker or a store costs in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "store/store.h"
#include "tools/admin.h"
#include "tools/command.h"
#include "tools/json_line.h"
#include "tools/options.h"
#include "tools/store_root.h"
#include "tools/wire.h"

struct mem {
    const char *store; /* NULL: ask a broker */
    bool json;
    json_t *files; /* of the object to be printed; NULL for text */
    struct store_file_info total;
    bool has_head;                /* of the table is printed */
    uint64_t lead_bytes, lead_ms; /* of a broker: populated ahead of its writer */
};

/* ---- one file ---- */

/* "12.3M": a power of 1024 with at most four characters before it. */
static void print_bytes(uint64_t bytes)
{
    static const char units[] = "BKMGTPE";
    char text[32];
    size_t unit = 0;
    uint64_t rest = 0;
    while (bytes >= 1024) {
        rest = bytes % 1024;
        bytes /= 1024;
        unit++;
    }
    if (unit == 0)
        (void)snprintf(text, sizeof text, "%" PRIu64, bytes);
    else
        (void)snprintf(text, sizeof text, "%" PRIu64 ".%" PRIu64 "%c", bytes, rest * 10 / 1024,
                       units[unit]);
    printf(" %9s", text);
}

static void print_file(const struct store_file_info *info)
{
    print_bytes(info->bytes);
    print_bytes(info->mapped_bytes);
    print_bytes(info->resident_bytes);
    if (info->dirty_bytes == UINT64_MAX)
        printf(" %9s", "?");
    else
        print_bytes(info->dirty_bytes);
    print_bytes(info->locked_bytes);
    printf(" %5" PRIu64 "  ", info->n_pins);
    for (const char *c = info->path; *c; c++)
        putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    putchar('\n');
}

static json_t *dirty_to_json(uint64_t dirty_bytes)
{
    return dirty_bytes == UINT64_MAX ? json_null() : json_integer((json_int_t)dirty_bytes);
}

static int add_file_json(json_t *files, const struct store_file_info *info)
{
    json_t *file = json_pack("{s:s, s:I, s:I, s:I, s:o, s:I, s:I}", "path", info->path, "fileBytes",
                             (json_int_t)info->bytes, "mappedBytes", (json_int_t)info->mapped_bytes,
                             "residentBytes", (json_int_t)info->resident_bytes, "dirtyBytes",
                             dirty_to_json(info->dirty_bytes), "lockedBytes",
                             (json_int_t)info->locked_bytes, "pins", (json_int_t)info->n_pins);
    return json_array_append_new(files, file);
}

static void add_to_total(struct store_file_info *total, const struct store_file_info *info)
{
    total->bytes += info->bytes;
    total->mapped_bytes += info->mapped_bytes;
    total->resident_bytes += info->resident_bytes;
    total->locked_bytes += info->locked_bytes;
    total->n_pins += info->n_pins;
    if (info->dirty_bytes == UINT64_MAX || total->dirty_bytes == UINT64_MAX)
        total->dirty_bytes = UINT64_MAX;
    else
        total->dirty_bytes += info->dirty_bytes;
}

/* Not before there is something to print: a failure is one line on stderr and nothing else. */
static void print_head_once(struct mem *mem)
{
    if (!mem->has_head)
        printf(" %9s %9s %9s %9s %9s %5s  %s\n", "SIZE", "MAPPED", "RESIDENT", "DIRTY", "LOCKED",
               "PINS", "FILE");
    mem->has_head = true;
}

static int show_file(void *arg, const struct store_file_info *info)
{
    struct mem *mem = arg;
    add_to_total(&mem->total, info);
    if (mem->files)
        return add_file_json(mem->files, info);
    print_head_once(mem);
    print_file(info);
    return 0;
}

/* ---- all of it ---- */

static void print_process(const struct store_memory *m)
{
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
    printf(" %9" PRIu64 "  minor faults\n %9" PRIu64 "  major faults\n", m->minor_faults,
           m->major_faults);
}

static json_t *process_to_json(const struct store_memory *m)
{
    if (!m)
        return json_null();
    uint64_t rss_bytes = m->rss_anon_bytes + m->rss_file_bytes + m->rss_shmem_bytes;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rssBytes", (json_int_t)rss_bytes,
                     "rssAnonBytes", (json_int_t)m->rss_anon_bytes, "rssFileBytes",
                     (json_int_t)m->rss_file_bytes, "rssShmemBytes", (json_int_t)m->rss_shmem_bytes,
                     "pageTableBytes", (json_int_t)m->page_table_bytes, "lockedBytes",
                     (json_int_t)m->locked_bytes, "minorFaults", (json_int_t)m->minor_faults,
                     "majorFaults", (json_int_t)m->major_faults);
}

static void print_lead(const struct mem *mem)
{
    print_bytes(mem->lead_bytes);
    printf("  populated ahead of the writer");
    if (mem->lead_ms > 0)
        printf(", %" PRIu64 " ms of it at this rate", mem->lead_ms);
    printf("\n");
}

static json_t *lead_to_json(const struct mem *mem)
{
    return json_pack("{s:I, s:I}", "bytes", (json_int_t)mem->lead_bytes, "ms",
                     (json_int_t)mem->lead_ms);
}

/* `process` is NULL for a store: its broker, if any, is not asked. */
static int end_report(struct mem *mem, const struct store_memory *process, struct err *e)
{
    if (mem->json)
        return json_line(json_pack("{s:O, s:o, s:o}", "files", mem->files, "process",
                                   process_to_json(process), "lead",
                                   process ? lead_to_json(mem) : json_null()),
                         e);
    print_head_once(mem);
    print_file(&mem->total);
    if (process) {
        print_process(process);
        print_lead(mem);
    }
    return 0;
}

/* ---- where it comes from ---- */

static int show_store(struct mem *mem, struct err *e)
{
    int rc = store_root_check(mem->store, e);
    if (rc < 0)
        return rc;
    *e = (struct err){0};
    rc = store_each_file_at(mem->store, show_file, mem, io_posix(), e);
    if (rc < 0 && e->code == 0)
        return err_set(e, ERR_NOMEM, "list the files of '%s'", mem->store);
    return rc < 0 ? rc : end_report(mem, /* process = */ NULL, e);
}

static int show_reply_file(struct mem *mem, const Sluice__V1__MemoryFile *file)
{
    bool has_dirty = file->_dirty_bytes_case == SLUICE__V1__MEMORY_FILE___DIRTY_BYTES_DIRTY_BYTES;
    struct store_file_info info = {
        .bytes = file->file_bytes,
        .mapped_bytes = file->mapped_bytes,
        .resident_bytes = file->resident_bytes,
        .dirty_bytes = has_dirty ? file->dirty_bytes : UINT64_MAX,
        .locked_bytes = file->locked_bytes,
        .n_pins = file->pins,
    };
    (void)snprintf(info.path, sizeof info.path, "%s", file->path);
    return show_file(mem, &info);
}

static int show_reply(struct mem *mem, const Sluice__V1__GetMemoryResponse *reply, struct err *e)
{
    const struct store_memory process = {
        .rss_anon_bytes = reply->rss_anon_bytes,
        .rss_file_bytes = reply->rss_file_bytes,
        .rss_shmem_bytes = reply->rss_shmem_bytes,
        .page_table_bytes = reply->page_table_bytes,
        .locked_bytes = reply->locked_bytes,
        .minor_faults = reply->minor_faults,
        .major_faults = reply->major_faults,
    };
    mem->lead_bytes = reply->lead_bytes;
    mem->lead_ms = reply->lead_ms;
    for (size_t i = 0; i < reply->n_files; i++) {
        if (show_reply_file(mem, reply->files[i]) < 0)
            return err_set(e, ERR_NOMEM, "make a line of JSON");
    }
    return end_report(mem, &process, e);
}

static int show_broker(struct mem *mem, const struct options_broker *broker, struct err *e)
{
    const Sluice__V1__GetMemoryRequest request = SLUICE__V1__GET_MEMORY_REQUEST__INIT;
    Sluice__V1__GetMemoryResponse *reply;
    struct client *c;
    int rc = wire_connect(&c, broker, e);
    if (rc < 0)
        return rc;
    rc = admin_call(c, PROTO_GET_MEMORY, &request.base,
                    &sluice__v1__get_memory_response__descriptor, &reply, e);
    client_close(c);
    if (rc < 0)
        return err_wrap(e, "ask the broker for its memory");
    rc = show_reply(mem, reply, e);
    wire_free(reply);
    return rc;
}

static int report(struct mem *mem, const struct options_broker *broker, struct err *e)
{
    (void)snprintf(mem->total.path, sizeof mem->total.path, "total");
    mem->files = mem->json ? json_array() : NULL;
    if (mem->json && !mem->files)
        return err_set(e, ERR_NOMEM, "make a line of JSON");
    int rc = mem->store ? show_store(mem, e) : show_broker(mem, broker, e);
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(e, errno, "write to stdout");
    json_decref(mem->files);
    return rc;
}

int cmd_mem(int argc, char **argv)
{
    struct options_broker broker = {0};
    struct mem mem = {0};
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        {.name = "store",
         .kind = OPTION_TEXT,
         .ret = &mem.store,
         .value = "DIR",
         .help = "look at the files of a store (default: ask a broker)"},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &mem.json,
         .help = "one JSON object (default: tables)"},
        {0},
    };
    const struct options o = {
        .program = "sluice mem",
        .operands = "[DIR]",
        .summary = "Tells what a broker costs in memory, or the files of a store: mapped,\n"
                   "in the page cache, dirty and locked bytes. DIR is the same as --store DIR.",
        .specs = specs,
        .max_operands = 1,
        .broker = &broker,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status != OPTIONS_RUN)
        return status;
    if (argv[first] && mem.store)
        return options_refuse(&o, "a store is named twice, by --store and by '%s'", argv[first]);
    if (argv[first])
        mem.store = argv[first];
    struct err e;
    return report(&mem, &broker, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

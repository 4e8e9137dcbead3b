/* Takes snapshots: of a broker through its Admin service, of a store by looking at its files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "tools/admin.h"
#include "tools/store_root.h"
#include "tools/wire.h"

/* ---- the files ---- */

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

/* A list that grows by doubling: its room is the power of two at or above its length. */
static int add_file(void *arg, const struct store_file_info *info)
{
    struct mem_snapshot *s = arg;
    if ((s->n_files & (s->n_files - 1)) == 0) {
        size_t room = s->n_files ? 2 * s->n_files : 1;
        struct store_file_info *files = reallocarray(s->files, room, sizeof *files);
        if (!files)
            return ERR_NOMEM;
        s->files = files;
    }
    s->files[s->n_files++] = *info;
    add_to_total(&s->total, info);
    return 0;
}

static int take_store(const char *root, struct mem_snapshot *s, struct err *e)
{
    *e = (struct err){0};
    int rc = store_each_file_at(root, add_file, s, io_posix(), e);
    if (rc < 0 && e->code == 0)
        return err_set(e, ERR_NOMEM, "list the files of '%s'", root);
    return rc;
}

/* ---- a broker ---- */

static int add_reply_file(struct mem_snapshot *s, const Sluice__V1__MemoryFile *file)
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
    return add_file(s, &info);
}

static void take_faults(struct mem_snapshot *s, const Sluice__V1__GetMemoryResponse *reply)
{
    s->n_faults = reply->n_faults < MEM_PATHS_MAX ? reply->n_faults : MEM_PATHS_MAX;
    for (size_t i = 0; i < s->n_faults; i++) {
        const Sluice__V1__PathFaults *from = reply->faults[i];
        struct mem_faults *to = &s->faults[i];
        (void)snprintf(to->path, sizeof to->path, "%s", from->path);
        to->minor = from->minor;
        to->major = from->major;
        to->n_batches = from->batches;
        to->n_sampled = from->sampled;
    }
}

static void take_heap(struct mem_snapshot *s, const Sluice__V1__HeapMemory *heap)
{
    if (!heap)
        return;
    s->has_heap = true;
    s->heap = (struct mem_heap){
        .allocated_bytes = heap->allocated_bytes,
        .active_bytes = heap->active_bytes,
        .metadata_bytes = heap->metadata_bytes,
        .resident_bytes = heap->resident_bytes,
        .retained_bytes = heap->retained_bytes,
    };
}

static int take_memory(struct client *c, struct mem_snapshot *s, struct err *e)
{
    const Sluice__V1__GetMemoryRequest request = SLUICE__V1__GET_MEMORY_REQUEST__INIT;
    Sluice__V1__GetMemoryResponse *reply;
    int rc = admin_call(c, PROTO_GET_MEMORY, &request.base,
                        &sluice__v1__get_memory_response__descriptor, &reply, e);
    if (rc < 0)
        return rc;
    s->process = (struct store_memory){
        .rss_anon_bytes = reply->rss_anon_bytes,
        .rss_file_bytes = reply->rss_file_bytes,
        .rss_shmem_bytes = reply->rss_shmem_bytes,
        .page_table_bytes = reply->page_table_bytes,
        .locked_bytes = reply->locked_bytes,
        .minor_faults = reply->minor_faults,
        .major_faults = reply->major_faults,
    };
    take_heap(s, reply->heap);
    s->lead_bytes = reply->lead_bytes;
    s->lead_ms = reply->lead_ms;
    take_faults(s, reply);
    for (size_t i = 0; rc == 0 && i < reply->n_files; i++)
        rc = add_reply_file(s, reply->files[i]);
    wire_free(reply);
    return rc < 0 ? err_set(e, ERR_NOMEM, "list the files") : 0;
}

static int take_stats(struct client *c, struct mem_snapshot *s, struct err *e)
{
    const Sluice__V1__GetStatsRequest request = SLUICE__V1__GET_STATS_REQUEST__INIT;
    Sluice__V1__GetStatsResponse *reply;
    int rc = admin_call(c, PROTO_GET_STATS, &request.base,
                        &sluice__v1__get_stats_response__descriptor, &reply, e);
    if (rc < 0)
        return rc;
    s->n_appended = reply->appended;
    s->appended_bytes = reply->appended_bytes;
    s->n_append_waits = reply->append_waits;
    s->n_groups = reply->groups;
    s->n_grouped = reply->grouped;
    s->max_grouped = reply->max_grouped;
    s->written_bytes = reply->written_bytes;
    wire_free(reply);
    return 0;
}

static int take_broker(struct client *c, struct mem_snapshot *s, struct err *e)
{
    s->is_broker = true;
    int rc = take_memory(c, s, e);
    if (rc == 0)
        rc = take_stats(c, s, e);
    return rc < 0 ? err_wrap(e, "ask the broker for its memory") : 0;
}

/* ---- both ---- */

int mem_source_open(struct mem_source *ret, const char *store, const struct options_broker *broker,
                    struct err *e)
{
    *ret = (struct mem_source){.store = store};
    return store ? store_root_check(store, e) : wire_connect(&ret->client, broker, e);
}

void mem_source_close(struct mem_source *source)
{
    client_close(source->client);
    source->client = NULL;
}

int mem_snapshot_take(const struct mem_source *source, struct mem_snapshot *ret, struct err *e)
{
    struct mem_snapshot s = {.total = {.path = "total"}};
    int rc = source->store ? take_store(source->store, &s, e) : take_broker(source->client, &s, e);
    if (rc < 0)
        mem_snapshot_free(&s);
    else
        *ret = s;
    return rc;
}

void mem_snapshot_free(struct mem_snapshot *snapshot)
{
    free(snapshot->files);
    snapshot->files = NULL;
    snapshot->n_files = 0;
}

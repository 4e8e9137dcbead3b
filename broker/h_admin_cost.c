/* The Admin service: what the store does and what it costs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/h_admin.h"
#include "broker/heap.h"

#include <stdlib.h>

/* ---- memory ---- */

/* A file and its name, in the form of the reply. */
struct file {
    SV1(MemoryFile) message;
    char path[sizeof((struct store_file_info *)NULL)->path];
};

/* The files of the store, growing. */
struct files {
    struct file **list; /* each allocated: their names must not move */
    size_t n, max;
};

static void files_fini(struct files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->list[i]);
    free(f->list);
}

static struct file *add_file(struct files *f)
{
    if (f->n == f->max) {
        size_t more = f->max ? 2 * f->max : 64;
        struct file **list = realloc(f->list, more * sizeof(struct file *));
        if (!list)
            return NULL;
        f->list = list;
        f->max = more;
    }
    struct file *file = malloc(sizeof *file);
    if (file)
        f->list[f->n++] = file;
    return file;
}

static int on_file(void *arg, const struct store_file_info *info)
{
    struct file *file = add_file(arg);
    if (!file)
        return ERR_NOMEM;
    memcpy(file->path, info->path, sizeof file->path);
    SV1(MemoryFile) *m = &file->message;
    *m = (SV1(MemoryFile))SLUICE__V1__MEMORY_FILE__INIT;
    m->path = file->path;
    m->file_bytes = info->bytes;
    m->mapped_bytes = info->mapped_bytes;
    m->resident_bytes = info->resident_bytes;
    m->locked_bytes = info->locked_bytes;
    m->pins = info->n_pins;
    if (info->dirty_bytes != UINT64_MAX) {
        m->_dirty_bytes_case = SLUICE__V1__MEMORY_FILE___DIRTY_BYTES_DIRTY_BYTES;
        m->dirty_bytes = info->dirty_bytes;
    }
    return 0;
}

static void fill_process(SV1(GetMemoryResponse) *reply, const struct store_memory *m)
{
    reply->rss_bytes = m->rss_anon_bytes + m->rss_file_bytes + m->rss_shmem_bytes;
    reply->rss_anon_bytes = m->rss_anon_bytes;
    reply->rss_file_bytes = m->rss_file_bytes;
    reply->rss_shmem_bytes = m->rss_shmem_bytes;
    reply->page_table_bytes = m->page_table_bytes;
    reply->locked_bytes = m->locked_bytes;
    reply->minor_faults = m->minor_faults;
    reply->major_faults = m->major_faults;
}

/* What a reply about memory is made of; the messages point into it. */
struct memory {
    struct store_memory process;
    struct files files;
    SV1(PathFaults) faults[STORE_N_PATHS];
    SV1(PathFaults) *faults_list[STORE_N_PATHS];
    SV1(HeapMemory) heap;
};

static void fill_faults(struct memory *m, const struct store_path_faults found[STORE_N_PATHS])
{
    for (size_t i = 0; i < STORE_N_PATHS; i++) {
        SV1(PathFaults) *f = &m->faults[i];
        *f = (SV1(PathFaults))SLUICE__V1__PATH_FAULTS__INIT;
        f->path = (char *)store_path_name(i); /* protobuf-c knows no const; it is not written to */
        f->minor = found[i].minor;
        f->major = found[i].major;
        f->batches = found[i].n_batches;
        f->sampled = found[i].n_sampled;
        m->faults_list[i] = f;
    }
}

/* NULL: not known. */
static SV1(HeapMemory) *fill_heap(SV1(HeapMemory) *heap)
{
    struct heap_stats stats;
    if (!heap_stats(&stats))
        return NULL;
    *heap = (SV1(HeapMemory))SLUICE__V1__HEAP_MEMORY__INIT;
    heap->allocated_bytes = stats.allocated_bytes;
    heap->active_bytes = stats.active_bytes;
    heap->metadata_bytes = stats.metadata_bytes;
    heap->resident_bytes = stats.resident_bytes;
    heap->retained_bytes = stats.retained_bytes;
    return heap;
}

static int measure(struct broker *b, const SV1(GetMemoryRequest) *req, struct memory *m,
                   struct status *st)
{
    struct err e = {0};
    struct store_path_faults faults[STORE_N_PATHS];
    int rc = store_faults(b->store, faults, &e); /* first: the parts are in the sum that follows */
    if (!rc)
        rc = store_memory(&m->process, &e);
    if (!rc && !req->without_files)
        rc = store_each_file(b->store, on_file, &m->files, &e);
    if (!rc)
        fill_faults(m, faults);
    if (rc && !e.code)
        return status_set(st, CODE(TOO_MANY_REQUESTS), "no memory for the list of files");
    return rc ? status_of_err(st, &e) : 0;
}

static void get_memory(struct broker *b, const void *request, struct rpc_call *call)
{
    struct status st;
    struct memory m = {0};
    SV1(GetMemoryResponse) reply = SLUICE__V1__GET_MEMORY_RESPONSE__INIT;
    if (measure(b, request, &m, &st) == 0) {
        status_ok(&st);
        struct store_stats stats;
        store_stats(b->store, &stats);
        fill_process(&reply, &m.process);
        reply.lead_bytes = stats.lead_bytes;
        reply.lead_ms = stats.lead_ms;
        reply.files =
            (SV1(MemoryFile) **)(void *)m.files.list; /* the message comes first in each */
        reply.n_files = m.files.n;
        reply.faults = m.faults_list;
        reply.n_faults = STORE_N_PATHS;
        reply.heap = fill_heap(&m.heap);
    }
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
    files_fini(&m.files);
}

/* ---- statistics ---- */

static void fill_positions(SV1(GetStatsResponse) *reply, const struct store_stats *s)
{
    reply->log_min = s->log_min;
    reply->checkpoint = s->checkpoint;
    reply->flushed = s->flushed;
    reply->published = s->published;
    reply->reserved = s->reserved;
    reply->populated = s->populated;
    reply->allocated = s->allocated;
    reply->dispatched = s->dispatched;
    reply->indexed = s->indexed;
}

static void fill_recovery(SV1(Recovery) *ret, const struct store *store)
{
    struct store_recovery r;
    store_recovery_report(store, &r);
    *ret = (SV1(Recovery))SLUICE__V1__RECOVERY__INIT;
    ret->clean = r.was_clean;
    ret->scanned_bytes = r.scanned_bytes;
    ret->records = r.n_records;
    ret->damaged = r.n_damaged;
    ret->damaged_bytes = r.damaged_bytes;
    ret->requeued = r.n_requeued;
    ret->cut_bytes = r.cut_bytes;
    ret->elapsed_ms = r.elapsed_ms;
}

static void fill_counts(SV1(GetStatsResponse) *reply, const struct store_stats *s)
{
    reply->files = s->n_files;
    reply->mapped_files = s->n_mapped_files;
    reply->mapped_bytes = s->mapped_bytes;
    reply->queues = s->n_queues;
    reply->pins = s->n_pins;
    reply->appended = s->n_appended;
    reply->appended_bytes = s->appended_bytes;
    reply->flushes = s->n_flushes;
    reply->flushed_bytes = s->flushed_bytes;
    reply->unmapped = s->n_unmapped;
    reply->expired_files = s->n_expired;
    reply->relaxed = s->n_relaxed;
    reply->forgotten = s->n_forgotten;
    reply->append_waits = s->n_append_waits;
    reply->damaged = s->n_damaged;
    reply->bad_files = s->n_bad_files;
    reply->failed = s->failed;
    reply->index_failed = s->index_failed;
    reply->index_dropped = s->n_index_dropped;
    reply->groups = s->n_groups;
    reply->grouped = s->n_grouped;
    reply->max_grouped = s->max_grouped;
    reply->written_bytes = s->written_bytes;
}

/* One histogram in the form of the reply. */
struct timing {
    SV1(Timing) message;
    SV1(TimingBucket) buckets[STORE_TIMING_BUCKETS];
    SV1(TimingBucket) *list[STORE_TIMING_BUCKETS];
};

/* Points into `ret`. */
static void timing_to_wire(const struct store_timing *t, struct timing *ret)
{
    ret->message = (SV1(Timing))SLUICE__V1__TIMING__INIT;
    size_t n = 0;
    for (size_t i = 0; i < STORE_TIMING_BUCKETS; i++) {
        if (t->counts[i] == 0)
            continue;
        ret->buckets[n] = (SV1(TimingBucket))SLUICE__V1__TIMING_BUCKET__INIT;
        ret->buckets[n].upto_ns = store_timing_end_ns(i);
        ret->buckets[n].count = t->counts[i];
        ret->list[n] = &ret->buckets[n];
        n++;
    }
    ret->message.buckets = ret->list;
    ret->message.n_buckets = n;
}

static void fill_broker(SV1(GetStatsResponse) *reply, struct broker *b)
{
    /* relaxed: statistics. Bodies are checked by the broker, on their way out. */
    reply->damaged += atomic_load_explicit(&b->n_damaged_bodies, memory_order_relaxed);
    reply->delivered = atomic_load_explicit(&b->n_delivered, memory_order_relaxed);
    reply->delivered_bytes = atomic_load_explicit(&b->delivered_bytes, memory_order_relaxed);
    reply->parked = hold_count(b->holds);
    reply->unread_refused = atomic_load_explicit(&b->n_unread_refused, memory_order_relaxed);
    reply->unread_ended = rpc_n_unread_ended(b->server);
}

static void get_stats(struct broker *b, const void *request, struct rpc_call *call)
{
    struct status st;
    struct store_stats stats;
    struct store_timings timings;
    struct timing syncs, stalls;
    SV1(Recovery) recovery;
    SV1(GetStatsResponse) reply = SLUICE__V1__GET_STATS_RESPONSE__INIT;
    (void)request; /* it has no fields */
    status_ok(&st);
    store_stats(b->store, &stats);
    store_timings(b->store, &timings);
    fill_positions(&reply, &stats);
    fill_counts(&reply, &stats);
    fill_broker(&reply, b);
    timing_to_wire(&timings.syncs, &syncs);
    timing_to_wire(&timings.stalls, &stalls);
    reply.syncs = &syncs.message;
    reply.stalls = &stalls.message;
    fill_recovery(&recovery, b->store);
    reply.recovery = &recovery;
    reply.code = st.code;
    reply.message = st.text;
    handler_reply(call, &reply.base);
}

void h_admin_get_memory(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__get_memory_request__descriptor, get_memory);
}

void h_admin_get_stats(void *ctx, struct rpc_call *call)
{
    h_admin_hand_over(ctx, call, &sluice__v1__get_stats_request__descriptor, get_stats);
}

/* Page faults by path.
 *
 * A thread of the store works for one path, and the kernel counts its faults anyway: those are read
 * from /proc when somebody asks, exact and at no cost. Appends and reads happen on threads of
 * others, which do more than that. There the difference over a batch is taken, and since asking the
 * kernel costs as much as storing many messages, of one batch in SAMPLE_MS on each thread; the rest
 * is extrapolated. With fewer batches than that every one is looked at. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/page_faults.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "store/residency.h"
#include "store/store_inner.h"

enum { SAMPLE_MS = 10, STAT_TEXT_BYTES = 1024 };

/* Of this thread, for each path. */
static _Thread_local struct {
    uint64_t sampled_ms; /* by the kernel's clock as of its last tick; 0: never */
    uint64_t n_since;    /* batches since then */
} of_thread[STORE_N_PATHS];

struct store_fault_mark page_faults_now(void)
{
    struct rusage used = {0};
    (void)getrusage(RUSAGE_THREAD, &used); /* it fails for bad arguments only */
    return (struct store_fault_mark){.minor = (uint64_t)used.ru_minflt,
                                     .major = (uint64_t)used.ru_majflt};
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed); /* a count */
}

static uint64_t look(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed); /* a count */
}

static void add_since(struct page_faults *f, const struct store_fault_mark *since)
{
    struct store_fault_mark now = page_faults_now();
    count(&f->minor, now.minor - since->minor);
    count(&f->major, now.major - since->major);
    count(&f->n_sampled, 1);
}

void page_faults_add(struct page_faults *f, const struct store_fault_mark *since)
{
    add_since(f, since);
    count(&f->n_batches, 1);
}

static uint64_t scaled(uint64_t n, uint64_t n_batches, uint64_t n_sampled)
{
    return (uint64_t)((double)n * (double)n_batches / (double)n_sampled);
}

void page_faults_sum(struct page_faults *f, struct store_path_faults *sum)
{
    uint64_t n_sampled = look(&f->n_sampled), n_batches = look(&f->n_batches);
    if (n_sampled == 0)
        return;
    if (n_batches < n_sampled) /* a batch is just being counted */
        n_batches = n_sampled;
    sum->minor += scaled(look(&f->minor), n_batches, n_sampled);
    sum->major += scaled(look(&f->major), n_batches, n_sampled);
    sum->n_batches += n_batches;
    sum->n_sampled += n_sampled;
}

/* ---- threads of the store ---- */

int page_faults_of_worker(const struct worker *w, struct store_path_faults *sum, struct err *e)
{
    char path[64], text[STAT_TEXT_BYTES];
    /* pairs with the release in worker.c */
    int tid = atomic_load_explicit(&w->tid, memory_order_acquire);
    if (tid == 0)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, ERR_UNSUPPORTED, "open '%s'", path);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    struct store_memory met = {0};
    int rc = residency_parse_stat(text, &met, e);
    if (rc < 0)
        return rc;
    sum->minor += met.minor_faults;
    sum->major += met.major_faults;
    return 0;
}

/* ---- batches on threads of others ---- */

void store_batch_begin(struct store *s, enum store_path path, struct store_batch *ret)
{
    uint64_t now_ms = s->io->tick_ms(s->io);
    uint64_t since_ms = now_ms - of_thread[path].sampled_ms; /* huge when the clock was set back */
    of_thread[path].n_since++;
    *ret = (struct store_batch){.path = path, .is_sampled = since_ms >= SAMPLE_MS};
    if (!ret->is_sampled)
        return;
    of_thread[path].sampled_ms = now_ms;
    ret->mark = page_faults_now();
}

void store_batch_end(struct store *s, const struct store_batch *b)
{
    if (!b->is_sampled)
        return;
    struct page_faults *f = &s->faults[b->path];
    add_since(f, &b->mark);
    count(&f->n_batches, of_thread[b->path].n_since);
    of_thread[b->path].n_since = 0;
}

/* ---- all of it ---- */

const char *store_path_name(enum store_path path)
{
    static const char *const names[] = {
        [STORE_PATH_APPEND] = "append",     [STORE_PATH_READ] = "read",
        [STORE_PATH_DISPATCH] = "dispatch", [STORE_PATH_INDEX] = "index",
        [STORE_PATH_POPULATE] = "populate", [STORE_PATH_FLUSH] = "flush",
        [STORE_PATH_RECLAIM] = "reclaim",   [STORE_PATH_RECOVERY] = "recovery",
    };
    static_assert(sizeof names / sizeof names[0] == STORE_N_PATHS, "each path has a name");
    return names[path];
}

int store_faults(struct store *s, struct store_path_faults ret[STORE_N_PATHS], struct err *e)
{
    const struct {
        enum store_path path;
        const struct worker *worker;
    } own[] = {
        {STORE_PATH_DISPATCH, &s->dispatcher.worker},
        {STORE_PATH_INDEX, &s->indexer.worker},
        {STORE_PATH_POPULATE, &s->log.allocator.window},
        {STORE_PATH_POPULATE, &s->log.allocator.maker},
        {STORE_PATH_FLUSH, &s->flusher.worker},
        {STORE_PATH_FLUSH, &s->commit.committer},
        {STORE_PATH_FLUSH, &s->commit.teller},
        {STORE_PATH_RECLAIM, &s->reclaimer.worker},
    };
    struct store_path_faults found[STORE_N_PATHS] = {{0}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof own / sizeof own[0]; i++)
        rc = page_faults_of_worker(own[i].worker, &found[own[i].path], e);
    for (size_t i = 0; rc == 0 && i < STORE_N_PATHS; i++)
        page_faults_sum(&s->faults[i], &found[i]);
    if (rc == 0)
        memcpy(ret, found, sizeof found);
    return rc;
}

/* Appends to a store under a policy and reads it all, counting faults and timing each append. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/experiment_work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "tools/bench/filled.h"

enum { SLICES = 32, LOCKED_FILES = 3 };
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S 1e9

struct work {
    const struct experiment *x;
    struct experiment_told *told;
    struct io *io;
    struct store *store;
    uint8_t *body;
};

/* ---- what a part costs ---- */

static struct store_fault_mark faults_now(void)
{
    struct rusage used = {0};
    (void)getrusage(RUSAGE_THREAD, &used); /* it fails for bad arguments only */
    return (struct store_fault_mark){.minor = (uint64_t)used.ru_minflt,
                                     .major = (uint64_t)used.ru_majflt};
}

static void add_since(struct experiment_part *p, const struct store_fault_mark *begun,
                      uint64_t took_ns)
{
    struct store_fault_mark now = faults_now();
    struct rusage used = {0};
    (void)getrusage(RUSAGE_SELF, &used); /* it fails for bad arguments only */
    p->peak_rss_bytes = (uint64_t)used.ru_maxrss * 1024;
    p->faults.minor = now.minor - begun->minor;
    p->faults.major = now.major - begun->major;
    p->seconds = (double)took_ns / NS_PER_S;
}

/* ---- appending ---- */

static int append_until_done(struct work *w, uint64_t begun_ns, struct err *e)
{
    const struct span piece = span_of(w->body, w->x->record_bytes);
    struct store_message m = {.topic = filled_topic(),
                              .born_ms = w->io->now_ms(w->io),
                              .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
                              .body = &piece,
                              .n_body = 1};
    uint64_t now_ns = begun_ns, end_ns = begun_ns + w->x->max_ms * NS_PER_MS;
    struct store_appended at;
    while (w->told->append.bytes < w->x->total_bytes && now_ns < end_ns) {
        int rc = store_append(w->store, &m, &at, e);
        if (rc < 0)
            return rc;
        uint64_t then_ns = now_ns;
        now_ns = w->io->mono_ns(w->io);
        latency_add(&w->told->appends, now_ns - then_ns);
        w->told->append.bytes += piece.len;
    }
    return 0;
}

static int append(struct work *w, struct err *e)
{
    uint64_t begun_ns = w->io->mono_ns(w->io);
    struct store_fault_mark begun = faults_now();
    int rc = append_until_done(w, begun_ns, e);
    add_since(&w->told->append, &begun, w->io->mono_ns(w->io) - begun_ns);
    return rc == 0 ? store_faults(w->store, w->told->paths, e) : rc;
}

/* The queue is written behind the log. */
static void wait_dispatched(struct work *w)
{
    static const struct timespec moment = {.tv_nsec = NS_PER_MS};
    struct store_stats stats;
    for (;;) {
        store_stats(w->store, &stats);
        if (stats.dispatched >= stats.published || stats.failed)
            return;
        (void)nanosleep(&moment, /* rem = */ NULL); /* shorter is fine */
    }
}

/* ---- reading ---- */

static int read_until_done(struct work *w, struct err *e)
{
    struct store_slice slices[SLICES];
    struct store_scan scan = {.topic = filled_topic(),
                              .max_messages = SLICES,
                              .max_bytes = UINT64_MAX,
                              .max_entries = UINT64_MAX};
    struct store_scanned found = {.end = STORE_SCAN_FULL};
    volatile uint64_t sum = 0; /* that reading is not left out */
    while (found.end == STORE_SCAN_FULL) {
        int rc = store_scan(w->store, &scan, slices, &found, e);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < found.n; i++) {
            sum = sum + filled_sum(slices[i].rec.body.ptr, slices[i].rec.body.len);
            w->told->read.bytes += slices[i].rec.body.len;
            store_unpin(slices[i].pin);
        }
        scan.from_queue_off = found.next_queue_off;
    }
    return 0;
}

static int read_all(struct work *w, struct err *e)
{
    wait_dispatched(w);
    uint64_t begun_ns = w->io->mono_ns(w->io);
    struct store_fault_mark begun = faults_now();
    int rc = read_until_done(w, e);
    add_since(&w->told->read, &begun, w->io->mono_ns(w->io) - begun_ns);
    if (rc == 0 && w->told->read.bytes != w->told->append.bytes)
        rc = err_set(e, ERR_CORRUPT, "read what was appended: there is more or less of it");
    return rc;
}

/* ---- the whole ---- */

/* Whether as much as the files written to may be locked: asked of memory that is not there. */
static int check_lockable(uint64_t file_bytes, struct err *e)
{
    uint64_t len = LOCKED_FILES * file_bytes;
    void *base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return err_sys(e, errno, "map memory to be locked");
    int rc = mlock2(base, len, MLOCK_ONFAULT) < 0
                 ? err_set(e, ERR_UNSUPPORTED, "lock memory: ulimit -l is too low")
                 : 0;
    (void)munmap(base, len); /* ours, so it cannot fail */
    return rc;
}

static int open_store(struct work *w, const char *root, struct err *e)
{
    struct store_options opt = {.root = root,
                                .file_bytes = w->x->file_bytes,
                                .populate_window_bytes = w->x->window_bytes,
                                .without_index = true};
    if (w->x->policy >= POLICY_DROP) /* as a broker would */
        opt.resident_budget_bytes = w->x->limit_bytes / 2;
    int rc = w->x->policy == POLICY_LOCKED ? check_lockable(w->x->file_bytes, e) : 0;
    return rc == 0 ? store_open(&w->store, &opt, w->io, e) : rc;
}

int experiment_work(const struct experiment *x, const char *root, struct experiment_told *told,
                    struct err *e)
{
    struct mem_policy_io policy;
    mem_policy_init(&policy, x->policy, x->file_bytes);
    struct work w = {.x = x, .told = told, .io = &policy.io, .body = malloc(x->record_bytes)};
    if (!w.body)
        return err_set(e, ERR_NOMEM, "make a body");
    memset(w.body, 'b', x->record_bytes);
    int rc = open_store(&w, root, e);
    if (rc == 0)
        rc = append(&w, e);
    if (rc == 0)
        rc = read_all(&w, e);
    struct err later;
    int close_rc = store_close(w.store, rc < 0 ? &later : e);
    free(w.body);
    return rc < 0 ? rc : close_rc;
}

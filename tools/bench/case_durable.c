/* Durable appends: sync flush beside plain pwrite and fdatasync of the same groups.
 *
 * Producers append, each the next message once the one before is on disk: as many tickets of one
 * thread, which is how the broker's worker does it, or as many threads that wait. The seam notes
 * how many bytes each group had; the limit writes and syncs as many, group by group, into a file
 * allocated before, with one thread that does nothing else. What the disk does is not the store's
 * doing, so both run in turns, and latency is held against the time of such a flush. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/store.h"
#include "tools/bench/latency.h"
#include "tools/bench/scratch.h"
#include "tools/bench/sets.h"

enum {
    BODY_BYTES = 1024,
    PRODUCERS_MAX = 64,
    GROUPS_MAX = 1 << 20,
    BUFFER_BYTES = 8 << 20, /* more than a group has */
};
#define RAW_FILE_BYTES (UINT64_C(1) << 30)
#define TARGET_S3 1.1
#define TARGET_S4 0.8
#define TARGET_S4_FLUSHES 2.0
#define NS_PER_S 1e9
#define NS_PER_US 1e3

enum { FIGURE_RATE, FIGURE_P50, FIGURE_P99, FIGURE_WRITTEN, FIGURE_GROUP };

static const char properties[] = "TAGS\001TagA\002KEYS\001key-0000\002"
                                 "UNIQ_KEY\001010242AC1100020001071E2D2C00000000\002";

struct durable_params {
    int n_producers;
    bool has_threads; /* one for each producer */
};

/* The seam that notes the bytes of each group. */
struct notes {
    struct io io; /* first, so that the seam's pointer is ours */
    /* atomic: stored by the committer, compared by whoever syncs (relaxed: of one thread, or else)
     */
    _Atomic int log_fd;
    /* the committer; the bench before and after */
    uint64_t bytes; /* written since the last sync */
    uint32_t *groups;
    size_t n_groups;
};

struct durable_state {
    struct notes notes;
    char folder[SCRATCH_PATH_BYTES];
    uint8_t *buffer;
    uint64_t n_messages, n_bytes; /* of the last run of the store */
};

/* All producers of a run. */
struct crowd {
    struct store *store;
    uint64_t until_ns;
    int n_producers;
    struct latency *latencies; /* one for each thread */
    pthread_mutex_t mutex;
    pthread_cond_t came;
    /* guarded by mutex */
    struct producer *settled; /* whose message is on disk */
    struct err failure;       /* code 0: none */
};

struct producer {
    struct crowd *crowd;
    int number;
    uint64_t begun_ns;
    pthread_t thread; /* with threads */
    struct store_ticket ticket;
    struct producer *next; /* in crowd->settled */
};

/* ---- the seam ---- */

static struct notes *notes_of(struct io *io)
{
    return (struct notes *)(void *)io;
}

static int64_t note_pwritev(struct io *io, int fd, const struct iovec *iov, int n_iov, uint64_t off)
{
    struct notes *notes = notes_of(io);
    int64_t n = io_posix()->pwritev(io_posix(), fd, iov, n_iov, off);
    atomic_store_explicit(&notes->log_fd, fd, memory_order_relaxed); /* the committer's own */
    notes->bytes += n > 0 ? (uint64_t)n : 0;
    return n;
}

static int note_sync_fd(struct io *io, int fd)
{
    struct notes *notes = notes_of(io);
    int rc = io_posix()->sync_fd(io_posix(), fd);
    if (fd == atomic_load_explicit(&notes->log_fd, memory_order_relaxed)) {
        if (notes->n_groups < GROUPS_MAX)
            notes->groups[notes->n_groups++] = (uint32_t)notes->bytes;
        notes->bytes = 0;
    }
    return rc;
}

/* ---- the set ---- */

static void close_set(void *state)
{
    struct durable_state *st = state;
    scratch_remove(st->folder);
    free(st->notes.groups);
    free(st->buffer);
    free(st);
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct durable_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare durable appends");
    st->notes.io = *io_posix();
    st->notes.io.pwritev = note_pwritev;
    st->notes.io.sync_fd = note_sync_fd;
    st->notes.groups = malloc(GROUPS_MAX * sizeof st->notes.groups[0]);
    st->buffer = malloc(BUFFER_BYTES);
    int rc = st->notes.groups && st->buffer ? scratch_make(st->folder, opt->dir, e)
                                            : err_set(e, ERR_NOMEM, "prepare durable appends");
    if (rc < 0) {
        close_set(st);
        return rc;
    }
    for (size_t i = 0; i < BUFFER_BYTES; i++)
        st->buffer[i] = (uint8_t)(i * 2654435761u >> 24);
    *ret_state = st;
    return 0;
}

/* What the disk wrote, for each byte that there was to write. */
static double written_ratio(const struct bench_run *run, uint64_t bytes)
{
    return bytes > 0 ? (double)run->spent.written_bytes / (double)bytes : 0;
}

/* ---- the store ---- */

static struct store_message message_of(const struct producer *p, const struct span *body)
{
    return (struct store_message){
        .topic = span_str("BenchTopic"),
        .queue_id = p->number % 8,
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
        .properties = span_str(properties),
        .body = body,
        .n_body = 1,
    };
}

static const uint8_t body_bytes[BODY_BYTES];

static void note_failure(struct crowd *crowd, const struct err *e)
{
    pthread_mutex_lock(&crowd->mutex);
    if (crowd->failure.code == 0)
        crowd->failure = *e;
    pthread_mutex_unlock(&crowd->mutex);
}

/* ---- producers that wait, each on a thread ---- */

static void *produce(void *arg)
{
    struct producer *p = arg;
    struct crowd *crowd = p->crowd;
    struct io *io = io_posix();
    struct span body = span_of(body_bytes, BODY_BYTES);
    struct store_message m = message_of(p, &body);
    struct store_appended at;
    struct err e;
    for (uint64_t begun_ns = io->mono_ns(io); begun_ns < crowd->until_ns;) {
        if (store_append(crowd->store, &m, &at, &e) < 0) {
            note_failure(crowd, &e);
            break;
        }
        uint64_t now_ns = io->mono_ns(io);
        latency_add(&crowd->latencies[p->number], now_ns - begun_ns);
        begun_ns = now_ns;
    }
    return NULL;
}

static void run_threads(struct crowd *crowd, struct producer *producers)
{
    int n = 0;
    for (; n < crowd->n_producers; n++) {
        int rc = pthread_create(&producers[n].thread, NULL, produce, &producers[n]);
        if (rc != 0) {
            struct err e;
            (void)err_sys(&e, rc, "start a producer");
            note_failure(crowd, &e);
            break;
        }
    }
    for (int i = 0; i < n; i++)
        (void)pthread_join(producers[i].thread, NULL); /* joinable, joined once */
}

/* ---- producers that are told, all on one thread ---- */

/* On a thread of the store. */
static void on_settled(void *arg, const struct err *failure)
{
    struct producer *p = arg;
    struct crowd *crowd = p->crowd;
    pthread_mutex_lock(&crowd->mutex);
    if (failure && crowd->failure.code == 0)
        crowd->failure = *failure;
    p->next = crowd->settled;
    crowd->settled = p;
    if (!p->next)
        (void)pthread_cond_signal(&crowd->came);
    pthread_mutex_unlock(&crowd->mutex);
}

/* Whether the producer's next message is on its way. */
static bool submit(struct producer *p)
{
    struct crowd *crowd = p->crowd;
    struct io *io = io_posix();
    struct span body = span_of(body_bytes, BODY_BYTES);
    struct store_message m = message_of(p, &body);
    struct store_appended at;
    enum store_settled settled = STORE_NOW;
    struct err e;
    p->begun_ns = io->mono_ns(io);
    p->ticket = (struct store_ticket){.on_settled = on_settled, .arg = p};
    int rc = store_submit(crowd->store, &m, &p->ticket, &at, &e);
    if (rc == 0)
        rc = store_settle(crowd->store, &p->ticket, &settled, &e);
    if (rc < 0)
        note_failure(crowd, &e);
    else if (settled == STORE_NOW)
        on_settled(p, /* failure = */ NULL);
    return rc == 0;
}

static struct producer *await_settled(struct crowd *crowd)
{
    pthread_mutex_lock(&crowd->mutex);
    while (!crowd->settled)
        pthread_cond_wait(&crowd->came, &crowd->mutex);
    struct producer *p = crowd->settled;
    crowd->settled = NULL;
    pthread_mutex_unlock(&crowd->mutex);
    return p;
}

static void run_tickets(struct crowd *crowd, struct producer *producers)
{
    struct io *io = io_posix();
    int n_running = 0;
    for (int i = 0; i < crowd->n_producers; i++)
        n_running += submit(&producers[i]);
    while (n_running > 0) {
        struct producer *next;
        for (struct producer *p = await_settled(crowd); p; p = next) {
            uint64_t now_ns = io->mono_ns(io);
            next = p->next;
            latency_add(&crowd->latencies[0], now_ns - p->begun_ns);
            n_running -= now_ns >= crowd->until_ns || !submit(p);
        }
    }
}

/* ---- a run of the store ---- */

/* Runs the producers to their end; `all` has a histogram for each, and room for their sum. */
static int run_producers(struct bench_run *run, const struct bench_case *c, struct store *s,
                         struct latency *all, struct err *e)
{
    const struct durable_params *params = c->params;
    struct producer producers[PRODUCERS_MAX];
    struct durable_state *st = run->state;
    struct crowd crowd = {
        .store = s,
        .until_ns = run->io->mono_ns(run->io) + run->opt->run_ms * 1000000,
        .n_producers = params->n_producers,
        .latencies = &all[1],
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .came = PTHREAD_COND_INITIALIZER,
    };
    for (int i = 0; i < params->n_producers; i++)
        producers[i] = (struct producer){.crowd = &crowd, .number = i};
    if (params->has_threads)
        run_threads(&crowd, producers);
    else
        run_tickets(&crowd, producers);
    for (int i = 0; i < params->n_producers; i++)
        latency_merge(&all[0], &crowd.latencies[i]);
    st->n_messages = all[0].n;
    if (crowd.failure.code < 0)
        *e = crowd.failure;
    return crowd.failure.code;
}

static int measure_store(struct bench_run *run, const struct bench_case *c, struct store *s,
                         struct latency *all, double *ret_values, struct err *e)
{
    struct durable_state *st = run->state;
    struct store_stats stats;
    bench_start(run);
    int rc = run_producers(run, c, s, all, e);
    double elapsed = bench_stop(run);
    store_stats(s, &stats);
    st->n_bytes = stats.appended_bytes;
    ret_values[FIGURE_RATE] = (double)st->n_messages / elapsed;
    ret_values[FIGURE_P50] = (double)latency_at(&all[0], 0.5) / NS_PER_US;
    ret_values[FIGURE_P99] = (double)latency_at(&all[0], 0.99) / NS_PER_US;
    ret_values[FIGURE_WRITTEN] = written_ratio(run, st->n_bytes);
    if (stats.n_groups > 0)
        ret_values[FIGURE_GROUP] = (double)stats.n_grouped / (double)stats.n_groups;
    return rc;
}

static int run_store(struct bench_run *run, const struct bench_case *c, double *ret_values,
                     struct err *e)
{
    const struct durable_params *params = c->params;
    struct durable_state *st = run->state;
    char root[600];
    (void)snprintf(root, sizeof root, "%s/store", st->folder);
    const struct store_options opt = {.root = root, .flush = STORE_FLUSH_SYNC};
    struct store *s;
    st->notes.n_groups = 0;
    st->notes.bytes = 0;
    struct latency *all = calloc((size_t)params->n_producers + 1, sizeof *all);
    if (!all)
        return err_set(e, ERR_NOMEM, "measure %d producers", params->n_producers);
    int rc = store_open(&s, &opt, &st->notes.io, e);
    if (rc == 0) {
        struct err close_error;
        rc = measure_store(run, c, s, all, ret_values, e);
        int close_rc = store_close(s, rc < 0 ? &close_error : e);
        rc = rc < 0 ? rc : close_rc;
    }
    free(all);
    scratch_remove(root);
    return rc < 0 ? err_wrap(e, "append to a scratch store") : 0;
}

/* ---- the disk alone ---- */

static int write_groups(struct bench_run *run, int fd, struct latency *flushes, struct err *e)
{
    struct durable_state *st = run->state;
    struct io *io = run->io;
    uint64_t off = 0;
    for (size_t i = 0; i < st->notes.n_groups; i++) {
        uint64_t begun_ns = io->mono_ns(io);
        int64_t n = io->pwrite(io, fd, st->buffer, st->notes.groups[i], off);
        int rc = n < 0 ? (int)n : io->sync_fd(io, fd);
        if (rc < 0)
            return err_sys(e, -rc, "write a group of %u bytes", (unsigned)st->notes.groups[i]);
        latency_add(flushes, io->mono_ns(io) - begun_ns);
        off += st->notes.groups[i];
    }
    return 0;
}

static int measure_raw(struct bench_run *run, int fd, double *ret_limits, struct err *e)
{
    struct durable_state *st = run->state;
    struct io *io = run->io;
    struct latency *flushes = calloc(1, sizeof *flushes);
    if (!flushes)
        return err_set(e, ERR_NOMEM, "measure the disk");
    uint64_t len = st->n_bytes > RAW_FILE_BYTES ? st->n_bytes : RAW_FILE_BYTES;
    int rc = io->allocate(io, fd, 0, len);
    if (rc == 0)
        rc = io->sync_fd(io, fd);
    if (rc < 0) {
        free(flushes);
        return err_sys(e, -rc, "allocate %llu bytes", (unsigned long long)len);
    }
    bench_start(run);
    rc = write_groups(run, fd, flushes, e);
    double elapsed = bench_stop(run);
    ret_limits[FIGURE_RATE] = (double)st->n_messages / elapsed;
    ret_limits[FIGURE_P50] = (double)latency_at(flushes, 0.5) / NS_PER_US;
    ret_limits[FIGURE_P99] = (double)latency_at(flushes, 0.99) / NS_PER_US;
    ret_limits[FIGURE_WRITTEN] = written_ratio(run, st->n_bytes);
    free(flushes);
    return rc;
}

static int run_raw(struct bench_run *run, const struct bench_case *c, double *ret_limits,
                   struct err *e)
{
    struct durable_state *st = run->state;
    struct io *io = run->io;
    char path[600];
    (void)c; /* the groups say it all */
    (void)snprintf(path, sizeof path, "%s/raw", st->folder);
    int fd = io->open(io, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return err_sys(e, -fd, "make '%s'", path);
    int rc = io->unlink(io, path); /* it lives as long as it is open */
    rc = rc < 0 ? err_sys(e, -rc, "remove '%s'", path) : measure_raw(run, fd, ret_limits, e);
    (void)io->close(io, fd); /* it is gone with it */
    return rc;
}

/* clang-format off */
#define FIGURES                                                                                    \
    {{.unit = "msg/s", .target = "S4", .bound = TARGET_S4},                                        \
     {.name = "p50", .unit = "us"},                                                                \
     {.name = "p99", .unit = "us", .target = "S4", .bound = TARGET_S4_FLUSHES, .is_most = true},   \
     {.name = "written", .unit = "B/B", .target = "S3", .bound = TARGET_S3, .is_most = true},      \
     {.name = "group", .unit = "msg"}}
/* clang-format on */

static const struct bench_case cases[] = {
    {"durable 64 producers", run_store, run_raw, &(const struct durable_params){64, false},
     FIGURES},
    {"durable 16 producers", run_store, run_raw, &(const struct durable_params){16, false},
     FIGURES},
    {"durable 1 producer", run_store, run_raw, &(const struct durable_params){1, false}, FIGURES},
    {"durable 64 threads", run_store, run_raw, &(const struct durable_params){64, true}, FIGURES},
    {0},
};

const struct bench_set case_durable = {cases, open_set, close_set};

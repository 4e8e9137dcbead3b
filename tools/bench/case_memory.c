/* A store within a budget of resident memory: filled, then read cold while a publisher and a reader
 * of the tail go on at a steady rate.
 *
 * The limit of what is resident is the budget; that of the publisher's latency, from when each
 * append was due, is the same load without the cold scan. Those that no pause of the machine met
 * are shown apart (observed.h). */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "filter/filter.h"
#include "tools/bench/filled.h"
#include "tools/bench/observed.h"
#include "tools/bench/rss_watch.h"
#include "tools/bench/sets.h"

enum {
    BODY_BYTES = 1024,
    BUDGET_BYTES = 128 << 20,
    WINDOW_BYTES = 16 << 20, /* what the broker chooses for that budget */
    PERIOD_NS = 200000,      /* of the hot publisher: 5,000 messages a second */
    TAIL_SLICES = 64,
    TAIL_PAUSE_NS = 1000000,
};
#define MAPPED_BYTES (UINT64_C(4) << 30)
#define MIB 1048576.0
#define NS_PER_US 1e3
#define NS_PER_S UINT64_C(1000000000)
#define BOUND_M1 1.05
#define BOUND_R6 1.2

struct memory_params {
    const char *expression; /* of the cold scan */
};

struct memory_state {
    struct filled filled;
    uint8_t body[BODY_BYTES];
};

static const char *tag_of(uint64_t i)
{
    return (i * UINT64_C(0x9e3779b97f4a7c15) >> 33) % 100 == 0 ? "Per100" : "BBBB";
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    (void)opt;
    struct memory_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare a store");
    *ret_state = st;
    return 0;
}

static void close_set(void *state)
{
    struct memory_state *st = state;
    filled_free(&st->filled);
    free(st);
}

static int fill(struct bench_run *run, struct err *e)
{
    struct memory_state *st = run->state;
    const struct filled_options filled = {
        .dir = run->opt->dir,
        .n_messages = run->opt->bytes / BODY_BYTES,
        .body_bytes = BODY_BYTES,
        .tag_of = tag_of,
        .store = {.populate_window_bytes = WINDOW_BYTES,
                  .mapped_budget_bytes = MAPPED_BYTES,
                  .resident_budget_bytes = BUDGET_BYTES},
    };
    filled_free(&st->filled);
    return filled_make(&st->filled, &filled, e);
}

static void yield_rss(const struct rss_watch *w, double *ret_values)
{
    ret_values[0] = (double)w->all_bytes / MIB;
    ret_values[1] = (double)w->anon_bytes / MIB;
    ret_values[2] = (double)w->file_bytes / MIB;
}

/* ---- append ---- */

static int run_append(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    (void)c;
    const struct memory_state *st = run->state;
    struct rss_watch watch;
    int rc = rss_watch_start(&watch, e);
    if (rc < 0)
        return rc;
    bench_start(run);
    rc = fill(run, e);
    double seconds = bench_stop(run);
    rss_watch_stop(&watch);
    yield_rss(&watch, ret_values);
    ret_values[3] = (double)st->filled.log_bytes / MIB / seconds;
    return rc;
}

/* ---- hot publish and tail reads ---- */

struct hot {
    struct memory_state *st;
    struct observed *seen; /* NULL before run_hot */
    uint64_t until_ns;     /* of the clock: no less long */
    _Atomic int is_over;   /* relaxed: set when the publisher has ended, looked at by the reader */
    pthread_t reader;
    uint64_t n_published, n_read; /* n_read is the reader's until it is joined */
    uint64_t begin_off;
};

static struct span hot_topic(void)
{
    return span_str("HotTopic");
}

static void pause_ns(long ns)
{
    const struct timespec length = {.tv_nsec = ns};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &length, /* rem = */ NULL); /* shorter is fine */
}

static void wait_until(uint64_t ns)
{
    const struct timespec at = {.tv_sec = (time_t)(ns / NS_PER_S),
                                .tv_nsec = (long)(ns % NS_PER_S)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, /* rem = */ NULL); /* likewise */
}

static void *read_tail(void *arg)
{
    struct hot *h = arg;
    struct store_slice slices[TAIL_SLICES];
    struct store_scan scan = {.topic = hot_topic(),
                              .from_queue_off = h->begin_off,
                              .max_messages = TAIL_SLICES,
                              .max_bytes = UINT64_MAX,
                              .max_entries = UINT64_MAX};
    struct store_scanned done;
    struct err e;
    bool is_over = false;
    while (!is_over) {
        is_over = atomic_load_explicit(&h->is_over, memory_order_relaxed);
        if (store_scan(h->st->filled.store, &scan, slices, &done, &e) < 0)
            break; /* what was read tells */
        for (size_t i = 0; i < done.n; i++)
            store_unpin(slices[i].pin);
        h->n_read += done.n;
        scan.from_queue_off = done.next_queue_off;
        is_over = is_over && done.n == 0;
        if (done.end != STORE_SCAN_FULL)
            pause_ns(TAIL_PAUSE_NS);
    }
    return NULL;
}

/* Publishes until the time is over and `is_done` (may be NULL) says so too. */
static int publish(struct hot *h, const _Atomic int *is_done, struct err *e)
{
    struct io *io = io_posix();
    const struct span piece = span_of(h->st->body, BODY_BYTES);
    const struct store_message m = {.topic = hot_topic(),
                                    .born_ms = io->now_ms(io),
                                    .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
                                    .body = &piece,
                                    .n_body = 1};
    struct store_appended appended;
    int rc = 0;
    uint64_t due_ns = io->mono_ns(io), now_ns = due_ns;
    (void)prctl(PR_SET_TIMERSLACK, 1UL); /* a publish begins when it is due */
    while (rc == 0 && (now_ns < h->until_ns ||
                       (is_done && !atomic_load_explicit(is_done, memory_order_acquire)))) {
        due_ns += PERIOD_NS;
        wait_until(due_ns);
        rc = store_append(h->st->filled.store, &m, &appended, e);
        now_ns = io->mono_ns(io);
        timings_add(&h->seen->timings, due_ns, now_ns - due_ns);
        h->n_published++;
    }
    return rc;
}

/* Publishes and reads the tail for the time of a run, or longer. What was seen is freed by the
 * caller. */
static int run_hot(struct bench_run *run, struct hot *h, const _Atomic int *is_done, struct err *e)
{
    uint64_t min;
    *h = (struct hot){.st = run->state};
    store_queue_bounds(h->st->filled.store, hot_topic(), 0, &min, &h->begin_off);
    int rc = observed_begin(&h->seen, e);
    if (rc < 0)
        return rc;
    rc = pthread_create(&h->reader, /* attr = */ NULL, read_tail, h);
    if (rc != 0)
        return err_sys(e, rc, "start the reader of the tail");
    h->until_ns = run->io->mono_ns(run->io) + run->opt->run_ms * UINT64_C(1000000);
    rc = publish(h, is_done, e);
    observed_end(h->seen);
    struct store_stats stats;
    do
        store_stats(h->st->filled.store, &stats); /* until the reader can see all */
    while (rc == 0 && stats.dispatched < stats.published && !stats.failed);
    atomic_store_explicit(&h->is_over, 1, memory_order_relaxed);
    (void)pthread_join(h->reader, NULL);
    if (rc == 0 && h->n_read != h->n_published)
        rc = err_set(e, ERR_FAILED, "read the tail: %llu of %llu messages were seen",
                     (unsigned long long)h->n_read, (unsigned long long)h->n_published);
    return rc;
}

/* ---- the cold scan beside them ---- */

struct cold {
    struct memory_state *st;
    struct filter *filter;
    pthread_t thread;
    _Atomic int is_done; /* release, acquire: what the thread found is there */
    struct filled_pass pass;
    double seconds;
    int rc;
    struct err error;
};

static bool match_record(void *arg, const struct store_record *rec)
{
    struct span tag = {0};
    (void)store_property_get(rec->properties, "TAGS", &tag); /* none: an empty one */
    return filter_match_tag(arg, tag);
}

static void *scan_cold(void *arg)
{
    struct cold *s = arg;
    struct io *io = io_posix();
    struct store_match match = {0};
    if (!filter_is_all(s->filter)) {
        match = (struct store_match){.record = match_record, .arg = s->filter};
        match.tag_codes = filter_codes(s->filter, &match.n_tag_codes);
    }
    uint64_t begun = io->mono_ns(io);
    s->rc = filled_scan(&s->st->filled, &match, &s->pass, &s->error);
    s->seconds = (double)(io->mono_ns(io) - begun) / 1e9;
    atomic_store_explicit(&s->is_done, 1, memory_order_release);
    return NULL;
}

static int run_both(struct bench_run *run, struct cold *s, struct hot *h, struct err *e)
{
    int rc = pthread_create(&s->thread, /* attr = */ NULL, scan_cold, s);
    if (rc != 0)
        return err_sys(e, rc, "start the cold scan");
    rc = run_hot(run, h, &s->is_done, e);
    (void)pthread_join(s->thread, NULL);
    if (rc == 0 && s->rc < 0) {
        *e = s->error;
        rc = s->rc;
    }
    return rc;
}

static int need_cold(struct bench_run *run, struct err *e)
{
    struct memory_state *st = run->state;
    int rc = st->filled.store ? 0 : fill(run, e);
    return rc < 0 ? rc : filled_cool(&st->filled, e);
}

static void yield_latency(const struct observed *o, double *ret_values)
{
    ret_values[3] = (double)latency_at(&o->all, 0.99) / NS_PER_US;
    ret_values[4] = (double)latency_at(&o->all, 0.999) / NS_PER_US;
    ret_values[5] = (double)latency_at(&o->between, 0.99) / NS_PER_US;
    ret_values[6] = (double)latency_at(&o->between, 0.999) / NS_PER_US;
    ret_values[7] = o->machine_ns / NS_PER_US;
}

static int run_scan(struct bench_run *run, const struct bench_case *c, double *ret_values,
                    struct err *e)
{
    const struct memory_params *params = c->params;
    struct cold s = {.st = run->state};
    struct hot h = {.seen = NULL};
    struct rss_watch watch;
    int rc = need_cold(run, e);
    if (rc == 0)
        rc = filter_compile_tags(&s.filter, span_str(params->expression), e);
    if (rc == 0)
        rc = rss_watch_start(&watch, e);
    if (rc == 0) {
        bench_start(run);
        rc = run_both(run, &s, &h, e);
        (void)bench_stop(run);
        rss_watch_stop(&watch);
    }
    if (rc == 0) {
        yield_rss(&watch, ret_values);
        yield_latency(h.seen, ret_values);
        ret_values[8] = (double)s.st->filled.log_bytes / MIB / s.seconds;
        ret_values[9] = (double)run->spent.read_bytes / (double)s.pass.hit_bytes;
    }
    filter_free(s.filter);
    observed_free(h.seen);
    return rc;
}

static int run_alone(struct bench_run *run, const struct bench_case *c, double *ret_values,
                     struct err *e)
{
    (void)c;
    struct hot h;
    int rc = run_hot(run, &h, /* is_done = */ NULL, e);
    if (rc == 0)
        yield_latency(h.seen, ret_values);
    observed_free(h.seen);
    return rc;
}

#define RSS_FIGURES                                                                                \
    {.name = "RSS",                                                                                \
     .unit = "MiB",                                                                                \
     .limit = BUDGET_BYTES / MIB,                                                                  \
     .target = "M1",                                                                               \
     .bound = BOUND_M1,                                                                            \
     .is_most = true},                                                                             \
        {.name = "anonymous", .unit = "MiB"},                                                      \
    {                                                                                              \
        .name = "of files", .unit = "MiB"                                                          \
    }
#define SCAN_FIGURES                                                                               \
    {                                                                                              \
        RSS_FIGURES,                                                                               \
            {.name = "publish p99",                                                                \
             .unit = "us",                                                                         \
             .target = "R6",                                                                       \
             .bound = BOUND_R6,                                                                    \
             .is_most = true},                                                                     \
            {.name = "publish p99.9", .unit = "us"},                                               \
            {.name = "publish p99 between pauses", .unit = "us"},                                  \
            {.name = "publish p99.9 between pauses", .unit = "us"},                                \
            {.name = "machine p99.9", .unit = "us"}, {.name = "scan", .unit = "MiB/s"},            \
            {.name = "read/wanted", .unit = "B/B"},                                                \
    }

static const struct bench_case cases[] = {
    {"128 MiB: append", run_append, NULL, NULL, {RSS_FIGURES, {.name = "rate", .unit = "MiB/s"}}},
    {"128 MiB: cold 1 %, hot publish", run_scan, run_alone,
     &(const struct memory_params){.expression = "Per100"}, SCAN_FIGURES},
    {"128 MiB: cold 100 %, hot publish", run_scan, run_alone,
     &(const struct memory_params){.expression = "*"}, SCAN_FIGURES},
    {0},
};

const struct bench_set case_memory = {cases, open_set, close_set};

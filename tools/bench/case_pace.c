/* Appends that begin at their time, 500,000 a second: how long each takes from that time, what
 * reaches the disk for what was appended, and the page faults that the appending thread meets while
 * it appends, but for those of pages that it populates itself: these are outside the lock. The
 * limit of the latency is memcpy of as many bytes into a prepared mapping at the same times. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/store.h"
#include "tools/bench/copy_target.h"
#include "tools/bench/latency.h"
#include "tools/bench/scratch.h"
#include "tools/bench/sets.h"

enum { BODY_BYTES = 1024, INTERVAL_NS = 2000, PAGE_BYTES = 4096 };
#define NS_PER_US 1e3
#define BOUND_P999 2
#define BOUND_WORST 4
#define BOUND_S3 1.06

struct pace_state {
    struct io seam; /* the kernel, with what is populated counted apart */
    struct io *io;
    char folder[SCRATCH_PATH_BYTES];
    uint8_t body[BODY_BYTES];
    uint32_t record_bytes; /* learnt from the last append */
};

/* ---- page faults of this thread ---- */

struct faults {
    uint64_t minor, major;
};

static _Thread_local struct faults populated; /* met in populating */

static struct faults faults_now(void)
{
    struct rusage used;
    (void)getrusage(RUSAGE_THREAD, &used);
    return (struct faults){(uint64_t)used.ru_minflt, (uint64_t)used.ru_majflt};
}

static void add_since(struct faults *sum, const struct faults *since)
{
    struct faults now = faults_now();
    sum->minor += now.minor - since->minor;
    sum->major += now.major - since->major;
}

static int populate_apart(struct io *io, uint8_t *base, uint64_t len)
{
    struct faults before = faults_now();
    int rc = io_posix()->populate(io, base, len);
    add_since(&populated, &before);
    return rc;
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct pace_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare appends");
    st->seam = *io_posix();
    st->seam.populate = populate_apart;
    st->io = &st->seam;
    memset(st->body, 'b', sizeof st->body);
    int rc = scratch_make(st->folder, opt->dir, e);
    if (rc < 0)
        free(st);
    else
        *ret_state = st;
    return rc;
}

static void close_set(void *state)
{
    struct pace_state *st = state;
    scratch_remove(st->folder);
    free(st);
}

static uint64_t n_messages(const struct bench_run *run)
{
    return run->opt->bytes / BODY_BYTES;
}

static void wait_until(struct io *io, uint64_t ns)
{
    while (io->mono_ns(io) < ns)
        ;
}

static void yield(const struct latency *l, double *ret_values)
{
    ret_values[0] = (double)latency_at(l, 0.50) / NS_PER_US;
    ret_values[1] = (double)latency_at(l, 0.999) / NS_PER_US;
    ret_values[2] = (double)latency_at(l, 0.9999) / NS_PER_US;
    ret_values[3] = (double)l->worst_ns / NS_PER_US;
}

/* ---- append ---- */

/* What became of a run of appends, beside the time each took. */
struct paced {
    struct latency latency;
    struct faults faults; /* of appends */
    uint64_t appended_bytes, n_flushes;
};

static struct store_message make_message(struct pace_state *st, const struct span *body)
{
    return (struct store_message){
        .topic = span_str("BenchTopic"),
        .born_ms = st->io->now_ms(st->io),
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
        .properties = span_str("TAGS\001TagA\002KEYS\001key-0000\002"
                               "UNIQ_KEY\001010242AC1100020001071E2D2C00000000\002"),
        .body = body,
        .n_body = 1,
    };
}

static int append_paced(struct bench_run *run, struct store *s, struct paced *p, struct err *e)
{
    struct pace_state *st = run->state;
    const struct span body = span_of(st->body, BODY_BYTES);
    const struct store_message m = make_message(st, &body);
    struct store_appended appended = {0};
    uint64_t due = st->io->mono_ns(st->io);
    for (uint64_t n = n_messages(run); n > 0; n--, due += INTERVAL_NS) {
        wait_until(st->io, due);
        int rc = store_append(s, &m, &appended, e);
        if (rc < 0)
            return rc;
        latency_add(&p->latency, st->io->mono_ns(st->io) - due);
    }
    st->record_bytes = appended.size;
    return 0;
}

static int append_counted(struct bench_run *run, struct store *s, struct paced *p, struct err *e)
{
    struct store_stats stats;
    struct faults apart = populated, before = faults_now();
    int rc = append_paced(run, s, p, e);
    add_since(&p->faults, &before);
    p->faults.minor -= populated.minor - apart.minor;
    p->faults.major -= populated.major - apart.major;
    store_stats(s, &stats);
    p->appended_bytes = stats.appended_bytes;
    p->n_flushes = stats.n_flushes;
    return rc;
}

/* The queue is made by the first append to it. */
static int append_first(struct pace_state *st, struct store *s, struct err *e)
{
    const struct span body = span_of(st->body, BODY_BYTES);
    const struct store_message m = make_message(st, &body);
    struct store_appended appended;
    return store_append(s, &m, &appended, e);
}

/* Everything older is on disk, so that what is written meanwhile is the store's. */
static int sync_disk(const char *folder, struct err *e)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : syncfs(fd);
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    return rc < 0 ? err_sys(e, error, "sync the disk of '%s'", folder) : 0;
}

/* Measured from before the first append until the store is closed, and so all is on disk. */
static int run_store(struct bench_run *run, struct paced *p, struct err *e)
{
    struct pace_state *st = run->state;
    char root[SCRATCH_PATH_BYTES + 16];
    (void)snprintf(root, sizeof root, "%s/store", st->folder);
    const struct store_options opt = {.root = root};
    struct store *s;
    struct err close_error;
    int rc = sync_disk(st->folder, e);
    if (rc == 0)
        rc = store_open(&s, &opt, st->io, e);
    if (rc < 0)
        return rc;
    bench_start(run);
    rc = append_first(st, s, e);
    if (rc == 0)
        rc = append_counted(run, s, p, e);
    int close_rc = store_close(s, rc < 0 ? &close_error : e);
    (void)bench_stop(run);
    scratch_remove(root);
    return rc < 0 ? rc : close_rc;
}

/* So that the faults of the first writes to it are not met later, among those that are counted. */
static void touch(void *memory, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PAGE_BYTES)
        ((volatile uint8_t *)memory)[at] = 0;
}

static int with_store(struct bench_run *run,
                      void (*tell)(const struct bench_run *run, const struct paced *p,
                                   double *ret_values),
                      double *ret_values, struct err *e)
{
    struct paced *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "measure appends");
    touch(p, sizeof *p);
    int rc = run_store(run, p, e);
    if (rc == 0)
        tell(run, p, ret_values);
    free(p);
    return rc;
}

static void tell_latency(const struct bench_run *run, const struct paced *p, double *ret_values)
{
    (void)run;
    yield(&p->latency, ret_values);
}

static int append_latency(struct bench_run *run, const struct bench_case *c, double *ret_values,
                          struct err *e)
{
    (void)c;
    return with_store(run, tell_latency, ret_values, e);
}

static void tell_cost(const struct bench_run *run, const struct paced *p, double *ret_values)
{
    ret_values[0] = (double)run->spent.written_bytes / (double)p->appended_bytes;
    ret_values[1] = (double)p->faults.major;
    ret_values[2] = (double)p->faults.minor / (double)(p->n_flushes ? p->n_flushes : 1);
}

static int append_cost(struct bench_run *run, const struct bench_case *c, double *ret_values,
                       struct err *e)
{
    (void)c;
    return with_store(run, tell_cost, ret_values, e);
}

/* ---- copy ---- */

/* One window; its times begin when it is ready. */
static uint64_t copy_window(struct pace_state *st, struct copy_target *t, uint64_t n_left,
                            struct latency *l)
{
    uint64_t n = 0, due = st->io->mono_ns(st->io);
    uint32_t head_bytes = st->record_bytes - BODY_BYTES;
    for (; n < n_left && t->used + st->record_bytes <= t->ready; n++, due += INTERVAL_NS) {
        wait_until(st->io, due);
        memcpy(t->base + t->used, st->body, head_bytes);
        memcpy(t->base + t->used + head_bytes, st->body, BODY_BYTES);
        t->used += st->record_bytes;
        latency_add(l, st->io->mono_ns(st->io) - due);
    }
    return n;
}

static int copy_latency(struct bench_run *run, const struct bench_case *c, double *ret_values,
                        struct err *e)
{
    (void)c;
    struct pace_state *st = run->state;
    struct copy_target t;
    struct latency *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "measure copies");
    int rc = copy_target_open(&t, st->folder, e);
    for (uint64_t n_left = n_messages(run); n_left > 0 && rc == 0;) {
        rc = copy_target_prepare(&t, e);
        if (rc == 0)
            n_left -= copy_window(st, &t, n_left, l);
    }
    copy_target_close(&t);
    if (rc == 0)
        yield(l, ret_values);
    free(l);
    return rc;
}

#define S2(at, most)                                                                               \
    {                                                                                              \
        .name = (at), .unit = "us", .target = "S2", .bound = (most), .is_most = true               \
    }
#define M2(what, unit_name, most)                                                                  \
    {                                                                                              \
        .name = (what), .unit = (unit_name), .target = "M2", .bound = (most), .is_most = true,     \
        .is_absolute = true                                                                        \
    }

static const struct bench_case cases[] = {
    {"append 1 KiB at 500 k msg/s",
     append_latency,
     copy_latency,
     NULL,
     {{.name = "p50", .unit = "us"},
      S2("p99.9", BOUND_P999),
      S2("p99.99", BOUND_WORST),
      S2("worst", BOUND_WORST)}},
    {"append 1 KiB, cost:",
     append_cost,
     NULL,
     NULL,
     {{.name = "written/appended",
       .unit = "B/B",
       .limit = 1,
       .target = "S3",
       .bound = BOUND_S3,
       .is_most = true},
      M2("major faults", "faults", 0),
      M2("minor faults", "/flush", 1)}},
    {0},
};

const struct bench_set case_pace = {cases, open_set, close_set};

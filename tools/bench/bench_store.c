/* `sluice bench store`: appends to a store beside the copy that no append can do without.
 *
 * The limit is memcpy of as many bytes as the records have, and CRC-32 of the bodies, into a
 * mapping made ready before: its file is allocated and each window populated while the clock
 * stands. Both run in turns, on the same folder, with the same bodies; the medians are compared. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "base/io.h"
#include "store/store.h"
#include "tools/bench/bench.h"
#include "tools/bench/scratch.h"
#include "tools/command.h"
#include "tools/options.h"

enum {
    BODY_BYTES = 1024,
    N_BODIES = 1024, /* taken in turn: together they are as large as a cache */
    MAX_RUNS = 99,
    SMOKE_RUNS = 3,
    WINDOW_BYTES = 32 << 20, /* populated at once, as the store does */
    COPY_FILE_BYTES = 1 << 30,
    PAGE_BYTES = 4096,
};
#define SMOKE_BYTES (UINT64_C(32) << 20)
#define MIN_BYTES (UINT64_C(1) << 20)
#define MAX_BYTES (UINT64_C(1) << 40)
#define TARGET_S1 0.60
#define NS_PER_S 1e9

static const char topic[] = "BenchTopic";
static const char properties[] = "TAGS\001TagA\002KEYS\001key-0000\002"
                                 "UNIQ_KEY\001010242AC1100020001071E2D2C00000000\002";

struct bench {
    struct io *io;
    const char *base; /* where the scratch folder is made */
    const char *json; /* NULL: no report file */
    uint64_t n_bytes; /* of bodies in one run */
    uint64_t n_runs;
    bool smoke;
    char folder[SCRATCH_PATH_BYTES]; /* scratch, removed at the end */
    uint8_t *bodies;
    uint64_t n_messages;
    uint32_t record_bytes;                      /* of one record, learnt from the first append */
    double appends[MAX_RUNS], copies[MAX_RUNS]; /* messages a second */
};

static const uint8_t *body_at(const struct bench *b, uint64_t i)
{
    return b->bodies + i % N_BODIES * BODY_BYTES;
}

static double rate_of(const struct bench *b, uint64_t elapsed_ns)
{
    return (double)b->n_messages * NS_PER_S / (double)elapsed_ns;
}

/* ---- scratch ---- */

static int make_scratch(struct bench *b, struct err *e)
{
    int rc = scratch_make(b->folder, b->base, e);
    if (rc < 0)
        return rc;
    b->bodies = malloc((size_t)N_BODIES * BODY_BYTES);
    if (!b->bodies)
        return err_set(e, ERR_NOMEM, "make bodies");
    for (size_t i = 0; i < (size_t)N_BODIES * BODY_BYTES; i++)
        b->bodies[i] = (uint8_t)(i * 2654435761u >> 24);
    return 0;
}

/* ---- append ---- */

static int append_all(struct bench *b, struct store *s, uint64_t *ret_elapsed_ns, struct err *e)
{
    struct span body = {.len = BODY_BYTES};
    struct store_message m = {
        .topic = span_str(topic),
        .born_ms = b->io->now_ms(b->io),
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
        .properties = span_str(properties),
        .body = &body,
        .n_body = 1,
    };
    struct store_appended appended = {0};
    uint64_t begun = b->io->mono_ns(b->io);
    for (uint64_t i = 0; i < b->n_messages; i++) {
        body.ptr = body_at(b, i);
        int rc = store_append(s, &m, &appended, e);
        if (rc < 0)
            return rc;
    }
    *ret_elapsed_ns = b->io->mono_ns(b->io) - begun;
    b->record_bytes = appended.size;
    return 0;
}

static int run_append(struct bench *b, double *ret_rate, struct err *e)
{
    char root[600];
    (void)snprintf(root, sizeof root, "%s/store", b->folder);
    const struct store_options opt = {.root = root};
    struct store *s;
    int rc = store_open(&s, &opt, b->io, e);
    if (rc < 0)
        return err_wrap(e, "open a scratch store");
    uint64_t elapsed_ns;
    rc = append_all(b, s, &elapsed_ns, e);
    struct err close_error;
    int close_rc = store_close(s, rc < 0 ? &close_error : e);
    scratch_remove(root);
    if (rc == 0)
        rc = close_rc;
    if (rc < 0)
        return err_wrap(e, "append to the scratch store");
    *ret_rate = rate_of(b, elapsed_ns);
    return 0;
}

/* ---- copy ---- */

struct target {
    int fd;
    uint8_t *base;
    uint64_t ready; /* bytes populated */
    uint64_t used;  /* bytes written */
};

static int open_target(struct bench *b, struct target *t, struct err *e)
{
    char path[600];
    struct io *io = b->io;
    (void)snprintf(path, sizeof path, "%s/copy", b->folder);
    *t = (struct target){.fd = io->open(io, path, O_RDWR | O_CREAT, 0600)};
    if (t->fd < 0)
        return err_sys(e, -t->fd, "make '%s'", path);
    int rc = io->unlink(io, path); /* it lives as long as it is open */
    if (rc == 0)
        rc = io->allocate(io, t->fd, 0, COPY_FILE_BYTES);
    if (rc == 0)
        rc = io->map(io, t->fd, COPY_FILE_BYTES, /* writable = */ true, &t->base);
    return rc < 0 ? err_sys(e, -rc, "prepare '%s'", path) : 0;
}

static void close_target(struct bench *b, struct target *t)
{
    if (t->base)
        (void)b->io->unmap(b->io, t->base, COPY_FILE_BYTES);
    if (t->fd >= 0)
        (void)b->io->close(b->io, t->fd);
    *t = (struct target){.fd = -1};
}

/* Makes sure that a window is populated behind `used`, in the next file when this one is full. */
static int prepare(struct bench *b, struct target *t, struct err *e)
{
    if (t->ready == COPY_FILE_BYTES) {
        close_target(b, t);
        int rc = open_target(b, t, e);
        if (rc < 0)
            return rc;
    }
    int rc = b->io->populate(b->io, t->base + t->ready, WINDOW_BYTES);
    if (rc < 0)
        return err_sys(e, -rc, "populate the mapping to copy to");
    t->ready += WINDOW_BYTES;
    return 0;
}

/* Copies records until the window is full; `*sum` keeps the compiler from leaving the CRC out. */
static uint64_t copy_window(struct bench *b, struct target *t, uint64_t i, uint32_t *sum)
{
    uint32_t head_bytes = b->record_bytes - BODY_BYTES;
    for (; i < b->n_messages && t->used + b->record_bytes <= t->ready; i++) {
        const uint8_t *body = body_at(b, i);
        *sum ^= crc32_add(0, body, BODY_BYTES);
        memcpy(t->base + t->used, b->bodies, head_bytes);
        memcpy(t->base + t->used + head_bytes, body, BODY_BYTES);
        t->used += b->record_bytes;
    }
    return i;
}

static int copy_all(struct bench *b, struct target *t, double *ret_rate, struct err *e)
{
    uint64_t elapsed_ns = 0;
    uint32_t sum = 0;
    for (uint64_t i = 0; i < b->n_messages;) {
        int rc = prepare(b, t, e);
        if (rc < 0)
            return rc;
        uint64_t begun = b->io->mono_ns(b->io);
        i = copy_window(b, t, i, &sum);
        elapsed_ns += b->io->mono_ns(b->io) - begun;
    }
    assert(t->base);
    t->base[0] ^= (uint8_t)sum;
    *ret_rate = rate_of(b, elapsed_ns);
    return 0;
}

static int run_copy(struct bench *b, double *ret_rate, struct err *e)
{
    struct target t;
    int rc = open_target(b, &t, e);
    if (rc == 0)
        rc = copy_all(b, &t, ret_rate, e);
    close_target(b, &t);
    return rc;
}

/* ---- the benchmark ---- */

static int run_all(struct bench *b, struct err *e)
{
    for (uint64_t i = 0; i < b->n_runs; i++) {
        int rc = run_append(b, &b->appends[i], e);
        if (rc == 0)
            rc = run_copy(b, &b->copies[i], e);
        if (rc < 0)
            return rc;
        fprintf(stderr, "run %" PRIu64 " of %" PRIu64 ": append %.0f msg/s, copy %.0f msg/s\n",
                i + 1, b->n_runs, b->appends[i], b->copies[i]);
    }
    return 0;
}

static int report(struct bench *b, struct err *e)
{
    struct bench_report *report;
    int rc = bench_report_new(&report, e);
    if (rc < 0)
        return rc;
    const struct bench_result result = {
        .bench = "store",
        .name = "append 1 KiB, async flush",
        .unit = "msg/s",
        .value = bench_median(b->appends, b->n_runs),
        .limit = bench_median(b->copies, b->n_runs),
        .target = TARGET_S1,
    };
    rc = bench_report_add(report, &result, e);
    if (rc == 0)
        bench_report_print(report, stdout);
    if (rc == 0 && b->json)
        rc = bench_report_write(report, b->json, e);
    bench_report_free(report);
    return rc;
}

static int run(struct bench *b, struct err *e)
{
    b->n_messages = b->n_bytes / BODY_BYTES;
    int rc = make_scratch(b, e);
    if (rc == 0)
        rc = run_all(b, e);
    if (rc == 0)
        rc = report(b, e);
    scratch_remove(b->folder);
    free(b->bodies);
    return rc;
}

int bench_store(int argc, char **argv)
{
    struct bench b = {.io = io_posix()};
    const struct option_spec specs[] = {
        {.name = "bytes",
         .kind = OPTION_SIZE,
         .ret = &b.n_bytes,
         .value = "SIZE",
         .fallback = "2G",
         .help = "bodies appended in one run",
         .min = MIN_BYTES,
         .max = MAX_BYTES},
        {.name = "runs",
         .kind = OPTION_NUMBER,
         .ret = &b.n_runs,
         .value = "N",
         .fallback = "5",
         .help = "runs of each, in turns; medians are shown",
         .min = 1,
         .max = MAX_RUNS},
        {.name = "dir",
         .kind = OPTION_TEXT,
         .ret = &b.base,
         .value = "DIR",
         .fallback = "/var/tmp",
         .help = "where the scratch store is made"},
        {.name = "smoke",
         .kind = OPTION_FLAG,
         .ret = &b.smoke,
         .help = "a short run that only shows that it works (default: a whole one)"},
        {.name = "json",
         .kind = OPTION_TEXT,
         .ret = &b.json,
         .value = "FILE",
         .help = "write the report there as JSON too (default: no)"},
        {0},
    };
    const struct options o = {
        .program = "sluice bench store",
        .operands = "",
        .summary = "Appends 1 KiB messages to a scratch store with one thread, beside memcpy and\n"
                   "CRC-32 of the same bytes into a prepared mapping.",
        .specs = specs,
    };
    int first;
    int rc = options_parse(&o, argc, argv, &first);
    if (rc != OPTIONS_RUN)
        return rc;
    if (b.smoke) {
        b.n_bytes = SMOKE_BYTES;
        b.n_runs = SMOKE_RUNS;
    }
    struct err e;
    return run(&b, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

/* Reads every message of a queue: from memory, from disk, and at the tail as it is written.
 *
 * The limit reads the same records' files without a store: through a mapping that is in memory, or
 * from disk with read() of large pieces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench/filled.h"
#include "tools/bench/latency.h"
#include "tools/bench/sets.h"

#define MIB 1048576.0
#define NS_PER_US 1e3

struct read_params {
    uint32_t body_bytes;
    bool is_cold;
};

struct read_state {
    struct filled filled;
    uint32_t body_bytes;    /* of what it is full of; 0: nothing yet */
    volatile uint64_t sink; /* keeps what was read from being left out */
};

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    (void)opt;
    struct read_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare reads");
    *ret_state = st;
    return 0;
}

static void close_set(void *state)
{
    struct read_state *st = state;
    filled_free(&st->filled);
    free(st);
}

static const struct read_params *params_of(const struct bench_case *c)
{
    return c->params;
}

static const char *tag_of(uint64_t i)
{
    (void)i;
    return "TagA";
}

/* Fills the store unless the case before had messages of the same size. */
static int need_filled(struct bench_run *run, const struct bench_case *c, struct err *e)
{
    struct read_state *st = run->state;
    uint32_t body_bytes = params_of(c)->body_bytes;
    if (st->body_bytes == body_bytes)
        return 0;
    filled_free(&st->filled);
    st->body_bytes = 0;
    const struct filled_options opt = {.dir = run->opt->dir,
                                       .n_messages = run->opt->bytes / body_bytes,
                                       .body_bytes = body_bytes,
                                       .tag_of = tag_of};
    int rc = filled_make(&st->filled, &opt, e);
    if (rc == 0)
        st->body_bytes = body_bytes;
    return rc;
}

/* ---- all of it ---- */

static int scan_once(struct bench_run *run, double *ret_seconds, struct err *e)
{
    struct read_state *st = run->state;
    const struct store_match all = {0};
    struct filled_pass pass;
    bench_start(run);
    int rc = filled_scan(&st->filled, &all, &pass, e);
    *ret_seconds = bench_stop(run);
    if (rc == 0)
        st->sink += pass.sum;
    return rc;
}

static int read_store(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    struct read_state *st = run->state;
    double seconds = 0;
    int rc = need_filled(run, c, e);
    if (rc == 0 && params_of(c)->is_cold)
        rc = filled_cool(&st->filled, e);
    if (rc == 0 && !params_of(c)->is_cold)
        rc = scan_once(run, &seconds, e); /* warms it */
    if (rc == 0)
        rc = scan_once(run, &seconds, e);
    if (rc < 0)
        return rc;
    ret_values[0] = (double)st->filled.log_bytes / MIB / seconds;
    ret_values[1] = (double)run->spent.read_bytes / (double)st->filled.log_bytes;
    return 0;
}

static void sum_map(struct read_state *st, const struct filled_map *m)
{
    uint64_t left = st->filled.log_bytes;
    for (size_t i = 0; i < m->n && left > 0; i++) {
        uint64_t len = left < m->lens[i] ? left : m->lens[i];
        st->sink += filled_sum(m->bases[i], len);
        left -= len;
    }
}

static int read_map(struct bench_run *run, double *ret_values, struct err *e)
{
    struct read_state *st = run->state;
    struct filled_map m;
    int rc = filled_map(&st->filled, "commitlog", &m, e);
    if (rc < 0)
        return rc;
    sum_map(st, &m); /* warms it */
    bench_start(run);
    sum_map(st, &m);
    ret_values[0] = (double)st->filled.log_bytes / MIB / bench_stop(run);
    filled_unmap(&m);
    return 0;
}

static void take_piece(void *arg, const uint8_t *piece, uint64_t len)
{
    struct read_state *st = arg;
    st->sink += filled_sum(piece, len);
}

static int read_disk(struct bench_run *run, double *ret_values, struct err *e)
{
    struct read_state *st = run->state;
    struct filled *f = &st->filled;
    int rc = filled_drop(f, e);
    bench_start(run);
    if (rc == 0)
        rc = filled_read_log(f, take_piece, st, e);
    ret_values[0] = (double)f->log_bytes / MIB / bench_stop(run);
    return rc < 0 ? rc : filled_cool(f, e);
}

static int read_files(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    return params_of(c)->is_cold ? read_disk(run, ret_values, e) : read_map(run, ret_values, e);
}

/* ---- the tail ---- */

static int append_and_see(struct store *s, const struct store_message *m, struct latency *l,
                          struct err *e)
{
    struct io *io = io_posix();
    struct store_appended appended;
    struct store_slice slice;
    int rc = store_append(s, m, &appended, e);
    if (rc < 0)
        return rc;
    uint64_t begun = io->mono_ns(io), min, max;
    do
        store_queue_bounds(s, m->topic, m->queue_id, &min, &max);
    while (max <= appended.queue_off);
    rc = store_get(s, m->topic, m->queue_id, appended.queue_off, &slice, e);
    if (rc < 0)
        return rc;
    latency_add(l, io->mono_ns(io) - begun);
    store_unpin(slice.pin);
    return 0;
}

static int tail(struct bench_run *run, const struct bench_case *c, double *ret_values,
                struct err *e)
{
    static const uint8_t body[1024];
    struct read_state *st = run->state;
    struct latency *l = calloc(1, sizeof *l);
    const struct span piece = span_of(body, sizeof body);
    const struct store_message m = {
        .topic = span_str("TailTopic"),
        .born_ms = run->io->now_ms(run->io),
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
        .body = &piece,
        .n_body = 1,
    };
    int rc = l ? need_filled(run, c, e) : err_set(e, ERR_NOMEM, "measure latency");
    uint64_t end_ns = run->io->mono_ns(run->io) + run->opt->run_ms * UINT64_C(1000000);
    bench_start(run);
    while (rc == 0 && run->io->mono_ns(run->io) < end_ns)
        rc = append_and_see(st->filled.store, &m, l, e);
    (void)bench_stop(run);
    if (rc == 0) {
        ret_values[0] = (double)latency_at(l, 0.50) / NS_PER_US;
        ret_values[1] = (double)latency_at(l, 0.99) / NS_PER_US;
    }
    free(l);
    return rc;
}

#define PARAMS(...)                                                                                \
    &(const struct read_params)                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define WITH_DISK                                                                                  \
    {                                                                                              \
        {.unit = "MiB/s"},                                                                         \
        {                                                                                          \
            .name = "read/wanted", .unit = "B/B"                                                   \
        }                                                                                          \
    }

static const struct bench_case cases[] = {
    {"read 1 KiB, hot", read_store, read_files, PARAMS(.body_bytes = 1024), {{.unit = "MiB/s"}}},
    {"read 1 KiB, cold", read_store, read_files, PARAMS(.body_bytes = 1024, .is_cold = true),
     WITH_DISK},
    {"tail 1 KiB, appended to readable",
     tail,
     NULL,
     PARAMS(.body_bytes = 1024),
     {{.name = "p50", .unit = "us"}, {.name = "p99", .unit = "us"}}},
    {"read 128 B, hot", read_store, read_files, PARAMS(.body_bytes = 128), {{.unit = "MiB/s"}}},
    {"read 128 B, cold", read_store, read_files, PARAMS(.body_bytes = 128, .is_cold = true),
     WITH_DISK},
    {"read 16 KiB, hot", read_store, read_files, PARAMS(.body_bytes = 16384), {{.unit = "MiB/s"}}},
    {"read 16 KiB, cold", read_store, read_files, PARAMS(.body_bytes = 16384, .is_cold = true),
     WITH_DISK},
    {0},
};

const struct bench_set case_read = {cases, open_set, close_set};

/* Appends to a store beside the copy that no append can do without.
 *
 * The limit is memcpy of as many bytes as the records have, and CRC-32 of the bodies, into a
 * mapping made ready before: its file is allocated and each window populated while the clock
 * stands. Both run in turns, on the same folder, with the same bodies. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "store/store.h"
#include "tools/bench/copy_target.h"
#include "tools/bench/scratch.h"
#include "tools/bench/sets.h"

enum {
    BODIES_BYTES = 1 << 20, /* as large as a cache; bodies are taken from it in turn */
};
#define TARGET_S1 0.60
#define NS_PER_S 1e9

static const char topic[] = "BenchTopic";
static const char properties[] = "TAGS\001TagA\002KEYS\001key-0000\002"
                                 "UNIQ_KEY\001010242AC1100020001071E2D2C00000000\002";

struct append_params {
    uint32_t body_bytes;
};

struct append_state {
    struct io *io;
    char folder[SCRATCH_PATH_BYTES];
    uint8_t *bodies;
    uint32_t record_bytes; /* of one record, learnt from the last append */
};

static void close_set(void *state)
{
    struct append_state *st = state;
    scratch_remove(st->folder);
    free(st->bodies);
    free(st);
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct append_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare appends");
    st->io = io_posix();
    st->bodies = malloc(BODIES_BYTES);
    int rc =
        st->bodies ? scratch_make(st->folder, opt->dir, e) : err_set(e, ERR_NOMEM, "make bodies");
    if (rc < 0) {
        close_set(st);
        return rc;
    }
    for (size_t i = 0; i < BODIES_BYTES; i++)
        st->bodies[i] = (uint8_t)(i * 2654435761u >> 24);
    *ret_state = st;
    return 0;
}

static uint32_t body_bytes(const struct bench_case *c)
{
    return ((const struct append_params *)c->params)->body_bytes;
}

static uint64_t n_messages(const struct bench_run *run, const struct bench_case *c)
{
    return run->opt->bytes / body_bytes(c);
}

static struct span body_at(const struct append_state *st, const struct bench_case *c, uint64_t i)
{
    uint32_t len = body_bytes(c);
    return span_of(st->bodies + i * len % (BODIES_BYTES / len * len), len);
}

/* ---- append ---- */

static int append_all(struct bench_run *run, const struct bench_case *c, struct store *s,
                      struct err *e)
{
    struct append_state *st = run->state;
    struct span body;
    struct store_message m = {
        .topic = span_str(topic),
        .born_ms = st->io->now_ms(st->io),
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
        .properties = span_str(properties),
        .body = &body,
        .n_body = 1,
    };
    struct store_appended appended = {0};
    uint64_t n = n_messages(run, c);
    for (uint64_t i = 0; i < n; i++) {
        body = body_at(st, c, i);
        int rc = store_append(s, &m, &appended, e);
        if (rc < 0)
            return rc;
    }
    st->record_bytes = appended.size;
    return 0;
}

static int run_append(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    struct append_state *st = run->state;
    char root[600];
    (void)snprintf(root, sizeof root, "%s/store", st->folder);
    const struct store_options opt = {.root = root};
    struct store *s;
    int rc = store_open(&s, &opt, st->io, e);
    if (rc < 0)
        return err_wrap(e, "open a scratch store");
    bench_start(run);
    rc = append_all(run, c, s, e);
    double elapsed = bench_stop(run);
    struct err close_error;
    int close_rc = store_close(s, rc < 0 ? &close_error : e);
    scratch_remove(root);
    if (rc == 0)
        rc = close_rc;
    if (rc < 0)
        return err_wrap(e, "append to the scratch store");
    ret_values[0] = (double)n_messages(run, c) / elapsed;
    return 0;
}

/* ---- copy ---- */

/* Copies records until the window is full; `*sum` keeps the compiler from leaving the CRC out. */
static uint64_t copy_window(struct append_state *st, const struct bench_case *c,
                            struct copy_target *t, uint64_t n_left, uint32_t *sum)
{
    uint32_t head_bytes = st->record_bytes - body_bytes(c);
    uint64_t n = 0;
    for (; n < n_left && t->used + st->record_bytes <= t->ready; n++) {
        struct span body = body_at(st, c, n);
        *sum ^= crc32_add(0, body.ptr, body.len);
        memcpy(t->base + t->used, st->bodies, head_bytes);
        memcpy(t->base + t->used + head_bytes, body.ptr, body.len);
        t->used += st->record_bytes;
    }
    return n;
}

static int copy_all(struct bench_run *run, const struct bench_case *c, struct copy_target *t,
                    double *ret_rate, struct err *e)
{
    struct append_state *st = run->state;
    uint64_t elapsed_ns = 0;
    uint32_t sum = 0;
    for (uint64_t n_left = n_messages(run, c); n_left > 0;) {
        int rc = copy_target_prepare(t, e);
        if (rc < 0)
            return rc;
        uint64_t begun = st->io->mono_ns(st->io);
        n_left -= copy_window(st, c, t, n_left, &sum);
        elapsed_ns += st->io->mono_ns(st->io) - begun;
    }
    assert(t->base);
    t->base[0] ^= (uint8_t)sum;
    *ret_rate = (double)n_messages(run, c) * NS_PER_S / (double)elapsed_ns;
    return 0;
}

static int run_copy(struct bench_run *run, const struct bench_case *c, double *ret_limits,
                    struct err *e)
{
    struct append_state *st = run->state;
    struct copy_target t;
    int rc = copy_target_open(&t, st->folder, e);
    if (rc == 0)
        rc = copy_all(run, c, &t, &ret_limits[0], e);
    copy_target_close(&t);
    return rc;
}

static const struct bench_case cases[] = {
    {"append 1 KiB",
     run_append,
     run_copy,
     &(const struct append_params){.body_bytes = 1024},
     {{.unit = "msg/s", .target = "S1", .bound = TARGET_S1}}},
    {"append 128 B",
     run_append,
     run_copy,
     &(const struct append_params){.body_bytes = 128},
     {{.unit = "msg/s"}}},
    {"append 16 KiB",
     run_append,
     run_copy,
     &(const struct append_params){.body_bytes = 16384},
     {{.unit = "msg/s"}}},
    {0},
};

const struct bench_set case_append = {cases, open_set, close_set};

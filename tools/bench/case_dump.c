/* Counts what a log holds, as `sluice dump --stats` does, beside a plain read of the same bytes.
 *
 * The log is in the page cache from its writing. The limit reads every file in pieces as large and
 * looks at none of the bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"
#include "tools/bench/scratch.h"
#include "tools/bench/sets.h"
#include "tools/dump_stats.h"

enum { BODY_BYTES = 1024, N_TOPICS = 4, PIECE_BYTES = 1 << 20 };
#define MIB (1024.0 * 1024)
#define TARGET_MIB_PER_S 1024 /* 1 GiB/s */

static const char properties[] = "TAGS\001TagA\002KEYS\001key-0000\002"
                                 "UNIQ_KEY\001010242AC1100020001071E2D2C00000000\002";

struct dump_state {
    struct io *io;
    char folder[SCRATCH_PATH_BYTES];
    char root[SCRATCH_PATH_BYTES + 16];
    uint64_t log_bytes; /* of the records */
    uint8_t piece[PIECE_BYTES];
};

static void close_set(void *state)
{
    struct dump_state *st = state;
    scratch_remove(st->folder);
    free(st);
}

static int append_all(struct dump_state *st, struct store *s, uint64_t n, struct err *e)
{
    static const char *const topics[] = {"Orders", "Payments", "Shipments", "Clicks"};
    struct span body = span_of(st->piece, BODY_BYTES);
    struct store_appended appended = {0};
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        const struct store_message m = {.topic = span_str(topics[i % N_TOPICS]),
                                        .born_host = {.addr_len = 4},
                                        .properties = span_str(properties),
                                        .body = &body,
                                        .n_body = 1};
        rc = store_append(s, &m, &appended, e);
    }
    st->log_bytes = appended.log_off + appended.size;
    return rc;
}

static int make_log(struct dump_state *st, uint64_t n, struct err *e)
{
    const struct store_options opt = {.root = st->root, .without_index = true};
    struct store *s;
    int rc = store_open(&s, &opt, st->io, e);
    if (rc < 0)
        return err_wrap(e, "open a scratch store");
    rc = append_all(st, s, n, e);
    struct err close_error;
    int close_rc = store_close(s, rc < 0 ? &close_error : e);
    return rc < 0 ? rc : close_rc;
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct dump_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare a log");
    st->io = io_posix();
    int rc = scratch_make(st->folder, opt->dir, e);
    (void)snprintf(st->root, sizeof st->root, "%s/store", st->folder);
    if (rc == 0)
        rc = make_log(st, opt->bytes / BODY_BYTES + 1, e);
    if (rc < 0) {
        close_set(st);
        return rc;
    }
    *ret_state = st;
    return 0;
}

/* ---- counting ---- */

static int count_all(struct store_walk *walk, struct dump_stats *stats, struct err *e)
{
    struct store_walk_item item = {.kind = STORE_WALK_RECORD};
    int rc = 0;
    while (rc == 0 && item.kind != STORE_WALK_END) {
        rc = store_walk_next(walk, &item, e);
        if (rc == 0 && item.kind == STORE_WALK_RECORD)
            rc = dump_stats_add(stats, &item, e);
    }
    return rc;
}

static int run_stats(struct bench_run *run, const struct bench_case *c, double *ret_values,
                     struct err *e)
{
    struct dump_state *st = run->state;
    struct store_walk *walk;
    struct dump_stats *stats;
    (void)c;
    int rc = store_walk_open(&walk, st->root, 0, st->io, e);
    if (rc < 0)
        return rc;
    rc = dump_stats_new(&stats, e);
    if (rc == 0) {
        bench_start(run);
        rc = count_all(walk, stats, e);
        ret_values[0] = (double)st->log_bytes / MIB / bench_stop(run);
        dump_stats_free(stats);
    }
    store_walk_close(walk);
    return rc;
}

/* ---- reading ---- */

/* Reads the first `bytes` of a file. */
static int read_file(struct dump_state *st, const char *path, uint64_t bytes, struct err *e)
{
    int fd = st->io->open(st->io, path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    int64_t n = 1;
    for (uint64_t off = 0; n > 0 && off < bytes; off += (uint64_t)n)
        n = st->io->pread(st->io, fd, st->piece, sizeof st->piece, off);
    (void)st->io->close(st->io, fd); /* read only: nothing to lose */
    return n < 0 ? err_sys(e, (int)-n, "read '%s'", path) : 0;
}

static int run_read(struct bench_run *run, const struct bench_case *c, double *ret_limits,
                    struct err *e)
{
    struct dump_state *st = run->state;
    struct store_walk *walk;
    struct store_walk_bounds bounds;
    (void)c;
    int rc = store_walk_open(&walk, st->root, 0, st->io, e);
    if (rc < 0)
        return rc;
    store_walk_bounds(walk, &bounds);
    store_walk_close(walk);
    bench_start(run);
    for (uint64_t start = 0; rc == 0 && start < st->log_bytes; start += bounds.file_bytes) {
        char path[SCRATCH_PATH_BYTES + 64];
        uint64_t left = st->log_bytes - start;
        (void)snprintf(path, sizeof path, "%s/commitlog/%020" PRIu64, st->root, start);
        rc = read_file(st, path, left < bounds.file_bytes ? left : bounds.file_bytes, e);
    }
    ret_limits[0] = (double)st->log_bytes / MIB / bench_stop(run);
    return rc;
}

static const struct bench_case cases[] = {
    {.name = "dump --stats",
     .value = run_stats,
     .limit = run_read,
     .figures =
         {{.unit = "MiB/s", .target = "1 GiB/s", .bound = TARGET_MIB_PER_S, .is_absolute = true}}},
    {0},
};

const struct bench_set case_dump = {cases, open_set, close_set};

/* Opens a store that was killed, and one that was closed, with nothing of it in memory.
 *
 * After the kill nothing is known to be on disk, so the dirty range is the whole log; the limit
 * reads the same files from disk with read() of large pieces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/bench/filled.h"
#include "tools/bench/sets.h"

enum { BODY_BYTES = 1024 };
#define MIB 1048576.0

struct recover_state {
    struct filled filled;
    volatile uint64_t sink; /* keeps what was read from being left out */
};

static const char *tag_of(uint64_t i)
{
    (void)i;
    return "TagA";
}

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct recover_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare recoveries");
    const struct filled_options fill = {.dir = opt->dir,
                                        .n_messages = opt->bytes / BODY_BYTES,
                                        .body_bytes = BODY_BYTES,
                                        .tag_of = tag_of};
    int rc = filled_make(&st->filled, &fill, e);
    if (rc < 0) {
        filled_free(&st->filled);
        free(st);
        return rc;
    }
    *ret_state = st;
    return 0;
}

static void close_set(void *state)
{
    struct recover_state *st = state;
    filled_free(&st->filled);
    free(st);
}

/* ---- a kill ---- */

static int overwrite(const struct filled *f, const char *name, const void *bytes, size_t len,
                     struct err *e)
{
    char path[SCRATCH_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/store/%s", f->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", path);
    bool is_done = pwrite(fd, bytes, len, 0) == (ssize_t)len;
    int error = errno;
    (void)close(fd);
    return is_done ? 0 : err_sys(e, error, "write '%s'", path);
}

/* Closes the store, and makes it one that was killed before anything was known to be on disk. */
static int kill_store(struct filled *f, struct err *e)
{
    static const uint8_t zeros[STORE_CHECKPOINT_BYTES];
    int rc = filled_drop(f, e);
    if (rc == 0)
        rc = overwrite(f, "checkpoint", zeros, sizeof zeros, e);
    return rc < 0 ? rc : overwrite(f, "abort", "1", 1, e);
}

static int open_once(struct bench_run *run, double *ret_seconds, struct err *e)
{
    struct recover_state *st = run->state;
    char root[SCRATCH_PATH_BYTES + 8];
    (void)snprintf(root, sizeof root, "%s/store", st->filled.folder);
    const struct store_options opt = {.root = root};
    bench_start(run);
    int rc = store_open(&st->filled.store, &opt, run->io, e);
    *ret_seconds = bench_stop(run);
    return rc;
}

static int recover(struct bench_run *run, const struct bench_case *c, double *ret_values,
                   struct err *e)
{
    struct recover_state *st = run->state;
    double seconds = 0;
    (void)c;
    int rc = kill_store(&st->filled, e);
    if (rc == 0)
        rc = open_once(run, &seconds, e);
    if (rc == 0)
        ret_values[0] = (double)st->filled.log_bytes / MIB / seconds;
    return rc;
}

static int open_clean(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    struct recover_state *st = run->state;
    double seconds = 0;
    (void)c;
    int rc = filled_drop(&st->filled, e);
    if (rc == 0)
        rc = open_once(run, &seconds, e);
    if (rc == 0)
        ret_values[0] = seconds * 1e3;
    return rc;
}

/* ---- the limit ---- */

static void take_piece(void *arg, const uint8_t *piece, uint64_t len)
{
    struct recover_state *st = arg;
    (void)len; /* never 0 */
    st->sink += piece[0];
}

static int read_log(struct bench_run *run, const struct bench_case *c, double *ret_values,
                    struct err *e)
{
    struct recover_state *st = run->state;
    struct filled *f = &st->filled;
    (void)c;
    int rc = filled_drop(f, e);
    bench_start(run);
    if (rc == 0)
        rc = filled_read_log(f, take_piece, st, e);
    ret_values[0] = (double)f->log_bytes / MIB / bench_stop(run);
    return rc < 0 ? rc : filled_cool(f, e);
}

static const struct bench_case cases[] = {
    {"recover after kill -9, cold",
     recover,
     read_log,
     NULL,
     {{.unit = "MiB/s", .target = "S5", .bound = 0.7}}},
    {"open after a clean stop, cold", open_clean, NULL, NULL, {{.unit = "ms"}}},
    {0},
};

const struct bench_set case_recover = {cases, open_set, close_set};

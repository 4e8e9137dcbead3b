/* Opens a store of many files, and one of many queues, after a clean stop, with nothing of it in
 * memory.
 *
 * The files before the last one are holes: a start that read them would find zeros and take them
 * for damage. Syncs are left out while the queues are made, or making them would take minutes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/bench/filled.h"
#include "tools/bench/sets.h"

enum {
    PATH_BYTES = SCRATCH_PATH_BYTES + 64,
    N_FILES = 100,
    N_QUEUES = 100000,
    N_QUEUES_SMOKE = 2000,
    QUEUES_PER_TOPIC = 4,
    QUEUE_FILE_BYTES = 4000, /* so that the queues take a page each on the disk */
    N_MESSAGES = 10000,
    BODY_BYTES = 1024,
};

#define LOG_FILE_BYTES (UINT64_C(1) << 30)

struct open_state {
    char folder[SCRATCH_PATH_BYTES];
    struct io unsynced;
};

static int open_set(const struct bench_options *opt, void **ret_state, struct err *e)
{
    struct open_state *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_NOMEM, "prepare stores to open");
    int rc = scratch_make(st->folder, opt->dir, e);
    if (rc < 0)
        free(st);
    else
        *ret_state = st;
    return rc;
}

static void close_set(void *state)
{
    struct open_state *st = state;
    scratch_remove(st->folder);
    free(st);
}

/* ---- filling ---- */

static int sync_nothing_fd(struct io *io, int fd)
{
    (void)io;
    (void)fd;
    return 0;
}

static int sync_nothing_dir(struct io *io, const char *path)
{
    (void)io;
    (void)path;
    return 0;
}

static int sync_nothing_map(struct io *io, uint8_t *base, uint64_t len)
{
    (void)io;
    (void)base;
    (void)len;
    return 0;
}

static struct io *without_syncs(struct open_state *st)
{
    st->unsynced = *io_posix();
    st->unsynced.sync_fd = sync_nothing_fd;
    st->unsynced.sync_dir = sync_nothing_dir;
    st->unsynced.sync_map = sync_nothing_map;
    return &st->unsynced;
}

static int append(struct store *s, const char *topic, int32_t queue_id, struct err *e)
{
    static const uint8_t bytes[BODY_BYTES];
    struct span body = span_of(bytes, sizeof bytes);
    struct store_appended at;
    const struct store_message m = {.topic = span_str(topic),
                                    .queue_id = queue_id,
                                    .born_host = {.addr_len = 4},
                                    .body = &body,
                                    .n_body = 1};
    return store_append(s, &m, &at, e);
}

static int fill(struct open_state *st, const struct store_options *opt, uint64_t n_messages,
                uint64_t n_queues, struct err *e)
{
    char topic[32];
    struct store *s;
    int rc = store_open(&s, opt, without_syncs(st), e);
    if (rc < 0)
        return rc;
    for (uint64_t i = 0; rc == 0 && i < n_messages; i++) {
        uint64_t q = i % n_queues;
        (void)snprintf(topic, sizeof topic, "Topic-%" PRIu64, q / QUEUES_PER_TOPIC);
        rc = append(s, topic, (int32_t)(q % QUEUES_PER_TOPIC), e);
    }
    struct err later;
    int close_rc = store_close(s, rc < 0 ? &later : e);
    return rc < 0 ? rc : close_rc;
}

static int write_file(const char *root, const char *name, const void *bytes, size_t len,
                      uint64_t file_bytes, struct err *e)
{
    char path[PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(e, errno, "make '%s'", path);
    bool is_done = write(fd, bytes, len) == (ssize_t)len && ftruncate(fd, (off_t)file_bytes) == 0;
    int error = errno;
    (void)close(fd);
    return is_done ? 0 : err_sys(e, error, "write '%s'", path);
}

/* A store that was killed in the last of many files, all holes. */
static int make_holes(const char *root, struct err *e)
{
    char name[64], folder[PATH_BYTES + 16];
    uint8_t bytes[STORE_CHECKPOINT_BYTES];
    const struct store_checkpoint cp = {
        .queue_off = (int64_t)((N_FILES - 1) * LOG_FILE_BYTES + LOG_FILE_BYTES / 2)};
    store_checkpoint_encode(bytes, &cp);
    (void)snprintf(folder, sizeof folder, "%s/commitlog", root);
    if (mkdir(root, 0755) < 0 || mkdir(folder, 0755) < 0)
        return err_sys(e, errno, "make '%s'", root);
    int rc = write_file(root, "checkpoint", bytes, sizeof bytes, sizeof bytes, e);
    if (rc == 0)
        rc = write_file(root, "abort", "1", 1, 1, e);
    for (uint64_t i = 0; rc == 0 && i < N_FILES; i++) {
        (void)snprintf(name, sizeof name, "commitlog/%020" PRIu64, i * LOG_FILE_BYTES);
        rc = write_file(root, name, "", 0, LOG_FILE_BYTES, e);
    }
    return rc;
}

/* ---- opening ---- */

static int open_once(struct bench_run *run, const struct store_options *opt, double *ret_ms,
                     struct err *e)
{
    struct open_state *st = run->state;
    struct filled all = {.store = NULL};
    struct store *s;
    memcpy(all.folder, st->folder, sizeof all.folder);
    int rc = filled_drop(&all, e);
    if (rc < 0)
        return rc;
    bench_start(run);
    rc = store_open(&s, opt, run->io, e);
    *ret_ms = bench_stop(run) * 1e3;
    return rc < 0 ? rc : store_close(s, e);
}

static bool is_there(const char *root)
{
    return access(root, F_OK) == 0;
}

static int open_large(struct bench_run *run, const struct bench_case *c, double *ret_values,
                      struct err *e)
{
    struct open_state *st = run->state;
    char root[PATH_BYTES];
    (void)c;
    (void)snprintf(root, sizeof root, "%s/large", st->folder);
    const struct store_options opt = {.root = root};
    int rc = is_there(root) ? 0 : make_holes(root, e);
    if (rc == 0 && run->index == 0)
        rc = fill(st, &opt, N_MESSAGES, QUEUES_PER_TOPIC, e);
    return rc < 0 ? rc : open_once(run, &opt, ret_values, e);
}

static int open_queues(struct bench_run *run, const struct bench_case *c, double *ret_values,
                       struct err *e)
{
    struct open_state *st = run->state;
    char root[PATH_BYTES];
    uint64_t n = run->opt->smoke ? N_QUEUES_SMOKE : N_QUEUES;
    (void)c;
    (void)snprintf(root, sizeof root, "%s/queues", st->folder);
    const struct store_options opt = {
        .root = root, .file_bytes = LOG_FILE_BYTES, .queue_file_bytes = QUEUE_FILE_BYTES};
    int rc = is_there(root) ? 0 : fill(st, &opt, n, n, e);
    return rc < 0 ? rc : open_once(run, &opt, ret_values, e);
}

static const struct bench_case cases[] = {
    {"open 100 GiB after a clean stop, cold",
     open_large,
     NULL,
     NULL,
     {{.unit = "ms", .target = "S5", .bound = 200, .is_most = true, .is_absolute = true}}},
    {"open 100,000 queues after a clean stop, cold",
     open_queues,
     NULL,
     NULL,
     {{.unit = "ms", .target = "S5", .bound = 1000, .is_most = true, .is_absolute = true}}},
    {0},
};

const struct bench_set case_open = {cases, open_set, close_set};

/* A scratch store full of messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/filled.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLICES = 64, PATH_BYTES = 640, PIECE_BYTES = 1 << 20 };
#define FILE_BYTES (UINT64_C(1) << 30) /* of a log that is not told otherwise */

struct span filled_topic(void)
{
    return span_str("BenchTopic");
}

static int open_store(struct filled *f, struct err *e)
{
    char root[PATH_BYTES];
    (void)snprintf(root, sizeof root, "%s/store", f->folder);
    f->options.root = root;
    return store_open(&f->store, &f->options, io_posix(), e);
}

/* ---- filling ---- */

/* The queue is written behind the log. */
static void wait_dispatched(struct store *s)
{
    struct store_stats stats;
    do
        store_stats(s, &stats);
    while (stats.dispatched < stats.published && !stats.failed);
}

static int fill(struct filled *f, const struct filled_options *opt, const uint8_t *body,
                struct err *e)
{
    char properties[96];
    struct span piece = span_of(body, opt->body_bytes);
    struct store_message m = {
        .topic = filled_topic(),
        .born_ms = io_posix()->now_ms(io_posix()),
        .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4},
        .body = &piece,
        .n_body = 1,
    };
    struct store_appended appended;
    for (uint64_t i = 0; i < opt->n_messages; i++) {
        int n = snprintf(properties, sizeof properties, "TAGS\001%s\002KEYS\001key-%04u\002",
                         opt->tag_of(i), (unsigned)(i % 10000));
        m.properties = span_of(properties, (size_t)n);
        int rc = store_append(f->store, &m, &appended, e);
        if (rc < 0)
            return rc;
        f->log_bytes += appended.size;
    }
    f->n_messages = opt->n_messages;
    wait_dispatched(f->store);
    return 0;
}

/* Or the disk would still be writing while it is read. */
static int sync_files(const struct filled *f, struct err *e)
{
    int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || syncfs(fd) < 0 ? err_sys(e, errno, "sync the disk of '%s'", f->folder) : 0;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

int filled_make(struct filled *f, const struct filled_options *opt, struct err *e)
{
    uint8_t *body = malloc(opt->body_bytes);
    if (!body)
        return err_set(e, ERR_NOMEM, "make a body");
    for (uint32_t i = 0; i < opt->body_bytes; i++)
        body[i] = (uint8_t)i;
    *f = (struct filled){.options = opt->store};
    int rc = scratch_make(f->folder, opt->dir, e);
    if (rc == 0)
        rc = open_store(f, e);
    if (rc == 0)
        rc = fill(f, opt, body, e);
    if (rc == 0)
        rc = sync_files(f, e);
    free(body);
    if (rc < 0)
        filled_free(f);
    return rc < 0 ? err_wrap(e, "fill a scratch store") : 0;
}

static int close_store(struct filled *f, struct err *e)
{
    struct store *s = f->store;
    f->store = NULL;
    return s ? store_close(s, e) : 0;
}

void filled_free(struct filled *f)
{
    struct err e;
    (void)close_store(f, &e); /* it is thrown away */
    scratch_remove(f->folder);
    *f = (struct filled){0};
}

/* ---- the page cache ---- */

static int drop_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)at;
    if (kind != FTW_F)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fdatasync(fd); /* dirty pages stay */
    if (rc == 0)
        rc = posix_fadvise(fd, 0, st->st_size, POSIX_FADV_DONTNEED);
    (void)close(fd);
    return rc;
}

static int drop_files(const struct filled *f, struct err *e)
{
    enum { MAX_OPEN_FOLDERS = 8 };
    if (nftw(f->folder, drop_file, MAX_OPEN_FOLDERS, FTW_PHYS) != 0)
        return err_sys(e, errno, "drop '%s' from memory", f->folder);
    return 0;
}

int filled_drop(struct filled *f, struct err *e)
{
    int rc = close_store(f, e);
    return rc < 0 ? rc : drop_files(f, e);
}

/* Once more when it is open: recovery looks at the end of the log. */
int filled_cool(struct filled *f, struct err *e)
{
    int rc = filled_drop(f, e);
    if (rc == 0)
        rc = open_store(f, e);
    return rc < 0 ? rc : drop_files(f, e);
}

/* ---- without the store ---- */

static int map_one(struct filled_map *m, const char *path, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, errno, "open '%s'", path);
    void *base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    int error = errno;
    (void)close(fd);
    if (base == MAP_FAILED)
        return err_sys(e, error, "map '%s'", path);
    m->bases[m->n] = base;
    m->lens[m->n++] = (uint64_t)st.st_size;
    return 0;
}

static int is_log_name(const struct dirent *entry)
{
    return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

/* Names are positions of equal length: their order is that of the files. */
int filled_map(const struct filled *f, const char *folder, struct filled_map *ret, struct err *e)
{
    char path[PATH_BYTES], file[PATH_BYTES + 32];
    struct dirent **entries;
    (void)snprintf(path, sizeof path, "%s/store/%s", f->folder, folder);
    ret->n = 0;
    int n = scandir(path, &entries, is_log_name, alphasort);
    if (n < 0)
        return err_sys(e, errno, "list '%s'", path);
    int rc = 0;
    for (int i = 0; i < n; i++) {
        (void)snprintf(file, sizeof file, "%s/%.30s", path, entries[i]->d_name);
        if (rc == 0 && ret->n < FILLED_FILES_MAX)
            rc = map_one(ret, file, e);
        free(entries[i]);
    }
    free(entries);
    if (rc < 0)
        filled_unmap(ret);
    return rc;
}

void filled_unmap(struct filled_map *m)
{
    for (size_t i = 0; i < m->n; i++)
        (void)munmap(m->bases[i], (size_t)m->lens[i]);
    m->n = 0;
}

uint64_t filled_sum(const uint8_t *at, uint64_t len)
{
    uint64_t sum = 0, word;
    for (; len >= sizeof word; at += sizeof word, len -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum += word;
    }
    return sum;
}

/* ---- reading ---- */

/* What is left to be read, and who gets it. */
struct log_reading {
    uint8_t *piece; /* of PIECE_BYTES */
    uint64_t left;
    filled_piece_fn fn;
    void *arg;
};

static int read_file(struct log_reading *r, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open '%s'", path);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    ssize_t n = 1;
    while (r->left > 0 && n > 0) {
        n = read(fd, r->piece, r->left < PIECE_BYTES ? (size_t)r->left : PIECE_BYTES);
        if (n > 0) {
            r->fn(r->arg, r->piece, (uint64_t)n);
            r->left -= (uint64_t)n;
        }
    }
    int error = errno;
    (void)close(fd);
    return n < 0 ? err_sys(e, error, "read '%s'", path) : 0;
}

int filled_read_log(const struct filled *f, filled_piece_fn fn, void *arg, struct err *e)
{
    char path[SCRATCH_PATH_BYTES + 64];
    struct log_reading r = {
        .piece = malloc(PIECE_BYTES), .left = f->log_bytes, .fn = fn, .arg = arg};
    int rc = r.piece ? 0 : err_set(e, ERR_NOMEM, "read a store's files");
    for (uint64_t at = 0; rc == 0 && r.left > 0; at += FILE_BYTES) {
        (void)snprintf(path, sizeof path, "%s/store/commitlog/%020" PRIu64, f->folder, at);
        rc = read_file(&r, path, e);
    }
    free(r.piece);
    return rc;
}

int filled_scan(const struct filled *f, const struct store_match *match, struct filled_pass *ret,
                struct err *e)
{
    struct store_slice slices[SLICES];
    struct store_scanned done;
    struct store_scan scan = {.topic = filled_topic(),
                              .max_messages = SLICES,
                              .max_bytes = UINT64_MAX,
                              .max_entries = UINT64_MAX,
                              .match = *match};
    *ret = (struct filled_pass){0};
    do {
        int rc = store_scan(f->store, &scan, slices, &done, e);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < done.n; i++) {
            ret->sum += filled_sum(slices[i].rec.raw.ptr, slices[i].rec.raw.len);
            ret->hit_bytes += slices[i].rec.raw.len;
            store_unpin(slices[i].pin);
        }
        ret->n_hits += done.n;
        scan.from_queue_off = done.next_queue_off;
    } while (done.end == STORE_SCAN_FULL || done.end == STORE_SCAN_MORE);
    ret->n_entries = done.next_queue_off;
    if (ret->n_entries != f->n_messages)
        return err_set(e, ERR_FAILED, "scan: %" PRIu64 " of %" PRIu64 " messages are there",
                       ret->n_entries, f->n_messages);
    return 0;
}

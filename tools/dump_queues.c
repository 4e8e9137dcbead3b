/* Reads consume queues from outside: read-only, a few bytes at a time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_queues.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "tools/json_line.h"

enum {
    NAME_DIGITS = 20,
    BATCH_ENTRY_BYTES = 46, /* rocketmq-store 3.5 */
    BATCH_AT_NUM = 36,
    PIECE_ENTRIES = 1024,
};

/* What is remembered of one queue's folder. */
struct folder {
    uint64_t file_bytes;
    bool is_batch;
};

struct dump_queues {
    struct io *io;
    char *root;
    struct map folders; /* by "topic/queue id" */
};

bool dump_parse_name(const char *name, uint64_t *ret_start)
{
    if (strlen(name) != NAME_DIGITS || strspn(name, "0123456789") != NAME_DIGITS)
        return false;
    errno = 0;
    uint64_t start = strtoull(name, NULL, 10);
    if (errno != 0 || start > INT64_MAX)
        return false;
    *ret_start = start;
    return true;
}

int dump_queues_open(struct dump_queues **ret_queues, const char *root, struct io *io,
                     struct err *e)
{
    struct dump_queues *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(e, ERR_NOMEM, "read the consume queues");
    q->io = io;
    q->root = strdup(root);
    if (!q->root) {
        dump_queues_close(q);
        return err_set(e, ERR_NOMEM, "read the consume queues");
    }
    *ret_queues = q;
    return 0;
}

void dump_queues_close(struct dump_queues *q)
{
    if (!q)
        return;
    size_t pos = 0;
    for (const struct map_entry *entry; (entry = map_next(&q->folders, &pos));)
        free(entry->value);
    map_fini(&q->folders);
    free(q->root);
    free(q);
}

/* Opens for reading; the length too. -ENOENT is passed on as ERR_NOTFOUND. */
static int open_sized(struct io *io, const char *path, int *ret_fd, uint64_t *ret_bytes,
                      struct err *e)
{
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    int rc = io->size(io, fd, ret_bytes);
    if (rc < 0) {
        (void)io->close(io, fd); /* read only: nothing to lose */
        return err_sys(e, -rc, "get the length of '%s'", path);
    }
    *ret_fd = fd;
    return 0;
}

/* Reads all of `len` bytes; what lies behind the end of the file reads as zeros. */
static int read_at(struct io *io, int fd, uint8_t *buf, size_t len, uint64_t off, struct err *e)
{
    memset(buf, 0, len);
    size_t done = 0;
    while (done < len) {
        int64_t n = io->pread(io, fd, buf + done, len - done, off + done);
        if (n < 0 && n != -EINTR)
            return err_sys(e, (int)-n, "read a consume queue");
        if (n == 0)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* ---- finding ---- */

/* The length of the files in a queue's folder; ERR_NOTFOUND when it has none. */
static int measure_folder(struct dump_queues *q, const char *path, uint64_t *ret_file_bytes,
                          struct err *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return err_sys(e, errno, "open folder '%s'", path);
    int rc = ERR_NOTFOUND;
    for (struct dirent *entry = readdir(dir); entry && rc == ERR_NOTFOUND; entry = readdir(dir)) {
        char file[PATH_MAX];
        uint64_t start;
        int fd;
        if (!dump_parse_name(entry->d_name, &start))
            continue;
        int n = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof file)
            continue;
        rc = open_sized(q->io, file, &fd, ret_file_bytes, e);
        if (rc == 0)
            (void)q->io->close(q->io, fd); /* read only: nothing to lose */
        if (rc == 0 && *ret_file_bytes == 0)
            rc = ERR_NOTFOUND;
    }
    (void)closedir(dir);
    return rc;
}

static const char *kind_of(bool is_batch)
{
    return is_batch ? "batchconsumequeue" : "consumequeue";
}

static int add_folder(struct dump_queues *q, const char *key, struct folder **ret, struct err *e)
{
    struct folder found = {0};
    int rc = ERR_NOTFOUND;
    for (int is_batch = 0; is_batch < 2 && rc == ERR_NOTFOUND; is_batch++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s/%s", q->root, kind_of(is_batch), key);
        if (n < 0 || (size_t)n >= sizeof path)
            return err_set(e, ERR_TOOBIG, "path of queue '%s' is too long", key);
        found.is_batch = is_batch;
        rc = measure_folder(q, path, &found.file_bytes, e);
    }
    if (rc < 0)
        return rc;
    struct folder *folder = malloc(sizeof *folder);
    if (!folder)
        return err_set(e, ERR_NOMEM, "remember a queue");
    *folder = found;
    rc = map_put(&q->folders, span_str(key), folder, e);
    if (rc < 0) {
        free(folder);
        return rc;
    }
    *ret = folder;
    return 0;
}

/* A topic from the disk becomes part of a path only when it is one name. */
static bool is_one_name(struct span topic)
{
    return topic.len > 0 && topic.len <= NAME_MAX && !memchr(topic.ptr, '/', topic.len) &&
           !memchr(topic.ptr, '\0', topic.len) && !span_equal(topic, span_str(".")) &&
           !span_equal(topic, span_str(".."));
}

/* Reads the bytes of the entry that starts at byte `pos` of a queue. */
static int read_entry(struct dump_queues *q, const struct folder *folder, const char *key,
                      uint64_t pos, uint8_t *buf, size_t len, struct err *e)
{
    char path[PATH_MAX];
    uint64_t start = pos / folder->file_bytes * folder->file_bytes;
    int n = snprintf(path, sizeof path, "%s/%s/%s/%020" PRIu64, q->root, kind_of(folder->is_batch),
                     key, start);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, ERR_TOOBIG, "path of queue '%s' is too long", key);
    int fd;
    uint64_t bytes;
    int rc = open_sized(q->io, path, &fd, &bytes, e);
    if (rc < 0)
        return rc;
    rc = read_at(q->io, fd, buf, len, pos - start, e);
    (void)q->io->close(q->io, fd); /* read only: nothing to lose */
    return rc;
}

static int find_single(struct dump_queues *q, const struct folder *folder, const char *key,
                       const struct store_record *rec, struct dump_place *place, struct err *e)
{
    uint8_t bytes[STORE_QUEUE_ENTRY_BYTES];
    struct store_queue_entry entry;
    uint64_t pos;
    if (__builtin_mul_overflow(rec->queue_off, STORE_QUEUE_ENTRY_BYTES, &pos))
        return 0;
    int rc = read_entry(q, folder, key, pos, bytes, sizeof bytes, e);
    if (rc < 0)
        return rc;
    if (store_queue_entry_decode(bytes, &entry) && entry.log_off == rec->log_off) {
        place->is_dispatched = true;
        place->tag_code = entry.tag_code;
    }
    return 0;
}

/* Entries of batches are in the order of the log and as many as there are records, so the one
 * wanted is found by halving. What is behind the last one counts as greater. */
static int find_batch(struct dump_queues *q, const struct folder *folder, const char *key,
                      const struct store_record *rec, struct dump_place *place, struct err *e)
{
    uint64_t low = 0, high = rec->queue_off + 1; /* each entry stands for one message at least */
    while (low < high) {
        uint8_t bytes[BATCH_ENTRY_BYTES];
        struct store_queue_entry entry;
        uint64_t mid = low + (high - low) / 2, pos;
        if (__builtin_mul_overflow(mid, BATCH_ENTRY_BYTES, &pos))
            return 0;
        int rc = read_entry(q, folder, key, pos, bytes, sizeof bytes, e);
        if (rc < 0 && rc != ERR_NOTFOUND)
            return rc;
        if (rc < 0 || !store_queue_entry_decode(bytes, &entry) || entry.log_off > rec->log_off) {
            high = mid;
        } else if (entry.log_off < rec->log_off) {
            low = mid + 1;
        } else {
            place->is_dispatched = true;
            place->tag_code = entry.tag_code;
            place->batch_num = be16_get(bytes + BATCH_AT_NUM);
            return 0;
        }
    }
    return 0;
}

int dump_queues_find(struct dump_queues *q, const struct store_record *rec, struct dump_place *ret,
                     struct err *e)
{
    struct dump_place place = {.is_known = true};
    char key[NAME_MAX + 16];
    if (!is_one_name(rec->topic)) {
        *ret = place;
        return 0;
    }
    (void)snprintf(key, sizeof key, "%.*s/%" PRId32, (int)rec->topic.len,
                   (const char *)rec->topic.ptr, rec->queue_id);
    struct folder *folder = map_get(&q->folders, span_str(key));
    int rc = folder ? 0 : add_folder(q, key, &folder, e);
    if (rc == 0)
        rc = folder->is_batch ? find_batch(q, folder, key, rec, &place, e)
                              : find_single(q, folder, key, rec, &place, e);
    if (rc < 0 && rc != ERR_NOTFOUND)
        return rc;
    *ret = place;
    return 0;
}

/* ---- listing ---- */

static int print_entry(const struct store_queue_entry *entry, uint64_t queue_off, bool json,
                       struct err *e)
{
    if (json)
        return json_line(json_pack("{s:I, s:I, s:I, s:I}", "queueOffset", (json_int_t)queue_off,
                                   "physicalOffset", (json_int_t)entry->log_off, "storeSize",
                                   (json_int_t)entry->size, "tagsCode",
                                   (json_int_t)entry->tag_code),
                         e);
    printf("%12" PRIu64 "  record at %" PRIu64 ", %" PRIu32 " bytes, tag code %" PRId64 "\n",
           queue_off, entry->log_off, entry->size, entry->tag_code);
    return 0;
}

/* Prints the entries of one piece. `*n_empty` counts the empty ones since the last that was not. */
static int print_piece(const uint8_t *bytes, size_t n, uint64_t first_queue_off, bool json,
                       uint64_t *limit, uint64_t *n_empty, uint64_t *n_bad, struct err *e)
{
    for (size_t i = 0; i<n && * limit> 0; i++) {
        struct store_queue_entry entry;
        if (!store_queue_entry_decode(bytes + i * STORE_QUEUE_ENTRY_BYTES, &entry)) {
            ++*n_empty;
            continue;
        }
        *n_bad += *n_empty; /* not the end: something follows */
        *n_empty = 0;
        --*limit;
        int rc = print_entry(&entry, first_queue_off + i, json, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int dump_queue_file(const char *path, bool json, uint64_t *limit, uint64_t *ret_n_bad,
                    struct io *io, struct err *e)
{
    static uint8_t piece[PIECE_ENTRIES * STORE_QUEUE_ENTRY_BYTES];
    const char *slash = strrchr(path, '/');
    uint64_t start = 0, bytes, n_empty = 0, n_bad = 0;
    (void)dump_parse_name(slash ? slash + 1 : path, &start);
    int fd;
    int rc = open_sized(io, path, &fd, &bytes, e);
    if (rc < 0)
        return rc;
    uint64_t n_left = bytes / STORE_QUEUE_ENTRY_BYTES;
    for (uint64_t off = 0; rc == 0 && n_left > 0 && *limit > 0;) {
        size_t n = n_left < PIECE_ENTRIES ? (size_t)n_left : PIECE_ENTRIES;
        rc = read_at(io, fd, piece, n * STORE_QUEUE_ENTRY_BYTES, off, e);
        if (rc == 0)
            rc = print_piece(piece, n, (start + off) / STORE_QUEUE_ENTRY_BYTES, json, limit,
                             &n_empty, &n_bad, e);
        off += n * STORE_QUEUE_ENTRY_BYTES;
        n_left -= n;
    }
    (void)io->close(io, fd); /* read only: nothing to lose */
    if (rc < 0)
        return err_wrap(e, "dump '%s'", path);
    *ret_n_bad = n_bad;
    return 0;
}

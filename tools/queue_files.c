/* Reads consume queues through a fixed number of windows.
 *
 * A walk of the log asks for the entries of each queue in order, and for many queues by turns: a
 * window of some hundred entries for each of the queues asked for last answers nearly all of it.
 * Windows are chosen by the queue's number, so their memory does not grow with the queues. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/queue_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/quiet_file.h"

enum {
    PRE_BLANK_SIZE = 0x7fffffff,
    N_WINDOWS = 256,
    WINDOW_ENTRIES = 200,
    BATCH_AT_STORE_MS = 20,
    BATCH_AT_BASE = 28,
    BATCH_AT_N = 36,
};

struct window {
    const struct queue_folder *folder; /* NULL: empty */
    uint64_t first;                    /* entry number */
    uint8_t bytes[WINDOW_ENTRIES * QUEUE_ENTRY_BYTES_MAX];
};

struct queue_files {
    struct io *io;
    char *root;
    struct map folders; /* by key */
    unsigned n_folders;
    struct window windows[N_WINDOWS];
};

static const char *const kinds[] = {"consumequeue", "batchconsumequeue"};

/* ---- entries ---- */

size_t queue_entry_bytes(bool is_batch)
{
    return is_batch ? QUEUE_BATCH_ENTRY_BYTES : STORE_QUEUE_ENTRY_BYTES;
}

bool queue_entry_decode(const uint8_t *bytes, bool is_batch, struct queue_entry *ret)
{
    struct queue_entry entry = {.n = 1};
    if (!store_queue_entry_decode(bytes, &entry.at))
        return false;
    entry.is_pre_blank = entry.at.size == PRE_BLANK_SIZE && entry.at.log_off == 0;
    if (is_batch) {
        entry.store_ms = be64_get(bytes + BATCH_AT_STORE_MS);
        entry.base_off = be64_get(bytes + BATCH_AT_BASE);
        entry.n = be16_get(bytes + BATCH_AT_N);
        if (entry.base_off > INT64_MAX || entry.n == 0 || entry.n > INT16_MAX)
            return false;
    }
    *ret = entry;
    return true;
}

/* ---- folders ---- */

int queue_files_open(struct queue_files **ret_q, const char *root, struct io *io, struct err *e)
{
    struct queue_files *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(e, ERR_NOMEM, "read the consume queues");
    q->io = io;
    q->root = strdup(root);
    if (!q->root) {
        queue_files_close(q);
        return err_set(e, ERR_NOMEM, "read the consume queues");
    }
    *ret_q = q;
    return 0;
}

void queue_files_close(struct queue_files *q)
{
    if (!q)
        return;
    size_t pos = 0;
    for (const struct map_entry *entry; (entry = map_next(&q->folders, &pos));) {
        struct queue_folder *folder = entry->value;
        free(folder->key);
        free(folder);
    }
    map_fini(&q->folders);
    free(q->root);
    free(q);
}

/* Lengths and places of the files in a queue's folder; an absent one is not there. */
static int measure(const char *path, struct queue_folder *folder, struct err *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : err_sys(e, errno, "open folder '%s'", path);
    uint64_t last = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char file[PATH_MAX];
        uint64_t start;
        struct stat st;
        int n = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (!store_parse_name(entry->d_name, &start) || n < 0 || (size_t)n >= sizeof file ||
            stat(file, &st) < 0 || st.st_size == 0)
            continue;
        if (!folder->is_there || start < folder->begin) {
            folder->begin = start;
            folder->file_bytes = (uint64_t)st.st_size;
        }
        if (start >= last) {
            last = start;
            folder->end = start + (uint64_t)st.st_size;
        }
        folder->is_there = true;
    }
    (void)closedir(dir);
    return 0;
}

/* Looks at the disk; a topic that is no name has no folder. */
static int measure_any(struct queue_files *q, struct queue_folder *folder, struct err *e)
{
    int rc = 0;
    folder->is_there = false;
    if (folder->key[0] == '/')
        return 0;
    for (int is_batch = 0; is_batch < 2 && rc == 0 && !folder->is_there; is_batch++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s/%s", q->root, kinds[is_batch], folder->key);
        if (n < 0 || (size_t)n >= sizeof path)
            return err_set(e, ERR_TOOBIG, "path of queue '%s' is too long", folder->key);
        folder->is_batch = is_batch;
        rc = measure(path, folder, e);
    }
    return rc;
}

/* A topic from the disk becomes part of a path only when it is one name. */
static bool is_one_name(struct span topic)
{
    return topic.len > 0 && topic.len <= NAME_MAX && !memchr(topic.ptr, '/', topic.len) &&
           !memchr(topic.ptr, '\0', topic.len) && !span_equal(topic, span_str(".")) &&
           !span_equal(topic, span_str(".."));
}

static int add_folder(struct queue_files *q, const char *key, struct queue_folder **ret,
                      struct err *e)
{
    struct queue_folder *folder = calloc(1, sizeof *folder);
    char *name = strdup(key);
    if (!folder || !name) {
        free(folder);
        free(name);
        return err_set(e, ERR_NOMEM, "remember a queue");
    }
    folder->key = name;
    folder->number = q->n_folders++;
    int rc = measure_any(q, folder, e);
    if (rc == 0)
        rc = map_put(&q->folders, span_str(key), folder, e);
    if (rc < 0) {
        free(name);
        free(folder);
        return rc;
    }
    *ret = folder;
    return 0;
}

int queue_files_get(struct queue_files *q, struct span topic, int32_t queue_id,
                    struct queue_folder **ret, struct err *e)
{
    char key[NAME_MAX + 16];
    bool is_one = is_one_name(topic);
    (void)snprintf(key, sizeof key, "%.*s/%" PRId32, is_one ? (int)topic.len : 0,
                   (const char *)topic.ptr, queue_id);
    struct queue_folder *folder = map_get(&q->folders, span_str(key));
    int rc = folder ? 0 : add_folder(q, key, &folder, e);
    if (rc == 0)
        *ret = folder;
    return rc;
}

/* ---- windows ---- */

/* Reads what one file has of the window; where there is no file the bytes stay zero. */
static int read_part(struct queue_files *q, const struct queue_folder *folder, uint64_t pos,
                     uint8_t *buf, size_t len, struct err *e)
{
    char path[PATH_MAX];
    struct quiet_file f;
    uint64_t start = pos / folder->file_bytes * folder->file_bytes;
    size_t n_read;
    int n = snprintf(path, sizeof path, "%s/%s/%s/%020" PRIu64, q->root, kinds[folder->is_batch],
                     folder->key, start);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, ERR_TOOBIG, "path of queue '%s' is too long", folder->key);
    int rc = quiet_open(&f, q->io, path, e);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (rc < 0)
        return rc;
    rc = quiet_read(&f, pos - start, buf, len, &n_read, e);
    quiet_close(&f);
    return rc < 0 ? err_wrap(e, "read '%s'", path) : 0;
}

static int load_window(struct queue_files *q, const struct queue_folder *folder, uint64_t first,
                       struct window *w, struct err *e)
{
    const size_t entry_bytes = queue_entry_bytes(folder->is_batch);
    uint64_t pos = first * entry_bytes;
    size_t len = WINDOW_ENTRIES * entry_bytes;
    w->folder = NULL;
    memset(w->bytes, 0, sizeof w->bytes);
    for (size_t done = 0; done < len;) {
        uint64_t in_file = (pos + done) % folder->file_bytes;
        size_t part = len - done;
        if (part > folder->file_bytes - in_file)
            part = (size_t)(folder->file_bytes - in_file);
        int rc = read_part(q, folder, pos + done, w->bytes + done, part, e);
        if (rc < 0)
            return rc;
        done += part;
    }
    w->folder = folder;
    w->first = first;
    return 0;
}

int queue_files_entry(struct queue_files *q, struct queue_folder *folder, uint64_t n,
                      enum queue_look look, const uint8_t **ret_bytes, struct err *e)
{
    static const uint8_t none[QUEUE_ENTRY_BYTES_MAX];
    assert(folder->is_there);
    const size_t entry_bytes = queue_entry_bytes(folder->is_batch);
    if (n > INT64_MAX / QUEUE_ENTRY_BYTES_MAX) { /* a damaged number */
        *ret_bytes = none;
        return 0;
    }
    struct window *w = &q->windows[folder->number % N_WINDOWS];
    uint64_t first = n / WINDOW_ENTRIES * WINDOW_ENTRIES;
    bool is_there = w->folder == folder && w->first == first;
    int rc = is_there && look == QUEUE_CACHED ? 0 : load_window(q, folder, first, w, e);
    if (rc == 0)
        *ret_bytes = w->bytes + (n - first) * entry_bytes;
    return rc;
}

/* ---- finding ---- */

/* Sets `*ret_found` when the entry with number `n` points at the record. */
static int look_at(struct queue_files *q, struct queue_folder *folder, uint64_t n,
                   const struct store_record *rec, enum queue_look look, bool *ret_found,
                   struct queue_entry *ret, struct err *e)
{
    const uint8_t *bytes;
    int rc = queue_files_entry(q, folder, n, look, &bytes, e);
    if (rc < 0)
        return rc;
    *ret = (struct queue_entry){0};
    *ret_found =
        queue_entry_decode(bytes, folder->is_batch, ret) && ret->at.log_off == rec->log_off;
    return 0;
}

/* Entries of batches are in the order of the log and as many as there are records, so the one
 * wanted is found by halving. What is behind the last one counts as greater. */
static int find_batch(struct queue_files *q, struct queue_folder *folder,
                      const struct store_record *rec, enum queue_look look, bool *ret_found,
                      struct queue_entry *ret, struct err *e)
{
    uint64_t low = folder->begin / QUEUE_BATCH_ENTRY_BYTES, high = rec->queue_off + 1;
    if (high > folder->end / QUEUE_BATCH_ENTRY_BYTES)
        high = folder->end / QUEUE_BATCH_ENTRY_BYTES; /* each stands for one message at least */
    *ret_found = false;
    while (low < high && !*ret_found) {
        uint64_t mid = low + (high - low) / 2;
        int rc = look_at(q, folder, mid, rec, look, ret_found, ret, e);
        if (rc < 0)
            return rc;
        if (ret->at.size == 0 || ret->at.log_off > rec->log_off)
            high = mid;
        else
            low = mid + 1;
    }
    return 0;
}

static int find_any(struct queue_files *q, struct queue_folder *folder,
                    const struct store_record *rec, enum queue_look look, bool *ret_found,
                    struct queue_entry *ret, struct err *e)
{
    *ret_found = false;
    *ret = (struct queue_entry){0};
    if (!folder->is_there)
        return 0;
    return folder->is_batch ? find_batch(q, folder, rec, look, ret_found, ret, e)
                            : look_at(q, folder, rec->queue_off, rec, look, ret_found, ret, e);
}

int queue_files_find(struct queue_files *q, struct queue_folder *folder,
                     const struct store_record *rec, bool *ret_found, struct queue_entry *ret,
                     struct err *e)
{
    int rc = find_any(q, folder, rec, QUEUE_CACHED, ret_found, ret, e);
    if (rc < 0 || *ret_found)
        return rc;
    if (!folder->is_there || folder->is_batch)
        rc = measure_any(q, folder, e);
    return rc < 0 ? rc : find_any(q, folder, rec, QUEUE_FRESH, ret_found, ret, e);
}

/* ---- every queue ---- */

/* The names in a folder, sorted; NULL at the end. An absent folder has none. */
static int list_names(const char *path, struct dirent ***ret_names, int *ret_n, struct err *e)
{
    int n = scandir(path, ret_names, NULL, alphasort);
    if (n < 0 && errno != ENOENT && errno != ENOTDIR)
        return err_sys(e, errno, "open folder '%s'", path);
    if (n < 0)
        *ret_names = NULL;
    *ret_n = n < 0 ? 0 : n;
    return 0;
}

static void free_names(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

struct visit {
    queue_folder_fn fn;
    void *arg;
    const char *root;
    bool is_batch;
};

/* The queues of one topic, or with a depth of 0 the topics. */
static int visit_folder(const struct visit *v, const char *path, int depth, struct err *e)
{
    char full[PATH_MAX];
    struct dirent **names = NULL;
    int n = 0;
    int full_len = snprintf(full, sizeof full, "%s/%s", v->root, path);
    if (full_len < 0 || (size_t)full_len >= sizeof full)
        return err_set(e, ERR_TOOBIG, "path of '%s' is too long", path);
    int rc = list_names(full, &names, &n, e);
    for (int i = 0; rc == 0 && i < n; i++) {
        char child[PATH_MAX];
        if (names[i]->d_name[0] == '.')
            continue;
        int len = snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
        if (len < 0 || (size_t)len >= sizeof child)
            rc = err_set(e, ERR_TOOBIG, "path of '%s' is too long", names[i]->d_name);
        else
            rc = depth == 1 ? v->fn(v->arg, child, v->is_batch, e)
                            : visit_folder(v, child, depth + 1, e);
    }
    free_names(names, n);
    return rc;
}

int queue_files_each(const char *root, queue_folder_fn fn, void *arg, struct err *e)
{
    int rc = 0;
    for (int is_batch = 0; is_batch < 2 && rc == 0; is_batch++) {
        struct visit v = {.fn = fn, .arg = arg, .root = root, .is_batch = is_batch};
        rc = visit_folder(&v, kinds[is_batch], 0, e);
    }
    return rc;
}

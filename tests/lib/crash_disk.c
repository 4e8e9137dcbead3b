/* What a disk would hold after a power cut.
 *
 * The live folder is what processes see, page cache included. Beside it there is, for each file, a
 * shadow with the bytes that were synced, and a list of names that were synced, with the later
 * changes behind it in order. An image takes page by page from the one or the other. Each file is
 * held open, so that one without a name still has its bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/crash_disk.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/crash_io.h"
#include "tests/lib/tmpdir.h"

enum { PAGE_BYTES = 4096, MAX_DEPTH = 16 };

struct crash_node {
    int fd;        /* the live file */
    int shadow_fd; /* its synced bytes */
    dev_t dev;
    ino_t ino;
    uint64_t synced_bytes; /* length that is durable */
};

/* A name and what it names; node NULL: a folder. */
struct name {
    char *path; /* relative to the live folder */
    struct crash_node *node;
};

enum change_kind { CHANGE_MADE, CHANGE_REMOVED, CHANGE_RENAMED };

struct change {
    enum change_kind kind;
    char *dir;  /* folder whose sync makes it durable */
    char *path; /* made or removed, or renamed to */
    char *from; /* renamed from; else NULL */
    struct crash_node *node;
};

struct crash_disk {
    char *live;
    char *scratch;
    struct crash_node **nodes;
    size_t n_nodes;
    struct name *names; /* durable */
    size_t n_names;
    struct change *changes; /* not yet durable, oldest first */
    size_t n_changes;
};

/* ---- small parts ---- */

static void *grow(void *items, size_t n_items, size_t item_bytes)
{
    void *grown = realloc(items, (n_items + 1) * item_bytes);
    ck_assert_ptr_nonnull(grown);
    return grown;
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    ck_assert_ptr_nonnull(copy);
    return copy;
}

/* The path under the live folder, to be freed; "" for that folder, NULL for others. */
static char *relative(const struct crash_disk *d, const char *path)
{
    size_t len = strlen(d->live);
    if (strncmp(path, d->live, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NULL;
    char *rel = copy_text(path + len);
    size_t n = 0;
    for (const char *p = rel; *p; p++) {
        if (*p != '/' || (n > 0 && rel[n - 1] != '/'))
            rel[n++] = *p;
    }
    if (n > 0 && rel[n - 1] == '/')
        n--;
    rel[n] = '\0';
    return rel;
}

/* The folder a relative path is in, to be freed. */
static char *dir_of(const char *rel)
{
    char *dir = copy_text(rel);
    char *slash = strrchr(dir, '/');
    *(slash ? slash : dir) = '\0';
    return dir;
}

static uint64_t length_of(int fd)
{
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    return (uint64_t)st.st_size;
}

/* One page of a file, with zeros behind its end. */
static void read_page(int fd, uint64_t off, uint8_t page[PAGE_BYTES])
{
    memset(page, 0, PAGE_BYTES);
    ck_assert_int_ge(pread(fd, page, PAGE_BYTES, (off_t)off), 0);
}

static void write_page(int fd, uint64_t off, const uint8_t page[PAGE_BYTES])
{
    ck_assert_int_eq(pwrite(fd, page, PAGE_BYTES, (off_t)off), PAGE_BYTES);
}

/* ---- names ---- */

static void set_name(struct name **names, size_t *n, const char *path, struct crash_node *node)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp((*names)[i].path, path) == 0) {
            (*names)[i].node = node;
            return;
        }
    }
    *names = grow(*names, *n, sizeof **names);
    (*names)[(*n)++] = (struct name){.path = copy_text(path), .node = node};
}

static void remove_name(struct name *names, size_t *n, const char *path)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(names[i].path, path) == 0) {
            free(names[i].path);
            names[i] = names[--*n];
            return;
        }
    }
}

/* Renames the entry and, when it is a folder, all below it. */
static void rename_names(struct name *names, size_t *n, const char *from, const char *to)
{
    size_t len = strlen(from);
    remove_name(names, n, to);
    for (size_t i = 0; i < *n; i++) {
        const char *path = names[i].path;
        if (strncmp(path, from, len) != 0 || (path[len] != '\0' && path[len] != '/'))
            continue;
        char *renamed = NULL;
        ck_assert_int_gt(asprintf(&renamed, "%s%s", to, path + len), 0);
        free(names[i].path);
        names[i].path = renamed;
    }
}

static void apply(struct name **names, size_t *n, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_MADE:
        set_name(names, n, change->path, change->node);
        break;
    case CHANGE_REMOVED:
        remove_name(*names, n, change->path);
        break;
    case CHANGE_RENAMED:
        rename_names(*names, n, change->from, change->path);
        break;
    }
}

static void free_change(struct change *change)
{
    free(change->dir);
    free(change->path);
    free(change->from);
}

/* Takes `path` and `from`. */
static void note_change(struct crash_disk *d, enum change_kind kind, char *path, char *from,
                        struct crash_node *node)
{
    struct change change = {.kind = kind, .path = path, .from = from, .node = node};
    if (!path || (kind == CHANGE_RENAMED && !from)) {
        free_change(&change);
        return;
    }
    change.dir = dir_of(path);
    d->changes = grow(d->changes, d->n_changes, sizeof *d->changes);
    d->changes[d->n_changes++] = change;
}

void crash_disk_made_dir(struct crash_disk *d, const char *path)
{
    note_change(d, CHANGE_MADE, relative(d, path), NULL, NULL);
}

void crash_disk_removed(struct crash_disk *d, const char *path)
{
    note_change(d, CHANGE_REMOVED, relative(d, path), NULL, NULL);
}

void crash_disk_renamed(struct crash_disk *d, const char *from, const char *to)
{
    note_change(d, CHANGE_RENAMED, relative(d, to), relative(d, from), NULL);
}

void crash_disk_sync_dir(struct crash_disk *d, const char *path)
{
    char *dir = relative(d, path);
    size_t n_left = 0;
    for (size_t i = 0; dir && i < d->n_changes; i++) {
        struct change change = d->changes[i];
        if (strcmp(change.dir, dir) == 0) {
            apply(&d->names, &d->n_names, &change);
            free_change(&change);
        } else {
            d->changes[n_left++] = change;
        }
    }
    if (dir)
        d->n_changes = n_left;
    free(dir);
}

/* ---- files ---- */

static struct crash_node *add_node(struct crash_disk *d, const char *path, const struct stat *st)
{
    struct crash_node *node = calloc(1, sizeof *node);
    ck_assert_ptr_nonnull(node);
    node->dev = st->st_dev;
    node->ino = st->st_ino;
    node->fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(node->fd, 0);
    char *shadow = NULL;
    ck_assert_int_gt(asprintf(&shadow, "%s/%zu", d->scratch, d->n_nodes), 0);
    node->shadow_fd = open(shadow, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(node->shadow_fd, 0);
    free(shadow);
    d->nodes = grow(d->nodes, d->n_nodes, sizeof *d->nodes);
    d->nodes[d->n_nodes++] = node;
    return node;
}

struct crash_node *crash_disk_opened(struct crash_disk *d, const char *path, int fd)
{
    char *rel = relative(d, path);
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    struct crash_node *node = NULL;
    for (size_t i = 0; rel && i < d->n_nodes && !node; i++) {
        if (d->nodes[i]->dev == st.st_dev && d->nodes[i]->ino == st.st_ino)
            node = d->nodes[i];
    }
    if (!rel || node || !S_ISREG(st.st_mode)) {
        free(rel);
        return node;
    }
    node = add_node(d, path, &st);
    note_change(d, CHANGE_MADE, rel, NULL, node);
    return node;
}

void crash_disk_sync(struct crash_node *node, uint64_t off, uint64_t len)
{
    uint8_t now[PAGE_BYTES], then[PAGE_BYTES];
    uint64_t bytes = length_of(node->fd);
    uint64_t end = off + len < bytes ? off + len : bytes;
    for (uint64_t at = off - off % PAGE_BYTES; at < end; at += PAGE_BYTES) {
        read_page(node->fd, at, now);
        read_page(node->shadow_fd, at, then);
        if (memcmp(now, then, PAGE_BYTES) != 0)
            write_page(node->shadow_fd, at, now);
    }
    node->synced_bytes = bytes;
}

void crash_disk_sync_all(struct crash_node *node)
{
    crash_disk_sync(node, 0, length_of(node->fd));
}

/* ---- what is there at the start ---- */

/* Takes every file and folder under `rel` as durable. */
static void take_folder(struct crash_disk *d, const char *rel, int depth)
{
    ck_assert_int_lt(depth, MAX_DEPTH);
    char *folder = tmpdir_path(d->live, rel);
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = tmpdir_path(folder, entry->d_name);
        char *name = relative(d, path);
        struct stat st;
        ck_assert_int_eq(lstat(path, &st), 0);
        struct crash_node *node = S_ISREG(st.st_mode) ? add_node(d, path, &st) : NULL;
        set_name(&d->names, &d->n_names, name, node);
        if (node)
            crash_disk_sync_all(node);
        else
            take_folder(d, name, depth + 1);
        free(name);
        free(path);
    }
    closedir(dir);
    free(folder);
}

struct crash_disk *crash_disk_new(const char *live, const char *scratch)
{
    struct crash_disk *d = calloc(1, sizeof *d);
    ck_assert_ptr_nonnull(d);
    d->live = copy_text(live);
    d->scratch = copy_text(scratch);
    take_folder(d, "", 0);
    return d;
}

static void free_names(struct name *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i].path);
    free(names);
}

void crash_disk_free(struct crash_disk *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_nodes; i++) {
        close(d->nodes[i]->fd);
        close(d->nodes[i]->shadow_fd);
        free(d->nodes[i]);
    }
    for (size_t i = 0; i < d->n_changes; i++)
        free_change(&d->changes[i]);
    free_names(d->names, d->n_names);
    free(d->changes);
    free(d->nodes);
    free(d->live);
    free(d->scratch);
    free(d);
}

/* ---- the image ---- */

static bool flip_coin(uint64_t *state)
{
    return crash_io_random(state) & 1;
}

static void write_file(const struct crash_node *node, const char *path, uint64_t *state,
                       struct crash_tally *tally)
{
    static const uint8_t zeros[PAGE_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT)
        return; /* its folder was lost */
    ck_assert_int_ge(fd, 0);
    uint64_t bytes = length_of(node->fd);
    if (bytes != node->synced_bytes && flip_coin(state))
        bytes = node->synced_bytes;
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
        uint8_t now[PAGE_BYTES], then[PAGE_BYTES];
        read_page(node->fd, at, now);
        read_page(node->shadow_fd, at, then);
        const uint8_t *page = then;
        if (memcmp(now, then, PAGE_BYTES) != 0) {
            page = flip_coin(state) ? now : then;
            *(page == now ? &tally->n_kept : &tally->n_lost) += 1;
        }
        if (memcmp(page, zeros, PAGE_BYTES) != 0)
            write_page(fd, at, page);
    }
    ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
}

/* Copies the durable names and applies, folder by folder, a prefix of the later changes. */
static void choose_names(const struct crash_disk *d, uint64_t *state, struct name **names,
                         size_t *n)
{
    size_t *n_taken = calloc(d->n_changes + 1, sizeof *n_taken); /* at a folder's first change */
    ck_assert_ptr_nonnull(n_taken);
    for (size_t i = 0; i < d->n_names; i++)
        set_name(names, n, d->names[i].path, d->names[i].node);
    for (size_t i = 0; i < d->n_changes; i++) {
        size_t first = 0, n_same = 0;
        while (strcmp(d->changes[first].dir, d->changes[i].dir) != 0)
            first++;
        if (first == i) {
            for (size_t k = i; k < d->n_changes; k++)
                n_same += strcmp(d->changes[k].dir, d->changes[i].dir) == 0;
            n_taken[i] = crash_io_random(state) % (n_same + 1);
        }
        if (n_taken[first] == 0)
            continue;
        n_taken[first]--;
        apply(names, n, &d->changes[i]);
    }
    free(n_taken);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->path, ((const struct name *)b)->path);
}

struct crash_tally crash_disk_image(struct crash_disk *d, uint64_t seed, const char *image)
{
    uint64_t state = seed;
    struct crash_tally tally = {0};
    struct name *names = NULL;
    size_t n = 0;
    choose_names(d, &state, &names, &n);
    if (n > 0)
        qsort(names, n, sizeof *names, by_path); /* folders before what is in them */
    for (size_t i = 0; i < n; i++) {
        char *path = tmpdir_path(image, names[i].path);
        if (names[i].node)
            write_file(names[i].node, path, &state, &tally);
        else if (mkdir(path, 0700) < 0)
            ck_assert_int_eq(errno, ENOENT); /* its parent was lost */
        free(path);
    }
    free_names(names, n);
    return tally;
}

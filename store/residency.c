/* What files and the process cost in memory.
 *
 * The page cache is asked by cachestat, which counts pages without touching them; the older mincore
 * needs a mapping and does not know dirty pages. What this process has mapped and locked is read
 * from its smaps, so that it is what the kernel says and not what we believe. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/residency.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096,
    MAX_DEPTH = 8,               /* folders below the root; the store itself needs four */
    MINCORE_BYTES = 64 << 20,    /* mapped at a time */
    CACHESTAT_NR = 451,          /* the same on every architecture; not in Debian 12's headers */
    PROC_TEXT_BYTES = 16 * 1024, /* more than status or stat ever has */
};

/* ---- one file ---- */

struct cachestat_range {
    uint64_t off, len;
};

struct cachestat_counts {
    uint64_t n_cached, n_dirty, n_writeback, n_evicted, n_recently_evicted;
};

int residency_by_mincore(int fd, uint64_t off, uint64_t len, struct store_residency *ret,
                         struct err *e)
{
    static_assert(MINCORE_BYTES % PAGE_BYTES == 0, "whole pages are mapped");
    unsigned char *pages = malloc(MINCORE_BYTES / PAGE_BYTES);
    if (!pages)
        return err_set(e, ERR_NOMEM, "count resident pages");
    uint64_t n_resident = 0;
    int rc = 0;
    for (uint64_t end = off + len; rc == 0 && off < end; off += MINCORE_BYTES) {
        size_t part = end - off < MINCORE_BYTES ? (size_t)(end - off) : MINCORE_BYTES;
        void *base = mmap(NULL, part, PROT_READ, MAP_SHARED, fd, (off_t)off);
        if (base == MAP_FAILED) {
            rc = err_sys(e, errno, "map to count resident pages");
            break;
        }
        if (mincore(base, part, pages) < 0)
            rc = err_sys(e, errno, "count resident pages");
        for (size_t i = 0; rc == 0 && i < (part + PAGE_BYTES - 1) / PAGE_BYTES; i++)
            n_resident += pages[i] & 1;
        (void)munmap(base, part); /* ours, so it cannot fail */
    }
    free(pages);
    if (rc == 0)
        *ret = (struct store_residency){.resident_bytes = n_resident * PAGE_BYTES,
                                        .dirty_bytes = UINT64_MAX};
    return rc;
}

int store_residency(int fd, uint64_t off, uint64_t len, struct store_residency *ret, struct err *e)
{
    assert(off % PAGE_BYTES == 0);
    struct cachestat_range range = {.off = off, .len = len};
    struct cachestat_counts counts = {0};
    if (len == 0) { /* to cachestat it means the whole file */
        *ret = (struct store_residency){0};
        return 0;
    }
    if (syscall(CACHESTAT_NR, fd, &range, &counts, 0) < 0)
        return residency_by_mincore(fd, off, len, ret, e);
    *ret = (struct store_residency){
        .resident_bytes = counts.n_cached * PAGE_BYTES,
        .dirty_bytes = (counts.n_dirty + counts.n_writeback) * PAGE_BYTES,
    };
    return 0;
}

/* ---- every file ---- */

struct file_list {
    struct store_file_info *infos;
    size_t n, cap;
};

static int add_info(struct file_list *list, const char *path, struct err *e)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 16;
        struct store_file_info *infos = realloc(list->infos, cap * sizeof *infos);
        if (!infos)
            return err_set(e, ERR_NOMEM, "list files");
        list->infos = infos;
        list->cap = cap;
    }
    struct store_file_info *info = &list->infos[list->n];
    memset(info, 0, sizeof *info);
    if (strlen(path) >= sizeof info->path)
        return err_set(e, ERR_TOOBIG, "path '%.100s...' has over %zu bytes", path,
                       sizeof info->path - 1);
    (void)snprintf(info->path, sizeof info->path, "%s", path);
    list->n++;
    return 0;
}

static int list_folder(struct file_list *list, int dir_fd, const char *path, int depth,
                       struct err *e);

static int list_entry(struct file_list *list, int dir_fd, const char *folder, const char *name,
                      int depth, struct err *e)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(e, ERR_TOOBIG, "path in '%.100s' is too long", folder);
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "look at '%s'", path);
    if (S_ISREG(st.st_mode))
        return add_info(list, path, e);
    if (!S_ISDIR(st.st_mode))
        return 0;
    if (depth == MAX_DEPTH)
        return err_set(e, ERR_TOOBIG, "folders in '%s' go deeper than %d", path, MAX_DEPTH);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "open folder '%s'", path);
    return list_folder(list, fd, path, depth + 1, e);
}

/* Takes over `dir_fd`. The recursion ends at MAX_DEPTH. */
static int list_folder(struct file_list *list, int dir_fd, const char *path, int depth,
                       struct err *e)
{
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        int errno_value = errno;
        (void)close(dir_fd); /* read only: nothing to lose */
        return err_sys(e, errno_value, "read folder '%s'", path);
    }
    int rc = 0;
    for (struct dirent *entry = readdir(dir); rc == 0 && entry; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = list_entry(list, dirfd(dir), path, entry->d_name, depth, e);
    }
    (void)closedir(dir);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct store_file_info *)a)->path,
                  ((const struct store_file_info *)b)->path);
}

static int list_files(struct file_list *list, const char *root, struct err *e)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open folder '%s'", root);
    int rc = list_folder(list, fd, "", 0, e);
    if (rc < 0)
        return err_wrap(e, "list the files of '%s'", root);
    if (list->n > 0)
        qsort(list->infos, list->n, sizeof *list->infos, by_path);
    return 0;
}

/* ---- what this process has mapped ---- */

/* The entry of a mapping's path; NULL for mappings of other files. */
static struct store_file_info *find_info(struct file_list *list, const char *root, const char *path)
{
    size_t len = strlen(root);
    if (strncmp(path, root, len) != 0 || path[len] != '/')
        return NULL;
    struct store_file_info key;
    int n = snprintf(key.path, sizeof key.path, "%s", path + len + 1);
    if (n < 0 || (size_t)n >= sizeof key.path || list->n == 0)
        return NULL;
    return bsearch(&key, list->infos, list->n, sizeof key, by_path);
}

/* Reads the number at `*at`, blanks before it passed over, and moves behind it. */
static bool take_number(const char **at, int base, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(*at, &end, base);
    if (end == *at || errno != 0)
        return false;
    *at = end;
    *ret = number;
    return true;
}

/* Where `text` goes on behind its next `n` words and the blanks that follow them. */
static const char *skip_words(const char *text, int n)
{
    text += strspn(text, " ");
    for (int i = 0; i < n; i++) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return text;
}

/* Reads a mapping's line: "BEGIN-END perms offset dev inode   PATH", the path perhaps empty. */
static bool read_mapping(const char *line, uint64_t *ret_bytes, const char **ret_path)
{
    uint64_t begin, end;
    if (!take_number(&line, 16, &begin) || *line++ != '-' || !take_number(&line, 16, &end))
        return false;
    *ret_bytes = end - begin;
    *ret_path = skip_words(line, 4);
    return true;
}

/* Reads "NAME: n kB". */
static bool read_kib(const char *line, const char *name, uint64_t *ret_bytes)
{
    const size_t len = strlen(name);
    uint64_t kib;
    if (strncmp(line, name, len) != 0 || line[len] != ':')
        return false;
    line += len + 1;
    if (!take_number(&line, 10, &kib) || kib > UINT64_MAX / 1024)
        return false;
    *ret_bytes = kib * 1024;
    return true;
}

/* Adds one line of smaps to the entry of the mapping it belongs to, which `*info` remembers. */
static void add_smaps_line(struct file_list *list, const char *root, char *line,
                           struct store_file_info **info)
{
    uint64_t bytes;
    const char *path;
    line[strcspn(line, "\n")] = '\0';
    if (read_mapping(line, &bytes, &path)) {
        *info = find_info(list, root, path);
        if (*info)
            (*info)->mapped_bytes += bytes;
    } else if (*info && read_kib(line, "Locked", &bytes)) {
        (*info)->locked_bytes += bytes;
    }
}

static int add_own_maps(struct file_list *list, const char *root, struct err *e)
{
    char *real_root = realpath(root, NULL);
    if (!real_root)
        return err_sys(e, errno, "resolve '%s'", root);
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (!smaps) {
        free(real_root);
        return err_set(e, ERR_UNSUPPORTED, "open '/proc/self/smaps'");
    }
    char *line = NULL;
    size_t cap = 0;
    struct store_file_info *info = NULL;
    while (getline(&line, &cap, smaps) > 0)
        add_smaps_line(list, real_root, line, &info);
    free(line);
    (void)fclose(smaps);
    free(real_root);
    return 0;
}

/* Fills in the length and the page cache's part. Whether the file is still there: 1, 0 or an error.
 */
static int measure(struct store_file_info *info, const char *root, struct io *io, struct err *e)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", root, info->path);
    if (len < 0 || (size_t)len >= sizeof path)
        return err_set(e, ERR_TOOBIG, "path of '%s' is too long", info->path);
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    struct store_residency cost;
    int rc = io->size(io, fd, &info->bytes);
    rc = rc < 0 ? err_sys(e, -rc, "get the length of '%s'", path)
                : store_residency(fd, 0, info->bytes, &cost, e);
    (void)io->close(io, fd); /* read only: nothing to lose */
    if (rc < 0)
        return rc;
    info->resident_bytes = cost.resident_bytes;
    info->dirty_bytes = cost.dirty_bytes;
    return 1;
}

int residency_each_file(const char *root, residency_pins_fn pins, void *pins_arg, store_file_fn fn,
                        void *arg, struct io *io, struct err *e)
{
    struct file_list list = {0};
    int rc = list_files(&list, root, e);
    if (rc == 0 && pins)
        rc = add_own_maps(&list, root, e);
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        struct store_file_info *info = &list.infos[i];
        if (pins)
            info->n_pins = pins(pins_arg, info->path);
        int there = measure(info, root, io, e);
        rc = there > 0 ? fn(arg, info) : there;
    }
    free(list.infos);
    return rc;
}

int store_each_file_at(const char *root, store_file_fn fn, void *arg, struct io *io, struct err *e)
{
    return residency_each_file(root, /* pins = */ NULL, /* pins_arg = */ NULL, fn, arg, io, e);
}

/* ---- the process ---- */

/* The number behind `name` at the start of a line, in bytes. */
static bool find_kib(const char *text, const char *name, uint64_t *ret_bytes)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (read_kib(line, name, ret_bytes))
            return true;
    }
    return false;
}

int residency_parse_status(const char *text, struct store_memory *ret, struct err *e)
{
    struct store_memory found = *ret;
    const struct {
        const char *name;
        uint64_t *bytes;
    } wanted[] = {
        {"RssAnon", &found.rss_anon_bytes},   {"RssFile", &found.rss_file_bytes},
        {"RssShmem", &found.rss_shmem_bytes}, {"VmPTE", &found.page_table_bytes},
        {"VmLck", &found.locked_bytes},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (!find_kib(text, wanted[i].name, wanted[i].bytes))
            return err_set(e, ERR_UNSUPPORTED, "find '%s' in the status of the process",
                           wanted[i].name);
    }
    *ret = found;
    return 0;
}

int residency_parse_stat(const char *text, struct store_memory *ret, struct err *e)
{
    /* The program's name is in brackets and may hold blanks and brackets itself. Behind it: state,
     * six numbers, flags, then minor faults, those of children, major faults. */
    const char *at = strrchr(text, ')');
    uint64_t minor, of_children, major;
    if (at)
        at = skip_words(at + 1, 7);
    if (!at || !take_number(&at, 10, &minor) || !take_number(&at, 10, &of_children) ||
        !take_number(&at, 10, &major))
        return err_set(e, ERR_UNSUPPORTED, "find the faults in the stat of the process");
    ret->minor_faults = minor;
    ret->major_faults = major;
    return 0;
}

static int read_proc(const char *path, char text[PROC_TEXT_BYTES], struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, ERR_UNSUPPORTED, "open '%s'", path);
    size_t n = fread(text, 1, PROC_TEXT_BYTES - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return 0;
}

int store_memory(struct store_memory *ret, struct err *e)
{
    char text[PROC_TEXT_BYTES];
    struct store_memory found = {0};
    int rc = read_proc("/proc/self/status", text, e);
    if (rc == 0)
        rc = residency_parse_status(text, &found, e);
    if (rc == 0)
        rc = read_proc("/proc/self/stat", text, e);
    if (rc == 0)
        rc = residency_parse_stat(text, &found, e);
    if (rc == 0)
        *ret = found;
    return rc;
}

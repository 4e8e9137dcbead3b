/* Lists the files of a log by their names; other files are left alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/walk_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/format.h"
#include "store/store.h"

/* Takes over a path the caller allocated; frees it on failure. */
static int add_file(struct walk_files *f, char *path, uint64_t start, struct err *e)
{
    struct walk_file *files = realloc(f->files, (f->n + 1) * sizeof *files);
    if (!path || !files) {
        free(path);
        f->files = files ? files : f->files;
        return err_set(e, ERR_NOMEM, "list files");
    }
    f->files = files;
    f->files[f->n++] = (struct walk_file){.path = path, .start = start};
    return 0;
}

static char *join_path(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct walk_file *)a)->start, y = ((const struct walk_file *)b)->start;
    return (x > y) - (x < y);
}

static int list_files(struct walk_files *f, DIR *dir, struct err *e)
{
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        uint64_t start;
        if (!store_parse_name(entry->d_name, &start))
            continue;
        int rc = add_file(f, join_path(f->dir, entry->d_name), start, e);
        if (rc < 0)
            return rc;
    }
    if (f->n > 0)
        qsort(f->files, f->n, sizeof *f->files, by_start);
    return 0;
}

int walk_files_list(struct walk_files *f, const char *path, struct err *e)
{
    char *log_dir = join_path(path, FORMAT_DIR_LOG);
    if (!log_dir)
        return err_set(e, ERR_NOMEM, "name a folder");
    struct stat st;
    bool is_root = stat(log_dir, &st) == 0 && S_ISDIR(st.st_mode);
    f->dir = is_root ? log_dir : strdup(path);
    if (!is_root)
        free(log_dir);
    if (!f->dir)
        return err_set(e, ERR_NOMEM, "name a folder");
    DIR *dir = opendir(f->dir);
    if (!dir)
        return err_sys(e, errno, "open folder '%s'", f->dir);
    int rc = list_files(f, dir, e);
    (void)closedir(dir);
    if (rc == 0 && f->n == 0 && !is_root)
        rc = err_set(e, ERR_UNSUPPORTED, "folder '%s' holds no commit log", path);
    return rc;
}

int walk_files_lone(struct walk_files *f, const char *path, bool *ret_has_name, struct err *e)
{
    const char *slash = strrchr(path, '/');
    uint64_t start = 0;
    *ret_has_name = store_parse_name(slash ? slash + 1 : path, &start);
    return add_file(f, strdup(path), start, e);
}

void walk_files_settle(struct walk_files *f, uint64_t first_bytes)
{
    if (f->file_bytes > 0)
        return;
    f->file_bytes = first_bytes;
    for (size_t i = 1; i < f->n; i++) {
        uint64_t distance = f->files[i].start - f->files[i - 1].start;
        if (i == 1 || distance < f->file_bytes)
            f->file_bytes = distance;
    }
}

int walk_files_add_rolled(struct walk_files *f, struct err *e)
{
    if (!f->dir || f->n == 0 || f->file_bytes == 0)
        return 0; /* of a lone empty file nobody knows where the next one begins */
    uint64_t start = f->files[f->n - 1].start + f->file_bytes;
    char name[FORMAT_NAME_DIGITS + 1];
    (void)snprintf(name, sizeof name, "%020" PRIu64, start);
    char *path = join_path(f->dir, name);
    if (path && access(path, F_OK) < 0) {
        free(path);
        return 0;
    }
    return add_file(f, path, start, e);
}

void walk_files_drop_first(struct walk_files *f)
{
    free(f->files[0].path);
    f->n--;
    memmove(f->files, f->files + 1, f->n * sizeof f->files[0]);
}

size_t walk_files_find(const struct walk_files *f, uint64_t log_off)
{
    size_t low = 0, high = f->n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (f->files[mid].start <= log_off)
            low = mid;
        else
            high = mid;
    }
    return low;
}

void walk_files_fini(struct walk_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->files[i].path);
    free(f->files);
    free(f->dir);
    *f = (struct walk_files){0};
}

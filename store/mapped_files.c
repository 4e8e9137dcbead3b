/* The ordered files of one log or queue.
 *
 * files[i + 1] starts where files[i] ends; a pin goes from 0 to 1 only under the lock, so a file
 * seen unpinned there stays unpinned until the lock is dropped (I3). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mapped_files.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/guard.h"
#include "store/reclaimer.h"
#include "store/store.h"

int mapped_files_init(struct mapped_files *mf, struct io *io, const char *folder,
                      uint64_t file_bytes, enum mapped_access access, struct reclaimer *reclaimer,
                      struct err *e)
{
    char *copy = strdup(folder);
    if (!copy)
        return err_set(e, ERR_NOMEM, "describe folder '%s'", folder);
    *mf = (struct mapped_files){
        .io = io,
        .folder = copy,
        .file_bytes = file_bytes,
        .access = access,
        .reclaimer = reclaimer,
    };
    lock_init(&mf->lock, LOCK_FILES);
    return 0;
}

void mapped_files_fini(struct mapped_files *mf)
{
    if (!mf->folder)
        return;
    for (size_t i = 0; i < mf->n; i++)
        mapped_file_free(mf->files[i]);
    free(mf->files);
    free(mf->folder);
    lock_fini(&mf->lock);
    *mf = (struct mapped_files){0};
}

/* ---- loading ---- */

struct listing {
    uint64_t *starts;
    size_t n;
    size_t capacity;
};

bool store_parse_name(const char *name, uint64_t *ret_start)
{
    if (strlen(name) != FORMAT_NAME_DIGITS || strspn(name, "0123456789") != FORMAT_NAME_DIGITS)
        return false;
    errno = 0;
    unsigned long long start = strtoull(name, NULL, 10);
    if (errno != 0 || start > INT64_MAX)
        return false;
    *ret_start = start;
    return true;
}

static int list_start(struct listing *l, uint64_t start, struct err *e)
{
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 16;
        uint64_t *starts = realloc(l->starts, capacity * sizeof *starts);
        if (!starts)
            return err_set(e, ERR_NOMEM, "list %zu files", capacity);
        l->starts = starts;
        l->capacity = capacity;
    }
    l->starts[l->n++] = start;
    return 0;
}

static int compare_starts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Lists the starts in order; an absent folder has none. */
static int list_folder(const char *folder, struct listing *l, struct err *e)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(e, errno, "list folder '%s'", folder);
    int rc = 0;
    for (struct dirent *at; rc == 0 && (at = readdir(dir));) {
        uint64_t start;
        if (at->d_type == DT_DIR)
            continue; /* "." and ".." too; others are left alone */
        if (!store_parse_name(at->d_name, &start))
            rc = err_set(e, ERR_CORRUPT, "load '%s/%s': its name is not a position of 20 digits",
                         folder, at->d_name);
        else
            rc = list_start(l, start, e);
    }
    (void)closedir(dir);
    if (rc == 0 && l->n > 1)
        qsort(l->starts, l->n, sizeof *l->starts, compare_starts);
    return rc;
}

static int length_on_disk(struct io *io, const char *path, uint64_t *ret_bytes, struct err *e)
{
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    int rc = io->size(io, fd, ret_bytes);
    (void)io->close(io, fd); /* read only: nothing to lose */
    return rc < 0 ? err_sys(e, -rc, "stat '%s'", path) : 0;
}

enum load_one { LOAD_TAKE, LOAD_REMOVE, LOAD_EXTEND, LOAD_REFUSE };

/* What becomes of a file by its length. */
static enum load_one judge(const struct mapped_files *mf, uint64_t bytes, bool is_last)
{
    if (bytes == mf->file_bytes)
        return LOAD_TAKE;
    if (is_last && bytes == 0)
        return LOAD_REMOVE;
    if (is_last && bytes < mf->file_bytes && mf->access == MAPPED_READ)
        return LOAD_EXTEND;
    return LOAD_REFUSE;
}

/* Takes over `f` whatever is returned. */
static int load_file(struct mapped_files *mf, struct mapped_file *f, bool is_last, struct err *e)
{
    uint64_t bytes;
    int rc = length_on_disk(mf->io, f->path, &bytes, e);
    if (rc < 0)
        goto fail;
    switch (judge(mf, bytes, is_last)) {
    case LOAD_REFUSE:
        rc = err_set(e, ERR_CORRUPT, "load '%s': it has %" PRIu64 " bytes, not %" PRIu64, f->path,
                     bytes, mf->file_bytes);
        goto fail;
    case LOAD_REMOVE:
        rc = mf->io->unlink(mf->io, f->path);
        if (rc < 0)
            rc = err_sys(e, -rc, "remove empty '%s'", f->path);
        mapped_file_free(f);
        return rc;
    case LOAD_EXTEND:
        rc = mapped_file_allocate(f, mf->file_bytes, e);
        if (rc < 0)
            goto fail;
        break;
    case LOAD_TAKE:
        break;
    }
    rc = mapped_files_add(mf, f, e);
    if (rc == 0)
        return 0;
fail:
    mapped_file_free(f);
    return rc;
}

int mapped_files_load(struct mapped_files *mf, struct err *e)
{
    struct listing l = {0};
    int rc = list_folder(mf->folder, &l, e);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        struct mapped_file *f;
        if (i > 0 && l.starts[i] != l.starts[i - 1] + mf->file_bytes) {
            rc = err_set(e, ERR_CORRUPT,
                         "load '%s/%020" PRIu64 "': the file before it starts at %" PRIu64
                         ", not %" PRIu64 " bytes earlier",
                         mf->folder, l.starts[i], l.starts[i - 1], mf->file_bytes);
            break;
        }
        rc = mapped_file_new(&f, mf->io, mf->folder, l.starts[i], mf->file_bytes, e);
        if (rc == 0)
            rc = load_file(mf, f, i + 1 == l.n, e);
    }
    free(l.starts);
    return rc;
}

void mapped_files_forget(struct mapped_files *mf)
{
    lock_take(&mf->lock);
    for (size_t i = 0; i < mf->n; i++)
        mapped_file_free(mf->files[i]);
    mf->n = 0;
    lock_drop(&mf->lock);
}

/* ---- the list ---- */

/* Only memory and speed hang on it. Locks: LOCK_FILES. */
static void advise(const struct mapped_files *mf, const struct mapped_file *f)
{
    if (mf->advice != IO_NORMAL)
        (void)mf->io->advise(mf->io, f->base, f->bytes, mf->advice);
}

int mapped_files_add(struct mapped_files *mf, struct mapped_file *f, struct err *e)
{
    int rc = parts_begin(&mf->reclaimer->parts, f, e);
    if (rc < 0)
        return rc;
    f->written = mf->written;
    lock_take(&mf->lock);
    if (mf->n == mf->capacity) {
        size_t capacity = mf->capacity ? mf->capacity * 2 : 4;
        struct mapped_file **files = realloc(mf->files, capacity * sizeof(struct mapped_file *));
        if (!files) {
            rc = err_set(e, ERR_NOMEM, "list file '%s'", f->path);
            goto out;
        }
        mf->files = files;
        mf->capacity = capacity;
    }
    assert(mf->n == 0 || mf->files[mf->n - 1]->start + mf->file_bytes == f->start);
    mf->files[mf->n++] = f;
    if (f->base)
        advise(mf, f);
out:
    lock_drop(&mf->lock);
    return rc;
}

/* Of a list that is not empty. Locks: LOCK_FILES. */
static uint64_t first_start(const struct mapped_files *mf)
{
    return mf->files[0]->start + (mf->first_goes ? mf->file_bytes : 0);
}

int mapped_files_pin(struct mapped_files *mf, uint64_t off, struct mapped_file **ret_file,
                     struct err *e)
{
    int rc = 0;
    lock_take(&mf->lock);
    if (mf->n == 0 || off < first_start(mf) ||
        (off - mf->files[0]->start) / mf->file_bytes >= mf->n) {
        rc =
            err_set(e, ERR_NOTFOUND, "find %" PRIu64 " in '%s': no file holds it", off, mf->folder);
        goto out;
    }
    struct mapped_file *f = mf->files[(off - mf->files[0]->start) / mf->file_bytes];
    if (!f->base) {
        rc = mapped_file_map(f, mf->access, e);
        if (rc < 0)
            goto out;
        advise(mf, f);
    }
    f->last_use = ++mf->tick;
    mapped_file_pin(f);
    *ret_file = f;
out:
    lock_drop(&mf->lock);
    return rc;
}

void mapped_files_bounds(struct mapped_files *mf, uint64_t *ret_start, uint64_t *ret_end)
{
    lock_take(&mf->lock);
    *ret_start = mf->n ? first_start(mf) : 0;
    *ret_end = mf->n ? mf->files[mf->n - 1]->start + mf->file_bytes : 0;
    lock_drop(&mf->lock);
}

static struct mapped_file *take_last_from(struct mapped_files *mf, uint64_t off)
{
    struct mapped_file *f = NULL;
    lock_take(&mf->lock);
    if (mf->n > 0 && mf->files[mf->n - 1]->start >= off)
        f = mf->files[--mf->n];
    lock_drop(&mf->lock);
    return f;
}

int mapped_files_drop_from(struct mapped_files *mf, uint64_t off, struct err *e)
{
    int rc = 0;
    for (struct mapped_file *f; rc == 0 && (f = take_last_from(mf, off));) {
        rc = mf->io->unlink(mf->io, f->path);
        if (rc == -ENOENT)
            rc = 0; /* somebody was faster; gone is gone */
        if (rc < 0)
            rc = err_sys(e, -rc, "remove '%s'", f->path);
        reclaimer_bury(mf->reclaimer, f);
    }
    return rc;
}

/* The first file if it ends at or below `below` and others follow; it goes then, and stays in the
 * list until the caller takes it out. */
static struct mapped_file *take_first_below(struct mapped_files *mf, uint64_t below)
{
    lock_take(&mf->lock);
    struct mapped_file *f = mf->n > 1 ? mf->files[0] : NULL;
    if (f && f->start + mf->file_bytes > below)
        f = NULL;
    mf->first_goes = f != NULL;
    lock_drop(&mf->lock);
    return f;
}

int mapped_files_drop_first(struct mapped_files *mf, uint64_t below, bool *ret_dropped,
                            struct err *e)
{
    struct mapped_file *f = take_first_below(mf, below);
    *ret_dropped = false;
    if (!f)
        return 0;
    int rc = mf->io->unlink(mf->io, f->path);
    bool is_removed = rc == 0 || rc == -ENOENT;
    lock_take(&mf->lock);
    mf->first_goes = false;
    if (is_removed) {
        mf->n--;
        memmove(mf->files, mf->files + 1, mf->n * sizeof(struct mapped_file *));
    }
    lock_drop(&mf->lock);
    if (!is_removed)
        return err_sys(e, -rc, "remove '%s'", f->path);
    reclaimer_bury(mf->reclaimer, f);
    *ret_dropped = true;
    return 0;
}

/* ---- cold files ---- */

static struct mapped_file *coldest(const struct mapped_files *mf, uint64_t below)
{
    struct mapped_file *best = NULL;
    for (size_t i = 0; i < mf->n && mf->files[i]->start + mf->file_bytes <= below; i++) {
        struct mapped_file *f = mf->files[i];
        if (f->base && !mapped_file_is_pinned(f) && (!best || f->last_use < best->last_use))
            best = f;
    }
    return best;
}

static uint64_t count_mapped(const struct mapped_files *mf)
{
    uint64_t n = 0;
    for (size_t i = 0; i < mf->n; i++)
        n += mf->files[i]->base != NULL;
    return n;
}

bool mapped_files_unmap_coldest(struct mapped_files *mf, uint64_t below, uint64_t keep_bytes)
{
    uint8_t *base = NULL;
    lock_take(&mf->lock);
    if (count_mapped(mf) * mf->file_bytes > keep_bytes) {
        struct mapped_file *f = coldest(mf, below);
        if (f) {
            base = f->base;
            f->base = NULL; /* who comes now maps it anew */
            parts_drop(f, 0, f->bytes);
        }
    }
    lock_drop(&mf->lock);
    if (!base)
        return false;
    guard_drop(base);
    (void)mf->io->unmap(mf->io, base, mf->file_bytes); /* fails only for what is not ours */
    return true;
}

/* The n-th file from the oldest on; its base NULL: it is not mapped. Only the caller unmaps. */
static struct mapped_file *nth(struct mapped_files *mf, size_t n, uint8_t **ret_base)
{
    lock_take(&mf->lock);
    struct mapped_file *f = n < mf->n ? mf->files[n] : NULL;
    *ret_base = f ? f->base : NULL;
    lock_drop(&mf->lock);
    return f;
}

void mapped_files_relax(struct mapped_files *mf, uint64_t below)
{
    uint8_t *base;
    size_t i = 0;
    for (struct mapped_file *f; (f = nth(mf, i, &base)) && f->start < below; i++) {
        uint64_t len = below - f->start < f->bytes ? below - f->start : f->bytes;
        len -= len % MAPPED_PAGE_BYTES;
        if (base && len > 0)
            (void)mf->io->advise(mf->io, base, len, IO_DONTNEED); /* only memory */
    }
}

bool mapped_files_unmap_all(struct mapped_files *mf)
{
    bool is_done = true;
    lock_take(&mf->lock);
    for (size_t i = 0; i < mf->n; i++) {
        struct mapped_file *f = mf->files[i];
        if (f->base && !mapped_file_is_pinned(f))
            mapped_file_unmap(f); /* who comes now maps it anew */
        is_done = is_done && !f->base;
    }
    lock_drop(&mf->lock);
    return is_done;
}

uint64_t mapped_files_pins_at(struct mapped_files *mf, uint64_t start)
{
    uint64_t n = 0;
    lock_take(&mf->lock);
    for (size_t i = 0; i < mf->n; i++)
        if (mf->files[i]->start == start)
            n = atomic_load_explicit(&mf->files[i]->pin.n, memory_order_acquire);
    lock_drop(&mf->lock);
    return n;
}

void mapped_files_usage(struct mapped_files *mf, struct mapped_files_usage *ret)
{
    struct mapped_files_usage u = {0};
    lock_take(&mf->lock);
    u.n_files = mf->n;
    u.n_mapped = count_mapped(mf);
    u.mapped_bytes = u.n_mapped * mf->file_bytes;
    for (size_t i = 0; i < mf->n; i++)
        u.n_bad += atomic_load_explicit(&mf->files[i]->is_bad, memory_order_acquire);
    for (size_t i = 0; i < mf->n; i++)
        u.n_pins += atomic_load_explicit(&mf->files[i]->pin.n, memory_order_acquire);
    lock_drop(&mf->lock);
    *ret = u;
}

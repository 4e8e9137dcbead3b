/* Walks a commit log from outside: read-only, in physical order, live or damaged.
 *
 * What is at a position is decided by record_decode; at what is no record the walk looks for the
 * next place where one starts (I6) and reports the bytes between as damage. Zeros are the end only
 * when nothing else follows, in this file or a later one. A record of a live log may be seen half
 * written: what fails is read once more before it counts. Memory: one buffer, which grows to the
 * largest record.
 *
 * Positions named `pos` count from the start of the present file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/quiet_file.h"
#include "store/format.h"
#include "store/record.h"
#include "store/store.h"
#include "store/walk_files.h"

enum {
    PIECE_BYTES = 1 << 20,
    RANDOM_BYTES = 8 * 1024, /* read at once where what follows is not wanted */
    PAGE_BYTES = 4096,
    /* A record over this is taken for damage: 16 times the default limit of a body. */
    RECORD_BYTES_MAX = 16 * FORMAT_BODY_MAX + FORMAT_RECORD_OVERHEAD,
};

struct store_walk {
    struct io *io;
    struct walk_files list;

    /* the present file; closed before the first and behind the last */
    size_t i_file;
    struct quiet_file file;
    uint64_t len; /* of it, as far as the next one does not begin earlier */
    uint64_t pos;

    /* what was read of it: file bytes [buf_pos, buf_pos + buf_len) */
    uint8_t *buf;
    size_t buf_cap;
    uint64_t buf_pos;
    size_t buf_len;
    bool is_at_random; /* during store_walk_look */
};

/* ---- reading ---- */

static const char *present_path(const struct store_walk *w)
{
    return w->list.files[w->i_file].path;
}

static uint64_t present_start(const struct store_walk *w)
{
    return w->list.files[w->i_file].start;
}

static int grow_buffer(struct store_walk *w, size_t n, struct err *e)
{
    if (n <= w->buf_cap)
        return 0;
    uint8_t *buf = realloc(w->buf, n);
    if (!buf)
        return err_set(e, ERR_NOMEM, "hold a record of %zu bytes", n);
    w->buf = buf;
    w->buf_cap = n;
    return 0;
}

/* Reads a piece that has `n` bytes from `pos` on, from the start of a page: then each page is read
 * once, and leaves no trace (base/quiet_file.h). The buffer takes it, the file has it. */
static int fill_buffer(struct store_walk *w, uint64_t pos, uint64_t n_wanted, struct err *e)
{
    uint64_t end = pos + n_wanted;
    pos -= pos % PAGE_BYTES;
    uint64_t piece = w->is_at_random ? RANDOM_BYTES : w->buf_cap;
    if (pos + piece > end)
        end = pos + piece;
    size_t want = (size_t)((end < w->len ? end : w->len) - pos);
    w->buf_pos = pos;
    w->buf_len = 0;
    size_t n;
    int rc = quiet_read(&w->file, pos, w->buf, want, &n, e);
    if (rc < 0)
        return err_wrap(e, "read '%s'", present_path(w));
    if (n < want)
        return err_set(e, ERR_CORRUPT, "file '%s' was cut to %" PRIu64 " bytes meanwhile",
                       present_path(w), pos + n);
    w->buf_len = n;
    return 0;
}

/* The bytes from `pos` on that are at hand: at least `n`, or to the end of the file. `pos` is at
 * most the file's length. The span is valid until the next call. */
static int view(struct store_walk *w, uint64_t pos, uint64_t n, struct span *ret, struct err *e)
{
    if (n > w->len - pos)
        n = w->len - pos;
    bool is_there = pos >= w->buf_pos && pos + n <= w->buf_pos + w->buf_len;
    int rc = is_there ? 0 : grow_buffer(w, (size_t)n + PAGE_BYTES, e);
    if (rc == 0 && !is_there)
        rc = fill_buffer(w, pos, n, e);
    if (rc < 0)
        return rc;
    size_t skip = (size_t)(pos - w->buf_pos);
    *ret = span_of(w->buf + skip, w->buf_len - skip);
    return 0;
}

/* The first position at or behind `pos` that is not in a hole. What was allocated and never written
 * counts as a hole: passing over it keeps it out of the page cache. */
static uint64_t skip_hole(const struct store_walk *w, uint64_t pos)
{
    off_t data = lseek(w->file.fd, (off_t)pos, SEEK_DATA);
    if (data >= 0)
        return (uint64_t)data < w->len ? (uint64_t)data : w->len;
    return errno == ENXIO ? w->len : pos;
}

/* ---- what is at a position ---- */

/* RECORD_SHORT never comes out: the file holds the record, or it is damage. */
static int look_once(struct store_walk *w, uint64_t pos, uint64_t expect_log_off,
                     enum record_check *ret_check, struct store_record *ret_rec,
                     const char **ret_why, struct err *e)
{
    struct span bytes;
    int rc = view(w, pos, FORMAT_HEAD_MAX_BYTES, &bytes, e);
    if (rc < 0)
        return rc;
    enum record_check check = record_decode(bytes, expect_log_off, ret_rec, ret_why);
    if (check == RECORD_SHORT && ret_rec->size > 0 && ret_rec->size <= w->len - pos) {
        if (ret_rec->size > RECORD_BYTES_MAX) {
            *ret_why = "record is too large to be one";
            *ret_check = RECORD_BAD;
            return 0;
        }
        rc = view(w, pos, ret_rec->size, &bytes, e);
        if (rc < 0)
            return rc;
        check = record_decode(bytes, expect_log_off, ret_rec, ret_why);
    }
    if (check == RECORD_SHORT) {
        *ret_why = "record goes beyond the end of its file";
        check = RECORD_BAD;
    }
    *ret_check = check;
    return 0;
}

/* A filler reaches to the end of the file; of a lone file the true length may be unknown. */
static bool is_filler_whole(const struct store_walk *w, uint64_t pos, uint32_t left)
{
    return pos + left == w->list.file_bytes || (!w->list.dir && pos + left >= w->len);
}

struct look {
    enum record_check check; /* never RECORD_SHORT */
    struct store_record rec;
    bool body_ok;
    const char *why; /* RECORD_BAD */
};

static int look_at(struct store_walk *w, uint64_t pos, struct look *ret, struct err *e)
{
    struct look look = {.why = ""};
    int rc = look_once(w, pos, present_start(w) + pos, &look.check, &look.rec, &look.why, e);
    if (rc < 0)
        return rc;
    if (look.check == RECORD_BLANK && !is_filler_whole(w, pos, look.rec.size)) {
        look.why = "filler does not reach the end of its file";
        look.check = RECORD_BAD;
    }
    if (look.check == RECORD_OK)
        look.body_ok = store_body_check(&look.rec, /* ret_crc = */ NULL);
    *ret = look;
    return 0;
}

/* Looks again, from the file, at what failed: a writer may just have been at it. */
static int look_twice(struct store_walk *w, uint64_t pos, struct look *ret, struct err *e)
{
    int rc = look_at(w, pos, ret, e);
    if (rc < 0)
        return rc;
    bool is_good = ret->check == RECORD_OK ? ret->body_ok : ret->check != RECORD_BAD;
    if (is_good)
        return 0;
    w->buf_len = 0;
    return look_at(w, pos, ret, e);
}

/* ---- behind damage ---- */

/* One past the last byte that is not zero; 0 when all are. */
static size_t data_end(struct span bytes)
{
    size_t n = bytes.len;
    while (n > 0 && bytes.ptr[n - 1] == 0)
        n--;
    return n;
}

/* How many zeros `bytes` begins with, in whole pages: most of a log file that is not full yet is
 * zeros, and they are compared much faster than searched. */
static size_t zero_pages(struct span bytes)
{
    static const uint8_t zeros[PAGE_BYTES];
    size_t n = 0;
    while (bytes.len - n >= PAGE_BYTES && memcmp(bytes.ptr + n, zeros, PAGE_BYTES) == 0)
        n += PAGE_BYTES;
    return n;
}

/* Looks from `from` on for the next record or filler in the present file. When there is none,
 * `*ret_pos` is one past the last byte that is not zero (`from` when there is none of those
 * either). */
static int find_next(struct store_walk *w, uint64_t from, bool *ret_found, uint64_t *ret_pos,
                     struct err *e)
{
    uint64_t last = from;
    uint64_t pos = from;
    while (pos < w->len) {
        uint64_t data = skip_hole(w, pos);
        if (data > pos + FORMAT_AT_MAGIC)
            pos = data - FORMAT_AT_MAGIC; /* the size before the magic may start with zeros */
        struct span bytes;
        int rc = view(w, pos, FORMAT_HEAD_MAX_BYTES, &bytes, e);
        if (rc < 0)
            return rc;
        size_t n_zeros = zero_pages(bytes);
        if (n_zeros > 0) { /* what follows may be the end of a size that begins with zeros */
            pos += pos + n_zeros == w->len ? n_zeros : n_zeros - FORMAT_FILLER_BYTES;
            continue;
        }
        size_t i = record_find(bytes, present_start(w) + pos, 0);
        size_t n_data = data_end(span_of(bytes.ptr, i));
        if (n_data > 0)
            last = pos + n_data;
        if (i == bytes.len) {
            bool is_end = pos + i == w->len;
            pos += is_end || i < FORMAT_FILLER_BYTES ? i : i - (FORMAT_FILLER_BYTES - 1);
            continue;
        }
        pos += i;
        struct look look;
        rc = look_at(w, pos, &look, e);
        if (rc < 0)
            return rc;
        if (look.check == RECORD_OK || look.check == RECORD_BLANK) {
            *ret_found = true;
            *ret_pos = pos;
            return 0;
        }
        pos++;
        last = pos;
    }
    *ret_found = false;
    *ret_pos = last;
    return 0;
}

/* ---- files ---- */

static void close_file(struct store_walk *w)
{
    quiet_close(&w->file);
    w->buf_len = 0;
}

static int open_file(struct store_walk *w, size_t i, struct err *e)
{
    close_file(w);
    w->i_file = i;
    w->pos = 0;
    int rc = quiet_open(&w->file, w->io, present_path(w), e);
    if (rc < 0)
        return rc;
    w->len = w->file.bytes;
    if (i + 1 < w->list.n && w->len > w->list.files[i + 1].start - present_start(w))
        w->len = w->list.files[i + 1].start - present_start(w);
    return 0;
}

/* Whether a file behind the present one has a byte that is not zero. Leaves the present one open.
 */
static int has_later_data(struct store_walk *w, bool *ret, struct err *e)
{
    const size_t i_present = w->i_file;
    const uint64_t pos = w->pos;
    bool has_data = false;
    int rc = 0;
    for (size_t i = i_present + 1; rc == 0 && !has_data && i < w->list.n; i++) {
        bool found = false;
        uint64_t end = 0;
        rc = open_file(w, i, e);
        if (rc == 0)
            rc = find_next(w, 0, &found, &end, e);
        has_data = found || end > 0;
    }
    if (rc == 0)
        rc = open_file(w, i_present, e);
    w->pos = pos;
    if (rc == 0)
        *ret = has_data;
    return rc;
}

/* ---- opening ---- */

/* Where a file begins whose name does not tell: its first record does. */
static int place_lone_file(struct store_walk *w, const char *path, struct err *e)
{
    enum record_check check;
    struct store_record rec;
    const char *why = "";
    int rc = look_once(w, 0, RECORD_OFF_UNKNOWN, &check, &rec, &why, e);
    if (rc < 0)
        return rc;
    if (check != RECORD_OK)
        return err_set(e, ERR_UNSUPPORTED,
                       "file '%s' is no commit log: its name tells no position and no record is "
                       "at its start",
                       path);
    w->list.files[0].start = rec.log_off;
    return 0;
}

static int open_files(struct store_walk *w, const char *path, bool is_folder, struct err *e)
{
    bool has_name = true;
    int rc = is_folder ? walk_files_list(&w->list, path, e)
                       : walk_files_lone(&w->list, path, &has_name, e);
    if (rc < 0 || w->list.n == 0)
        return rc;
    rc = open_file(w, 0, e);
    while (rc == ERR_NOTFOUND && is_folder && w->list.n > 1) { /* it went since it was listed */
        walk_files_drop_first(&w->list);
        rc = open_file(w, 0, e);
    }
    if (rc == 0 && !has_name)
        rc = place_lone_file(w, path, e);
    if (rc == 0)
        walk_files_settle(&w->list, w->len);
    return rc;
}

int store_walk_open(struct store_walk **ret_walk, const char *path, uint64_t file_bytes,
                    struct io *io, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_sys(e, errno, "open '%s'", path);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(e, ERR_UNSUPPORTED, "'%s' is neither a file nor a folder", path);
    struct store_walk *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "open '%s'", path);
    w->io = io;
    w->file.fd = -1;
    w->list.file_bytes = file_bytes;
    int rc = grow_buffer(w, PIECE_BYTES, e);
    if (rc == 0)
        rc = open_files(w, path, S_ISDIR(st.st_mode), e);
    if (rc < 0)
        goto fail;
    *ret_walk = w;
    return 0;
fail:
    store_walk_close(w);
    return rc;
}

void store_walk_close(struct store_walk *w)
{
    if (!w)
        return;
    close_file(w);
    walk_files_fini(&w->list);
    free(w->buf);
    free(w);
}

/* ---- items ---- */

/* An item of `len` bytes at the present position, which moves behind it. */
static void emit(struct store_walk *w, struct store_walk_item *ret, enum store_walk_kind kind,
                 uint64_t len)
{
    *ret = (struct store_walk_item){.kind = kind, .log_off = present_start(w) + w->pos, .len = len};
    w->pos += len;
}

static void emit_damage(struct store_walk *w, struct store_walk_item *ret, uint64_t len,
                        const char *why)
{
    emit(w, ret, STORE_WALK_DAMAGE, len);
    (void)snprintf(ret->why, sizeof ret->why, "%s", why);
}

static void emit_end(struct store_walk *w, struct store_walk_item *ret)
{
    uint64_t pos = w->pos;
    emit(w, ret, STORE_WALK_END, w->len - pos);
    w->pos = pos; /* to look at again, afresh: the writer may go on there */
    w->buf_len = 0;
}

/* No record or filler is at the present position. */
static int pass_over(struct store_walk *w, const struct look *look, struct store_walk_item *ret,
                     struct err *e)
{
    bool found = false, has_more = false;
    uint64_t end = 0;
    int rc = find_next(w, w->pos + (look->check == RECORD_BAD), &found, &end, e);
    if (rc == 0 && !found)
        rc = has_later_data(w, &has_more, e);
    if (rc < 0)
        return rc;
    if (has_more)
        end = w->len; /* the zeros behind are missing records too */
    if (end == w->pos)
        emit_end(w, ret);
    else
        emit_damage(w, ret, end - w->pos,
                    look->check == RECORD_ZERO ? "zeros where a record should be" : look->why);
    return 0;
}

/* The present file is done: goes to the next one, or says what is missing between them. */
static int leave_file(struct store_walk *w, bool *ret_moved, struct store_walk_item *ret,
                      struct err *e)
{
    bool is_last = w->i_file + 1 == w->list.n;
    int rc = is_last ? walk_files_add_rolled(&w->list, e) : 0;
    if (rc < 0)
        return rc;
    if (w->i_file + 1 == w->list.n) {
        emit_end(w, ret);
        return 0;
    }
    uint64_t gap = w->list.files[w->i_file + 1].start - present_start(w) - w->pos;
    if (gap > 0) {
        emit_damage(w, ret, gap, "a file is missing or too short");
        return 0;
    }
    *ret_moved = true;
    return open_file(w, w->i_file + 1, e);
}

static int step(struct store_walk *w, struct store_walk_item *ret, struct err *e)
{
    struct look look;
    int rc = look_twice(w, w->pos, &look, e);
    if (rc < 0)
        return rc;
    switch (look.check) {
    case RECORD_OK:
        emit(w, ret, STORE_WALK_RECORD, look.rec.size);
        ret->rec = look.rec;
        ret->body_ok = look.body_ok;
        return 0;
    case RECORD_BLANK:
        emit(w, ret, STORE_WALK_FILLER, w->len - w->pos);
        return 0;
    case RECORD_ZERO:
    case RECORD_SHORT:
    case RECORD_BAD:
        break;
    }
    return pass_over(w, &look, ret, e);
}

int store_walk_next(struct store_walk *w, struct store_walk_item *ret, struct err *e)
{
    if (w->list.n == 0) {
        *ret = (struct store_walk_item){.kind = STORE_WALK_END};
        return 0;
    }
    bool has_moved = true;
    while (w->pos >= w->len && has_moved) {
        has_moved = false;
        int rc = leave_file(w, &has_moved, ret, e);
        if (rc < 0 || !has_moved)
            return rc;
    }
    return step(w, ret, e);
}

/* ---- elsewhere ---- */

static int go_to(struct store_walk *w, uint64_t log_off, struct err *e)
{
    size_t i = walk_files_find(&w->list, log_off);
    return i == w->i_file && w->file.fd >= 0 ? 0 : open_file(w, i, e);
}

int store_walk_seek(struct store_walk *w, uint64_t log_off, struct err *e)
{
    if (w->list.n == 0)
        return 0;
    int rc = go_to(w, log_off, e);
    if (rc == 0)
        w->pos = 0;
    return rc;
}

int store_walk_look(struct store_walk *w, uint64_t log_off, struct store_walk_item *ret,
                    struct err *e)
{
    struct look look = {.check = RECORD_BAD, .why = "the log does not hold this position"};
    int rc = w->list.n == 0 ? ERR_NOTFOUND : go_to(w, log_off, e);
    if (rc < 0 && rc != ERR_NOTFOUND) /* the file may have been removed since it was listed */
        return rc;
    bool is_there = rc == 0;
    rc = 0;
    uint64_t start = w->list.n == 0 ? 0 : present_start(w);
    w->pos = log_off > start ? log_off - start : 0;
    w->is_at_random = true;
    if (is_there && log_off >= start && w->pos < w->len)
        rc = look_twice(w, w->pos, &look, e);
    w->is_at_random = false;
    if (rc < 0)
        return rc;
    *ret = (struct store_walk_item){.kind = STORE_WALK_DAMAGE, .log_off = log_off};
    if (look.check == RECORD_OK)
        *ret = (struct store_walk_item){.kind = STORE_WALK_RECORD,
                                        .log_off = log_off,
                                        .len = look.rec.size,
                                        .rec = look.rec,
                                        .body_ok = look.body_ok};
    else
        (void)snprintf(ret->why, sizeof ret->why, "%s",
                       look.check == RECORD_BAD ? look.why : "no record is there");
    return 0;
}

void store_walk_bounds(const struct store_walk *w, struct store_walk_bounds *ret)
{
    *ret = (struct store_walk_bounds){.file_bytes = w->list.file_bytes};
    if (w->list.n == 0)
        return;
    ret->begin = w->list.files[0].start;
    ret->end = w->list.files[w->list.n - 1].start + w->list.file_bytes;
}

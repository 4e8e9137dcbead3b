/* Finds its way in a file of the key index, whose header does not say how many slots it has. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/index_file.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEMS_AT_ONCE = 1024,
    GUESS_BYTES_MAX = 32 << 20, /* a longer file has the default number of slots */
};

/* Reads exactly `len` bytes; fewer are damage. */
static int read_bytes(struct index_file *f, uint64_t off, void *buf, size_t len, struct err *e)
{
    size_t n;
    int rc = quiet_read(&f->file, off, buf, len, &n, e);
    if (rc == 0 && n < len)
        rc = err_set(e, ERR_CORRUPT, "the file ends at %" PRIu64, off + n);
    return rc;
}

/* The item with this number, were there `n_slots`; false when its bytes are none. */
static int item_with(struct index_file *f, uint32_t n_slots, uint32_t n,
                     struct store_index_item *ret, bool *ret_ok, struct err *e)
{
    uint8_t bytes[STORE_INDEX_ITEM_BYTES];
    int rc = read_bytes(f, store_index_item_at(n_slots, n), bytes, sizeof bytes, e);
    if (rc == 0)
        *ret_ok = store_index_item_decode(bytes, ret);
    return rc;
}

/* The first and the last item are of the records that the header names, and the last one is the
 * newest of its slot's chain. */
static int fits(struct index_file *f, uint32_t n_slots, bool *ret, struct err *e)
{
    const struct store_index_header *h = &f->header;
    *ret = false;
    if (h->n_next > store_index_items(f->file.bytes, n_slots) || h->n_used_slots > n_slots)
        return 0;
    if (h->n_next <= 1) {
        *ret = true;
        return 0;
    }
    struct store_index_item first, last;
    uint32_t newest = 0;
    bool has_first = false, has_last = false;
    int rc = item_with(f, n_slots, 1, &first, &has_first, e);
    if (rc == 0)
        rc = item_with(f, n_slots, h->n_next - 1, &last, &has_last, e);
    if (rc == 0 && has_first && has_last)
        rc = index_file_slot(f, last.hash % n_slots, &newest, e);
    *ret = rc == 0 && has_first && has_last && first.log_off == h->begin_log_off &&
           last.log_off == h->end_log_off && newest == h->n_next - 1;
    return rc;
}

/* The length leaves every fifth number; the smallest that fits is taken. A long file can only be
 * one with the default, also while a broker is at it and nothing fits for a moment. */
static int guess_slots(struct index_file *f, uint32_t *ret_n_slots, struct err *e)
{
    bool is_it = store_index_items(f->file.bytes, STORE_INDEX_SLOTS) > 0;
    uint32_t n_slots = STORE_INDEX_SLOTS;
    uint64_t max = f->file.bytes > GUESS_BYTES_MAX
                       ? 0
                       : (f->file.bytes - STORE_INDEX_HEADER_BYTES) / STORE_INDEX_SLOT_BYTES;
    int rc = 0;
    for (uint32_t n = 1; rc == 0 && !is_it && n <= max; n++) {
        n_slots = n;
        if (store_index_items(f->file.bytes, n) > 0)
            rc = fits(f, n, &is_it, e);
    }
    if (rc < 0)
        return rc;
    if (!is_it)
        return err_set(e, ERR_CORRUPT, "no number of hash slots fits to header and length");
    *ret_n_slots = n_slots;
    return 0;
}

static int read_header(struct index_file *f, uint32_t n_slots, struct err *e)
{
    uint8_t head[STORE_INDEX_HEADER_BYTES];
    int rc = read_bytes(f, 0, head, sizeof head, e);
    if (rc < 0)
        return rc;
    if (!store_index_header_decode(head, &f->header))
        return err_set(e, ERR_CORRUPT, "the header holds numbers that cannot be");
    if (n_slots == 0)
        rc = guess_slots(f, &n_slots, e);
    if (rc < 0)
        return rc;
    f->n_slots = n_slots;
    f->n_items = store_index_items(f->file.bytes, n_slots);
    if (f->n_items == 0)
        return err_set(e, ERR_CORRUPT, "the length does not fit to %" PRIu32 " hash slots",
                       n_slots);
    if (f->n_items > f->header.n_next)
        f->n_items = f->header.n_next;
    return 0;
}

int index_file_open(struct index_file *ret_f, const char *path, uint32_t n_slots, struct io *io,
                    struct err *e)
{
    memset(ret_f, 0, sizeof *ret_f);
    ret_f->file.fd = -1;
    int rc = quiet_open(&ret_f->file, io, path, e);
    if (rc < 0)
        return rc;
    rc = read_header(ret_f, n_slots, e);
    if (rc < 0) {
        index_file_close(ret_f);
        return err_wrap(e, "read index '%s'", path);
    }
    return 0;
}

void index_file_close(struct index_file *f)
{
    quiet_close(&f->file);
}

uint32_t index_file_slots(const char *root, struct io *io)
{
    char path[PATH_MAX];
    struct dirent **names;
    uint32_t n_slots = 0;
    (void)snprintf(path, sizeof path, "%s/index", root); /* too long a one is not there */
    int n = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct index_file f;
        struct err e; /* what is no file of an index is passed over */
        int len = snprintf(path, sizeof path, "%s/index/%s", root, names[i]->d_name);
        free(names[i]);
        if (n_slots > 0 || len < 0 || (size_t)len >= sizeof path ||
            index_file_open(&f, path, 0, io, &e) < 0)
            continue;
        n_slots = f.n_items > 1 ? f.n_slots : 0; /* an empty file fits to many numbers */
        index_file_close(&f);
    }
    if (n >= 0)
        free(names);
    return n_slots;
}

int index_file_item(struct index_file *f, uint32_t n, struct store_index_item *ret, bool *ret_ok,
                    struct err *e)
{
    if (n < f->buf_first || n - f->buf_first >= f->n_buf) {
        uint32_t left = f->n_items - n;
        f->n_buf = 0;
        uint32_t n_read = left < ITEMS_AT_ONCE ? left : ITEMS_AT_ONCE;
        int rc = read_bytes(f, store_index_item_at(f->n_slots, n), f->buf,
                            (size_t)n_read * STORE_INDEX_ITEM_BYTES, e);
        if (rc < 0)
            return rc;
        f->buf_first = n;
        f->n_buf = n_read;
    }
    *ret_ok =
        store_index_item_decode(f->buf + (size_t)(n - f->buf_first) * STORE_INDEX_ITEM_BYTES, ret);
    return 0;
}

int index_file_slot(struct index_file *f, uint32_t slot, uint32_t *ret_n, struct err *e)
{
    uint8_t bytes[STORE_INDEX_SLOT_BYTES];
    uint64_t at = STORE_INDEX_HEADER_BYTES + (uint64_t)slot * STORE_INDEX_SLOT_BYTES;
    int rc = read_bytes(f, at, bytes, sizeof bytes, e);
    if (rc == 0)
        *ret_n = be32_get(bytes);
    return rc;
}

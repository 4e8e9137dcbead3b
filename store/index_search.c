/* Follows the chain of one slot through each file, newest file first.
 *
 * The bytes may be damaged, or be written while they are read: a number that is out of range or
 * does not fall along the chain ends it, so a search always ends, and who searches looks at the
 * record itself before it believes anything. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/index_search.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/format.h"
#include "store/key_index.h"

struct search {
    const struct index_search *s;
    index_take_fn take;
    void *arg;
    uint64_t n_left; /* items that may still be looked at */
    uint64_t below;  /* records from here on were taken, or are not wanted */
    enum index_search_end end;
    bool is_done;
    /* the present file */
    int fd;
    uint32_t n_items;
    struct store_index_header head;
};

/* False when the bytes are not there. */
static bool read_bytes(const struct search *x, uint64_t at, void *buf, size_t len)
{
    return x->s->io->pread(x->s->io, x->fd, buf, len, at) == (int64_t)len;
}

/* ---- one chain ---- */

/* The first of the second in which the item's record was stored. */
static uint64_t item_ms(const struct search *x, uint32_t n, const struct store_index_item *item)
{
    return x->head.begin_ms + (n == 1 ? 0 : UINT64_C(1000) * item->seconds);
}

static int take_item(struct search *x, uint32_t n, const struct store_index_item *item,
                     struct err *e)
{
    if (item->hash != x->s->hash || item->log_off >= x->below || item_ms(x, n, item) > x->s->end_ms)
        return 0;
    x->below = item->log_off;
    int rc = x->take(x->arg, item->log_off, e);
    if (rc == 1) {
        x->end = INDEX_SEARCH_STOPPED;
        x->is_done = true;
        rc = 0;
    }
    return rc;
}

static int follow_chain(struct search *x, uint32_t n, struct err *e)
{
    uint8_t bytes[STORE_INDEX_ITEM_BYTES];
    struct store_index_item item;
    int rc = 0;
    while (rc == 0 && !x->is_done && n > 0 && n < x->n_items) {
        if (x->n_left-- == 0) {
            x->end = INDEX_SEARCH_LIMIT;
            x->is_done = true;
            return 0;
        }
        if (!read_bytes(x, store_index_item_at(x->s->n_slots, n), bytes, sizeof bytes) ||
            !store_index_item_decode(bytes, &item) || item.prev >= n)
            return 0;
        if (item_ms(x, n, &item) + 999 < x->s->begin_ms)
            return 0; /* those before it are older */
        rc = take_item(x, n, &item, e);
        n = item.prev;
    }
    return rc;
}

/* ---- files ---- */

static bool open_file(struct search *x, const char *path)
{
    uint8_t bytes[STORE_INDEX_HEADER_BYTES];
    uint64_t len = 0;
    struct io *io = x->s->io;
    x->fd = io->open(io, path, O_RDONLY, 0);
    if (x->fd < 0)
        return false;
    if (io->size(io, x->fd, &len) == 0)
        x->n_items = store_index_items(len, x->s->n_slots);
    if (x->n_items > 0 && read_bytes(x, 0, bytes, sizeof bytes) &&
        store_index_header_decode(bytes, &x->head))
        return true;
    (void)io->close(io, x->fd); /* read only: nothing to lose */
    return false;
}

static int search_file(struct search *x, uint64_t name, struct err *e)
{
    uint8_t slot[STORE_INDEX_SLOT_BYTES];
    char *path = NULL;
    if (asprintf(&path, "%s/%0*" PRIu64, x->s->folder, FORMAT_INDEX_NAME_DIGITS, name) < 0)
        return err_set(e, ERR_NOMEM, "name a file of '%s'", x->s->folder);
    x->n_items = 0;
    bool is_open = open_file(x, path);
    free(path);
    if (!is_open)
        return 0;
    int rc = 0;
    uint64_t at =
        STORE_INDEX_HEADER_BYTES + (uint64_t)(x->s->hash % x->s->n_slots) * STORE_INDEX_SLOT_BYTES;
    bool is_in_time = x->head.begin_ms <= x->s->end_ms && x->head.end_ms >= x->s->begin_ms;
    if (is_in_time && x->head.begin_log_off < x->below && read_bytes(x, at, slot, sizeof slot))
        rc = follow_chain(x, be32_get(slot), e);
    (void)x->s->io->close(x->s->io, x->fd); /* read only: nothing to lose */
    return rc;
}

int index_search(const struct index_search *s, index_take_fn take, void *arg,
                 enum index_search_end *ret_end, struct err *e)
{
    struct search x = {.s = s,
                       .take = take,
                       .arg = arg,
                       .n_left = s->max_items,
                       .below = s->below_log_off,
                       .end = INDEX_SEARCH_ALL};
    uint64_t *names = NULL;
    size_t n = 0;
    int rc = key_index_list(s->folder, &names, &n, e);
    while (rc == 0 && n > 0 && !x.is_done)
        rc = search_file(&x, names[--n], e);
    free(names);
    if (rc == 0)
        *ret_end = x.end;
    return rc;
}

/* One record in pieces. It is whole before the append lock is taken, so that giving it its place,
 * which happens under it, is a few stores (I7). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outgoing.h"

#include <stdlib.h>

/* Of a record's room. A usual message has 400 bytes around its body; 4 KiB name the slices of 1.5
 * MiB. */
enum { ROOM_BYTES = 1024, KEPT_BYTES = 4 * 1024 };

static struct iovec piece_of(const uint8_t *ptr, size_t len)
{
    /* iovec has no const; what it names is only read */
    return (struct iovec){.iov_base = (void *)(uintptr_t)ptr, .iov_len = len};
}

/* ---- those that went out ---- */

static void free_one(struct idle_item *item)
{
    struct outgoing *out = (struct outgoing *)item;
    idle_room_fini(&out->room);
    free(out);
}

void outgoing_drop(struct idle *spent, struct outgoing *first, const struct outgoing *end)
{
    struct idle_item *list = NULL;
    while (first != end) {
        struct outgoing *next = first->next;
        if (first->room.bytes > KEPT_BYTES)
            idle_room_fini(&first->room);
        first->idle.next = list;
        list = &first->idle;
        first = next;
    }
    list = idle_keep_list(spent, list);
    while (list) {
        struct idle_item *next = list->next;
        free_one(list);
        list = next;
    }
}

void outgoing_free_spent(struct idle *spent)
{
    idle_fini(spent, free_one);
}

/* One with room for so many bytes; NULL: no memory. */
static struct outgoing *take(struct idle *spent, size_t bytes)
{
    struct idle_item *item = idle_take(spent);
    struct outgoing *out = item ? (struct outgoing *)item : calloc(1, sizeof *out);
    if (out && idle_room_get(&out->room, bytes > ROOM_BYTES ? bytes : ROOM_BYTES))
        return out;
    free(out); /* without a room */
    return NULL;
}

/* ---- one record ---- */

int outgoing_new(struct idle *spent, struct outgoing **ret_out, const struct store_message *m,
                 const struct record_plan *plan, struct err *e)
{
    size_t pieces_bytes = (m->n_body + 2) * sizeof(struct iovec);
    size_t around_bytes = plan->size - plan->body_len;
    struct outgoing *out = take(spent, pieces_bytes + around_bytes);
    if (!out)
        return err_set(e, ERR_NOMEM, "hold a record of %zu pieces", m->n_body);
    *out = (struct outgoing){.room = out->room, .plan = *plan};
    out->pieces = out->room.memory;
    out->around = (uint8_t *)out->room.memory + pieces_bytes;
    size_t head_bytes = record_write_around(out->around, plan, m);
    out->pieces[out->n_pieces++] = piece_of(out->around, head_bytes);
    for (size_t i = 0; i < m->n_body; i++)
        if (m->body[i].len > 0)
            out->pieces[out->n_pieces++] = piece_of(m->body[i].ptr, m->body[i].len);
    out->pieces[out->n_pieces++] = piece_of(out->around + head_bytes, around_bytes - head_bytes);
    *ret_out = out;
    return 0;
}

void outgoing_place(struct outgoing *out, const struct store_appended *at)
{
    out->log_off = at->log_off;
    record_patch(out->around, &out->plan, at->queue_off, at->log_off, at->store_ms);
}

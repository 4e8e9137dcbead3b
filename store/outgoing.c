/* One record in pieces. One allocation holds it all, so that giving it its place, which happens
 * under the append lock, is a few stores (I7). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/outgoing.h"

#include <stdlib.h>

static struct iovec piece_of(const uint8_t *ptr, size_t len)
{
    /* iovec has no const; what it names is only read */
    return (struct iovec){.iov_base = (void *)(uintptr_t)ptr, .iov_len = len};
}

int outgoing_new(struct outgoing **ret_out, const struct store_message *m,
                 const struct record_plan *plan, struct err *e)
{
    size_t around_bytes = plan->size - plan->body_len;
    struct outgoing *out =
        malloc(sizeof *out + (m->n_body + 2) * sizeof out->pieces[0] + around_bytes);
    if (!out)
        return err_set(e, ERR_NOMEM, "hold a record of %zu pieces", m->n_body);
    *out = (struct outgoing){.plan = *plan};
    out->around = (uint8_t *)(out->pieces + m->n_body + 2);
    size_t head_bytes = record_write_around(out->around, plan, m);
    out->pieces[out->n_pieces++] = piece_of(out->around, head_bytes);
    for (size_t i = 0; i < m->n_body; i++)
        if (m->body[i].len > 0)
            out->pieces[out->n_pieces++] = piece_of(m->body[i].ptr, m->body[i].len);
    out->pieces[out->n_pieces++] = piece_of(out->around + head_bytes, around_bytes - head_bytes);
    *ret_out = out;
    return 0;
}

void outgoing_free(struct outgoing *out)
{
    free(out);
}

void outgoing_place(struct outgoing *out, const struct store_appended *at)
{
    out->log_off = at->log_off;
    record_patch(out->around, &out->plan, at->queue_off, at->log_off, at->store_ms);
}

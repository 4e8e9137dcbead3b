/* One record on its way to the disk in pieces: its head and tail here, its body where the caller
 * has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_OUTGOING_H
#define STORE_OUTGOING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/format.h"
#include "store/record.h"

struct outgoing {
    struct outgoing *next; /* in the list that it is in */
    struct record_plan plan;
    uint64_t log_off;      /* where it goes */
    uint32_t filler_bytes; /* that end the file before it; 0: it does not begin a file */
    uint8_t *around;       /* head and tail, one behind the other */
    size_t n_pieces;
    struct iovec pieces[]; /* head, body, tail */
};

/* The pieces of the message's body are kept by reference, all else is copied. ERR_NOMEM. */
int outgoing_new(struct outgoing **ret_out, const struct store_message *m,
                 const struct record_plan *plan, struct err *e) MUST_CHECK;

void outgoing_free(struct outgoing *out); /* NULL is fine; the body is not looked at */

/* Gives it its place. */
void outgoing_place(struct outgoing *out, const struct store_appended *at);

#endif

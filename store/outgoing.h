/* One record on its way to the disk in pieces: its head and tail here, its body where the caller
 * has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_OUTGOING_H
#define STORE_OUTGOING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/idle.h"
#include "store/format.h"
#include "store/record.h"

enum { OUTGOING_SPENT_MAX = 1024 }; /* records kept for the next ones: 1 to 4 MiB of them */

struct outgoing {
    struct idle_item idle; /* first: one that went out is kept for the next */
    struct idle_room room; /* of `around` and `pieces` */
    struct outgoing *next; /* in the list that it is in */
    struct record_plan plan;
    uint64_t log_off;      /* where it goes */
    uint32_t filler_bytes; /* that end the file before it; 0: it does not begin a file */
    uint8_t *around;       /* head and tail, one behind the other */
    size_t n_pieces;
    struct iovec *pieces; /* head, body, tail */
};

/* One of `spent`, or a new one. The pieces of the message's body are kept by reference, all else is
 * copied. ERR_NOMEM. Thread: any. */
int outgoing_new(struct idle *spent, struct outgoing **ret_out, const struct store_message *m,
                 const struct record_plan *plan, struct err *e) MUST_CHECK;

/* Ends the records from `first` up to, not including, `end`, and keeps them in `spent` for the next
 * ones; the bodies are not looked at. NULL is fine. Thread: any. */
void outgoing_drop(struct idle *spent, struct outgoing *first, const struct outgoing *end);

void outgoing_free_spent(struct idle *spent);

/* Gives it its place. */
void outgoing_place(struct outgoing *out, const struct store_appended *at);

#endif

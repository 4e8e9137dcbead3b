/* Checking UTF-8 that comes in runs: the rule proto3 has for every string. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Where in a character the text stands. Zeroed memory is the start of a text. */
struct utf8 {
    uint8_t n_missing; /* bytes still to come of the character begun */
    uint8_t low, high; /* bounds of the next of them */
};

/* Goes on with the next run. False: the text is malformed, whatever follows. */
bool utf8_feed(struct utf8 *u, struct span run);

/* Whether the text may end here. */
static inline bool utf8_at_end(const struct utf8 *u)
{
    return u->n_missing == 0;
}

#endif

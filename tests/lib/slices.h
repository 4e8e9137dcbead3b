/* Cuts bytes into slices as a network would, each in memory of its own so that a sanitizer sees a
 * read past its end. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SLICES_H
#define TESTS_LIB_SLICES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct slices {
    struct span *spans;
    size_t n;
};

/* Two slices: the first `at` bytes and the rest. */
struct slices slices_in_two(struct span bytes, size_t at);

/* Slices of at most `max_bytes`, their lengths drawn from `seed`; some are empty. */
struct slices slices_at_random(struct span bytes, size_t max_bytes, uint64_t seed);

void slices_free(struct slices *s);

#endif

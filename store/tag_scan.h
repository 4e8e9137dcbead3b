/* Finds tag codes among the entries of a consume queue, in the mapping. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_TAG_SCAN_H
#define STORE_TAG_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* The first of the entries numbered [from, to) at `entries` whose code is one of `codes`
 * (ascending; the low 32 bits are compared: rocketmq-store 8.3); `to` when none is. */
uint64_t tag_scan_next(const uint8_t *entries, uint64_t from, uint64_t to, const int32_t *codes,
                       size_t n_codes);

#endif

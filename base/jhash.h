/* Java's String.hashCode of UTF-8 text: what RocketMQ calls a tag code. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JHASH_H
#define BASE_JHASH_H

#include <stdint.h>

#include "base/bytes.h"

/* h = 31*h + unit over UTF-16 code units, 32-bit wrap-around; 0 for empty text. Malformed UTF-8
 * bytes count as U+FFFD, as Java's decoder has it. */
int32_t jhash(struct span utf8);

/* The hash of a text that goes on with `utf8` behind what hashed to `h`; no character may lie on
 * the seam. */
int32_t jhash_more(int32_t h, struct span utf8);

#endif

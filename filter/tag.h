/* A set of tags: asked by code during the consume-queue scan, by text on the record. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FILTER_TAG_H
#define FILTER_TAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/idle.h"

enum { TAG_EXPR_MAX_BYTES = 64 << 10 };

/* Constant from one making to the next. Either everything (then the arrays are empty), or at least
 * one tag. */
struct tag_set {
    bool is_all;
    size_t n;
    int32_t *codes;        /* ascending; two tags may share one */
    struct span *texts;    /* texts[i] has codes[i]; point into `copy` */
    uint8_t *copy;         /* of the expression */
    struct idle_room room; /* of all three */
};

/* Makes the set of an expression; errors as filter_compile_tags. */
int tag_set_init(struct tag_set *ret_set, struct span expr, struct err *e) MUST_CHECK;

/* The same in the memory of a set that is no longer needed; after a failure it has no tag. */
int tag_set_again(struct tag_set *set, struct span expr, struct err *e) MUST_CHECK;

void tag_set_fini(struct tag_set *set);

/* Whether a tag of the set may have this code. No allocation. */
bool tag_set_has_code(const struct tag_set *set, int32_t code);

/* Whether the tag is in the set, byte for byte. No allocation. */
bool tag_set_has_text(const struct tag_set *set, struct span tag);

#endif

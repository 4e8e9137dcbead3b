/* Fuzzes tag expressions: every tag that is in the expression passes both steps, and what passes
 * the text passes the code. The text up to the first newline is the expression, the rest a tag. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "filter/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_tag(const struct filter *f, struct span tag)
{
    const bool by_code = filter_match_code(f, filter_tag_code(tag));
    if (filter_match_tag(f, tag) && !by_code)
        abort();
}

/* A piece between two separators, without blanks at its ends, is a tag of the expression. */
static void check_piece(const struct filter *f, struct span expr)
{
    const uint8_t *bar = memmem(expr.ptr, expr.len, "||", 2);
    const struct span piece = span_of(expr.ptr, bar ? (size_t)(bar - expr.ptr) : expr.len);
    if (piece.len == 0 || piece.ptr[0] <= ' ' || piece.ptr[piece.len - 1] <= ' ')
        return;
    if (!filter_match_code(f, filter_tag_code(piece)) || !filter_match_tag(f, piece))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *line = len > 0 ? memchr(data, '\n', len) : NULL;
    const struct span expr = span_of(data, line ? (size_t)(line - data) : len);
    struct filter *f;
    struct err e;
    if (filter_compile_tags(&f, expr, &e))
        return 0;
    if (line)
        check_tag(f, span_of(line + 1, len - expr.len - 1));
    if (expr.len > 0)
        check_piece(f, expr);
    check_tag(f, expr);
    filter_free(f);
    return 0;
}

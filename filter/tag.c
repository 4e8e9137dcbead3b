/* Tag expressions as sorted sets. Small sets, the usual ones, are scanned; large ones are searched.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/tag.h"

#include <stdlib.h>
#include <string.h>

#include "base/jhash.h"

/* Up to here looking at each is no slower than a search. */
enum { SCAN_MAX = 8 };

struct tag {
    int32_t code;
    struct span text;
};

/* Blanks are what Java's trim() takes off: everything up to U+0020. */
static struct span trim(struct span s)
{
    while (s.len > 0 && s.ptr[0] <= ' ') {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

/* Cuts the next piece off `*rest`, up to "||" or the end. False when there was none left. */
static bool next_piece(struct span *rest, struct span *ret_piece)
{
    if (!rest->ptr)
        return false;
    const uint8_t *bar = memmem(rest->ptr, rest->len, "||", 2);
    if (!bar) {
        *ret_piece = *rest;
        *rest = (struct span){0};
        return true;
    }
    const size_t len = (size_t)(bar - rest->ptr);
    *ret_piece = span_of(rest->ptr, len);
    *rest = span_of(bar + 2, rest->len - len - 2);
    return true;
}

/* Writes the tags of the expression to `tags` unless it is NULL; returns how many there are. */
static size_t split(struct span expr, struct tag *tags)
{
    size_t n = 0;
    struct span piece;
    for (struct span rest = expr; next_piece(&rest, &piece);) {
        const struct span text = trim(piece);
        if (text.len == 0)
            continue;
        if (tags)
            tags[n] = (struct tag){.code = jhash(text), .text = text};
        n++;
    }
    return n;
}

static int compare_tags(const void *left, const void *right)
{
    const struct tag *a = left, *b = right;
    if (a->code != b->code)
        return a->code < b->code ? -1 : 1;
    if (a->text.len != b->text.len)
        return a->text.len < b->text.len ? -1 : 1;
    return memcmp(a->text.ptr, b->text.ptr, a->text.len);
}

/* Sorted, each once. */
static size_t order(struct tag *tags, size_t n)
{
    qsort(tags, n, sizeof *tags, compare_tags);
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++)
        if (n_kept == 0 || compare_tags(&tags[n_kept - 1], &tags[i]) != 0)
            tags[n_kept++] = tags[i];
    return n_kept;
}

/* Makes room for `n` tags and a copy of the expression; what is sorted comes first. NULL: no
 * memory.
 */
static struct tag *make_room(struct tag_set *set, size_t n, size_t expr_len)
{
    struct tag *tags = idle_room_get(
        &set->room, n * (sizeof *tags + sizeof *set->texts + sizeof *set->codes) + expr_len);
    if (!tags)
        return NULL;
    set->texts = (struct span *)(tags + n);
    set->codes = (int32_t *)(set->texts + n);
    set->copy = (uint8_t *)(set->codes + n);
    return tags;
}

static int fill(struct tag_set *set, struct span expr, size_t n, struct err *e)
{
    struct tag *tags = make_room(set, n, expr.len);
    if (!tags)
        return err_set(e, ERR_NOMEM, "compile a tag expression");
    memcpy(set->copy, expr.ptr, expr.len);
    n = split(span_of(set->copy, expr.len), tags);
    set->n = order(tags, n);
    for (size_t i = 0; i < set->n; i++) {
        set->codes[i] = tags[i].code;
        set->texts[i] = tags[i].text;
    }
    return 0;
}

int tag_set_again(struct tag_set *set, struct span expr, struct err *e)
{
    *set = (struct tag_set){.room = set->room};
    if (expr.len > TAG_EXPR_MAX_BYTES)
        return err_set(e, ERR_TOOBIG, "compile a tag expression of %zu bytes, over %d", expr.len,
                       TAG_EXPR_MAX_BYTES);
    const struct span text = trim(expr);
    set->is_all = text.len == 0 || span_equal(text, span_str("*"));
    if (set->is_all)
        return 0;
    const size_t n = split(text, /* tags = */ NULL);
    if (n == 0)
        return err_set(e, ERR_INVAL, "compile a tag expression: '%.*s' names no tag",
                       (int)(text.len < 64 ? text.len : 64), (const char *)text.ptr);
    return fill(set, text, n, e);
}

int tag_set_init(struct tag_set *ret_set, struct span expr, struct err *e)
{
    struct tag_set set = {0};
    const int rc = tag_set_again(&set, expr, e);
    if (rc)
        tag_set_fini(&set);
    else
        *ret_set = set;
    return rc;
}

void tag_set_fini(struct tag_set *set)
{
    idle_room_fini(&set->room);
}

/* Index of the first code that is not below; n when there is none. */
static size_t lower_bound(const struct tag_set *set, int32_t code)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (set->codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool tag_set_has_code(const struct tag_set *set, int32_t code)
{
    if (set->is_all)
        return true;
    if (set->n > SCAN_MAX) {
        const size_t at = lower_bound(set, code);
        return at < set->n && set->codes[at] == code;
    }
    for (size_t i = 0; i < set->n; i++)
        if (set->codes[i] == code)
            return true;
    return false;
}

bool tag_set_has_text(const struct tag_set *set, struct span tag)
{
    if (set->is_all)
        return true;
    size_t i = 0, end = set->n;
    if (set->n > SCAN_MAX) {
        const int32_t code = jhash(tag);
        i = end = lower_bound(set, code);
        while (end < set->n && set->codes[end] == code)
            end++;
    }
    for (; i < end; i++)
        if (span_equal(set->texts[i], tag))
            return true;
    return false;
}

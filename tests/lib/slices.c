/* Cuts bytes into slices. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/slices.h"

#include <stdlib.h>

static void add(struct slices *s, struct span bytes)
{
    uint8_t *copy = malloc(bytes.len);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    s->spans = realloc(s->spans, (s->n + 1) * sizeof *s->spans);
    s->spans[s->n++] = span_of(copy, bytes.len);
}

struct slices slices_in_two(struct span bytes, size_t at)
{
    struct slices s = {0};
    add(&s, span_of(bytes.ptr, at));
    add(&s, span_of(bytes.ptr + at, bytes.len - at));
    return s;
}

struct slices slices_at_random(struct span bytes, size_t max_bytes, uint64_t seed)
{
    struct slices s = {0};
    for (size_t at = 0; at < bytes.len;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t len = (seed >> 33) % (max_bytes + 1);
        len = len < bytes.len - at ? len : bytes.len - at;
        add(&s, span_of(bytes.ptr + at, len));
        at += len;
    }
    return s;
}

void slices_free(struct slices *s)
{
    for (size_t i = 0; i < s->n; i++)
        free((void *)s->spans[i].ptr);
    free(s->spans);
    *s = (struct slices){0};
}

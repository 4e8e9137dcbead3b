/* What the readers of requests share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/request.h"

#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

enum {
    KEPT_BYTES = 64 * 1024, /* of an array, from request to request */
    FIRST_ITEMS = 8,
};

void request_begin(struct request *r, const struct span *slices, size_t n_slices)
{
    request_forget(r);
    r->wire = wire_of(slices, n_slices);
}

void request_forget(struct request *r)
{
    arena_forget(&r->texts);
}

void request_fini(struct request *r)
{
    arena_fini(&r->texts);
}

/* ---- strings ---- */

static int copy_string(struct request *r, struct span first, size_t len, struct span *ret,
                       struct err *e)
{
    uint8_t *copy = arena_take(&r->texts, len);
    if (!copy)
        return err_set(e, ERR_NOMEM, "copy a string of %zu bytes", len);
    memcpy(copy, first.ptr, first.len);
    for (size_t at = first.len; at < len;) {
        const struct span run = wire_run(&r->wire, len - at);
        memcpy(copy + at, run.ptr, run.len);
        at += run.len;
    }
    *ret = span_of(copy, len);
    return 0;
}

int request_string(struct request *r, const struct wire_field *f, struct span *ret, struct err *e)
{
    const size_t len = f->value;
    if (len == 0) {
        *ret = (struct span){0};
        return 0;
    }
    struct span text = wire_run(&r->wire, len);
    if (text.len < len) {
        const int rc = copy_string(r, text, len, &text, e);
        if (rc)
            return rc;
    }
    if (!proto_utf8_ok(text)) {
        r->wire.bad = "string is not UTF-8";
        return request_err(r, e);
    }
    *ret = text;
    return 0;
}

int request_err(const struct request *r, struct err *e)
{
    return wire_err(&r->wire, r->type, e);
}

int request_part(struct request *r, const struct wire_field *f, request_field_fn fn, void *ctx,
                 struct err *e)
{
    const size_t outer = wire_enter(&r->wire, f);
    struct wire_field inner;
    while (wire_next(&r->wire, &inner)) {
        const int rc = fn(ctx, &inner, e);
        if (rc)
            return rc;
    }
    if (r->wire.bad)
        return request_err(r, e);
    wire_leave(&r->wire, outer);
    return 0;
}

/* ---- arrays ---- */

void *request_array_add(struct request_array *a, size_t item_bytes)
{
    if (a->n == a->n_max) {
        const size_t n_max = a->n_max ? 2 * a->n_max : FIRST_ITEMS;
        void *items = realloc(a->items, n_max * item_bytes);
        if (!items)
            return NULL;
        a->items = items;
        a->n_max = n_max;
    }
    return (uint8_t *)a->items + a->n++ * item_bytes;
}

void request_array_forget(struct request_array *a, size_t item_bytes)
{
    a->n = 0;
    if (a->n_max * item_bytes <= KEPT_BYTES)
        return;
    free(a->items);
    *a = (struct request_array){0};
}

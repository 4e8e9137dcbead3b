/* What the readers of requests share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/request.h"

#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

enum {
    TEXT_BYTES = 4096,      /* of one block; longer strings have one of their own */
    KEPT_BYTES = 64 * 1024, /* of a block or an array, from request to request */
    FIRST_ITEMS = 8,
};

struct request_text {
    struct request_text *next;
    size_t used, room;
    uint8_t bytes[];
};

void request_begin(struct request *r, const struct span *slices, size_t n_slices)
{
    request_forget(r);
    r->wire = wire_of(slices, n_slices);
}

static void free_texts(struct request_text *t)
{
    while (t) {
        struct request_text *next = t->next;
        free(t);
        t = next;
    }
}

void request_forget(struct request *r)
{
    struct request_text *first = r->texts;
    if (!first)
        return;
    free_texts(first->next);
    first->next = NULL;
    first->used = 0;
    if (first->room <= KEPT_BYTES)
        return;
    free(first);
    r->texts = NULL;
}

void request_fini(struct request *r)
{
    free_texts(r->texts);
    r->texts = NULL;
}

/* ---- strings ---- */

static uint8_t *text_room(struct request *r, size_t len)
{
    struct request_text *t = r->texts;
    if (!t || t->room - t->used < len) {
        const size_t room = len > TEXT_BYTES ? len : TEXT_BYTES;
        t = malloc(sizeof *t + room);
        if (!t)
            return NULL;
        t->next = r->texts;
        t->used = 0;
        t->room = room;
        r->texts = t;
    }
    uint8_t *place = t->bytes + t->used;
    t->used += len;
    return place;
}

static int copy_string(struct request *r, struct span first, size_t len, struct span *ret,
                       struct err *e)
{
    uint8_t *copy = text_room(r, len);
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

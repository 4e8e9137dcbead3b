/* What the readers of requests share: a cursor whose strings come in one piece, and arrays that are
 * kept from request to request, so that a usual request allocates nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_REQUEST_H
#define PROTO_REQUEST_H

#include "base/arena.h"
#include "proto/wire.h"

/* Zeroed but for `type`: nothing is being read. */
struct request {
    const char *type; /* of the message; what is malformed says so */
    struct wire wire;
    struct arena texts; /* strings that lay in several slices */
};

/* Begins to read another request; strings of the one before are forgotten. */
void request_begin(struct request *r, const struct span *slices, size_t n_slices);

/* Forgets the strings; keeps memory for the next request, but no more than a usual one needs. */
void request_forget(struct request *r);

void request_fini(struct request *r);

/* Reads a field as text, which stays valid until the strings are forgotten: in the slices, or
 * copied when it lies in several. ERR_INVAL: not UTF-8; ERR_NOMEM. */
int request_string(struct request *r, const struct wire_field *f, struct span *ret,
                   struct err *e) MUST_CHECK;

/* Why the cursor stopped before the end. Returns ERR_INVAL. */
int request_err(const struct request *r, struct err *e);

/* A field of a message that `ctx` reads. Non-zero stops. */
typedef int (*request_field_fn)(void *ctx, const struct wire_field *f, struct err *e);

/* Reads a field's bytes as a message, each of its fields by `fn`. */
int request_part(struct request *r, const struct wire_field *f, request_field_fn fn, void *ctx,
                 struct err *e) MUST_CHECK;

struct request_array {
    void *items;
    size_t n, n_max;
};

/* Makes room for one more item and returns its place, or NULL. */
void *request_array_add(struct request_array *a, size_t item_bytes);

/* Empties it; frees it when it is large. */
void request_array_forget(struct request_array *a, size_t item_bytes);

#endif

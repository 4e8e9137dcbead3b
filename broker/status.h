/* What a reply says about its request: a code of apache.rocketmq.v2.Code and a line of text; and
 * the one place that turns ERR_* into such a code. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_STATUS_H
#define BROKER_STATUS_H

#include <stdint.h>

#include "base/err.h"
#include "proto/proto.h"

#define CODE(name) APACHE__ROCKETMQ__V2__CODE__##name

enum { STATUS_TEXT_BYTES = PROTO_STATUS_TEXT_BYTES };

struct status {
    int32_t code;                 /* CODE(OK) or what went wrong */
    char text[STATUS_TEXT_BYTES]; /* valid UTF-8; ends in NUL */
};

/* The code's own name as text. */
void status_ok(struct status *ret);

/* Returns ERR_INVAL for every code, so that a check is `return status_set(...)`. Bytes that are not
 * UTF-8 (a text cut by its length, say) become '?'. */
int status_set(struct status *ret, int32_t code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What the error means to a client. Returns e->code. */
int status_of_err(struct status *ret, const struct err *e);

#ifdef __clang_analyzer__
#define status_set(...) err_is_failure((status_set)(__VA_ARGS__))
#define status_of_err(...) err_is_failure((status_of_err)(__VA_ARGS__))
#endif

/* The code that ERR_* travels as. */
int32_t status_code_of(int err_code);

#endif

/* What a reply says about its request, and the one place that turns ERR_* into a wire code. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"

void status_ok(struct status *ret)
{
    ret->code = CODE(OK);
    (void)snprintf(ret->text, sizeof ret->text, "OK");
}

/* A text made of checked strings is UTF-8 but for a last character cut by the buffer's end. */
static void mend_utf8(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && !proto_utf8_ok(span_of(text, len)) && strlen(text) - len < 4)
        len--;
    if (proto_utf8_ok(span_of(text, len))) {
        text[len] = '\0';
        return;
    }
    for (char *p = text; *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
}

int(status_set)(struct status *ret, int32_t code, const char *fmt, ...)
{
    va_list args;
    assert(fmt);
    va_start(args, fmt);
    (void)vsnprintf(ret->text, sizeof ret->text, fmt, args);
    va_end(args);
    mend_utf8(ret->text);
    ret->code = code;
    return ERR_INVAL;
}

int32_t status_code_of(int err_code)
{
    switch ((enum err_code)err_code) {
    case ERR_INVAL:
    case ERR_EXISTS:
        return CODE(BAD_REQUEST);
    case ERR_NOTFOUND:
        return CODE(NOT_FOUND);
    case ERR_TOOBIG:
        return CODE(PAYLOAD_TOO_LARGE);
    case ERR_UNSUPPORTED:
        return CODE(NOT_IMPLEMENTED);
    case ERR_NOMEM:
    case ERR_BUSY:
        return CODE(TOO_MANY_REQUESTS);
    case ERR_UNKNOWN: /* it may be stored: the client may send it again */
        return CODE(MASTER_PERSISTENCE_TIMEOUT);
    case ERR_CORRUPT:
    case ERR_IO:
    case ERR_NOSPACE:
    case ERR_FAILED:
    case ERR_CLOSED:
        return CODE(INTERNAL_SERVER_ERROR);
    case ERR_NONE:
#define X(name, text) case ERR_POS_##name:
        ERR_MAP(X)
#undef X
        break;
    }
    return CODE(INTERNAL_SERVER_ERROR);
}

int(status_of_err)(struct status *ret, const struct err *e)
{
    (void)status_set(ret, status_code_of(e->code), "%s", e->msg);
    return e->code;
}

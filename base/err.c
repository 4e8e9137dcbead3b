/* Builds error messages: cause first, context put in front at each level. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int(err_set)(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, ap); /* a cut message is still a message */
    va_end(ap);
    e->code = code;
    return code;
}

static int code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NOSPACE;
    case ENOMEM:
        return ERR_NOMEM;
    case ENOENT:
        return ERR_NOTFOUND;
    case EEXIST:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

int(err_sys)(struct err *e, int errno_value, const char *fmt, ...)
{
    char what[ERR_MSG_BYTES / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(e, code_of_errno(errno_value), "%s: %s", what, strerror(errno_value));
}

/* Cuts what is to stand before a cause of `n_cause` bytes, and returns its length: where there is
 * no room for both the cause is worth more, but a quarter is for what was being done. */
static size_t cut_front(char what[ERR_MSG_BYTES], size_t n_cause)
{
    static const char more[] = "...";
    enum { FRONT_MIN = ERR_MSG_BYTES / 4, REST = sizeof ": " };
    size_t room =
        n_cause + REST + FRONT_MIN < ERR_MSG_BYTES ? ERR_MSG_BYTES - REST - n_cause : FRONT_MIN;
    size_t front = strlen(what);
    if (front <= room)
        return front;
    memcpy(what + room - (sizeof more - 1), more, sizeof more);
    return room;
}

int(err_wrap)(struct err *e, const char *fmt, ...)
{
    char what[ERR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (n < 0)
        return e->code;
    size_t front = cut_front(what, strlen(e->msg));
    memmove(e->msg + front + 2, e->msg, sizeof e->msg - front - 2);
    memcpy(e->msg, what, front);
    memcpy(e->msg + front, ": ", 2);
    e->msg[sizeof e->msg - 1] = '\0';
    return e->code;
}

const char *err_text(int code)
{
    switch (code) {
    case 0:
        return "success";
#define X(name, text)                                                                              \
    case ERR_##name:                                                                               \
        return text;
        ERR_MAP(X)
#undef X
    default:
        return "unknown error";
    }
}

/* Error codes and the message that travels with one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* X(name, text). The text is what a reader sees when nothing more is known. */
#define ERR_MAP(X)                                                                                 \
    X(INVAL, "invalid argument")                                                                   \
    X(CORRUPT, "corrupt data")                                                                     \
    X(IO, "input/output failure")                                                                  \
    X(NOSPACE, "no space left")                                                                    \
    X(NOMEM, "out of memory")                                                                      \
    X(NOTFOUND, "not found")                                                                       \
    X(EXISTS, "already exists")                                                                    \
    X(BUSY, "in use by another process")                                                           \
    X(TOOBIG, "over the limit")                                                                    \
    X(UNSUPPORTED, "not supported")                                                                \
    X(FAILED, "the store has failed and must be reopened")                                         \
    X(UNKNOWN, "not known whether it is stored")                                                   \
    X(CLOSED, "shutting down")

enum err_code {
    ERR_NONE = 0,
#define X(name, text) ERR_POS_##name,
    ERR_MAP(X)
#undef X
#define X(name, text) ERR_##name = -ERR_POS_##name,
        ERR_MAP(X)
#undef X
};

enum { ERR_MSG_BYTES = 248 };

/* Lives on the caller's stack, is never NULL, allocates nothing. A function that fails returns a
 * negative ERR_* and has filled this in; on success it is untouched. */
struct err {
    int code;                /* 0 or a negative ERR_* */
    char msg[ERR_MSG_BYTES]; /* lower case, verb first, values in single quotes; always ends in NUL
                              */
};

/* State the cause. Returns `code`. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* State a system call's failure: `errno_value` is positive and its text is appended. ENOSPC and
 * EDQUOT become ERR_NOSPACE, ENOMEM ERR_NOMEM, ENOENT ERR_NOTFOUND, EEXIST ERR_EXISTS, others
 * ERR_IO. Returns the code. */
int err_sys(struct err *e, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put what the caller was doing in front of the message. Returns e->code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#ifdef __clang_analyzer__
/* The analyzer looks at one source file at a time: it is told that these never return success, or
 * it follows ways on which a function has failed and its caller goes on. */
static inline int err_is_failure(int code)
{
    if (code >= 0)
        __builtin_unreachable();
    return code;
}
#define err_set(...) err_is_failure((err_set)(__VA_ARGS__))
#define err_sys(...) err_is_failure((err_sys)(__VA_ARGS__))
#define err_wrap(...) err_is_failure((err_wrap)(__VA_ARGS__))
#endif

/* The text of a code, e.g. "no space left". */
const char *err_text(int code);

#endif

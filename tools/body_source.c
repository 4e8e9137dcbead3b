/* Makes bodies, or cuts them out of a stream of lines without ever blocking in a read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/body_source.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024 };

struct body_source {
    struct body_source_options opt;
    uint64_t n_made;
    uint8_t *made; /* opt.len bytes, or NULL when the text is the body */
    char number[40];
    uint8_t *buf; /* lines: read and not yet given out are [pos, len) */
    size_t cap, pos, len;
    bool at_end;
};

/* Repeats `text` over the whole body. */
static void fill(uint8_t *body, size_t len, const char *text)
{
    size_t text_len = strlen(text);
    for (size_t i = 0; i < len; i += text_len)
        memcpy(body + i, text, text_len < len - i ? text_len : len - i);
}

int body_source_open(struct body_source **ret_source, const struct body_source_options *opt,
                     struct err *e)
{
    struct body_source *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "make a source of bodies");
    s->opt = *opt;
    s->cap = READ_BYTES;
    if (opt->count == 0)
        s->buf = malloc(s->cap);
    else if (opt->len > 0)
        s->made = malloc(opt->len);
    if ((opt->count == 0 && !s->buf) || (opt->count > 0 && opt->len > 0 && !s->made)) {
        body_source_close(s);
        return err_set(e, ERR_NOMEM, "make bodies of %" PRIu64 " bytes", opt->len);
    }
    if (s->made && opt->text)
        fill(s->made, opt->len, opt->text);
    *ret_source = s;
    return 0;
}

void body_source_close(struct body_source *s)
{
    if (!s)
        return;
    free(s->made);
    free(s->buf);
    free(s);
}

static struct span make_body(struct body_source *s)
{
    s->n_made++;
    if (s->opt.text)
        return s->made ? span_of(s->made, s->opt.len) : span_str(s->opt.text);
    (void)snprintf(s->number, sizeof s->number, "message %" PRIu64 "%s", s->n_made,
                   s->made ? " " : "");
    if (!s->made)
        return span_str(s->number);
    fill(s->made, s->opt.len, s->number);
    return span_of(s->made, s->opt.len);
}

/* ---- lines ---- */

static bool is_readable(const struct body_source *s, int wait_ms)
{
    struct pollfd p = {.fd = s->opt.fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) > 0;
}

/* Makes room behind `len` for at least one more byte. */
static int make_room(struct body_source *s, struct err *e)
{
    if (s->pos > 0) {
        memmove(s->buf, s->buf + s->pos, s->len - s->pos);
        s->len -= s->pos;
        s->pos = 0;
    }
    if (s->len < s->cap)
        return 0;
    if (s->len > s->opt.max_bytes)
        return err_set(e, ERR_TOOBIG, "read a line: it is longer than %" PRIu64 " bytes",
                       s->opt.max_bytes);
    uint8_t *grown = realloc(s->buf, 2 * s->cap);
    if (!grown)
        return err_set(e, ERR_NOMEM, "read a line of %zu bytes", s->len);
    s->buf = grown;
    s->cap *= 2;
    return 0;
}

static int read_more(struct body_source *s, struct err *e)
{
    int rc = make_room(s, e);
    if (rc < 0)
        return rc;
    ssize_t n = read(s->opt.fd, s->buf + s->len, s->cap - s->len);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return err_sys(e, errno, "read a line");
    if (n == 0)
        s->at_end = true;
    if (n > 0)
        s->len += (size_t)n;
    return 0;
}

/* Takes the first line that is there; false when none is whole (at the end, when none is left). */
static bool take_line(struct body_source *s, struct span *ret_line)
{
    while (s->pos < s->len) {
        const uint8_t *start = s->buf + s->pos;
        const uint8_t *end = memchr(start, '\n', s->len - s->pos);
        if (!end && !s->at_end)
            return false;
        size_t n = end ? (size_t)(end - start) : s->len - s->pos;
        s->pos += end ? n + 1 : n;
        if (n > 0 && start[n - 1] == '\r')
            n--;
        if (n > 0) {
            *ret_line = span_of(start, n);
            return true;
        }
    }
    return false;
}

static int next_line(struct body_source *s, enum body_next *ret_next, struct span *ret_body,
                     struct err *e)
{
    for (;;) {
        if (take_line(s, ret_body)) {
            if (ret_body->len > s->opt.max_bytes)
                return err_set(e, ERR_TOOBIG, "read a line: it is longer than %" PRIu64 " bytes",
                               s->opt.max_bytes);
            *ret_next = BODY_READY;
            return 0;
        }
        if (s->at_end || !is_readable(s, 0)) {
            *ret_next = s->at_end ? BODY_END : BODY_WAIT;
            return 0;
        }
        int rc = read_more(s, e);
        if (rc < 0)
            return rc;
    }
}

int body_source_next(struct body_source *s, enum body_next *ret_next, struct span *ret_body,
                     struct err *e)
{
    if (s->opt.count == 0)
        return next_line(s, ret_next, ret_body, e);
    if (s->n_made == s->opt.count) {
        *ret_next = BODY_END;
        return 0;
    }
    *ret_body = make_body(s);
    *ret_next = BODY_READY;
    return 0;
}

void body_source_wait(struct body_source *s, int wait_ms)
{
    (void)is_readable(s, wait_ms);
}

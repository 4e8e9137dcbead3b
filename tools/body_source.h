/* Where `sluice pub` takes bodies from: one text many times, numbered ones, or the lines of a
 * descriptor. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BODY_SOURCE_H
#define TOOLS_BODY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct body_source;

enum body_next {
    BODY_READY, /* a body */
    BODY_WAIT,  /* none yet: body_source_wait */
    BODY_END,   /* no more */
};

struct body_source_options {
    const char *text;   /* of each made body; NULL: "message N" */
    uint64_t count;     /* bodies to make; 0: read lines from `fd` instead */
    uint64_t len;       /* bytes of each made body, the text repeated; 0: as long as the text */
    uint64_t max_bytes; /* a longer line is an error */
    int fd;
};

/* ERR_NOMEM. `opt` need not outlive the call, its text must. */
int body_source_open(struct body_source **ret_source, const struct body_source_options *opt,
                     struct err *e) MUST_CHECK;
void body_source_close(struct body_source *s); /* NULL is fine; leaves the descriptor open */

/* The next body, valid until the next call; never empty: empty lines are passed over. ERR_TOOBIG:
 * a line over the limit; ERR_IO. */
int body_source_next(struct body_source *s, enum body_next *ret_next, struct span *ret_body,
                     struct err *e) MUST_CHECK;

/* Waits up to `wait_ms` for input; less when it is there or at its end. */
void body_source_wait(struct body_source *s, int wait_ms);

#endif

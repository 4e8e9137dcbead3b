/* Where a subscription starts: what --from says. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_START_AT_H
#define TOOLS_START_AT_H

#include <stdint.h>

#include "base/err.h"

enum start_kind { START_EARLIEST, START_LATEST, START_OFFSET, START_TIME };

struct start_at {
    enum start_kind kind;
    int64_t value; /* START_OFFSET: a queue offset; START_TIME: ms since the Unix epoch */
};

/* `earliest`, `latest`, an offset, a time (2026-01-31, 2026-01-31T12:30, 2026-01-31T12:30:15, UTC,
 * with or without Z), or a duration before `now_ms` such as 10m. ERR_INVAL. */
int start_at_parse(const char *text, uint64_t now_ms, struct start_at *ret,
                   struct err *e) MUST_CHECK;

#endif

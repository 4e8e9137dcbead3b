/* Bodies that a producer compressed, as they were before. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_INFLATE_H
#define TOOLS_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct inflated {
    uint8_t *bytes; /* the caller frees */
    size_t len;
    bool is_cut; /* there is more than was asked for */
};

/* The name of the compression that a record's flags tell ("zlib", "lz4", "zstd"); NULL: none. Flags
 * without a type mean zlib, as of old; zlib and gzip are told apart by the bytes. */
const char *inflate_name(int32_t sys_flag);

/* At most `max` bytes of the body: however much it would become, no more memory is taken.
 * ERR_CORRUPT: not what the flags say, or cut. ERR_UNSUPPORTED: an unknown type. ERR_NOMEM. */
int inflate_body(int32_t sys_flag, struct span body, size_t max, struct inflated *ret,
                 struct err *e) MUST_CHECK;

#endif

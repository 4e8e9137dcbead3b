/* How much memory this process may take: the limit of its control group, or what the machine has
 * to give. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEMORY_LIMIT_H
#define BASE_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/io.h"

enum memory_source { MEMORY_CGROUP_V2, MEMORY_CGROUP_V1, MEMORY_AVAILABLE };

struct memory_limit {
    uint64_t bytes;
    enum memory_source source; /* what set it: the lowest counts */
};

/* Reads /proc and /sys/fs/cgroup below `root`; "" is the machine's own. ERR_UNSUPPORTED: they do
 * not tell. */
int memory_limit_read(struct memory_limit *ret, struct io *io, const char *root,
                      struct err *e) MUST_CHECK;

/* For a log line: "the control group's limit", ... */
const char *memory_source_text(enum memory_source source);

/* ---- the parts, pure ---- */

/* The group of the memory controller in the text of /proc/self/cgroup: "/" or "/a/b". False when
 * there is none, or it lies outside what can be seen. */
bool memory_limit_group(struct span text, enum memory_source version, struct span *ret_path);

/* The number in a limit's file; UINT64_MAX when it says "max". */
bool memory_limit_number(struct span text, uint64_t *ret_bytes);

/* MemAvailable in the text of /proc/meminfo. */
bool memory_limit_available(struct span text, uint64_t *ret_bytes);

#endif

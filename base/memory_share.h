/* How a limit of memory is shared out between what a process points at and the page cache, which is
 * charged to the same limit. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEMORY_SHARE_H
#define BASE_MEMORY_SHARE_H

#include <stdint.h>

/* Of the limit, for all that the process points at. */
uint64_t memory_share_resident(uint64_t limit_bytes);

/* Of a resident share: what may be mapped of files of `file_bytes`; a few whole ones at least. */
uint64_t memory_share_mapped(uint64_t resident_bytes, uint64_t file_bytes);

/* Of a resident share: pages made ready ahead of a writer, at most; whole pages. */
uint64_t memory_share_populated(uint64_t resident_bytes);

/* Of a resident share: what is flushed behind a writer, once so much is unflushed. */
uint64_t memory_share_flush(uint64_t resident_bytes);

#endif

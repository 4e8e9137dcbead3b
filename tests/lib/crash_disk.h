/* What a disk would hold after a power cut: the durable part of every watched file and name. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CRASH_DISK_H
#define TESTS_LIB_CRASH_DISK_H

#include <stddef.h>
#include <stdint.h>

struct crash_disk;
struct crash_node; /* one file, whatever its name; lives as long as the disk */

/* As crash_io_new. Nothing in here is locked, and each error fails the test. */
struct crash_disk *crash_disk_new(const char *live, const char *scratch);
void crash_disk_free(struct crash_disk *d);

/* The file behind an open descriptor; NULL when `path` is not under the live folder. A file not
 * seen before is one just made, under that name. */
struct crash_node *crash_disk_opened(struct crash_disk *d, const char *path, int fd);

/* What is now in these bytes, and the present length, are durable. */
void crash_disk_sync(struct crash_node *node, uint64_t off, uint64_t len);

/* The same for the whole file. */
void crash_disk_sync_all(struct crash_node *node);

/* Names that changed; durable with the next sync of their folder. */
void crash_disk_made_dir(struct crash_disk *d, const char *path);
void crash_disk_removed(struct crash_disk *d, const char *path);
void crash_disk_renamed(struct crash_disk *d, const char *from, const char *to);
void crash_disk_sync_dir(struct crash_disk *d, const char *path);

/* What became of the pages that were not synced. */
struct crash_tally {
    size_t n_kept, n_lost;
};

/* Writes one possible state after a cut to `image` (see crash_io_cut). */
struct crash_tally crash_disk_image(struct crash_disk *d, uint64_t seed, const char *image);

#endif

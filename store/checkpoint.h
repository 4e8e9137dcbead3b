/* The checkpoint file: up to where log and queues are known to be on disk. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "base/io.h"
#include "store/store.h"

/* Reads `root`/checkpoint. A missing or short one is all zeros: nothing is known (I6). */
int checkpoint_read(const char *root, struct io *io, struct store_checkpoint *ret,
                    struct err *e) MUST_CHECK;

/* Opens or makes the file, of full length from the start; its descriptor is the caller's to close.
 */
int checkpoint_open(const char *root, struct io *io, int *ret_fd, struct err *e) MUST_CHECK;

/* Writes and syncs it. RocketMQ's fields lie in one sector and ours in another: of each a crash
 * leaves the old or the new ones. */
int checkpoint_write(int fd, struct io *io, const struct store_checkpoint *cp,
                     struct err *e) MUST_CHECK;

/* Whether it counts queues, and the count is of its position. Sluice moves the other fields
 * together and the count with them; RocketMQ moves each when it has its turn to, and never the
 * count. */
bool checkpoint_has_count(const struct store_checkpoint *cp);

#endif

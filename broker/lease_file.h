/* The file of positions and in-flight messages, config/sluiceLeases: its bytes. Pure (fuzzed). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_LEASE_FILE_H
#define BROKER_LEASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/lease_queue.h"

/* A growing buffer. Zeroed memory is an empty one. */
struct lease_file {
    uint8_t *bytes;
    size_t len, n_room;
};

void lease_file_fini(struct lease_file *file);

/* Begins the file, which notes the time that leases go by. ERR_NOMEM only, as for the next two. */
int lease_file_begin(struct lease_file *file, uint64_t now_ms, struct err *e) MUST_CHECK;

/* Adds one queue. */
int lease_file_add(struct lease_file *file, struct span group, struct span topic, int32_t queue_id,
                   const struct lease_queue *q, struct err *e) MUST_CHECK;

/* Ends the file: the bytes can be written now. */
int lease_file_end(struct lease_file *file, struct err *e) MUST_CHECK;

/* One queue of a file. The queue is taken over by emptying `q`, or freed by the caller of the
 * function. */
typedef int (*lease_file_fn)(void *arg, struct span group, struct span topic, int32_t queue_id,
                             struct lease_queue *q, struct err *e);

/* Calls `fn` for each queue, after filling in when the file was begun; stops when it fails,
 * returning that. ERR_CORRUPT: the file is damaged, said before the first call when its checksum is
 * wrong. Every queue passed on keeps lease_queue_check. */
int lease_file_read(struct span bytes, lease_file_fn fn, void *arg, uint64_t *ret_begun_ms,
                    struct err *e) MUST_CHECK;

#endif

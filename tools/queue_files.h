/* The consume queues of a store read from outside, a window at a time, however many there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_QUEUE_FILES_H
#define TOOLS_QUEUE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/io.h"
#include "store/store.h"

enum { QUEUE_BATCH_ENTRY_BYTES = 46, QUEUE_ENTRY_BYTES_MAX = QUEUE_BATCH_ENTRY_BYTES };

/* An entry of either kind of queue: 20 bytes for a record (rocketmq-store 3.1), or 46 for a record
 * that holds a batch of messages (3.5). */
struct queue_entry {
    struct store_queue_entry at;
    bool is_pre_blank; /* stands for messages before the first one that is known (3.2) */
    /* of a batch; of a record alone n is 1 and the others are 0 */
    uint64_t store_ms, base_off;
    uint32_t n;
};

/* False when there is no entry: an empty one, or numbers that cannot be. */
bool queue_entry_decode(const uint8_t *bytes, bool is_batch, struct queue_entry *ret);

/* How many bytes an entry has. */
size_t queue_entry_bytes(bool is_batch);

struct queue_files;

/* One queue: what is known of its folder. Lives as long as the table. */
struct queue_folder {
    char *key;       /* "topic/queue id" */
    unsigned number; /* in the order of being asked for */
    bool is_there;
    bool is_batch;
    uint64_t file_bytes; /* length of its first file */
    uint64_t begin, end; /* bytes: of its first file, and behind its last one */
};

/* `root` is the folder of a store. */
int queue_files_open(struct queue_files **ret_q, const char *root, struct io *io,
                     struct err *e) MUST_CHECK;

void queue_files_close(struct queue_files *q); /* NULL is fine */

/* The folder of a queue, in consumequeue/ or for queues of batches in batchconsumequeue/; one that
 * is not there, or whose topic cannot name a folder, has is_there false. */
int queue_files_get(struct queue_files *q, struct span topic, int32_t queue_id,
                    struct queue_folder **ret, struct err *e) MUST_CHECK;

enum queue_look { QUEUE_CACHED, QUEUE_FRESH };

/* The bytes of entry `n` of a queue that is there: entry_bytes of them, zeros where no file is. A
 * window read before answers unless QUEUE_FRESH: the queues of a running broker grow. The pointer
 * is valid until the next call. */
int queue_files_entry(struct queue_files *q, struct queue_folder *folder, uint64_t n,
                      enum queue_look look, const uint8_t **ret_bytes, struct err *e) MUST_CHECK;

/* The entry of a record, which points at it. `*ret_found` is false when there is none: it was not
 * dispatched. `ret` is then what is in its place, a size of 0 for nothing. */
int queue_files_find(struct queue_files *q, struct queue_folder *folder,
                     const struct store_record *rec, bool *ret_found, struct queue_entry *ret,
                     struct err *e) MUST_CHECK;

/* Calls `fn` with the path of each queue folder ("consumequeue/T/0" below the root), sorted, and
 * stops when it fails. */
typedef int (*queue_folder_fn)(void *arg, const char *path, bool is_batch, struct err *e);
int queue_files_each(const char *root, queue_folder_fn fn, void *arg, struct err *e) MUST_CHECK;

#endif

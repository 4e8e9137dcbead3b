/* A file of the key index read from outside. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_INDEX_FILE_H
#define TOOLS_INDEX_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/quiet_file.h"
#include "store/store.h"

struct index_file {
    struct quiet_file file;
    struct store_index_header header;
    uint32_t n_slots;
    uint32_t n_items; /* numbers of items are below it: what the header says, within the file */
    /* items read before: n_buf of them, the first with number buf_first */
    uint32_t buf_first, n_buf;
    uint8_t buf[1024 * STORE_INDEX_ITEM_BYTES];
};

/* Opens and reads the header. `n_slots` 0: what RocketMQ has by default when the length fits, else
 * what the first and the last item fit to. ERR_CORRUPT: no index file, as far as can be told. */
int index_file_open(struct index_file *ret_f, const char *path, uint32_t n_slots, struct io *io,
                    struct err *e) MUST_CHECK;

void index_file_close(struct index_file *f);

/* The number of hash slots of the index of the store in `root`: that of the oldest file which tells
 * it, as index_file_open takes it. 0: none does. */
uint32_t index_file_slots(const char *root, struct io *io);

/* Item `n`, from 1 to below n_items; mostly asked for in order. `*ret_ok` is false when its bytes
 * are no item. */
int index_file_item(struct index_file *f, uint32_t n, struct store_index_item *ret, bool *ret_ok,
                    struct err *e) MUST_CHECK;

/* The newest item of a slot's chain; 0: none. */
int index_file_slot(struct index_file *f, uint32_t slot, uint32_t *ret_n, struct err *e) MUST_CHECK;

#endif

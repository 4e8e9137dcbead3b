/* Fuzzes the entries of both kinds of consume queues. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/queue_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    for (int is_batch = 0; is_batch < 2; is_batch++) {
        struct queue_entry entry;
        if (len < queue_entry_bytes(is_batch) || !queue_entry_decode(data, is_batch, &entry))
            continue;
        if (entry.at.size == 0 || entry.at.log_off > INT64_MAX || entry.n == 0 ||
            entry.base_off > INT64_MAX || (!is_batch && entry.n != 1))
            abort();
    }
    return 0;
}

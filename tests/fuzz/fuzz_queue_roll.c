/* Fuzzes the roll of queues. The input is what lies between its head and its checksum, which are
 * put around it. Every queue read is one that can be, and is written as it was. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "store/queue_roll.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int add_again(void *arg, const struct queue_roll_item *item, struct err *e)
{
    if (item->queue_id < 0 || item->topic.len == 0 || item->ends.min_off > item->ends.end_off)
        abort();
    return queue_roll_add(arg, item, e);
}

static void must(int rc)
{
    if (rc < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err e;
    struct queue_roll file = {0}, again = {0};
    struct queue_roll_head head = {.file_bytes = 2000};
    must(queue_roll_begin(&file, &head, &e));
    must(queue_roll_begin(&again, &head, &e));
    file.bytes = realloc(file.bytes, file.len + len + 4);
    if (!file.bytes)
        abort();
    if (len > 0)
        memcpy(file.bytes + file.len, data, len);
    file.len += len;
    be32_put(file.bytes + file.len, crc32_add(0, file.bytes, file.len));
    file.len += 4;
    if (queue_roll_parse(span_of(file.bytes, file.len), &head, add_again, &again, &e) == 0) {
        must(queue_roll_end(&again, &e));
        if (again.len != file.len || head.file_bytes != 2000)
            abort();
    }
    struct queue_roll_head ignored;
    if (queue_roll_parse(span_of(data, len), &ignored, add_again, &again, &e) == 0 && len < 76)
        abort(); /* shorter than the head and the checksum */
    queue_roll_fini(&file);
    queue_roll_fini(&again);
    return 0;
}

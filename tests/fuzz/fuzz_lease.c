/* Fuzzes the lease file. The input is its middle: head and checksum are put around it, so that what
 * is behind the checksum is reached. Every queue read keeps its invariants and is written as it
 * was. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/lease_file.h"

enum { BEGUN_MS = 1234567 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Checks one queue and adds it to the file written again. */
static int check_queue(void *arg, struct span group, struct span topic, int32_t queue_id,
                       struct lease_queue *q, struct err *e)
{
    lease_queue_check(q);
    if (lease_queue_lowest(q) > q->position)
        abort();
    return lease_file_add(arg, group, topic, queue_id, q, e);
}

static void must(int rc)
{
    if (rc < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err e;
    uint64_t begun_ms = 0;
    struct lease_file head = {0};
    struct lease_file again = {0};
    struct lease_file file = {0};
    must(lease_file_begin(&head, BEGUN_MS, &e));
    file.len = head.len + len;
    file.n_room = file.len;
    file.bytes = malloc(file.n_room);
    if (file.bytes == NULL)
        abort();
    memcpy(file.bytes, head.bytes, head.len);
    if (len > 0)
        memcpy(file.bytes + head.len, data, len);
    must(lease_file_end(&file, &e));
    must(lease_file_begin(&again, BEGUN_MS, &e));
    if (lease_file_read(span_of(file.bytes, file.len), check_queue, &again, &begun_ms, &e) == 0) {
        must(lease_file_end(&again, &e));
        if (again.len != file.len || begun_ms != BEGUN_MS)
            abort();
    }
    if (lease_file_read(span_of(data, len), check_queue, &again, &begun_ms, &e) == 0 && len < 24)
        abort(); /* shorter than the head and the checksum */
    lease_file_fini(&head);
    lease_file_fini(&again);
    lease_file_fini(&file);
    return 0;
}

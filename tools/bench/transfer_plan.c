/* Puts the slices of a transfer into order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/transfer_plan.h"

#include <stdlib.h>

static int make_slices(struct transfer_plan *ret, size_t n, struct err *e)
{
    struct transfer_slice *slices = n > 0 ? calloc(n, sizeof *slices) : NULL;
    if (!slices)
        return err_set(e, n > 0 ? ERR_NOMEM : ERR_INVAL, "plan a transfer of %zu slices", n);
    *ret = (struct transfer_plan){.slices = slices, .n = n};
    return 0;
}

int transfer_plan_whole(struct transfer_plan *ret, uint64_t file_bytes, uint32_t piece_bytes,
                        struct err *e)
{
    int rc = make_slices(ret, (size_t)((file_bytes + piece_bytes - 1) / piece_bytes), e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ret->n; i++) {
        uint64_t off = i * (uint64_t)piece_bytes, left = file_bytes - off;
        ret->slices[i] = (struct transfer_slice){
            .off = off, .len = left < piece_bytes ? (uint32_t)left : piece_bytes};
    }
    ret->slices[0].is_first = true;
    return 0;
}

int transfer_plan_tags(struct transfer_plan *ret, const struct transfer_record *records, size_t n,
                       uint32_t n_tags, struct err *e)
{
    int rc = make_slices(ret, n, e);
    if (rc < 0)
        return rc;
    size_t begins[TRANSFER_TAGS + 1] = {0}; /* of each pass; counted first, then added up */
    bool is_begun[TRANSFER_TAGS] = {0};
    for (size_t i = 0; i < n; i++)
        begins[records[i].tag / n_tags + 1]++;
    for (size_t pass = 0; pass < TRANSFER_TAGS; pass++)
        begins[pass + 1] += begins[pass];
    for (size_t i = 0; i < n; i++) {
        size_t pass = records[i].tag / n_tags;
        ret->slices[begins[pass]++] = (struct transfer_slice){
            .off = records[i].off, .len = records[i].len, .is_first = !is_begun[pass]};
        is_begun[pass] = true;
    }
    return 0;
}

void transfer_plan_free(struct transfer_plan *p)
{
    free(p->slices);
    *p = (struct transfer_plan){0};
}

const struct transfer_slice *transfer_plan_next(struct transfer_plan *p, size_t *ret_n)
{
    const struct transfer_slice *batch = &p->slices[p->at];
    size_t n = 1, left = p->n - p->at;
    uint64_t bytes = batch->len;
    while (n < left && n < TRANSFER_BATCH_MAX && !batch[n].is_first &&
           bytes + batch[n].len <= TRANSFER_BATCH_BYTES)
        bytes += batch[n++].len;
    p->at = n == left ? 0 : p->at + n;
    *ret_n = n;
    return batch;
}

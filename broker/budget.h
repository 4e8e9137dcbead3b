/* How much memory the broker may take, by kind: what options say, else derived from what there is.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_BUDGET_H
#define BROKER_BUDGET_H

#include "base/memory_limit.h"
#include "broker/config.h"

/* Nothing is locked: the budget of that is 0. */
struct budget {
    uint64_t resident_bytes;  /* VmRSS, all of the process */
    uint64_t mapped_bytes;    /* of the commit log */
    uint64_t populated_bytes; /* ahead of its writer, at most */
    uint64_t flush_bytes;     /* unflushed behind it; eight times as many at most */
};

/* The budgets under a limit of `limit_bytes`. */
struct budget budget_choose(const struct config *cfg, uint64_t limit_bytes);

/* Finds the limit, chooses, and logs both. ERR_UNSUPPORTED: nothing tells how much there is, and
 * the options leave it open. */
int budget_find(struct budget *ret, const struct config *cfg, struct io *io,
                struct err *e) MUST_CHECK;

#endif

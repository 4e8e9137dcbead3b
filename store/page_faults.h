/* Page faults told apart by what they were met for: counted by the kernel for each thread. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_PAGE_FAULTS_H
#define STORE_PAGE_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/store.h"
#include "store/worker.h"

/* What one path met on threads that are not its own. All relaxed: counts. */
struct page_faults {
    _Atomic uint64_t minor, major; /* of the batches looked at */
    _Atomic uint64_t n_batches, n_sampled;
};

/* Page faults of the calling thread since it began. */
struct store_fault_mark page_faults_now(void);

/* Adds what the calling thread met since the mark, all of it looked at. */
void page_faults_add(struct page_faults *f, const struct store_fault_mark *since);

/* Adds what a worker's thread met since it began; 0 when it was not started. ERR_UNSUPPORTED. */
int page_faults_of_worker(const struct worker *w, struct store_path_faults *sum,
                          struct err *e) MUST_CHECK;

/* What was counted, extrapolated to the batches that were not looked at, added to `sum`. */
void page_faults_sum(struct page_faults *f, struct store_path_faults *sum);

#endif

/* Answers read faults in our mappings: a file cut by somebody else, or a disk that cannot read. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_GUARD_H
#define STORE_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Installs the SIGBUS handler, once for the process; it stays. Faults outside guarded ranges go to
 * whatever handler was there before. */
int guard_install(struct err *e) MUST_CHECK;

/* Guards `len` bytes of mapping from `base`. A fault there is answered by a private zero page in
 * its place, and `*is_bad` becomes true (I4). `is_bad` must stay until guard_drop. Thread: any. */
void guard_add(uint8_t *base, uint64_t len, _Atomic bool *is_bad);

/* Before the range is unmapped. Thread: any. */
void guard_drop(const uint8_t *base);

#endif

/* Where a thread's page faults are: the kernel's event of each, with its address. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_FAULT_TRACE_H
#define TESTS_LIB_FAULT_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault_trace {
    int fd;
    void *ring;
};

/* Of the calling thread, off at first. False when the kernel does not let us (ret's fd is -1 then):
 * see kernel.perf_event_paranoid. */
bool fault_trace_open(struct fault_trace *ret);
void fault_trace_close(struct fault_trace *t);

/* Thread: the one that opened it, as those below. */
void fault_trace_on(struct fault_trace *t);
void fault_trace_off(struct fault_trace *t);

/* The addresses of the faults while it was on, the first `most` of them; how many those are. Each
 * is given once. */
size_t fault_trace_read(struct fault_trace *t, uint64_t *ret_addresses, size_t most);

#endif

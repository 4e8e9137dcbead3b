/* Page faults as events of perf_event_open, one a sample, in a ring that is read afterwards. Faults
 * that the kernel takes for us (MADV_POPULATE_WRITE) are no events. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fault_trace.h"

#include <linux/perf_event.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, DATA_BYTES = 64 * PAGE_BYTES, RING_BYTES = PAGE_BYTES + DATA_BYTES };

bool fault_trace_open(struct fault_trace *ret)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_SW_PAGE_FAULTS,
        .sample_period = 1,
        .sample_type = PERF_SAMPLE_ADDR,
        .disabled = 1,
        .exclude_kernel = 1, /* faults of this thread's own instructions */
        .exclude_hv = 1,
    };
    *ret = (struct fault_trace){.fd = -1};
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return false;
    void *ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ring == MAP_FAILED) {
        (void)close(fd);
        return false;
    }
    *ret = (struct fault_trace){.fd = fd, .ring = ring};
    return true;
}

void fault_trace_close(struct fault_trace *t)
{
    if (t->fd < 0)
        return;
    (void)munmap(t->ring, RING_BYTES);
    (void)close(t->fd);
    t->fd = -1;
}

void fault_trace_on(struct fault_trace *t)
{
    (void)ioctl(t->fd, PERF_EVENT_IOC_ENABLE, 0);
}

void fault_trace_off(struct fault_trace *t)
{
    (void)ioctl(t->fd, PERF_EVENT_IOC_DISABLE, 0);
}

/* Bytes of the ring, which may go on at its beginning. */
static void copy_out(const struct fault_trace *t, uint64_t at, void *dst, size_t len)
{
    const uint8_t *data = (const uint8_t *)t->ring + PAGE_BYTES;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)dst)[i] = data[(at + i) % DATA_BYTES];
}

size_t fault_trace_read(struct fault_trace *t, uint64_t *ret_addresses, size_t most)
{
    struct perf_event_mmap_page *page = t->ring;
    struct perf_event_header head;
    size_t n = 0;
    uint64_t tail = page->data_tail, end = page->data_head;
    atomic_thread_fence(memory_order_acquire); /* as the kernel asks for, before the data is read */
    for (; tail < end && n < most; tail += head.size) {
        copy_out(t, tail, &head, sizeof head);
        if (head.type == PERF_RECORD_SAMPLE)
            copy_out(t, tail + sizeof head, &ret_addresses[n++], sizeof *ret_addresses);
    }
    atomic_thread_fence(memory_order_release);
    page->data_tail = tail;
    return n;
}

/* The SIGBUS handler and the table it looks into.
 *
 * The table is read by the handler on whatever thread met the fault, so it takes no lock: a slot is
 * claimed and given back by its atomic `base`, the rest of it is written in between. A range cannot
 * go away under the handler, since whoever reads it has its file pinned (I3). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/guard.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 1 << 16 }; /* the kernel's default limit of mappings is below it */

struct slot {
    _Atomic uintptr_t base; /* 0: free; CLAIMED: being filled in; else released after the rest */
    uint64_t len;
    _Atomic bool *is_bad;
};

#define CLAIMED ((uintptr_t)1)

/* A range is in the first slot that was free behind the one of its address. */
static struct slot slots[SLOTS];
static struct sigaction before; /* set before the handler is there, then constant */
static uintptr_t page_bytes;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int install_errno;

static struct slot *find_slot(uintptr_t address)
{
    for (unsigned i = 0; i < SLOTS; i++) { /* the address may be anywhere in its range */
        uintptr_t base = atomic_load_explicit(&slots[i].base, memory_order_acquire);
        if (base > CLAIMED && address >= base && address - base < slots[i].len)
            return &slots[i];
    }
    return NULL;
}

/* What would have happened without us; returning repeats the fault under the old disposition. */
static void pass_on(int signal_number, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO)
        before.sa_sigaction(signal_number, info, context);
    else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
        before.sa_handler(signal_number);
    else
        (void)sigaction(signal_number, &before, NULL); /* then the repeated fault ends us */
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct slot *slot = info->si_code > 0 ? find_slot(address) : NULL;
    void *page = (void *)(address - address % page_bytes);
    if (!slot || mmap(page, page_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        pass_on(signal_number, info, context);
    else
        atomic_store_explicit(slot->is_bad, true, memory_order_release); /* read by statistics */
    errno = saved_errno;
}

static void install(void)
{
    struct sigaction sa = {.sa_flags = SA_SIGINFO};
    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)sigemptyset(&sa.sa_mask);
    sa.sa_sigaction = on_fault;
    if (sigaction(SIGBUS, NULL, &before) < 0 || sigaction(SIGBUS, &sa, NULL) < 0)
        install_errno = errno;
}

int guard_install(struct err *e)
{
    (void)pthread_once(&once, install);
    return install_errno ? err_sys(e, install_errno, "install the handler of read faults") : 0;
}

/* Where to look first; multiplying spreads neighbours (Fibonacci hashing). */
static unsigned slot_of(const uint8_t *base)
{
    uint64_t page = (uint64_t)(uintptr_t)base / 4096;
    return (unsigned)(page * UINT64_C(0x9E3779B97F4A7C15) >> 48);
}

static bool claim(struct slot *slot)
{
    uintptr_t is_free = 0;
    return atomic_compare_exchange_strong_explicit(&slot->base, &is_free, CLAIMED,
                                                   memory_order_acquire, memory_order_relaxed);
}

void guard_add(uint8_t *base, uint64_t len, _Atomic bool *is_bad)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &slots[(slot_of(base) + i) % SLOTS];
        if (!claim(slot))
            continue;
        slot->len = len;
        slot->is_bad = is_bad;
        atomic_store_explicit(&slot->base, (uintptr_t)base, memory_order_release);
        return;
    }
    /* more mappings than the kernel gives by default: these go unguarded */
}

void guard_drop(const uint8_t *base)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &slots[(slot_of(base) + i) % SLOTS];
        if (atomic_load_explicit(&slot->base, memory_order_acquire) == (uintptr_t)base) {
            atomic_store_explicit(&slot->base, 0, memory_order_release);
            return;
        }
    }
}

/* What happens while LOCK_APPEND is held.
 *
 * System calls are found by having the kernel refuse them (PR_SET_SYSCALL_USER_DISPATCH): while the
 * thread's selector says so each raises SIGSYS in place of being carried out. The handler counts
 * it, lets the rest of the section be, and has the call made again. Faults and sleeps are the
 * kernel's own counts of the thread, read just inside the lock. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/section.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/lock.h"
#include "tests/lib/allocation.h"

/* Not in the C library's headers of Debian 12. */
enum { DISPATCH_OPTION = 59, DISPATCH_ON = 1, CODE_OF_DISPATCH = 2 };
enum { ALLOW, BLOCK };
enum { SECTIONS, ALLOCATIONS, CALLS, MINOR, MAJOR, SLEEPS, N_COUNTS };

static struct {
    /* set by section_watch (release); loaded by whoever takes the lock (acquire) */
    _Atomic bool is_on;
    bool can_block; /* set before it */
    /* relaxed: counts, read when those who count are done */
    _Atomic uint64_t counts[N_COUNTS];
    _Atomic long last_call;
} all;

static _Thread_local struct {
    volatile char selector; /* read by the kernel at each system call */
    bool is_armed;
    bool is_inside;
    struct rusage before;
    struct fault_trace *trace;
} own;

static void add(int what, uint64_t n)
{
    atomic_fetch_add_explicit(&all.counts[what], n, memory_order_relaxed); /* see `all` */
}

static uint64_t sum(int what)
{
    return atomic_load_explicit(&all.counts[what], memory_order_relaxed); /* see `all` */
}

static void set_last_call(long number)
{
    atomic_store_explicit(&all.last_call, number, memory_order_relaxed); /* see `all` */
}

/* ---- system calls ---- */

#ifdef __x86_64__
static void call_again(void *context)
{
    enum { CALL_BYTES = 2 }; /* of the instruction; its registers are as they were */
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] -= CALL_BYTES;
}
#else
static void call_again(void *context)
{
    (void)context;
    abort(); /* calls are not blocked: see section_watch */
}
#endif

static void on_call(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    if (info->si_code != CODE_OF_DISPATCH)
        abort();
    own.selector = ALLOW;
    if (info->si_syscall != SYS_clock_gettime) { /* not made where the clock can be read without */
        add(CALLS, 1);
        set_last_call(info->si_syscall);
    }
    call_again(context);
}

/* Lets the kernel look at this thread's selector; it is inherited by no thread or child. */
static bool arm(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGSYS);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL); /* the store's threads block it */
    return prctl(DISPATCH_OPTION, DISPATCH_ON, 0, 0, &own.selector) == 0;
}

bool section_watch(void)
{
    const struct sigaction sa = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
    bool is_handled = sigaction(SIGSYS, &sa, NULL) == 0;
    for (int i = 0; i < N_COUNTS; i++)
        atomic_store_explicit(&all.counts[i], 0, memory_order_relaxed); /* see `all` */
    set_last_call(-1);
#ifdef __x86_64__
    all.can_block = is_handled && arm();
    own.is_armed = true;
#endif
    atomic_store_explicit(&all.is_on, true, memory_order_release); /* pairs with lock_take */
    return all.can_block;
}

struct section_tally section_tally(void)
{
    return (struct section_tally){
        .n_sections = sum(SECTIONS),
        .n_allocations = sum(ALLOCATIONS),
        .n_calls = sum(CALLS),
        .last_call = atomic_load_explicit(&all.last_call, memory_order_relaxed),
        .minor = sum(MINOR),
        .major = sum(MAJOR),
        .n_sleeps = sum(SLEEPS),
    };
}

void section_trace(struct fault_trace *t)
{
    own.trace = t;
}

/* ---- the section ---- */

static void enter(void)
{
    if (all.can_block && !own.is_armed)
        own.is_armed = arm();
    (void)getrusage(RUSAGE_THREAD, &own.before);
    if (own.trace)
        fault_trace_on(own.trace);
    own.is_inside = true;
    own.selector = all.can_block ? BLOCK : ALLOW;
}

static void leave(void)
{
    struct rusage now;
    own.selector = ALLOW;
    own.is_inside = false;
    if (own.trace)
        fault_trace_off(own.trace);
    (void)getrusage(RUSAGE_THREAD, &now);
    add(MINOR, (uint64_t)(now.ru_minflt - own.before.ru_minflt));
    add(MAJOR, (uint64_t)(now.ru_majflt - own.before.ru_majflt));
    add(SLEEPS, (uint64_t)(now.ru_nvcsw - own.before.ru_nvcsw));
    add(SECTIONS, 1);
}

void __real_lock_take(struct lock *l);
void __wrap_lock_take(struct lock *l);
void __real_lock_drop(struct lock *l);
void __wrap_lock_drop(struct lock *l);

void __wrap_lock_take(struct lock *l)
{
    __real_lock_take(l);
    if (l->rank == LOCK_APPEND && atomic_load_explicit(&all.is_on, memory_order_acquire))
        enter();
}

void __wrap_lock_drop(struct lock *l)
{
    if (l->rank == LOCK_APPEND && own.is_inside)
        leave();
    __real_lock_drop(l);
}

/* ---- what allocates ---- */

void allocation_seen(void)
{
    if (own.is_inside)
        add(ALLOCATIONS, 1);
}

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
    allocation_seen(); /* counted with them */
    __real_free(p);
}

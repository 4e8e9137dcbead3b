/* Tells ThreadSanitizer of a hand-over that goes through libgrpc, which is not instrumented. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_TSAN_H
#define BROKER_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define TSAN_ON 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN_ON 1
#endif
#endif
#ifndef TSAN_ON
#define TSAN_ON 0
#endif

#if TSAN_ON
#include <sanitizer/tsan_interface.h>
#endif

/* Before `ptr` is given away: what this thread wrote is visible to who calls tsan_take_over. */
static inline void tsan_hand_over(void *ptr)
{
#if TSAN_ON
    __tsan_release(ptr);
#else
    (void)ptr;
#endif
}

/* After `ptr` has come back from the library. */
static inline void tsan_take_over(void *ptr)
{
#if TSAN_ON
    __tsan_acquire(ptr);
#else
    (void)ptr;
#endif
}

#endif

/* Looks at what threads do while they hold LOCK_APPEND: system calls, allocations, page faults and
 * sleeps. For programs that are linked with section_dep of tests/meson.build: the linker puts
 * section.c in front of lock_take, lock_drop and free, and allocation.c in front of what allocates
 * (--wrap), for everything of ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SECTION_H
#define TESTS_LIB_SECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/fault_trace.h"

/* Of all threads together. */
struct section_tally {
    uint64_t n_sections;
    uint64_t n_allocations; /* and what was freed */
    uint64_t n_calls;       /* sections with a system call other than clock_gettime */
    long last_call;         /* its number; -1: none */
    uint64_t minor, major;  /* page faults */
    uint64_t n_sleeps;      /* the thread gave its processor up to wait for something */
};

/* From now on sections are looked at, counted from 0. False when the kernel cannot tell system
 * calls (before Linux 5.11, or not on this processor): the rest is counted. */
bool section_watch(void);

/* Sections that have ended since then. */
struct section_tally section_tally(void);

/* The faults of the calling thread's sections go to `t` too; NULL: no more. */
void section_trace(struct fault_trace *t);

#endif

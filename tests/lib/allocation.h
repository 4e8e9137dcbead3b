/* A look at what allocates. For programs that are linked with allocation_dep of tests/meson.build:
 * the linker puts allocation.c in front of the C library's functions (--wrap) for everything of
 * ours; what other libraries allocate for themselves is not seen. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_ALLOCATION_H
#define TESTS_LIB_ALLOCATION_H

/* The program's own: called before each allocation, on the thread that makes it. */
void allocation_seen(void);

#endif

/* The functions that stand in front of those that allocate. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/allocation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **ret, const char *format, ...);

void *__wrap_malloc(size_t n)
{
    allocation_seen();
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocation_seen();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocation_seen();
    return __real_realloc(p, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n)
{
    allocation_seen();
    return __real_aligned_alloc(alignment, n);
}

char *__wrap_strdup(const char *text)
{
    allocation_seen();
    return __real_strdup(text);
}

int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list args;
    allocation_seen();
    va_start(args, format);
    int n = vasprintf(ret, format, args);
    va_end(args);
    return n;
}

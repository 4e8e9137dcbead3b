/* Fuzzes the texts of /proc and of control groups: a path that is found lies in the text, and
 * begins with a slash. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory_limit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_group(struct span text, enum memory_source version)
{
    struct span path;
    if (!memory_limit_group(text, version, &path))
        return;
    if (path.ptr < text.ptr || path.ptr + path.len > text.ptr + text.len || path.ptr[0] != '/')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span text = span_of(data, len);
    uint64_t bytes;
    check_group(text, MEMORY_CGROUP_V2);
    check_group(text, MEMORY_CGROUP_V1);
    (void)memory_limit_number(text, &bytes); /* must only come back */
    if (memory_limit_available(text, &bytes) && bytes % 1024 != 0)
        abort();
    return 0;
}

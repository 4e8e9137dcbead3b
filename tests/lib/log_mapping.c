/* The mappings of this process, as the kernel lists them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/log_mapping.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool log_mapping_has(uintptr_t address)
{
    char line[512];
    uintptr_t from, to;
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (!found && fgets(line, sizeof line, maps))
        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2 && from <= address &&
                address < to && strstr(line, "/commitlog/") != NULL;
    (void)fclose(maps);
    return found;
}

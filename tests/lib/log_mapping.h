/* Where this process has mapped the files of a commit log. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_LOG_MAPPING_H
#define TESTS_LIB_LOG_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the address lies in one of them. */
bool log_mapping_has(uintptr_t address);

#endif

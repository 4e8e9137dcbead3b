/* CRC-32 by libdeflate, which uses carry-less multiplication where the machine has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

#include <libdeflate.h>

uint32_t crc32_add(uint32_t crc, const void *ptr, size_t len)
{
    return libdeflate_crc32(crc, ptr, len);
}

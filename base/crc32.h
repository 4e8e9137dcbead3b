/* CRC-32 (zlib's polynomial), the checksum on disk and on the wire. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CRC32_H
#define BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` over `len` bytes; start with 0. */
uint32_t crc32_add(uint32_t crc, const void *ptr, size_t len);

/* What RocketMQ stores: the low 31 bits (rocketmq-store 2.1). */
static inline uint32_t crc32_stored(uint32_t crc)
{
    return crc & 0x7fffffffu;
}

#endif

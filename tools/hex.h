/* Bytes as hexadecimal digits. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_HEX_H
#define TOOLS_HEX_H

#include <stdint.h>

#include "base/bytes.h"

/* Prints lines of sixteen bytes on stdout: position, digits, and the ASCII text. The first byte is
 * at `pos`. Lines equal to the one before are one line with a star. */
void hex_print(struct span bytes, uint64_t pos);

#endif

/* Fuzzes bodies that say they are compressed: the first byte tells how. None takes more than asked
 * for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/inflate.h"

enum { MAX = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct inflated got = {0};
    struct err e;
    if (len == 0)
        return 0;
    int32_t sys_flag = 1 | (data[0] & 7) << 8;
    if (inflate_body(sys_flag, span_of(data + 1, len - 1), MAX, &got, &e) == 0 && got.len > MAX)
        abort();
    free(got.bytes);
    return 0;
}

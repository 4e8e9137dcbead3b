/* Fuzzes the quoting of bare keys: it never more than doubles a text, and a second pass finds
 * nothing to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *once = malloc(2 * len + 1), *twice = malloc(4 * len + 1);
    if (!once || !twice)
        abort();
    size_t n = json_keys_quote((const char *)data, len, once);
    if (n < len || n > 2 * len)
        abort();
    size_t m = json_keys_quote(once, n, twice);
    if (m != n || memcmp(once, twice, n) != 0)
        abort();
    free(once);
    free(twice);
    return 0;
}

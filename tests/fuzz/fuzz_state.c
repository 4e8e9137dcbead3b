/* Fuzzes the small JSON files: what is read once is read the same after being written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "broker/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err e;
    json_t *root;
    if (state_parse((const char *)data, len, &root, &e) < 0)
        return 0;
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_t *again;
    if (text == NULL || state_parse(text, strlen(text), &again, &e) < 0 || !json_equal(root, again))
        abort();
    json_decref(again);
    json_decref(root);
    free(text);
    return 0;
}

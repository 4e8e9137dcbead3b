/* Reads JSON with bare integer keys. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/config_json.h"

#include <stdlib.h>

#include "base/json_keys.h"

int config_json_parse(const void *text, size_t len, json_t **ret_root, struct err *e)
{
    json_error_t why;
    char *quoted = malloc(2 * len + 1);
    if (!quoted)
        return err_set(e, ERR_NOMEM, "read %zu bytes of JSON", len);
    size_t n = json_keys_quote(text, len, quoted);
    json_t *root = json_loadb(quoted, n, JSON_ALLOW_NUL, &why);
    free(quoted);
    if (!root)
        return err_set(e, ERR_CORRUPT, "line %d, column %d: %s", why.line, why.column, why.text);
    *ret_root = root;
    return 0;
}

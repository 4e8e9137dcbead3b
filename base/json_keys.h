/* JSON as RocketMQ's fastjson writes it: integer keys bare (`{0:5}`), which JSON does not know. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_KEYS_H
#define BASE_JSON_KEYS_H

#include <stddef.h>

/* Copies `text` with bare integer keys quoted; returns the length. `out` holds 2 * len bytes: a key
 * has a colon, so the two quotes never more than double it. */
size_t json_keys_quote(const char *text, size_t len, char *out);

#endif

/* Quotes bare integer keys: a number with a colon behind it, where a key may be. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_keys.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Length of the bare integer key at `text`, or 0: digits, perhaps a sign, then a colon. */
static size_t bare_key_len(const char *text, size_t len)
{
    size_t n = len > 0 && text[0] == '-' ? 1 : 0;
    size_t first_digit = n;
    while (n < len && text[n] >= '0' && text[n] <= '9')
        n++;
    if (n == first_digit)
        return 0;
    size_t end = n;
    while (n < len && is_blank(text[n]))
        n++;
    return n < len && text[n] == ':' ? end : 0;
}

/* Length of the string at `text`, which begins with a quote, both quotes included. */
static size_t string_len(const char *text, size_t len)
{
    size_t n = 1;
    while (n < len && text[n] != '"')
        n += text[n] == '\\' ? 2 : 1;
    return n < len ? n + 1 : len;
}

size_t json_keys_quote(const char *text, size_t len, char *out)
{
    size_t n_out = 0;
    bool may_be_key = false;
    for (size_t i = 0; i < len;) {
        size_t key = may_be_key ? bare_key_len(text + i, len - i) : 0;
        size_t piece = key ? key : text[i] == '"' ? string_len(text + i, len - i) : 1;
        if (!is_blank(text[i]))
            may_be_key = text[i] == '{' || text[i] == ',';
        if (key)
            out[n_out++] = '"';
        memcpy(out + n_out, text + i, piece);
        n_out += piece;
        if (key)
            out[n_out++] = '"';
        i += piece;
    }
    return n_out;
}

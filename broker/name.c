/* Names of topics and groups. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/name.h"

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '%' ||
           c == '|' || c == '_' || c == '-';
}

int name_check(const char *kind, struct span name, size_t max, struct err *e)
{
    char shown[NAME_SHOWN_BYTES];
    if (name.len == 0)
        return err_set(e, ERR_INVAL, "%s name is empty", kind);
    if (name.len > max)
        return err_set(e, ERR_INVAL, "%s name '%s' has %zu bytes, the limit is %zu", kind,
                       name_show(name, shown), name.len, max);
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(name.ptr[i]))
            return err_set(e, ERR_INVAL,
                           "%s name '%s' has a character that is not one of [%%|a-zA-Z0-9_-]", kind,
                           name_show(name, shown));
    return 0;
}

bool name_has_prefix(struct span name, const char *prefix)
{
    size_t len = strlen(prefix);
    return name.len >= len && memcmp(name.ptr, prefix, len) == 0;
}

const char *name_show(struct span name, char buf[NAME_SHOWN_BYTES])
{
    static const char more[] = "...";
    size_t n = 0;
    size_t room = NAME_SHOWN_BYTES - sizeof more;
    for (; n < name.len && n < room; n++)
        buf[n] = (char)(is_name_byte(name.ptr[n]) ? name.ptr[n] : '?');
    if (n < name.len) {
        memcpy(buf + n, more, sizeof more);
        return buf;
    }
    buf[n] = '\0';
    return buf;
}

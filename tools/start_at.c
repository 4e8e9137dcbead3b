/* Parses where a subscription starts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/start_at.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "tools/options.h"

static bool parse_time(const char *text, int64_t *ret_ms)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, formats[i], &tm);
        if (rest && (*rest == '\0' || strcmp(rest, "Z") == 0)) {
            *ret_ms = (int64_t)timegm(&tm) * 1000;
            return *ret_ms >= 0;
        }
    }
    return false;
}

int start_at_parse(const char *text, uint64_t now_ms, struct start_at *ret, struct err *e)
{
    uint64_t n;
    int64_t time_ms;
    if (strcmp(text, "earliest") == 0)
        *ret = (struct start_at){.kind = START_EARLIEST};
    else if (strcmp(text, "latest") == 0)
        *ret = (struct start_at){.kind = START_LATEST};
    else if (options_number(text, 0, INT64_MAX, &n, e) == 0)
        *ret = (struct start_at){START_OFFSET, (int64_t)n};
    else if (options_duration(text, 0, now_ms, &n, e) == 0)
        *ret = (struct start_at){START_TIME, (int64_t)(now_ms - n)};
    else if (parse_time(text, &time_ms))
        *ret = (struct start_at){START_TIME, time_ms};
    else
        return err_set(e, ERR_INVAL,
                       "'%s' is none of earliest, latest, an offset, a time such as "
                       "2026-01-31T12:30:00Z, a duration ago such as 10m",
                       text);
    return 0;
}

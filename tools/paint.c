/* The escape sequences of colours, where they are wanted. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/paint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool paint_is_screen(FILE *out)
{
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0 && isatty(fileno(out)) == 1;
}

static bool is_wanted(FILE *out)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && paint_is_screen(out);
}

const char *paint_on(FILE *out, enum paint paint)
{
    static const char *const codes[] = {
        [PAINT_BAD] = "\033[31m",
        [PAINT_GOOD] = "\033[32m",
        [PAINT_NOTE] = "\033[33m",
        [PAINT_FAINT] = "\033[2m",
    };
    return is_wanted(out) ? codes[paint] : "";
}

const char *paint_off(FILE *out)
{
    return is_wanted(out) ? "\033[m" : "";
}

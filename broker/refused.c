/* Why parts of a request were refused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/refused.h"

#include <stdlib.h>
#include <string.h>

struct refused {
    struct refused *next;
    char text[STATUS_TEXT_BYTES];
};

struct span refused_note(struct refused **list, const struct status *st)
{
    struct refused *r = malloc(sizeof *r);
    if (!r)
        return span_str("no memory for the reason");
    memcpy(r->text, st->text, sizeof r->text);
    r->next = *list;
    *list = r;
    return span_str(r->text);
}

void refused_clear(struct refused **list)
{
    while (*list) {
        struct refused *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

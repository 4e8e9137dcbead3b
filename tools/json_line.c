/* Prints JSON objects, one a line. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/json_line.h"

#include <errno.h>
#include <stdio.h>

int json_line(json_t *object, struct err *e)
{
    if (!object)
        return err_set(e, ERR_NOMEM, "make a line of JSON");
    int rc = json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
    if (rc < 0 || putchar('\n') == EOF)
        return err_sys(e, errno, "write to stdout");
    return 0;
}

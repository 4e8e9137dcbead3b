/* Prints JSON objects, one a line. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/json_line.h"

#include <errno.h>

int json_line_to(FILE *out, json_t *object, struct err *e)
{
    if (!object)
        return err_set(e, ERR_NOMEM, "make a line of JSON");
    int rc = json_dumpf(object, out, JSON_COMPACT);
    json_decref(object);
    if (rc < 0 || fputc('\n', out) == EOF)
        return err_sys(e, errno, "write a line of JSON");
    return 0;
}

int json_line(json_t *object, struct err *e)
{
    return json_line_to(stdout, object, e);
}

/* One JSON object on one line. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_JSON_LINE_H
#define TOOLS_JSON_LINE_H

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"

/* Prints the object and drops it. NULL, which jansson returns when it cannot make one, is
 * ERR_NOMEM; ERR_IO when `out` cannot be written. */
int json_line_to(FILE *out, json_t *object, struct err *e) MUST_CHECK;

/* The same on stdout. */
int json_line(json_t *object, struct err *e) MUST_CHECK;

#endif

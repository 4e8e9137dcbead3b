/* RocketMQ's own store classes, run on a folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/store/probe.h"

#include <check.h>
#include <stdarg.h>
#include <stdlib.h>

static const char *program;

void probe_use(const char *command)
{
    program = command;
}

void probe_start(struct probe *p, const char *format, ...)
{
    char *arguments = NULL, *command = NULL;
    va_list list;
    ck_assert_ptr_nonnull(program);
    va_start(list, format);
    ck_assert_int_gt(vasprintf(&arguments, format, list), 0);
    va_end(list);
    ck_assert_int_gt(asprintf(&command, "%s %s", program, arguments), 0);
    *p = (struct probe){.out = popen(command, "r")};
    ck_assert_ptr_nonnull(p->out);
    free(command);
    free(arguments);
}

static void end(struct probe *p)
{
    int status = pclose(p->out);
    free(p->line);
    *p = (struct probe){0};
    ck_assert_msg(status == 0, "the probe failed");
}

json_t *probe_next(struct probe *p)
{
    json_error_t error;
    if (getline(&p->line, &p->line_cap, p->out) < 0) {
        end(p);
        return NULL;
    }
    json_t *line = json_loads(p->line, JSON_ALLOW_NUL, &error);
    ck_assert_msg(line != NULL, "%s: %s", error.text, p->line);
    return line;
}

/* RocketMQ's own store classes, run on a folder: see StoreProbe.java. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_STORE_PROBE_H
#define TESTS_CONFORMANCE_STORE_PROBE_H

#include <jansson.h>
#include <stdio.h>

struct probe {
    FILE *out;
    char *line;
    size_t line_cap;
};

/* The command that starts the probe, up to its arguments. Set by main before any test. */
void probe_use(const char *command);

/* Starts it with these arguments. */
void probe_start(struct probe *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next line it prints, to be dropped by the caller; NULL at the end. Fails the test when the
 * probe does. */
json_t *probe_next(struct probe *p);

#endif

/* A received message as a line of text or of JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MESSAGE_PRINT_H
#define TOOLS_MESSAGE_PRINT_H

#include <stdio.h>

#include "base/err.h"
#include "proto/proto.h"

/* ERR_CORRUPT: the body does not have the checksum that came with it. */
int message_check(const Apache__Rocketmq__V2__Message *m, struct err *e) MUST_CHECK;

/* "OFFSET queue tag keys body", tabs between; what is absent is "-". Tabs, line ends and other
 * control characters, backslashes, and bytes that are not UTF-8 are escaped as in C. Fails when
 * `out` cannot be written. */
int message_print_text(FILE *out, const Apache__Rocketmq__V2__Message *m, struct err *e) MUST_CHECK;

/* One object with the field names of `sluice dump --json`; a body that is not UTF-8 is in
 * bodyBase64. Fails as message_print_text; ERR_NOMEM. */
int message_print_json(FILE *out, const Apache__Rocketmq__V2__Message *m, struct err *e) MUST_CHECK;

#endif

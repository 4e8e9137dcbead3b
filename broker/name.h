/* Names of topics and groups: which characters they may have, and how a hostile one is shown. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_NAME_H
#define BROKER_NAME_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

enum { NAME_SHOWN_BYTES = 72 };

/* 1..`max` bytes of [%|a-zA-Z0-9_-] (rocketmq-grpc 4). ERR_INVAL; `kind` is "topic" or "group". */
int name_check(const char *kind, struct span name, size_t max, struct err *e) MUST_CHECK;

bool name_has_prefix(struct span name, const char *prefix);

/* The name as text for a message: bytes that do not belong become '?', long names end in "...".
 * Returns `buf`. */
const char *name_show(struct span name, char buf[NAME_SHOWN_BYTES]);

#endif

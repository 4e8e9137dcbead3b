/* A certificate for a server that only this machine sees, and only for one run. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_BENCH_NULL_IDENTITY_H
#define TOOLS_BENCH_NULL_IDENTITY_H

#include "base/err.h"

struct null_identity {
    char *cert; /* PEM */
    char *key;
};

int null_identity_make(struct null_identity *ret_id, struct err *e) MUST_CHECK;
void null_identity_free(struct null_identity *id);

#endif

/* protobuf-c as the judge of what proto_send_next reads. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_SEND_ORACLE_H
#define TESTS_LIB_SEND_ORACLE_H

#include "proto/proto.h"

/* The name of the first field in which the two readings of a message differ, or NULL. */
const char *send_oracle_differs(const struct proto_message *ours,
                                const Apache__Rocketmq__V2__Message *theirs);

/* The name of the first field in which two of our own readings differ, or NULL. */
const char *send_oracle_differs_from_ours(const struct proto_message *a,
                                          const struct proto_message *b);

#endif

/* Messages as the bytes that go over the wire. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_PACKED_H
#define TESTS_LIB_PACKED_H

#include "proto/proto.h"

/* The bytes of a message, to be freed. Fails the test on error. */
struct span packed(const ProtobufCMessage *message);

/* The message as whoever gets its bytes reads it, so that a field without its case is seen to be
 * absent. Freed with protobuf_c_message_free_unpacked. */
void *packed_read_back(const ProtobufCMessage *message);

#endif

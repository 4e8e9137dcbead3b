/* Messages as the bytes that go over the wire. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/packed.h"

#include <check.h>
#include <stdlib.h>

struct span packed(const ProtobufCMessage *message)
{
    struct err e;
    uint8_t *bytes = NULL;
    size_t len = 0;
    ck_assert_msg(proto_pack(message, &bytes, &len, &e) == 0, "%s", e.msg);
    return span_of(bytes, len);
}

void *packed_read_back(const ProtobufCMessage *message)
{
    struct err e;
    ProtobufCMessage *read = NULL;
    const struct span bytes = packed(message);
    int rc = proto_unpack(message->descriptor, &bytes, 1, /* max_bytes = */ 0, &read, &e);
    ck_assert_msg(rc == 0, "%s", e.msg);
    free((void *)bytes.ptr);
    return read;
}

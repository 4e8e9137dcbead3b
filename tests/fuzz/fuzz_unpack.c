/* Fuzzes unpacking. The first byte picks the type, the second seeds the cut into slices; the rest
 * is the message. Whole and cut end alike, and what was unpacked has only strings fit for C. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "proto/proto.h"
#include "tests/lib/slices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Those that a broker reads from a client, or the command line from a broker. */
static const ProtobufCMessageDescriptor *const TYPES[] = {
    &apache__rocketmq__v2__query_route_request__descriptor,
    &apache__rocketmq__v2__query_assignment_request__descriptor,
    &apache__rocketmq__v2__heartbeat_request__descriptor,
    &apache__rocketmq__v2__receive_message_request__descriptor,
    &apache__rocketmq__v2__ack_message_request__descriptor,
    &apache__rocketmq__v2__change_invisible_duration_request__descriptor,
    &apache__rocketmq__v2__notify_client_termination_request__descriptor,
    &apache__rocketmq__v2__telemetry_command__descriptor,
    &apache__rocketmq__v2__receive_message_response__descriptor,
    &apache__rocketmq__v2__sync_lite_subscription_request__descriptor,
    &sluice__v1__seek_group_request__descriptor,
    &sluice__v1__get_memory_response__descriptor,
};

static int unpack(const ProtobufCMessageDescriptor *type, const struct span *slices, size_t n)
{
    ProtobufCMessage *msg;
    struct err e;
    const int rc = proto_unpack(type, slices, n, /* max_bytes = */ 0, &msg, &e);
    if (rc)
        return rc;
    uint8_t *buf;
    size_t packed;
    if (proto_pack(msg, &buf, &packed, &e))
        abort();
    free(buf);
    protobuf_c_message_free_unpacked(msg, /* allocator = */ NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    const ProtobufCMessageDescriptor *type = TYPES[data[0] % (sizeof TYPES / sizeof TYPES[0])];
    const struct span bytes = span_of(data + 2, len - 2);
    struct slices cut = slices_at_random(bytes, 1 + data[1] % 32, data[1]);
    if (unpack(type, &bytes, 1) != unpack(type, cut.spans, cut.n))
        abort();
    slices_free(&cut);
    return 0;
}

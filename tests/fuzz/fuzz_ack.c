/* Fuzzes the reader of AckMessageRequest. The first byte seeds the cut into slices; the rest is the
 * request. Whole and cut, it must read the same, and what protobuf-c takes must be taken. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/proto.h"
#include "tests/lib/slices.h"

typedef Apache__Rocketmq__V2__AckMessageRequest request_pb;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "it does not hold that %s\n", what);
    abort();
}

static struct proto_ack *reader(void)
{
    struct err e;
    struct proto_ack *ack = NULL;
    expect(proto_ack_new(&ack, &e) == 0, "there is memory");
    return ack;
}

static void expect_same(const struct proto_ack_request *a, const struct proto_ack_request *b)
{
    expect(a->n == b->n, "whole and cut have as many entries");
    expect(span_equal(a->group, b->group) && span_equal(a->topic, b->topic),
           "whole and cut have the same names");
    for (size_t i = 0; i < a->n; i++)
        expect(span_equal(a->entries[i].message_id, b->entries[i].message_id) &&
                   span_equal(a->entries[i].receipt_handle, b->entries[i].receipt_handle),
               "whole and cut have the same entries");
}

static void expect_like_protobuf_c(int rc, const struct proto_ack_request *req,
                                   const request_pb *other)
{
    if (other->n_entries > PROTO_ACK_MAX_ENTRIES)
        return;
    expect(rc == 0, "what protobuf-c takes is taken");
    expect(req->n == other->n_entries, "protobuf-c finds as many entries");
    for (size_t i = 0; i < req->n; i++)
        expect(
            span_equal(req->entries[i].receipt_handle, span_str(other->entries[i]->receipt_handle)),
            "protobuf-c finds the same handles");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    const struct span bytes = span_of(data + 1, len - 1);
    struct slices cut = slices_at_random(bytes, 1 + data[0] % 32, data[0]);
    struct proto_ack *a = reader(), *b = reader();
    struct proto_ack_request of_whole, of_cut;
    struct err e, e_cut;
    const int rc = proto_ack_read(a, &bytes, 1, &of_whole, &e);
    expect(proto_ack_read(b, cut.spans, cut.n, &of_cut, &e_cut) == rc, "whole and cut end alike");
    if (rc == 0)
        expect_same(&of_whole, &of_cut);
    ProtobufCMessage *msg;
    if (proto_unpack(&apache__rocketmq__v2__ack_message_request__descriptor, &bytes, 1, 0, &msg,
                     &e) == 0) {
        expect_like_protobuf_c(rc, &of_whole, (const request_pb *)msg);
        protobuf_c_message_free_unpacked(msg, /* allocator = */ NULL);
    }
    proto_ack_free(a);
    proto_ack_free(b);
    slices_free(&cut);
    return 0;
}

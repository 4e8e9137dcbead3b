/* Fuzzes the walker over SendMessageRequest. The first byte seeds the cut into slices; the rest is
 * the request. Whole and cut, it must read the same; a request that protobuf-c takes and would
 * write in the same bytes must read as protobuf-c reads it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/send_oracle.h"
#include "tests/lib/slices.h"

typedef Apache__Rocketmq__V2__SendMessageRequest request_pb;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fail(const char *what, const char *field)
{
    fprintf(stderr, "%s: %s\n", what, field);
    abort();
}

static struct proto_send *walker(const struct span *slices, size_t n)
{
    struct proto_send *send;
    struct err e;
    if (proto_send_new(&send, slices, n, &e))
        abort();
    return send;
}

/* Reads both to their ends; returns how the first one ended. */
static int compare_cut(const struct span *whole, const struct slices *cut)
{
    struct proto_send *a = walker(whole, 1), *b = walker(cut->spans, cut->n);
    struct proto_message in_a, in_b;
    struct err err_a, err_b;
    bool found_a, found_b;
    int rc;
    do {
        rc = proto_send_next(a, &in_a, &found_a, &err_a);
        const int rc_b = proto_send_next(b, &in_b, &found_b, &err_b);
        if (rc != rc_b || (rc && strcmp(err_a.msg, err_b.msg) != 0))
            fail("whole and cut end differently", rc ? err_a.msg : "whole is good");
        if (rc == 0 && found_a != found_b)
            fail("whole and cut differ", "number of messages");
        const char *field = rc == 0 && found_a ? send_oracle_differs_from_ours(&in_a, &in_b) : NULL;
        if (field)
            fail("whole and cut differ", field);
    } while (rc == 0 && found_a);
    proto_send_free(a);
    proto_send_free(b);
    return rc;
}

/* Whether protobuf-c would write the message in the same bytes: nothing repeated or out of order.
 */
static bool is_canonical(const ProtobufCMessage *msg, const struct span *bytes)
{
    uint8_t *buf;
    size_t len;
    struct err e;
    if (proto_pack(msg, &buf, &len, &e))
        abort();
    const bool same = span_equal(span_of(buf, len), *bytes);
    free(buf);
    return same;
}

/* proto_send_read must agree with protobuf-c too. */
static void compare_whole(struct proto_send *send, const struct span *bytes,
                          const request_pb *request)
{
    const struct proto_message *read;
    struct err e;
    size_t n;
    if (proto_send_read(send, bytes, 1, &read, &n, &e) || n != request->n_messages)
        fail("protobuf-c reads a whole request otherwise", "number of messages");
    for (size_t i = 0; i < n; i++) {
        const char *field = send_oracle_differs(&read[i], request->messages[i]);
        if (field)
            fail("protobuf-c reads a whole request otherwise", field);
    }
}

static void compare_with_protobuf_c(const struct span *bytes, const request_pb *request)
{
    struct proto_send *send = walker(bytes, 1);
    struct proto_message m;
    struct err e;
    bool found;
    for (size_t i = 0; i < request->n_messages; i++) {
        if (proto_send_next(send, &m, &found, &e) || !found)
            fail("protobuf-c reads on", "number of messages");
        const char *field = send_oracle_differs(&m, request->messages[i]);
        if (field)
            fail("protobuf-c reads otherwise", field);
    }
    compare_whole(send, bytes, request);
    proto_send_free(send);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    const struct span bytes = span_of(data + 1, len - 1);
    struct slices cut = slices_at_random(bytes, 1 + data[0] % 32, data[0]);
    const int rc = compare_cut(&bytes, &cut);
    slices_free(&cut);

    ProtobufCMessage *msg;
    struct err e;
    if (proto_unpack(&apache__rocketmq__v2__send_message_request__descriptor, &bytes, 1, 0, &msg,
                     &e))
        return 0;
    if (rc && rc != ERR_TOOBIG)
        fail("protobuf-c takes it", "we refuse");
    if (rc == 0 && is_canonical(msg, &bytes))
        compare_with_protobuf_c(&bytes, (const request_pb *)msg);
    protobuf_c_message_free_unpacked(msg, /* allocator = */ NULL);
    return 0;
}

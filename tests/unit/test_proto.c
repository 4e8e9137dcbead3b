/* Tests of packing and unpacking whole messages, and of the calls' names. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proto.h"

#include <stdio.h>

#include "tests/lib/packed.h"
#include "tests/lib/slices.h"
#include "tests/lib/suite.h"

typedef Apache__Rocketmq__V2__AckMessageRequest ack_pb;

static const ProtobufCMessageDescriptor *const ACK =
    &apache__rocketmq__v2__ack_message_request__descriptor;

static int unpack(const ProtobufCMessageDescriptor *type, struct span bytes, struct err *e)
{
    ProtobufCMessage *msg = NULL;
    const int rc = proto_unpack(type, &bytes, 1, /* max_bytes = */ 0, &msg, e);
    ck_assert_int_eq(rc == 0, msg != NULL);
    if (msg)
        protobuf_c_message_free_unpacked(msg, /* allocator = */ NULL);
    return rc;
}

static struct span packed_ack(void)
{
    Apache__Rocketmq__V2__Resource group = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    Apache__Rocketmq__V2__AckMessageEntry entry = APACHE__ROCKETMQ__V2__ACK_MESSAGE_ENTRY__INIT;
    Apache__Rocketmq__V2__AckMessageEntry *entries[] = {&entry};
    ack_pb ack = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    group.name = (char *)"gruppe-\xc3\xbc";
    entry.message_id = (char *)"id";
    entry.receipt_handle = (char *)"handle";
    ack.group = &group;
    ack.entries = entries;
    ack.n_entries = 1;
    return packed(&ack.base);
}

START_TEST(a_request_unpacks_the_same_cut_at_any_byte)
{
    const struct span bytes = packed_ack();
    for (size_t at = 0; at <= bytes.len; at++) {
        struct slices s = slices_in_two(bytes, at);
        ProtobufCMessage *msg;
        struct err e = {0};
        ck_assert_msg(proto_unpack(ACK, s.spans, s.n, 0, &msg, &e) == 0, "%s", e.msg);
        const ack_pb *ack = (const ack_pb *)msg;
        ck_assert_str_eq(ack->group->name, "gruppe-\xc3\xbc");
        ck_assert_uint_eq(ack->n_entries, 1);
        ck_assert_str_eq(ack->entries[0]->receipt_handle, "handle");
        protobuf_c_message_free_unpacked(msg, NULL);
        slices_free(&s);
    }
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(a_request_unpacks_the_same_in_an_arena)
{
    const struct span bytes = packed_ack();
    struct arena arena = {0};
    for (size_t at = 0; at <= bytes.len; at++) {
        struct slices s = slices_in_two(bytes, at);
        ProtobufCMessage *msg;
        struct err e = {0};
        ck_assert_msg(proto_unpack_in(&arena, ACK, s.spans, s.n, &msg, &e) == 0, "%s", e.msg);
        slices_free(&s); /* nothing of the message is in them */
        const ack_pb *ack = (const ack_pb *)msg;
        ck_assert_str_eq(ack->group->name, "gruppe-\xc3\xbc");
        ck_assert_str_eq(ack->entries[0]->receipt_handle, "handle");
        arena_forget(&arena);
    }
    arena_fini(&arena);
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(a_request_cut_short_anywhere_is_refused_or_shorter)
{
    const struct span bytes = packed_ack();
    size_t n_refused = 0;
    for (size_t len = 0; len < bytes.len; len++) {
        struct err e;
        n_refused += unpack(ACK, span_of(bytes.ptr, len), &e) == ERR_INVAL;
    }
    /* Empty and cut between the two fields it is whole. */
    ck_assert_uint_eq(n_refused, bytes.len - 2);
    free((void *)bytes.ptr);
}
END_TEST

START_TEST(no_slices_are_an_empty_message)
{
    ProtobufCMessage *msg;
    struct err e;
    ck_assert_int_eq(proto_unpack(ACK, NULL, 0, 0, &msg, &e), 0);
    ck_assert_ptr_null(((ack_pb *)msg)->group);
    protobuf_c_message_free_unpacked(msg, NULL);
}
END_TEST

START_TEST(an_empty_message_packs_to_no_bytes)
{
    const ack_pb ack = APACHE__ROCKETMQ__V2__ACK_MESSAGE_REQUEST__INIT;
    uint8_t *buf = NULL;
    size_t len = 7;
    struct err e;
    ck_assert_int_eq(proto_pack(&ack.base, &buf, &len, &e), 0);
    ck_assert_ptr_nonnull(buf);
    ck_assert_uint_eq(len, 0);
    free(buf);
}
END_TEST

START_TEST(strings_must_be_utf8_without_a_nul)
{
    struct err e;
    ck_assert_int_eq(unpack(ACK, span_of("\x0a\x04\x12\x02g\x00", 6), &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "NUL"));
    ck_assert_int_eq(unpack(ACK, span_str("\x0a\x04\x12\x02g\xff"), &e), ERR_INVAL);
    ck_assert_ptr_nonnull(strstr(e.msg, "UTF-8"));
    ck_assert_int_eq(unpack(ACK, span_str("\x0a\x04\x12\x02g\xc3"), &e), ERR_INVAL);
    ck_assert_int_eq(unpack(ACK, span_str("\x0a\x04\x12\x02\xc3\xbc"), &e), 0);
}
END_TEST

START_TEST(a_known_field_of_a_foreign_type_is_refused)
{
    struct err e;
    ck_assert_int_eq(unpack(ACK, span_str("\x08\x01"), &e), ERR_INVAL);
}
END_TEST

START_TEST(unknown_fields_are_passed_over)
{
    struct err e;
    ck_assert_int_eq(unpack(ACK, span_str("\x7a\x02\xff\xff\x70\x01"), &e), 0);
}
END_TEST

START_TEST(a_request_over_the_byte_limit_is_refused)
{
    static uint8_t bytes[PROTO_UNPACK_MAX_BYTES + 1];
    struct err e;
    ck_assert_int_eq(unpack(ACK, span_of(bytes, sizeof bytes), &e), ERR_TOOBIG);
    const struct span small = span_str("\x0a\x03\x12\x01g");
    ProtobufCMessage *msg;
    ck_assert_int_eq(proto_unpack(ACK, &small, 1, 4, &msg, &e), ERR_TOOBIG);
}
END_TEST

START_TEST(the_number_of_fields_is_limited)
{
    static uint8_t bytes[2 * (PROTO_UNPACK_MAX_FIELDS + 1)];
    for (size_t i = 0; i < sizeof bytes; i += 2)
        bytes[i] = 0x1a; /* an empty entry */
    struct err e;
    ck_assert_int_eq(unpack(ACK, span_of(bytes, sizeof bytes - 2), &e), 0);
    ck_assert_int_eq(unpack(ACK, span_of(bytes, sizeof bytes), &e), ERR_TOOBIG);
}
END_TEST

/* The protocol has no message that holds itself, so depth needs a type of our own:
 * descriptor.proto's shape in small, field 1 of the type itself. */
static ProtobufCFieldDescriptor nest_field = {
    .name = "inner",
    .id = 1,
    .label = PROTOBUF_C_LABEL_NONE,
    .type = PROTOBUF_C_TYPE_MESSAGE,
    .offset = sizeof(ProtobufCMessage),
};
static const ProtobufCIntRange nest_range[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor nest_type = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Nest",
    .short_name = "Nest",
    .c_name = "Nest",
    .sizeof_message = sizeof(ProtobufCMessage) + sizeof(void *),
    .n_fields = 1,
    .fields = &nest_field,
    .n_field_ranges = 1,
    .field_ranges = nest_range,
};

/* `depth` messages, each in the one before. */
static int unpack_nested(size_t depth, struct err *e)
{
    uint8_t bytes[64];
    size_t len = 0;
    for (size_t i = 1; i < depth; i++) {
        bytes[len++] = 0x0a;
        bytes[len++] = (uint8_t)(2 * (depth - i - 1));
    }
    nest_field.descriptor = &nest_type;
    return unpack(&nest_type, span_of(bytes, len), e);
}

START_TEST(the_depth_of_messages_is_limited)
{
    struct err e;
    ck_assert_int_eq(unpack_nested(PROTO_UNPACK_MAX_DEPTH, &e), 0);
    ck_assert_int_eq(unpack_nested(PROTO_UNPACK_MAX_DEPTH + 1, &e), ERR_TOOBIG);
    ck_assert_ptr_nonnull(strstr(e.msg, "nested deeper"));
}
END_TEST

/* Whether the paths are the service's methods, each once, in order. */
static bool are_all_methods(const ProtobufCServiceDescriptor *service, const char *const *paths,
                            size_t n)
{
    for (size_t i = 0; i < service->n_methods && i < n; i++) {
        char path[128];
        snprintf(path, sizeof path, "/%s/%s", service->name, service->methods[i].name);
        if (strcmp(path, paths[i]) != 0)
            return false;
    }
    return n == service->n_methods;
}

START_TEST(the_paths_are_the_methods_of_the_services)
{
    static const char *const messaging[] = {
        PROTO_QUERY_ROUTE,      PROTO_HEARTBEAT,          PROTO_SEND_MESSAGE,
        PROTO_QUERY_ASSIGNMENT, PROTO_RECEIVE_MESSAGE,    PROTO_ACK_MESSAGE,
        PROTO_FORWARD_TO_DLQ,   PROTO_PULL_MESSAGE,       PROTO_UPDATE_OFFSET,
        PROTO_GET_OFFSET,       PROTO_QUERY_OFFSET,       PROTO_END_TRANSACTION,
        PROTO_TELEMETRY,        PROTO_NOTIFY_TERMINATION, PROTO_CHANGE_INVISIBLE,
        PROTO_RECALL_MESSAGE,   PROTO_SYNC_LITE,
    };
    static const char *const admin[] = {
        PROTO_CREATE_TOPIC, PROTO_LIST_TOPICS, PROTO_GET_TOPIC, PROTO_DELETE_TOPIC,
        PROTO_CREATE_GROUP, PROTO_LIST_GROUPS, PROTO_GET_GROUP, PROTO_DELETE_GROUP,
        PROTO_SEEK_GROUP,   PROTO_GET_MEMORY,  PROTO_GET_STATS, PROTO_FIND_MESSAGES,
        PROTO_GET_ACTIVITY,
    };
    ck_assert(are_all_methods(&apache__rocketmq__v2__messaging_service__descriptor, messaging, 17));
    ck_assert(are_all_methods(&sluice__v1__admin__descriptor, admin, 13));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proto");
    TCase *tc = tcase_create("messages");
    tcase_add_test(tc, a_request_unpacks_the_same_cut_at_any_byte);
    tcase_add_test(tc, a_request_unpacks_the_same_in_an_arena);
    tcase_add_test(tc, a_request_cut_short_anywhere_is_refused_or_shorter);
    tcase_add_test(tc, no_slices_are_an_empty_message);
    tcase_add_test(tc, an_empty_message_packs_to_no_bytes);
    tcase_add_test(tc, strings_must_be_utf8_without_a_nul);
    tcase_add_test(tc, a_known_field_of_a_foreign_type_is_refused);
    tcase_add_test(tc, unknown_fields_are_passed_over);
    tcase_add_test(tc, a_request_over_the_byte_limit_is_refused);
    tcase_add_test(tc, the_number_of_fields_is_limited);
    tcase_add_test(tc, the_depth_of_messages_is_limited);
    tcase_add_test(tc, the_paths_are_the_methods_of_the_services);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}

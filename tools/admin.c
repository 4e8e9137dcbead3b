/* Runs commands of the Admin service: options, connection, the call and its code. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/admin.h"

#include <assert.h>
#include <string.h>

#include "tools/command.h"

int admin_run(const struct options *o, int argc, char **argv, admin_fn fn, void *arg)
{
    int first;
    int rc = options_parse(o, argc, argv, &first);
    if (rc != OPTIONS_RUN)
        return rc;
    struct err e;
    struct client *c = NULL;
    rc = wire_connect(&c, o->broker, &e);
    if (rc == 0)
        rc = fn(c, argv[first], arg, &e);
    client_close(c);
    return rc < 0 ? command_failed(o->program, &e) : COMMAND_OK;
}

int admin_run_command(const struct admin_command *c, int argc, char **argv)
{
    struct options_broker broker = {0};
    bool json = false;
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        /* without a name it is the end */
        {.name = c->json ? "json" : NULL, .kind = OPTION_FLAG, .ret = &json, .help = c->json},
        {0},
    };
    const int n_operands = c->operands[0] ? 1 : 0;
    const struct options o = {
        .program = c->program,
        .operands = c->operands,
        .summary = c->summary,
        .specs = specs,
        .min_operands = n_operands,
        .max_operands = n_operands,
        .broker = &broker,
    };
    return admin_run(&o, argc, argv, c->fn, &json);
}

/* Every reply of Admin has the fields `code` and `message`. */
static int check_reply(const ProtobufCMessage *msg, struct err *e)
{
    const ProtobufCFieldDescriptor *code =
        protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, "code");
    const ProtobufCFieldDescriptor *text =
        protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, "message");
    assert(code && code->type == PROTOBUF_C_TYPE_INT32);
    assert(text && text->type == PROTOBUF_C_TYPE_STRING);
    int32_t code_value;
    const char *text_value;
    memcpy(&code_value, (const char *)msg + code->offset, sizeof code_value);
    memcpy(&text_value, (const char *)msg + text->offset, sizeof text_value);
    return wire_check(code_value, text_value, e);
}

int admin_call(struct client *c, const char *path, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *reply_type, void *ret_reply, struct err *e)
{
    ProtobufCMessage *msg;
    int rc = wire_call(c, path, request, reply_type, &msg, e);
    if (rc < 0)
        return rc;
    rc = check_reply(msg, e);
    if (rc < 0) {
        wire_free(msg);
        return rc;
    }
    memcpy(ret_reply, &msg, sizeof msg); /* the caller's pointer has the reply's own type */
    return 0;
}

int admin_tell(struct client *c, const char *path, const ProtobufCMessage *request,
               const ProtobufCMessageDescriptor *reply_type, struct err *e)
{
    ProtobufCMessage *msg;
    int rc = admin_call(c, path, request, reply_type, &msg, e);
    if (rc == 0)
        wire_free(msg);
    return rc;
}

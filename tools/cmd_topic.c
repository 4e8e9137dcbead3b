/* `sluice topic`: make, list, show and delete topics through the broker's Admin service. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "tools/admin.h"
#include "tools/command.h"
#include "tools/json_line.h"

enum { MAX_QUEUES = 1024 };

static const char *const types[] = {"NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", NULL};

static Sluice__V1__TopicType type_of_name(const char *name)
{
    char full[32];
    (void)snprintf(full, sizeof full, "TOPIC_%s", name);
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(&sluice__v1__topic_type__descriptor, full);
    return value ? (Sluice__V1__TopicType)value->value : SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL;
}

static const char *name_of_type(Sluice__V1__TopicType type)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(&sluice__v1__topic_type__descriptor, (int)type);
    return value ? value->name + strlen("TOPIC_") : "?";
}

static json_t *topic_to_json(const Sluice__V1__Topic *t)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i}", "name", t->name, "type", name_of_type(t->type),
                     "readQueues", t->read_queues, "writeQueues", t->write_queues, "perm", t->perm);
}

static void print_topic_head(void)
{
    printf("%-32s %-12s %6s %6s %5s\n", "TOPIC", "TYPE", "READ", "WRITE", "PERM");
}

static void print_topic(const Sluice__V1__Topic *t)
{
    printf("%-32s %-12s %6" PRId32 " %6" PRId32 " %3s%s\n", t->name, name_of_type(t->type),
           t->read_queues, t->write_queues, t->perm & 4 ? "r" : "-", t->perm & 2 ? "w" : "-");
}

/* ---- create ---- */

struct create_options {
    const char *type;
    uint64_t n_queues; /* 0: the broker's default */
};

static int create_topic(struct client *c, const char *name, void *arg, struct err *e)
{
    const struct create_options *opt = arg;
    Sluice__V1__Topic topic = SLUICE__V1__TOPIC__INIT;
    topic.name = (char *)name;
    topic.type = type_of_name(opt->type);
    topic.read_queues = (int32_t)opt->n_queues;
    Sluice__V1__CreateTopicRequest request = SLUICE__V1__CREATE_TOPIC_REQUEST__INIT;
    request.topic = &topic;
    int rc = admin_tell(c, PROTO_CREATE_TOPIC, &request.base,
                        &sluice__v1__create_topic_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "create topic '%s'", name) : 0;
}

static int run_create(int argc, char **argv)
{
    struct options_broker broker = {0};
    struct create_options opt = {0};
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        {.name = "type",
         .kind = OPTION_CHOICE,
         .ret = &opt.type,
         .value = "TYPE",
         .fallback = "NORMAL",
         .help = "NORMAL, FIFO, DELAY, TRANSACTION or PRIORITY",
         .choices = types},
        {.name = "queues",
         .kind = OPTION_NUMBER,
         .ret = &opt.n_queues,
         .value = "N",
         .help = "how many queues, 1 to 1024 (default: the broker's)",
         .min = 1,
         .max = MAX_QUEUES},
        {0},
    };
    const struct options o = {
        .program = "sluice topic create",
        .operands = "NAME",
        .summary = "Makes a topic. One that exists with the same settings is fine.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
        .broker = &broker,
    };
    return admin_run(&o, argc, argv, create_topic, &opt);
}

/* ---- list ---- */

static int print_topics(const Sluice__V1__ListTopicsResponse *reply, bool json, struct err *e)
{
    if (!json)
        print_topic_head();
    for (size_t i = 0; i < reply->n_topics; i++) {
        if (!json) {
            print_topic(reply->topics[i]);
            continue;
        }
        int rc = json_line(topic_to_json(reply->topics[i]), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int list_topics(struct client *c, const char *operand, void *arg, struct err *e)
{
    (void)operand;
    const bool *json = arg;
    const Sluice__V1__ListTopicsRequest request = SLUICE__V1__LIST_TOPICS_REQUEST__INIT;
    Sluice__V1__ListTopicsResponse *reply;
    int rc = admin_call(c, PROTO_LIST_TOPICS, &request.base,
                        &sluice__v1__list_topics_response__descriptor, &reply, e);
    if (rc < 0)
        return err_wrap(e, "list topics");
    rc = print_topics(reply, *json, e);
    wire_free(reply);
    return rc;
}

static int run_list(int argc, char **argv)
{
    static const struct admin_command list = {
        .program = "sluice topic list",
        .operands = "",
        .summary = "Lists the topics by name.",
        .json = "one JSON object a line (default: a table)",
        .fn = list_topics,
    };
    return admin_run_command(&list, argc, argv);
}

/* ---- show ---- */

static int print_shown_json(const Sluice__V1__GetTopicResponse *reply, struct err *e)
{
    json_t *queues = json_array();
    for (size_t i = 0; i < reply->n_queues; i++) {
        const Sluice__V1__TopicQueue *q = reply->queues[i];
        json_t *queue =
            json_pack("{s:i, s:I, s:I}", "queueId", q->queue_id, "minOffset",
                      (json_int_t)q->min_offset, "maxOffset", (json_int_t)q->max_offset);
        if (json_array_append_new(queues, queue) < 0) {
            json_decref(queues);
            return err_set(e, ERR_NOMEM, "print the queues");
        }
    }
    json_t *root = topic_to_json(reply->topic);
    if (json_object_set_new(root, "queues", queues) < 0) {
        json_decref(root);
        return err_set(e, ERR_NOMEM, "print the topic");
    }
    return json_line(root, e);
}

static void print_shown(const Sluice__V1__GetTopicResponse *reply)
{
    print_topic_head();
    print_topic(reply->topic);
    printf("\n%5s %14s %14s %14s\n", "QUEUE", "MIN", "MAX", "MESSAGES");
    for (size_t i = 0; i < reply->n_queues; i++) {
        const Sluice__V1__TopicQueue *q = reply->queues[i];
        printf("%5" PRId32 " %14" PRId64 " %14" PRId64 " %14" PRId64 "\n", q->queue_id,
               q->min_offset, q->max_offset, q->max_offset - q->min_offset);
    }
}

static int show_topic(struct client *c, const char *name, void *arg, struct err *e)
{
    const bool *json = arg;
    Sluice__V1__GetTopicRequest request = SLUICE__V1__GET_TOPIC_REQUEST__INIT;
    request.name = (char *)name;
    Sluice__V1__GetTopicResponse *reply;
    int rc = admin_call(c, PROTO_GET_TOPIC, &request.base,
                        &sluice__v1__get_topic_response__descriptor, &reply, e);
    if (rc < 0)
        return err_wrap(e, "show topic '%s'", name);
    if (!reply->topic)
        rc = err_set(e, ERR_CORRUPT, "show topic '%s': the answer has no topic", name);
    else if (*json)
        rc = print_shown_json(reply, e);
    else
        print_shown(reply);
    wire_free(reply);
    return rc;
}

static int run_show(int argc, char **argv)
{
    static const struct admin_command show = {
        .program = "sluice topic show",
        .operands = "NAME",
        .summary = "Shows one topic: its settings and the bounds of each queue.",
        .json = "one JSON object (default: tables)",
        .fn = show_topic,
    };
    return admin_run_command(&show, argc, argv);
}

/* ---- delete ---- */

static int delete_topic(struct client *c, const char *name, void *arg, struct err *e)
{
    (void)arg;
    Sluice__V1__DeleteTopicRequest request = SLUICE__V1__DELETE_TOPIC_REQUEST__INIT;
    request.name = (char *)name;
    int rc = admin_tell(c, PROTO_DELETE_TOPIC, &request.base,
                        &sluice__v1__delete_topic_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "delete topic '%s'", name) : 0;
}

static int run_delete(int argc, char **argv)
{
    static const struct admin_command delete = {
        .program = "sluice topic delete",
        .operands = "NAME",
        .summary = "Deletes a topic with its queues.",
        .fn = delete_topic,
    };
    return admin_run_command(&delete, argc, argv);
}

static const struct command commands[] = {
    {"create", "Make a topic", run_create},
    {"list", "List the topics", run_list},
    {"show", "Show one topic and its queues", run_show},
    {"delete", "Delete a topic", run_delete},
    {0},
};

int cmd_topic(int argc, char **argv)
{
    return command_dispatch("sluice topic", "Administer the topics of a broker.", commands, argc,
                            argv);
}

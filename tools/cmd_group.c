/* `sluice group`: make, list, show and delete consumer groups through the Admin service. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "tools/admin.h"
#include "tools/command.h"
#include "tools/json_line.h"

enum { MAX_ATTEMPTS = 1000 };

static json_t *group_to_json(const Sluice__V1__Group *g)
{
    return json_pack("{s:s, s:b, s:i}", "name", g->name, "fifo", g->fifo, "maxAttempts",
                     g->max_attempts);
}

static void print_group_head(void)
{
    printf("%-40s %-6s %12s\n", "GROUP", "ORDER", "MAX ATTEMPTS");
}

static void print_group(const Sluice__V1__Group *g)
{
    printf("%-40s %-6s %12" PRId32 "\n", g->name, g->fifo ? "fifo" : "-", g->max_attempts);
}

/* ---- create ---- */

struct create_options {
    bool fifo;
    uint64_t max_attempts; /* 0: the broker's default */
};

static int create_group(struct client *c, const char *name, void *arg, struct err *e)
{
    const struct create_options *opt = arg;
    Sluice__V1__Group group = SLUICE__V1__GROUP__INIT;
    group.name = (char *)name;
    group.fifo = opt->fifo;
    group.max_attempts = (int32_t)opt->max_attempts;
    Sluice__V1__CreateGroupRequest request = SLUICE__V1__CREATE_GROUP_REQUEST__INIT;
    request.group = &group;
    int rc = admin_tell(c, PROTO_CREATE_GROUP, &request.base,
                        &sluice__v1__create_group_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "create group '%s'", name) : 0;
}

static int run_create(int argc, char **argv)
{
    struct options_broker broker = {0};
    struct create_options opt = {0};
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        {.name = "fifo",
         .kind = OPTION_FLAG,
         .ret = &opt.fifo,
         .help = "deliver the messages of a queue in order (default: not in order)"},
        {.name = "max-attempts",
         .kind = OPTION_NUMBER,
         .ret = &opt.max_attempts,
         .value = "N",
         .help = "deliveries of one message, 1 to 1000 (default: the broker's)",
         .min = 1,
         .max = MAX_ATTEMPTS},
        {0},
    };
    const struct options o = {
        .program = "sluice group create",
        .operands = "NAME",
        .summary = "Makes a consumer group. One that exists with the same settings is fine.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
        .broker = &broker,
    };
    return admin_run(&o, argc, argv, create_group, &opt);
}

/* ---- list ---- */

static int print_groups(const Sluice__V1__ListGroupsResponse *reply, bool json, struct err *e)
{
    if (!json)
        print_group_head();
    for (size_t i = 0; i < reply->n_groups; i++) {
        if (!json) {
            print_group(reply->groups[i]);
            continue;
        }
        int rc = json_line(group_to_json(reply->groups[i]), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int list_groups(struct client *c, const char *operand, void *arg, struct err *e)
{
    (void)operand;
    const bool *json = arg;
    const Sluice__V1__ListGroupsRequest request = SLUICE__V1__LIST_GROUPS_REQUEST__INIT;
    Sluice__V1__ListGroupsResponse *reply;
    int rc = admin_call(c, PROTO_LIST_GROUPS, &request.base,
                        &sluice__v1__list_groups_response__descriptor, &reply, e);
    if (rc < 0)
        return err_wrap(e, "list groups");
    rc = print_groups(reply, *json, e);
    wire_free(reply);
    return rc;
}

static int run_list(int argc, char **argv)
{
    static const struct admin_command list = {
        .program = "sluice group list",
        .operands = "",
        .summary = "Lists the consumer groups by name.",
        .json = "one JSON object a line (default: a table)",
        .fn = list_groups,
    };
    return admin_run_command(&list, argc, argv);
}

/* ---- show ---- */

static int print_shown_json(const Sluice__V1__GetGroupResponse *reply, struct err *e)
{
    json_t *queues = json_array();
    for (size_t i = 0; i < reply->n_queues; i++) {
        const Sluice__V1__GroupQueue *q = reply->queues[i];
        json_t *queue = json_pack("{s:s, s:i, s:I, s:I, s:I}", "topic", q->topic, "queueId",
                                  q->queue_id, "position", (json_int_t)q->position, "lag",
                                  (json_int_t)q->lag, "inFlight", (json_int_t)q->in_flight);
        if (json_array_append_new(queues, queue) < 0) {
            json_decref(queues);
            return err_set(e, ERR_NOMEM, "print the queues");
        }
    }
    json_t *root = group_to_json(reply->group);
    if (json_object_set_new(root, "queues", queues) < 0) {
        json_decref(root);
        return err_set(e, ERR_NOMEM, "print the group");
    }
    return json_line(root, e);
}

static void print_shown(const Sluice__V1__GetGroupResponse *reply)
{
    print_group_head();
    print_group(reply->group);
    printf("\n%-32s %5s %14s %14s %10s\n", "TOPIC", "QUEUE", "POSITION", "LAG", "IN FLIGHT");
    for (size_t i = 0; i < reply->n_queues; i++) {
        const Sluice__V1__GroupQueue *q = reply->queues[i];
        printf("%-32s %5" PRId32 " %14" PRId64 " %14" PRId64 " %10" PRId64 "\n", q->topic,
               q->queue_id, q->position, q->lag, q->in_flight);
    }
}

static int show_group(struct client *c, const char *name, void *arg, struct err *e)
{
    const bool *json = arg;
    Sluice__V1__GetGroupRequest request = SLUICE__V1__GET_GROUP_REQUEST__INIT;
    request.name = (char *)name;
    Sluice__V1__GetGroupResponse *reply;
    int rc = admin_call(c, PROTO_GET_GROUP, &request.base,
                        &sluice__v1__get_group_response__descriptor, &reply, e);
    if (rc < 0)
        return err_wrap(e, "show group '%s'", name);
    if (!reply->group)
        rc = err_set(e, ERR_CORRUPT, "show group '%s': the answer has no group", name);
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
        .program = "sluice group show",
        .operands = "NAME",
        .summary = "Shows one group: its settings and its position in each queue.",
        .json = "one JSON object (default: tables)",
        .fn = show_group,
    };
    return admin_run_command(&show, argc, argv);
}

/* ---- delete ---- */

static int delete_group(struct client *c, const char *name, void *arg, struct err *e)
{
    (void)arg;
    Sluice__V1__DeleteGroupRequest request = SLUICE__V1__DELETE_GROUP_REQUEST__INIT;
    request.name = (char *)name;
    int rc = admin_tell(c, PROTO_DELETE_GROUP, &request.base,
                        &sluice__v1__delete_group_response__descriptor, e);
    return rc < 0 ? err_wrap(e, "delete group '%s'", name) : 0;
}

static int run_delete(int argc, char **argv)
{
    static const struct admin_command delete = {
        .program = "sluice group delete",
        .operands = "NAME",
        .summary = "Deletes a consumer group with its positions.",
        .fn = delete_group,
    };
    return admin_run_command(&delete, argc, argv);
}

static const struct command commands[] = {
    {"create", "Make a consumer group", run_create},
    {"list", "List the consumer groups", run_list},
    {"show", "Show one group and its positions", run_show},
    {"delete", "Delete a consumer group", run_delete},
    {0},
};

int cmd_group(int argc, char **argv)
{
    return command_dispatch("sluice group", "Administer the consumer groups of a broker.", commands,
                            argc, argv);
}

/* `sluice pub`: publish made messages or the lines of stdin. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "tools/body_source.h"
#include "tools/command.h"
#include "tools/json_line.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "tools/publisher.h"
#include "tools/wire.h"

enum {
    MAX_BODY_BYTES = 4 * 1024 * 1024, /* the broker's limit */
    INPUT_SLICE_MS = 20,              /* how long to look at stdin while answers are awaited */
    INPUT_IDLE_MS = 1000,
};
#define DEFAULT_MESSAGE_GROUP "sluice-pub"
#define MAX_COUNT UINT64_C(1000000000000)

struct pub {
    struct options_broker broker;
    struct publisher_options to;
    const char *body;
    uint64_t count; /* 0: not given */
    uint64_t size;  /* 0: not given */
    bool json;
};

/* No whole line is there: send what was gathered, handle answers, wait for more. */
static int wait_for_input(struct publisher *p, struct body_source *source, struct err *e)
{
    int rc = publisher_flush(p, e);
    if (rc < 0)
        return rc;
    body_source_wait(source, publisher_is_busy(p) ? INPUT_SLICE_MS : INPUT_IDLE_MS);
    return publisher_poll(p, /* wait_ms = */ 0, e);
}

static int publish_all(struct publisher *p, struct body_source *source, struct progress *progress,
                       struct err *e)
{
    int rc = 0;
    while (rc == 0) {
        enum body_next next;
        struct span body;
        rc = body_source_next(source, &next, &body, e);
        if (rc < 0 || next == BODY_END)
            break;
        rc = next == BODY_READY ? publisher_add(p, body, e) : wait_for_input(p, source, e);
        progress_set(progress, publisher_n_sent(p));
    }
    return rc < 0 ? rc : publisher_finish(p, e);
}

/* A FIFO topic takes nothing else. */
static bool is_fifo(const Apache__Rocketmq__V2__QueryRouteResponse *route)
{
    if (route->n_message_queues == 0)
        return false;
    const Apache__Rocketmq__V2__MessageQueue *q = route->message_queues[0];
    return q->n_accept_message_types == 1 &&
           q->accept_message_types[0] == APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO;
}

/* Messages of a FIFO topic belong to a group: the key, else one for all. */
static int settle_message_group(struct client *c, struct publisher_options *to, struct err *e)
{
    Apache__Rocketmq__V2__QueryRouteResponse *route;
    int rc = wire_query_route(c, to->topic, &route, e);
    if (rc < 0)
        return rc;
    if (is_fifo(route))
        to->message_group = to->key ? to->key : DEFAULT_MESSAGE_GROUP;
    wire_free(route);
    return 0;
}

/* Sends everything `source` has; `*ret_n_sent` counts on failure too. */
static int publish_from(struct client *c, const struct pub *pub, struct body_source *source,
                        uint64_t *ret_n_sent, struct err *e)
{
    struct publisher_options to = pub->to;
    int rc = settle_message_group(c, &to, e);
    if (rc < 0)
        return rc;
    struct publisher *p;
    rc = publisher_open(&p, c, &to, e);
    if (rc < 0)
        return rc;
    struct progress progress;
    progress_start(&progress, pub->count);
    rc = publish_all(p, source, &progress, e);
    if (rc < 0) {
        struct err later; /* the first error is the one to tell */
        (void)!publisher_finish(p, &later);
    }
    *ret_n_sent = publisher_n_sent(p);
    progress_stop(&progress, *ret_n_sent);
    publisher_close(p);
    return rc;
}

static int publish(const struct pub *pub, uint64_t *ret_n_sent, struct err *e)
{
    const struct body_source_options from = {
        .text = pub->body,
        .count = pub->count,
        .len = pub->size,
        .max_bytes = MAX_BODY_BYTES,
        .fd = STDIN_FILENO,
    };
    struct body_source *source = NULL;
    struct client *c = NULL;
    int rc = body_source_open(&source, &from, e);
    if (rc == 0)
        rc = wire_connect(&c, &pub->broker, e);
    if (rc == 0)
        rc = publish_from(c, pub, source, ret_n_sent, e);
    client_close(c);
    body_source_close(source);
    return rc;
}

static int report(const char *program, const struct pub *pub, int rc, uint64_t n_sent,
                  struct err *e)
{
    if (rc < 0) {
        fprintf(stderr, "%s: %s; %" PRIu64 " messages were sent\n", program, e->msg, n_sent);
        return COMMAND_FAILED;
    }
    if (pub->json) {
        rc = json_line(json_pack("{s:s, s:I}", "topic", pub->to.topic, "sent", (json_int_t)n_sent),
                       e);
        return rc < 0 ? command_failed(program, e) : COMMAND_OK;
    }
    printf("%" PRIu64 " %s sent to '%s'\n", n_sent, n_sent == 1 ? "message" : "messages",
           pub->to.topic);
    return COMMAND_OK;
}

int cmd_pub(int argc, char **argv)
{
    struct pub pub = {0};
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&pub.broker),
        {.name = "tag",
         .kind = OPTION_TEXT,
         .ret = &pub.to.tag,
         .value = "TAG",
         .help = "tag of each message (default: none)"},
        {.name = "key",
         .kind = OPTION_TEXT,
         .ret = &pub.to.key,
         .value = "KEY",
         .help = "key of each message (default: none)"},
        {.name = "body",
         .kind = OPTION_TEXT,
         .ret = &pub.body,
         .value = "TEXT",
         .help = "body of each message (default: 'message N', N from 1)"},
        {.name = "count",
         .kind = OPTION_NUMBER,
         .ret = &pub.count,
         .value = "N",
         .help = "messages to make (default: 1 with --body or --size, else stdin is read)",
         .min = 1,
         .max = MAX_COUNT},
        {.name = "size",
         .kind = OPTION_SIZE,
         .ret = &pub.size,
         .value = "BYTES",
         .help = "length of each body, its text repeated (default: as long as the text)",
         .min = 1,
         .max = MAX_BODY_BYTES},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &pub.json,
         .help = "one JSON object at the end (default: text)"},
        {0},
    };
    const struct options o = {
        .program = "sluice pub",
        .operands = "TOPIC",
        .summary = "Publishes to a topic: messages made from --body, --count and --size, else one\n"
                   "message for each line of stdin.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
        .broker = &pub.broker,
    };
    int first;
    int rc = options_parse(&o, argc, argv, &first);
    if (rc != OPTIONS_RUN)
        return rc;
    if (pub.body && !*pub.body)
        return options_refuse(&o, "option '--body': a body may not be empty");
    if ((pub.body || pub.size) && pub.count == 0)
        pub.count = 1;
    pub.to.topic = argv[first];
    struct err e = {0};
    uint64_t n_sent = 0;
    rc = publish(&pub, &n_sent, &e);
    return report(o.program, &pub, rc, n_sent, &e);
}

/* `sluice sub`: print and acknowledge the messages of a topic.
 *
 * Each message goes out in writes of its own, past stdio: it is acknowledged once all of it is out.
 * An interrupt while nobody reads ends the program in the middle of a message, which comes again;
 * nothing of it is left that the end would wait with. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/message_print.h"
#include "tools/options.h"
#include "tools/subscriber.h"
#include "tools/wire.h"

#define MAX_MESSAGES UINT64_C(1000000000000)
#define MAX_TIMEOUT_MS UINT64_C(86400000)

struct sub {
    struct options_broker broker;
    struct subscriber_options what;
    struct start_at start;
    const char *from;
    uint64_t max; /* 0: no limit */
    uint64_t timeout_ms;
    bool follow, json;
    bool is_cut; /* an interrupt ended the output */
};

/* An interrupt ends the loop, so that the group we made is removed; a closed pipe is a failed
 * write. */
static void catch_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    interrupt_catch();
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

/* All of it, or an error: also when an interrupt has ended a write in the middle. */
static int write_out(struct sub *sub, struct span text, struct err *e)
{
    while (text.len > 0) {
        ssize_t n = write(STDOUT_FILENO, text.ptr, text.len);
        if (n < 0 && errno != EINTR)
            return err_sys(e, errno, "write to stdout");
        if (n > 0)
            text = span_of(text.ptr + n, text.len - (size_t)n);
        sub->is_cut = text.len > 0 && interrupt_came();
        if (sub->is_cut)
            return err_set(e, ERR_CLOSED, "write to stdout");
    }
    return 0;
}

static int print_message(void *arg, const Apache__Rocketmq__V2__Message *m, struct err *e)
{
    struct sub *sub = arg;
    char *text = NULL;
    size_t len;
    int rc = message_check(m, e);
    if (rc < 0)
        return rc;
    FILE *line = open_memstream(&text, &len);
    if (!line)
        return err_sys(e, errno, "print a message");
    rc = sub->json ? message_print_json(line, m, e) : message_print_text(line, m, e);
    if (fclose(line) != 0 && rc == 0)
        rc = err_sys(e, errno, "print a message");
    if (rc == 0)
        rc = write_out(sub, span_of(text, len), e);
    free(text);
    return rc;
}

static uint64_t idle_end(const struct sub *sub)
{
    return sub->follow ? UINT64_MAX : subscriber_now_ms() + sub->timeout_ms;
}

static uint32_t batch_of(uint64_t left)
{
    return left < SUBSCRIBER_MAX_BATCH ? (uint32_t)left : SUBSCRIBER_MAX_BATCH;
}

/* Receives until enough came, nothing came for long enough, or somebody stops us. */
static int receive_all(struct subscriber *s, struct sub *sub, struct err *e)
{
    uint64_t n = 0;
    uint64_t until_ms = idle_end(sub);
    int rc = 0;
    while (rc == 0 && !interrupt_came() && (sub->max == 0 || n < sub->max)) {
        const struct subscriber_receive r = {
            .max = batch_of(sub->max ? sub->max - n : SUBSCRIBER_MAX_BATCH),
            .until_ms = until_ms,
            .fn = print_message,
            .arg = sub,
        };
        uint64_t n_now;
        rc = subscriber_receive(s, &r, &n_now, e);
        n += n_now;
        if (n_now > 0)
            until_ms = idle_end(sub);
        else if (subscriber_now_ms() >= until_ms)
            break;
    }
    return sub->is_cut ? 0 : rc;
}

static int subscribe(struct sub *sub, struct err *e)
{
    struct client *c = NULL;
    struct subscriber *s = NULL;
    int rc = wire_connect(&c, &sub->broker, e);
    if (rc == 0)
        rc = subscriber_open(&s, c, &sub->what, e);
    if (rc == 0)
        rc = receive_all(s, sub, e);
    struct err later; /* the first error is the one to tell */
    int close_rc = subscriber_close(s, rc < 0 ? &later : e);
    client_close(c);
    return rc < 0 ? rc : close_rc;
}

static int settle_start(struct sub *sub, struct err *e)
{
    struct io *io = io_posix();
    if (!sub->from)
        return 0;
    int rc = start_at_parse(sub->from, io->now_ms(io), &sub->start, e);
    if (rc == 0)
        sub->what.from = &sub->start;
    return rc;
}

int cmd_sub(int argc, char **argv)
{
    struct sub sub = {.what = {.is_stopped = interrupt_came}};
    const struct option_spec specs[] = {
        OPTIONS_BROKER(&sub.broker),
        {.name = "tag",
         .kind = OPTION_TEXT,
         .ret = &sub.what.expression,
         .value = "EXPR",
         .fallback = "*",
         .help = "tags to receive, such as 'TagA || TagC'"},
        {.name = "group",
         .kind = OPTION_TEXT,
         .ret = &sub.what.group,
         .value = "GROUP",
         .help = "consumer group (default: one of its own, removed at the end)"},
        {.name = "from",
         .kind = OPTION_TEXT,
         .ret = &sub.from,
         .value = "WHERE",
         .help = "earliest, latest, an offset, a time (UTC) or a duration ago\n"
                 "                            (default: where --group stands, else earliest)"},
        {.name = "max",
         .kind = OPTION_NUMBER,
         .ret = &sub.max,
         .value = "N",
         .help = "end after N messages (default: no limit)",
         .min = 1,
         .max = MAX_MESSAGES},
        {.name = "timeout",
         .kind = OPTION_DURATION,
         .ret = &sub.timeout_ms,
         .value = "TIME",
         .fallback = "20s",
         .help = "end when nothing came for that long",
         .min = 1,
         .max = MAX_TIMEOUT_MS},
        {.name = "follow",
         .kind = OPTION_FLAG,
         .ret = &sub.follow,
         .help = "never end by time (default: --timeout counts)"},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &sub.json,
         .help = "one JSON object a line (default: offset, queue, tag, keys, body)"},
        {0},
    };
    const struct options o = {
        .program = "sluice sub",
        .operands = "TOPIC",
        .summary = "Subscribes to a topic: prints a line for each message and acknowledges it.",
        .specs = specs,
        .min_operands = 1,
        .max_operands = 1,
        .broker = &sub.broker,
    };
    int first;
    int rc = options_parse(&o, argc, argv, &first);
    if (rc != OPTIONS_RUN)
        return rc;
    struct err e;
    if (settle_start(&sub, &e) < 0)
        return options_refuse(&o, "option '--from': %s", e.msg);
    sub.what.topic = argv[first];
    catch_signals();
    rc = subscribe(&sub, &e);
    return rc < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

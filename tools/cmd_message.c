/* `sluice message`: finds messages by key or id, in a store's folder or through a broker. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"
#include "tools/admin.h"
#include "tools/command.h"
#include "tools/dump_record.h"
#include "tools/index_file.h"
#include "tools/inflate.h"
#include "tools/json_line.h"
#include "tools/options.h"
#include "tools/start_at.h"

enum { MAX_LIMIT = 1000 };

struct message {
    const char *store;
    const char *topic, *key, *unique_key, *id;
    const char *begin, *end;
    uint64_t begin_ms, end_ms;
    uint64_t max, slots;
    bool json, body;
    uint64_t n_found;
    struct err failure; /* of printing */
};

/* ---- printing ---- */

/* The body alone, decompressed. */
static int print_body(const struct store_record *rec, struct err *e)
{
    struct inflated body = {0};
    if (!inflate_name(rec->sys_flag)) {
        (void)fwrite(rec->body.ptr, 1, rec->body.len, stdout); /* checked at the end */
        return 0;
    }
    int rc = inflate_body(rec->sys_flag, rec->body, DUMP_BODY_MAX, &body, e);
    if (rc < 0)
        return err_wrap(e, "decompress the body");
    (void)fwrite(body.bytes, 1, body.len, stdout);
    free(body.bytes);
    return 0;
}

static int print_item(const struct message *m, const struct store_walk_item *item, struct err *e)
{
    const struct dump_place unknown = {0};
    if (m->json)
        return json_line(
            dump_record_json(item, &unknown, m->body ? DUMP_WITH_BODY : DUMP_WITHOUT_BODY), e);
    if (m->body)
        return print_body(&item->rec, e);
    dump_record_text(item);
    return 0;
}

static int take(void *arg, const struct store_walk_item *item)
{
    struct message *m = arg;
    if (print_item(m, item, &m->failure) < 0)
        return 1;
    return ++m->n_found == m->max || ferror(stdout);
}

/* ---- where to look ---- */

static struct store_query query_of(const struct message *m)
{
    const char *what = m->key ? m->key : m->unique_key ? m->unique_key : m->id;
    return (struct store_query){
        .topic = m->topic ? span_str(m->topic) : (struct span){0},
        .by = m->key          ? STORE_FIND_BY_KEY
              : m->unique_key ? STORE_FIND_BY_UNIQUE_KEY
                              : STORE_FIND_BY_ID,
        .key = span_str(what),
        .begin_ms = m->begin_ms,
        .end_ms = m->end_ms,
    };
}

static int look_into_store(struct message *m, enum store_query_end *ret_end, struct err *e)
{
    struct store_find *find;
    struct store_query q = query_of(m);
    uint32_t n_slots = m->slots ? (uint32_t)m->slots : index_file_slots(m->store, io_posix());
    int rc = store_find_open(&find, m->store, n_slots, io_posix(), e);
    if (rc < 0)
        return rc;
    rc = store_query(find, &q, take, m, ret_end, e);
    store_find_close(find);
    return rc;
}

static int show_reply(struct message *m, const Sluice__V1__FindMessagesResponse *reply,
                      struct err *e)
{
    for (size_t i = 0; i < reply->n_records; i++) {
        struct store_walk_item item;
        struct span bytes = span_of(reply->records[i].data, reply->records[i].len);
        int rc = store_item_decode(bytes, &item, e);
        if (rc < 0)
            return err_wrap(e, "read the broker's reply");
        if (take(m, &item))
            break;
    }
    return 0;
}

static int ask_broker(struct message *m, const struct options_broker *broker,
                      enum store_query_end *ret_end, struct err *e)
{
    Sluice__V1__FindMessagesRequest request = SLUICE__V1__FIND_MESSAGES_REQUEST__INIT;
    Sluice__V1__FindMessagesResponse *reply;
    struct client *c;
    request.topic = m->topic ? (char *)(uintptr_t)m->topic : request.topic; /* is not written to */
    if (m->key) {
        request.by_case = SLUICE__V1__FIND_MESSAGES_REQUEST__BY_KEY;
        request.key = (char *)(uintptr_t)m->key;
    } else if (m->unique_key) {
        request.by_case = SLUICE__V1__FIND_MESSAGES_REQUEST__BY_UNIQUE_KEY;
        request.unique_key = (char *)(uintptr_t)m->unique_key;
    } else {
        request.by_case = SLUICE__V1__FIND_MESSAGES_REQUEST__BY_ID;
        request.id = (char *)(uintptr_t)m->id;
    }
    request.begin_ms = m->begin_ms;
    request.end_ms = m->end_ms;
    request.max = (int32_t)m->max;
    int rc = wire_connect(&c, broker, e);
    if (rc < 0)
        return rc;
    rc = admin_call(c, PROTO_FIND_MESSAGES, &request.base,
                    &sluice__v1__find_messages_response__descriptor, &reply, e);
    client_close(c);
    if (rc < 0)
        return err_wrap(e, "ask the broker for messages");
    rc = show_reply(m, reply, e);
    *ret_end = reply->more ? STORE_QUERY_LIMIT : STORE_QUERY_ALL;
    wire_free(reply);
    return rc;
}

static int find(struct message *m, const struct options_broker *broker, struct err *e)
{
    enum store_query_end end = STORE_QUERY_ALL;
    int rc = m->store ? look_into_store(m, &end, e) : ask_broker(m, broker, &end, e);
    if (rc == 0 && m->failure.code < 0) {
        *e = m->failure;
        rc = e->code;
    }
    if (rc == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        rc = err_sys(e, errno, "write to stdout");
    if (rc < 0)
        return rc;
    if (end == STORE_QUERY_LIMIT && m->n_found < m->max)
        fputs("sluice message: there is more to look through: narrow it with --begin and --end\n",
              stderr);
    return m->n_found > 0 ? 0 : err_set(e, ERR_NOTFOUND, "no such message");
}

/* ---- the command ---- */

/* A time, a duration ago, or milliseconds since 1970. */
static int read_time(const char *text, uint64_t *ret_ms)
{
    struct io *io = io_posix();
    struct start_at at;
    struct err ignored;
    if (!text)
        return 0;
    int rc = start_at_parse(text, io->now_ms(io), &at, &ignored);
    if (rc < 0 || (at.kind != START_TIME && at.kind != START_OFFSET))
        return ERR_INVAL;
    *ret_ms = (uint64_t)at.value;
    return 0;
}

/* Whether an id tells the place of its message, as RocketMQ's does and a client's does not. */
static bool is_place(const char *id)
{
    struct store_host host;
    uint64_t log_off;
    return store_parse_id(span_str(id), &host, &log_off);
}

static int check(const struct options *o, struct message *m)
{
    int n = (m->key != NULL) + (m->unique_key != NULL) + (m->id != NULL);
    if (n != 1)
        return options_refuse(o, "give one of --key, --unique-key and --id");
    if (!m->id && !m->topic)
        return options_refuse(o, "option '--topic' is needed with a key");
    if (m->id && !m->topic && !is_place(m->id))
        return options_refuse(o, "option '--topic' is needed with an id that a client gave");
    if (read_time(m->begin, &m->begin_ms) < 0)
        return options_refuse(o, "option '--begin': '%s' is no time", m->begin);
    if (read_time(m->end, &m->end_ms) < 0)
        return options_refuse(o, "option '--end': '%s' is no time", m->end);
    if (m->slots && !m->store)
        return options_refuse(o, "option '--slots' is for --store only");
    return OPTIONS_RUN;
}

#define OPTION_STRING(option_name, field, form, text)                                              \
    {                                                                                              \
        .name = option_name, .kind = OPTION_TEXT, .ret = &(field), .value = form, .help = text     \
    }

int cmd_message(int argc, char **argv)
{
    static struct options_broker broker;
    static struct message m;
    static const struct option_spec specs[] = {
        OPTIONS_BROKER(&broker),
        OPTION_STRING("store", m.store, "DIR", "look into a store (default: ask a broker)"),
        OPTION_STRING("topic", m.topic, "TOPIC",
                      "the messages' topic (default: none; ids need none)"),
        OPTION_STRING("key", m.key, "KEY", "find by one of the words of KEYS (default: by --id)"),
        OPTION_STRING("unique-key", m.unique_key, "KEY",
                      "find by the client's message id (default: by --id)"),
        OPTION_STRING("id", m.id, "ID", "find by either kind of message id (default: by --key)"),
        OPTION_STRING("begin", m.begin, "TIME", "stored at this time or later (default: any)"),
        OPTION_STRING("end", m.end, "TIME", "stored at this time or before (default: any)"),
        {.name = "max",
         .letter = 'n',
         .kind = OPTION_NUMBER,
         .ret = &m.max,
         .value = "N",
         .fallback = "16",
         .help = "print at most so many, the newest",
         .min = 1,
         .max = MAX_LIMIT},
        {.name = "slots",
         .kind = OPTION_NUMBER,
         .ret = &m.slots,
         .value = "N",
         .help = "the store's maxHashSlotNum (default: taken from its files)",
         .min = 1,
         .max = 500000000},
        {.name = "json",
         .kind = OPTION_FLAG,
         .ret = &m.json,
         .help = "one JSON object per message (default: text)"},
        {.name = "body",
         .kind = OPTION_FLAG,
         .ret = &m.body,
         .help = "the body alone; with --json, the body too (default: without)"},
        {0},
    };
    static const struct options o = {
        .program = "sluice message",
        .operands = "",
        .summary = "Finds messages by key or id, newest first. Exit status 1: there is none.\n"
                   "TIME is 2026-01-31T12:30, 10m (ago) or milliseconds since 1970.",
        .specs = specs,
        .broker = &broker,
    };
    int first;
    int status = options_parse(&o, argc, argv, &first);
    if (status == OPTIONS_RUN)
        status = check(&o, &m);
    if (status != OPTIONS_RUN)
        return status;
    struct err e;
    return find(&m, &broker, &e) < 0 ? command_failed(o.program, &e) : COMMAND_OK;
}

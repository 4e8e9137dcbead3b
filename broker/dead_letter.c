/* Moves a message to its group's dead-letter topic: a record of its own, with the properties of the
 * first and where that came from. A crash between copy and ack leaves the message twice there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/dead_letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "broker/convert.h"

struct move {
    struct broker *b;
    struct dead_letter letter; /* spans point to `names` */
    uint8_t names[];           /* group, topic */
};

static void free_move(struct move *m)
{
    store_unpin(m->letter.slice.pin);
    lease_unref(m->letter.lease);
    free(m);
}

static struct move *new_move(struct broker *b, const struct dead_letter *letter)
{
    struct move *m = malloc(sizeof *m + letter->group.len + letter->topic.len);
    if (!m)
        return NULL;
    m->b = b;
    m->letter = *letter;
    (void)lease_ref(letter->lease);
    memcpy(m->names, letter->group.ptr, letter->group.len);
    memcpy(m->names + letter->group.len, letter->topic.ptr, letter->topic.len);
    m->letter.group = span_of(m->names, letter->group.len);
    m->letter.topic = span_of(m->names + letter->group.len, letter->topic.len);
    return m;
}

static int ensure_topic(const struct move *m, struct topic_info *ret, struct err *e)
{
    struct topic_info want = {.type = TOPIC_NORMAL,
                              .n_read_queues = 1,
                              .n_write_queues = 1,
                              .perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE};
    (void)snprintf(want.name, sizeof want.name, "%%DLQ%%%.*s", (int)m->letter.group.len,
                   (const char *)m->letter.group.ptr);
    *ret = want;
    return topic_ensure(m->b->topics, &want, e);
}

/* Appends `name` U+0001 `value` U+0002 if there is room. */
static size_t add_property(struct convert_properties *p, size_t len, const char *name,
                           struct span value)
{
    size_t need = strlen(name) + value.len + 2;
    if (value.len == 0 || need > sizeof p->text - len)
        return len;
    memcpy(p->text + len, name, strlen(name));
    len += strlen(name);
    p->text[len++] = 1;
    memcpy(p->text + len, value.ptr, value.len);
    len += value.len;
    p->text[len++] = 2;
    return len;
}

/* Origin first: it is what a reader looks for, and the first of a name counts. */
static struct span copy_properties(const struct move *m, struct convert_properties *p)
{
    struct span id = {0}, old = m->letter.slice.rec.properties;
    (void)store_property_get(old, "UNIQ_KEY", &id); /* a message without id has none to keep */
    size_t len = add_property(p, 0, "DLQ_ORIGIN_TOPIC", m->letter.topic);
    len = add_property(p, len, "DLQ_ORIGIN_MESSAGE_ID", id);
    if (old.len > sizeof p->text - len)
        len = 0; /* no room for both */
    if (old.len > 0)
        memcpy(p->text + len, old.ptr, old.len);
    return span_of(p->text, len + old.len);
}

static int append_copy(const struct move *m, const struct topic_info *topic, struct err *e)
{
    struct convert_properties props;
    struct store_appended appended;
    const struct store_record *rec = &m->letter.slice.rec;
    struct store_message copy = {
        .topic = span_str(topic->name),
        .flag = rec->flag,
        .sys_flag = rec->sys_flag & STORE_SYSFLAG_COMPRESSED,
        .born_ms = rec->born_ms,
        .born_host = rec->born_host,
        .reconsume_times = (int32_t)m->letter.entry.attempt,
        .properties = copy_properties(m, &props),
        .body = &rec->body,
        .n_body = 1,
    };
    return store_append(m->b->store, &copy, &appended, e);
}

static int move(const struct move *m, struct err *e)
{
    struct topic_info topic;
    int rc = ensure_topic(m, &topic, e);
    if (!rc)
        rc = append_copy(m, &topic, e);
    if (rc)
        return rc;
    struct lease_handle handle = {.queue_id = m->letter.queue_id,
                                  .queue_off = m->letter.entry.queue_off,
                                  .nonce = m->letter.entry.nonce,
                                  .until_ms = m->letter.entry.until_ms};
    (void)lease_ack(m->letter.lease, &handle,
                    steady_clock_now_ms(&m->b->clock)); /* late: moved twice */
    (void)hold_notify_group(m->b->holds, m->letter.group, m->letter.topic);
    /* relaxed: a statistic */
    atomic_fetch_add_explicit(&m->b->n_dead_letters, 1, memory_order_relaxed);
    return 0;
}

static void run_move(void *arg)
{
    struct move *m = arg;
    struct err e;
    if (move(m, &e))
        log_warn("move message to the dead letters of group '%.*s': %s, trying again later",
                 (int)m->letter.group.len, (const char *)m->letter.group.ptr, e.msg);
    free_move(m);
}

void dead_letter_move(struct broker *b, const struct dead_letter *letter)
{
    struct err e = {0};
    struct move *m = new_move(b, letter);
    if (m && keeper_post(b->keeper, run_move, m, &e) == 0)
        return;
    log_warn("hand over a dead letter: %s, trying again later", m ? e.msg : "no memory");
    if (m)
        free_move(m);
    else
        store_unpin(letter->slice.pin);
}

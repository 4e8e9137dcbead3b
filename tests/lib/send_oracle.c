/* Compares readings of a published message, field by field. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/send_oracle.h"

typedef Apache__Rocketmq__V2__Message message_pb;
typedef Apache__Rocketmq__V2__SystemProperties system_pb;

static bool text_is(struct span ours, const char *theirs)
{
    return span_equal(ours, span_str(theirs));
}

static bool optional_is(const struct proto_message *m, uint32_t has, struct span ours, int is_there,
                        const char *theirs)
{
    return ((m->has & has) != 0) == (is_there != 0) && text_is(ours, is_there ? theirs : "");
}

static bool body_is(const struct span *pieces, size_t n_pieces, struct span whole)
{
    size_t at = 0;
    for (size_t i = 0; i < n_pieces; i++) {
        if (pieces[i].len > whole.len - at ||
            memcmp(pieces[i].ptr, whole.ptr + at, pieces[i].len) != 0)
            return false;
        at += pieces[i].len;
    }
    return at == whole.len;
}

static const struct proto_property *find(const struct proto_message *m, struct span key)
{
    for (size_t i = 0; i < m->n_properties; i++)
        if (span_equal(m->properties[i].key, key))
            return &m->properties[i];
    return NULL;
}

/* protobuf-c keeps entries of one key apart: the last one is the map's. */
static bool properties_are(const struct proto_message *ours, const message_pb *theirs)
{
    size_t n_keys = 0;
    for (size_t i = 0; i < theirs->n_user_properties; i++) {
        const char *key = theirs->user_properties[i]->key;
        bool is_last = true;
        for (size_t j = i + 1; j < theirs->n_user_properties; j++)
            is_last = is_last && strcmp(theirs->user_properties[j]->key, key) != 0;
        if (!is_last)
            continue;
        const struct proto_property *mine = find(ours, span_str(key));
        if (!mine || !text_is(mine->value, theirs->user_properties[i]->value))
            return false;
        n_keys++;
    }
    return n_keys == ours->n_properties;
}

static bool keys_are(const struct proto_message *ours, const system_pb *theirs)
{
    if (ours->n_keys != theirs->n_keys)
        return false;
    for (size_t i = 0; i < ours->n_keys; i++)
        if (!text_is(ours->keys[i], theirs->keys[i]))
            return false;
    return true;
}

static int64_t ms_of(int64_t seconds, int32_t nanos)
{
    const int64_t first = -62135596800, last = 253402300799;
    seconds = seconds < first ? first : seconds > last ? last : seconds;
    return seconds * 1000 + nanos / 1000000;
}

static bool time_is(const struct proto_message *m, uint32_t has, int64_t ours_ms,
                    const Google__Protobuf__Timestamp *theirs)
{
    return ((m->has & has) != 0) == (theirs != NULL) &&
           ours_ms == (theirs ? ms_of(theirs->seconds, theirs->nanos) : 0);
}

static bool span_time_is(const struct proto_message *m, const Google__Protobuf__Duration *theirs)
{
    return ((m->has & PROTO_HAS_RECOVERY_DURATION) != 0) == (theirs != NULL) &&
           m->recovery_ms == (theirs ? ms_of(theirs->seconds, theirs->nanos) : 0);
}

static const char *system_differs(const struct proto_message *m, const system_pb *s)
{
    if (!text_is(m->message_id, s->message_id))
        return "message_id";
    if (!optional_is(m, PROTO_HAS_TAG, m->tag, s->_tag_case, s->tag))
        return "tag";
    if (!keys_are(m, s))
        return "keys";
    if (!optional_is(m, PROTO_HAS_MESSAGE_GROUP, m->message_group, s->_message_group_case,
                     s->message_group))
        return "message_group";
    if (!optional_is(m, PROTO_HAS_TRACE_CONTEXT, m->trace_context, s->_trace_context_case,
                     s->trace_context))
        return "trace_context";
    if (!optional_is(m, PROTO_HAS_LITE_TOPIC, m->lite_topic, s->_lite_topic_case, s->lite_topic))
        return "lite_topic";
    if (!text_is(m->born_host, s->born_host))
        return "born_host";
    if (m->body_encoding != (int32_t)s->body_encoding ||
        m->message_type != (int32_t)s->message_type || m->queue_id != s->queue_id)
        return "body_encoding, message_type or queue_id";
    if (((m->has & PROTO_HAS_PRIORITY) != 0) != (s->_priority_case != 0) ||
        m->priority != (s->_priority_case ? s->priority : 0))
        return "priority";
    if (!time_is(m, PROTO_HAS_BORN_TIMESTAMP, m->born_ms, s->born_timestamp))
        return "born_timestamp";
    if (!time_is(m, PROTO_HAS_DELIVERY_TIMESTAMP, m->delivery_ms,
                 s->_delivery_timestamp_case ? s->delivery_timestamp : NULL))
        return "delivery_timestamp";
    if (!span_time_is(m, s->_orphaned_transaction_recovery_duration_case
                             ? s->orphaned_transaction_recovery_duration
                             : NULL))
        return "orphaned_transaction_recovery_duration";
    return NULL;
}

const char *send_oracle_differs(const struct proto_message *ours, const message_pb *theirs)
{
    static const system_pb no_system = APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES__INIT;
    static const Apache__Rocketmq__V2__Resource no_topic = APACHE__ROCKETMQ__V2__RESOURCE__INIT;
    const Apache__Rocketmq__V2__Resource *topic = theirs->topic ? theirs->topic : &no_topic;
    if (!text_is(ours->topic, topic->name) ||
        !text_is(ours->topic_namespace, topic->resource_namespace))
        return "topic";
    if (!properties_are(ours, theirs))
        return "user_properties";
    if (ours->body_len != theirs->body.len ||
        !body_is(ours->body, ours->n_body, span_of(theirs->body.data, theirs->body.len)))
        return "body";
    return system_differs(ours, theirs->system_properties ? theirs->system_properties : &no_system);
}

/* Byte i of a body in pieces, going forward only: `*piece` and `*at` start at 0. */
static uint8_t next_byte(const struct span *pieces, size_t *piece, size_t *at)
{
    while (*at == pieces[*piece].len) {
        ++*piece;
        *at = 0;
    }
    return pieces[*piece].ptr[(*at)++];
}

static bool same_body(const struct proto_message *a, const struct proto_message *b)
{
    size_t piece_a = 0, at_a = 0, piece_b = 0, at_b = 0;
    if (a->body_len != b->body_len)
        return false;
    for (size_t i = 0; i < a->body_len; i++)
        if (next_byte(a->body, &piece_a, &at_a) != next_byte(b->body, &piece_b, &at_b))
            return false;
    return true;
}

static bool same_lists(const struct proto_message *a, const struct proto_message *b)
{
    if (a->n_keys != b->n_keys || a->n_properties != b->n_properties)
        return false;
    for (size_t i = 0; i < a->n_keys; i++)
        if (!span_equal(a->keys[i], b->keys[i]))
            return false;
    for (size_t i = 0; i < a->n_properties; i++)
        if (!span_equal(a->properties[i].key, b->properties[i].key) ||
            !span_equal(a->properties[i].value, b->properties[i].value))
            return false;
    return true;
}

static bool same_strings(const struct proto_message *a, const struct proto_message *b)
{
    return span_equal(a->topic, b->topic) && span_equal(a->topic_namespace, b->topic_namespace) &&
           span_equal(a->message_id, b->message_id) && span_equal(a->tag, b->tag) &&
           span_equal(a->message_group, b->message_group) &&
           span_equal(a->trace_context, b->trace_context) &&
           span_equal(a->lite_topic, b->lite_topic) && span_equal(a->born_host, b->born_host);
}

static bool same_numbers(const struct proto_message *a, const struct proto_message *b)
{
    return a->has == b->has && a->body_encoding == b->body_encoding &&
           a->message_type == b->message_type && a->queue_id == b->queue_id &&
           a->priority == b->priority && a->born_ms == b->born_ms &&
           a->delivery_ms == b->delivery_ms && a->recovery_ms == b->recovery_ms;
}

const char *send_oracle_differs_from_ours(const struct proto_message *a,
                                          const struct proto_message *b)
{
    return !same_strings(a, b)   ? "a string"
           : !same_numbers(a, b) ? "a number or presence"
           : !same_lists(a, b)   ? "keys or user_properties"
           : !same_body(a, b)    ? "body"
                                 : NULL;
}

/* What a request may hold: sizes, characters and times. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bounds.h"

#include <inttypes.h>

#include "broker/convert.h"
#include "broker/group.h"

/* Whether eight bytes are ASCII and none is a control character. */
static bool is_plain(const uint8_t *bytes)
{
    const uint64_t high = 0x8080808080808080u;
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    /* the high bit of each byte of the sums: 0x20 or more; 0x7f. A carry needs one that is set */
    return ((word + 0x6060606060606060u) & ~(word + 0x0101010101010101u) & ~word & high) == high;
}

/* Whether ISO control characters are in it: 0x00-0x1f, and 0x7f-0x9f in UTF-8. */
static bool has_control(struct span text)
{
    size_t i = 0;
    while (text.len - i >= 8 && is_plain(text.ptr + i))
        i += 8;
    for (; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < text.len && text.ptr[i + 1] < 0xa0)
            return true;
    }
    return false;
}

static bool is_blank(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ' && (text.ptr[i] < 0x09 || text.ptr[i] > 0x0d))
            return false;
    return true;
}

static int check_tag(const struct proto_message *m, struct status *st)
{
    if (!(m->has & PROTO_HAS_TAG) || m->tag.len == 0)
        return 0;
    if (is_blank(m->tag))
        return status_set(st, CODE(ILLEGAL_MESSAGE_TAG), "message tag is blank");
    if (memchr(m->tag.ptr, '|', m->tag.len))
        return status_set(st, CODE(ILLEGAL_MESSAGE_TAG), "message tag has a '|' in it");
    if (has_control(m->tag))
        return status_set(st, CODE(ILLEGAL_MESSAGE_TAG), "message tag has a control character");
    return 0;
}

static int check_keys(const struct proto_message *m, struct status *st)
{
    for (size_t i = 0; i < m->n_keys; i++) {
        if (is_blank(m->keys[i]))
            return status_set(st, CODE(ILLEGAL_MESSAGE_KEY), "message key %zu is blank", i);
        if (has_control(m->keys[i]))
            return status_set(st, CODE(ILLEGAL_MESSAGE_KEY),
                              "message key %zu has a control character", i);
    }
    return 0;
}

static int check_message_group(const struct proto_message *m, struct status *st)
{
    if (!(m->has & PROTO_HAS_MESSAGE_GROUP))
        return 0;
    if (is_blank(m->message_group))
        return status_set(st, CODE(ILLEGAL_MESSAGE_GROUP), "message group is blank");
    if (m->message_group.len > BOUNDS_GROUP_BYTES)
        return status_set(st, CODE(ILLEGAL_MESSAGE_GROUP),
                          "message group has %zu bytes, more than %d", m->message_group.len,
                          BOUNDS_GROUP_BYTES);
    if (has_control(m->message_group))
        return status_set(st, CODE(ILLEGAL_MESSAGE_GROUP), "message group has a control character");
    return 0;
}

static int check_property(const struct proto_property *p, struct status *st)
{
    if (convert_is_reserved(p->key))
        return status_set(st, CODE(ILLEGAL_MESSAGE_PROPERTY_KEY), "property key '%.*s' is reserved",
                          (int)p->key.len, (const char *)p->key.ptr);
    if (has_control(p->key))
        return status_set(st, CODE(ILLEGAL_MESSAGE_PROPERTY_KEY),
                          "a property key has a control character");
    if (has_control(p->value))
        return status_set(st, CODE(ILLEGAL_MESSAGE_PROPERTY_KEY),
                          "the value of property '%.*s' has a control character",
                          p->key.len > 100 ? 100 : (int)p->key.len, (const char *)p->key.ptr);
    return 0;
}

static int check_properties(const struct proto_message *m, struct status *st)
{
    size_t bytes = m->tag.len;
    if (m->n_properties > BOUNDS_PROPERTIES_MAX)
        return status_set(st, CODE(MESSAGE_PROPERTIES_TOO_LARGE),
                          "message has %zu properties, more than %d", m->n_properties,
                          BOUNDS_PROPERTIES_MAX);
    for (size_t i = 0; i < m->n_keys; i++)
        bytes += m->keys[i].len;
    for (size_t i = 0; i < m->n_properties; i++)
        bytes += m->properties[i].key.len + m->properties[i].value.len;
    if (bytes > BOUNDS_PROPERTY_BYTES)
        return status_set(st, CODE(MESSAGE_PROPERTIES_TOO_LARGE),
                          "message properties, tag and keys have %zu bytes, more than %d", bytes,
                          BOUNDS_PROPERTY_BYTES);
    for (size_t i = 0; i < m->n_properties; i++) {
        int rc = check_property(&m->properties[i], st);
        if (rc)
            return rc;
    }
    return 0;
}

static int check_body(const struct proto_message *m, uint64_t max_bytes, struct status *st)
{
    if (m->body_len == 0)
        return status_set(st, CODE(MESSAGE_BODY_EMPTY), "message body is empty");
    if (m->body_len > max_bytes)
        return status_set(st, CODE(MESSAGE_BODY_TOO_LARGE),
                          "message body has %zu bytes, more than %" PRIu64, m->body_len, max_bytes);
    return 0;
}

static int check_id(const struct proto_message *m, struct status *st)
{
    if (is_blank(m->message_id))
        return status_set(st, CODE(ILLEGAL_MESSAGE_ID), "message id is blank");
    if (has_control(m->message_id))
        return status_set(st, CODE(ILLEGAL_MESSAGE_ID), "message id has a control character");
    return 0;
}

int bounds_check_message(const struct proto_message *m, uint64_t max_body_bytes,
                         struct status *ret_status)
{
    int rc = check_id(m, ret_status);
    if (!rc)
        rc = check_tag(m, ret_status);
    if (!rc)
        rc = check_keys(m, ret_status);
    if (!rc)
        rc = check_message_group(m, ret_status);
    if (!rc)
        rc = check_properties(m, ret_status);
    if (!rc)
        rc = check_body(m, max_body_bytes, ret_status);
    return rc;
}

/* A declared type that needs more than a plain append is believed even when the field that would
 * make it so is missing: such a message must not be delivered as something else. */
static bool is_special(int32_t declared)
{
    return declared == TOPIC_DELAY || declared == TOPIC_TRANSACTION || declared == TOPIC_LITE ||
           declared == TOPIC_PRIORITY;
}

enum topic_type bounds_message_type(const struct proto_message *m)
{
    if (is_special(m->message_type))
        return (enum topic_type)m->message_type;
    if (m->has & PROTO_HAS_DELIVERY_TIMESTAMP)
        return TOPIC_DELAY;
    if (m->has & PROTO_HAS_MESSAGE_GROUP)
        return TOPIC_FIFO;
    if (m->has & PROTO_HAS_PRIORITY)
        return TOPIC_PRIORITY;
    if (m->has & PROTO_HAS_LITE_TOPIC)
        return TOPIC_LITE;
    return TOPIC_NORMAL;
}

int bounds_check_topic(struct span name, struct status *ret_status)
{
    struct err e;
    int rc = topic_check_name(name, &e);
    return rc ? status_set(ret_status, CODE(ILLEGAL_TOPIC), "%s", e.msg) : 0;
}

int bounds_check_group(struct span name, struct status *ret_status)
{
    struct err e;
    int rc = group_check_name(name, &e);
    return rc ? status_set(ret_status, CODE(ILLEGAL_CONSUMER_GROUP), "%s", e.msg) : 0;
}

static int check_invisible(int64_t ms, uint64_t min_ms, uint64_t max_ms, struct status *st)
{
    if (ms < 0 || (uint64_t)ms < min_ms)
        return status_set(st, CODE(ILLEGAL_INVISIBLE_TIME),
                          "the invisibleTime is too small: %" PRId64 " ms, at least %" PRIu64, ms,
                          min_ms);
    if ((uint64_t)ms > max_ms)
        return status_set(st, CODE(ILLEGAL_INVISIBLE_TIME),
                          "the invisibleTime is too large: %" PRId64 " ms, at most %" PRIu64, ms,
                          max_ms);
    return 0;
}

int bounds_check_receive_invisible(const struct config *cfg, int64_t invisible_ms,
                                   struct status *ret_status)
{
    return check_invisible(invisible_ms, cfg->min_invisible_ms, cfg->max_invisible_ms, ret_status);
}

int bounds_check_change_invisible(const struct config *cfg, int64_t invisible_ms,
                                  struct status *ret_status)
{
    return check_invisible(invisible_ms, 0, cfg->max_invisible_ms, ret_status);
}

/* A client that does not say (Go, C++) leaves half its request timeout for the answer. */
static uint64_t asked_time(const struct bounds_poll *poll)
{
    if (poll->asked_ms >= 0)
        return (uint64_t)poll->asked_ms;
    if (poll->remaining_ms == UINT64_MAX)
        return UINT64_MAX;
    uint64_t reserve = poll->request_ms / 2;
    return poll->remaining_ms > reserve ? poll->remaining_ms - reserve : 0;
}

int bounds_poll_time(const struct config *cfg, const struct bounds_poll *poll, uint64_t *ret_ms,
                     struct status *ret_status)
{
    uint64_t asked = asked_time(poll), ms = asked;
    ms = ms < cfg->min_polling_ms ? cfg->min_polling_ms : ms;
    ms = ms > cfg->max_polling_ms ? cfg->max_polling_ms : ms;
    uint64_t left = poll->remaining_ms;
    /* A short wait that the client's deadline has room for is legal, even below the minimum. */
    bool fits = poll->asked_ms >= 0 && asked + BOUNDS_POLL_MARGIN_MS <= left;
    uint64_t least = cfg->min_polling_ms - cfg->min_polling_ms / BOUNDS_POLL_SLACK_DIVISOR;
    if (ms > left && left < least && !fits)
        return status_set(ret_status, CODE(ILLEGAL_POLLING_TIME),
                          "the deadline leaves %" PRIu64 " ms to wait, at least %" PRIu64
                          " are needed",
                          left, cfg->min_polling_ms);
    if (left != UINT64_MAX && ms + BOUNDS_POLL_MARGIN_MS > left)
        ms = left > BOUNDS_POLL_MARGIN_MS ? left - BOUNDS_POLL_MARGIN_MS : 0;
    *ret_ms = ms;
    return 0;
}

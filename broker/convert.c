/* Wire message <-> stored record. Properties are `name U+0001 value U+0002`, repeated, so neither
 * character may be inside one: bounds.c refuses control characters, and what it does not look at
 * is checked here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/convert.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reserved names ---- */

/* Sorted by bytes, for the search below. */
static const char *const reserved[] = {
    "1ST_POP_TIME",
    "ARRIVE_TIME",
    "BORN_TIMESTAMP",
    "BUYER_ID",
    "CLUSTER",
    "CONSUME_START_TIME",
    "CORRECTION_FLAG",
    "CORRELATION_ID",
    "DELAY",
    "DLQ_ORIGIN_MESSAGE_ID",
    "DLQ_ORIGIN_TOPIC",
    "DUP_INFO",
    "EXTEND_UNIQ_INFO",
    "INNER_MULTI_QUEUE_OFFSET",
    "INSTANCE_ID",
    "KEYS",
    "MAX_OFFSET",
    "MAX_RECONSUME_TIMES",
    "MIN_OFFSET",
    "MQ2_FLAG",
    "MSG_REGION",
    "MSG_TYPE",
    "ORIGIN_MESSAGE_ID",
    "PGROUP",
    "POP_CK",
    "POP_CK_OFFSET",
    "PUSH_REPLY_TIME",
    "REAL_QID",
    "REAL_TOPIC",
    "RECONSUME_TIME",
    "REPLY_TO_CLIENT",
    "RETRY_TOPIC",
    "TAGS",
    "TIMER_DELAY_LEVEL",
    "TIMER_DELAY_MS",
    "TIMER_DELAY_SEC",
    "TIMER_DELIVER_MS",
    "TIMER_DEL_UNIQKEY",
    "TIMER_DEQUEUE_MS",
    "TIMER_ENQUEUE_MS",
    "TIMER_OUT_MS",
    "TIMER_ROLL_TIMES",
    "TRACE_ON",
    "TRANSFER_FLAG",
    "TRAN_MSG",
    "TRAN_PREPARED_QUEUE_OFFSET",
    "TTL",
    "UNIQ_KEY",
    "WAIT",
    "__BORNHOST",
    "__CRC32#",
};

/* Not reserved, and yet no user's business when they are stored by a broker. */
static const char *const hidden[] = {
    "CHECK_IMMUNITY_TIME_IN_SECONDS",
    "INNER_BASE",
    "INNER_MULTI_DISPATCH",
    "INNER_NUM",
    "REDIRECT",
    "TRACE_CONTEXT",
    "TRANSACTION_CHECK_TIMES",
    "_SYS_MSG_PRIORITY_",
    "__LITE_TOPIC",
};

static int compare_name(const void *key, const void *element)
{
    const struct span *name = key;
    const char *text = *(const char *const *)element;
    size_t len = strlen(text);
    int order = memcmp(name->ptr, text, name->len < len ? name->len : len);
    return order != 0 ? order : (name->len > len) - (name->len < len);
}

static bool is_listed(struct span name, const char *const *list, size_t n)
{
    return name.len > 0 && bsearch(&name, list, n, sizeof list[0], compare_name) != NULL;
}

bool convert_is_reserved(struct span name)
{
    return is_listed(name, reserved, sizeof reserved / sizeof reserved[0]);
}

static bool is_hidden(struct span name)
{
    return convert_is_reserved(name) || is_listed(name, hidden, sizeof hidden / sizeof hidden[0]);
}

static bool is_named(struct span name, const char *text)
{
    return span_equal(name, span_str(text));
}

/* ---- from the wire ---- */

/* Appends properties; `full` once one did not fit. */
struct writer {
    uint8_t *text;
    size_t len;
    bool full;
};

static void put_bytes(struct writer *w, struct span bytes)
{
    if (bytes.len > CONVERT_PROPERTIES_MAX - w->len) {
        w->full = true;
        return;
    }
    if (bytes.len > 0)
        memcpy(w->text + w->len, bytes.ptr, bytes.len);
    w->len += bytes.len;
}

/* An empty value cannot be stored: the property is then absent, as in RocketMQ. */
static void put_property(struct writer *w, struct span name, struct span value)
{
    if (name.len == 0 || value.len == 0)
        return;
    if (name.len + value.len + 2 > CONVERT_PROPERTIES_MAX - w->len) {
        w->full = true;
        return;
    }
    uint8_t *at = w->text + w->len;
    memcpy(at, name.ptr, name.len);
    at[name.len] = 1;
    memcpy(at + name.len + 1, value.ptr, value.len);
    at[name.len + 1 + value.len] = 2;
    w->len += name.len + value.len + 2;
}

static void put_keys(struct writer *w, const struct span *keys, size_t n_keys)
{
    if (n_keys == 0)
        return;
    put_bytes(w, span_str("KEYS\001"));
    for (size_t i = 0; i < n_keys; i++) {
        if (i > 0)
            put_bytes(w, span_of(" ", 1));
        put_bytes(w, keys[i]);
    }
    put_bytes(w, span_of("\002", 1));
}

static bool has_separator(struct span text)
{
    return text.len > 0 && (memchr(text.ptr, 1, text.len) || memchr(text.ptr, 2, text.len));
}

/* Without the port and brackets. */
static struct span address_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    struct span host = span_of(peer, colon ? (size_t)(colon - peer) : strlen(peer));
    if (host.len > 2 && host.ptr[0] == '[')
        host = span_of(host.ptr + 1, host.len - 2);
    return host;
}

struct convert_origin convert_origin_of(const char *peer, uint64_t now_ms)
{
    struct convert_origin origin = {.address = address_of(peer), .now_ms = now_ms};
    (void)convert_parse_host(peer, &origin.host); /* 0.0.0.0:0 is what is then known */
    return origin;
}

/* What the client says, or else where it is. */
static struct span born_host_of(const struct proto_message *in, const struct convert_origin *origin)
{
    if (in->born_host.len > 0 && !has_separator(in->born_host))
        return in->born_host;
    return origin->address;
}

enum { DECIMAL_BYTES = 20 }; /* of the greatest number */

/* Written from its end; no format is read for it. */
static struct span format_decimal(char text[DECIMAL_BYTES], uint64_t number)
{
    size_t at = DECIMAL_BYTES;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return span_of(text + at, DECIMAL_BYTES - at);
}

/* A user's own property of a name that the broker writes itself for this message. */
static bool is_overruled(const struct proto_message *in, struct span name)
{
    return ((in->has & PROTO_HAS_MESSAGE_GROUP) && is_named(name, "__SHARDINGKEY")) ||
           ((in->has & PROTO_HAS_TRACE_CONTEXT) && is_named(name, "TRACE_CONTEXT"));
}

/* The tag comes first: every scan of a subscriber looks for it. */
static void put_properties(struct writer *w, const struct proto_message *in,
                           const struct convert_origin *origin, uint64_t born_ms)
{
    char born[DECIMAL_BYTES];
    put_property(w, span_str("TAGS"), in->tag);
    put_property(w, span_str("UNIQ_KEY"), in->message_id);
    put_keys(w, in->keys, in->n_keys);
    put_property(w, span_str("__SHARDINGKEY"), in->message_group);
    put_property(w, span_str("TRACE_CONTEXT"), in->trace_context);
    put_property(w, span_str("__BORNHOST"), born_host_of(in, origin));
    put_property(w, span_str("BORN_TIMESTAMP"), format_decimal(born, born_ms));
    for (size_t i = 0; i < in->n_properties; i++)
        if (!is_overruled(in, in->properties[i].key))
            put_property(w, in->properties[i].key, in->properties[i].value);
}

int convert_to_record(const struct proto_message *in, const struct convert_origin *origin,
                      struct convert_properties *props, struct store_message *ret,
                      struct status *ret_status)
{
    uint64_t born_ms = origin->now_ms;
    if ((in->has & PROTO_HAS_BORN_TIMESTAMP) && in->born_ms >= 0)
        born_ms = (uint64_t)in->born_ms;
    if (has_separator(in->trace_context))
        return status_set(ret_status, CODE(BAD_REQUEST), "trace context has a control character");
    struct writer w = {.text = props->text};
    put_properties(&w, in, origin, born_ms);
    if (w.full)
        return status_set(ret_status, CODE(MESSAGE_PROPERTIES_TOO_LARGE),
                          "message properties are over %d bytes as stored", CONVERT_PROPERTIES_MAX);

    struct store_message m = {
        .topic = in->topic,
        .sys_flag = in->body_encoding == APACHE__ROCKETMQ__V2__ENCODING__GZIP
                        ? STORE_SYSFLAG_COMPRESSED
                        : 0,
        .born_ms = born_ms,
        .born_host = origin->host,
        .properties = span_of(props->text, w.len),
        .body = in->body,
        .n_body = in->n_body,
    };
    *ret = m;
    return 0;
}

bool convert_parse_host(const char *text, struct store_host *ret)
{
    struct store_host host = {.addr_len = 4};
    char address[INET6_ADDRSTRLEN + 1];
    *ret = host;
    const char *colon = strrchr(text, ':');
    const char *from = text + (text[0] == '[');
    const char *to = colon && colon > from && text[0] == '[' ? colon - 1 : colon;
    if (!to || to <= from || (size_t)(to - from) >= sizeof address)
        return false;
    memcpy(address, from, (size_t)(to - from));
    address[to - from] = '\0';
    int family = text[0] == '[' ? AF_INET6 : AF_INET;
    if (inet_pton(family, address, host.addr) != 1)
        return false;
    host.addr_len = family == AF_INET6 ? 16 : 4;
    host.port = (uint32_t)strtoul(colon + 1, NULL, 10) & 0xffff;
    *ret = host;
    return true;
}

/* ---- to the wire ---- */

void convert_delivery_fini(struct convert_delivery *c)
{
    if (c->properties != c->few_properties)
        free(c->properties);
    if (c->keys != c->few_keys)
        free(c->keys);
    *c = (struct convert_delivery){0};
}

struct span convert_tag(const struct store_record *rec)
{
    struct span tag = {0};
    (void)store_property_get(rec->properties, "TAGS", &tag); /* absent: stays empty */
    return tag;
}

static void format_host(char text[CONVERT_HOST_BYTES], const struct store_host *host)
{
    char address[INET6_ADDRSTRLEN] = "";
    bool is_v6 = host->addr_len == 16;
    (void)inet_ntop(is_v6 ? AF_INET6 : AF_INET, host->addr, address, sizeof address);
    (void)snprintf(text, CONVERT_HOST_BYTES, is_v6 ? "[%s]:%" PRIu32 : "%s:%" PRIu32, address,
                   host->port);
}

static void remember_host(struct convert_delivery *c, const struct store_host *host)
{
    const struct store_host *known = &c->store_host_of;
    if (known->addr_len == host->addr_len && known->port == host->port &&
        memcmp(known->addr, host->addr, host->addr_len) == 0)
        return; /* a zeroed one has no length: no record's */
    format_host(c->store_host, host);
    c->store_host_of = *host;
}

static struct span format_address(char text[CONVERT_HOST_BYTES], const struct store_host *host)
{
    text[0] = '\0';
    (void)inet_ntop(host->addr_len == 16 ? AF_INET6 : AF_INET, host->addr, text,
                    CONVERT_HOST_BYTES); /* there is room for every address */
    return span_str(text);
}

/* RocketMQ's offset id: store host, port and log offset in upper-case hex. */
static struct span format_offset_id(char text[CONVERT_ID_BYTES], const struct store_record *rec)
{
    int len = 0;
    for (int i = 0; i < rec->store_host.addr_len && i < 16; i++)
        len += snprintf(text + len, 3, "%02X", rec->store_host.addr[i]);
    len += snprintf(text + len, 26, "%08" PRIX32 "%016" PRIX64, rec->store_host.port, rec->log_off);
    return span_of(text, (size_t)len);
}

/* An array of `n` items with room for one more: `few` while that is enough, then allocated, twice
 * as large each time. NULL: no memory, and what was there stays. */
static void *with_room(void *items, void *few, size_t n, size_t *n_max, size_t item_bytes)
{
    if (n < *n_max)
        return items;
    if (n == 0) {
        *n_max = CONVERT_FEW;
        return few;
    }
    void *more = realloc(items == few ? NULL : items, 2 * n * item_bytes);
    if (!more)
        return NULL;
    if (items == few)
        memcpy(more, few, n * item_bytes);
    *n_max = 2 * n;
    return more;
}

static int add_property(struct convert_delivery *c, size_t n, struct proto_property p,
                        struct err *e)
{
    struct proto_property *all =
        with_room(c->properties, c->few_properties, n, &c->n_properties_max, sizeof p);
    if (!all)
        return err_set(e, ERR_NOMEM, "make room for more than %zu properties", n);
    all[n] = p;
    c->properties = all;
    return 0;
}

static int add_key(struct convert_delivery *c, size_t n, struct span key, struct err *e)
{
    struct span *all = with_room(c->keys, c->few_keys, n, &c->n_keys_max, sizeof key);
    if (!all)
        return err_set(e, ERR_NOMEM, "make room for more than %zu keys", n);
    all[n] = key;
    c->keys = all;
    return 0;
}

/* Keys are joined by one space in storage. */
static int split_keys(struct convert_delivery *c, struct span joined, struct proto_delivery *d,
                      struct err *e)
{
    size_t n = 0;
    while (joined.len > 0) {
        const uint8_t *space = memchr(joined.ptr, ' ', joined.len);
        size_t len = space ? (size_t)(space - joined.ptr) : joined.len;
        if (len > 0) {
            int rc = add_key(c, n, span_of(joined.ptr, len), e);
            if (rc)
                return rc;
            n++;
        }
        size_t step = space ? len + 1 : len;
        joined = span_of(joined.ptr + step, joined.len - step);
    }
    d->keys = c->keys;
    d->n_keys = n;
    return 0;
}

static int64_t parse_decimal(struct span text)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len && i < 18; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

/* A property with a field of its own; false: it has none. */
static bool take_field(struct proto_delivery *d, struct span name, struct span value)
{
    if (is_named(name, "TAGS")) {
        d->tag = value;
        d->has |= PROTO_HAS_TAG;
    } else if (is_named(name, "UNIQ_KEY")) {
        d->message_id = value;
    } else if (is_named(name, "__BORNHOST")) {
        d->born_host = value;
    } else if (is_named(name, "BORN_TIMESTAMP")) {
        d->born_ms = parse_decimal(value);
    } else if (is_named(name, "TRACE_CONTEXT")) {
        d->trace_context = value;
        d->has |= PROTO_HAS_TRACE_CONTEXT;
    } else if (is_named(name, "DLQ_ORIGIN_TOPIC")) {
        d->dead_letter_topic = value;
        d->has |= PROTO_HAS_DEAD_LETTER;
    } else if (is_named(name, "DLQ_ORIGIN_MESSAGE_ID")) {
        d->dead_letter_message_id = value;
        d->has |= PROTO_HAS_DEAD_LETTER;
    } else {
        return false;
    }
    return true;
}

/* The first of these that a record carries names its type (rocketmq-grpc 8.1). */
static int type_rank(int32_t type)
{
    switch (type) {
    case APACHE__ROCKETMQ__V2__MESSAGE_TYPE__TRANSACTION:
        return 3;
    case APACHE__ROCKETMQ__V2__MESSAGE_TYPE__DELAY:
        return 2;
    case APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO:
        return 1;
    default:
        return 0;
    }
}

static void derive_type(struct proto_delivery *d, struct span name, struct span value)
{
    int32_t type = d->message_type;
    if (is_named(name, "TRAN_MSG") && is_named(value, "true")) {
        type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__TRANSACTION;
    } else if (is_named(name, "TIMER_DELIVER_MS")) {
        type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__DELAY;
        d->delivery_ms = parse_decimal(value);
        d->has |= PROTO_HAS_DELIVERY_TIMESTAMP;
    } else if (is_named(name, "DELAY") || is_named(name, "TIMER_DELAY_SEC") ||
               is_named(name, "TIMER_DELAY_MS")) {
        type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__DELAY;
    } else if (is_named(name, "__SHARDINGKEY")) {
        type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__FIFO;
        d->message_group = value;
        d->has |= PROTO_HAS_MESSAGE_GROUP;
    }
    if (type_rank(type) > type_rank(d->message_type))
        d->message_type = type;
}

/* The group is shown twice: as a field, and as a user property that clients' tests rely on. */
static bool is_shown(const struct store_record *rec, struct span name)
{
    if (is_named(name, "__transactionId__"))
        return (rec->sys_flag & STORE_SYSFLAG_TRANSACTION_MASK) != 0;
    return !is_hidden(name);
}

static int take_property(struct convert_delivery *c, const struct store_record *rec,
                         struct proto_delivery *d, struct proto_property p, struct err *e)
{
    if (take_field(d, p.key, p.value))
        return 0;
    if (is_named(p.key, "KEYS"))
        return split_keys(c, p.value, d, e);
    derive_type(d, p.key, p.value);
    if (!is_shown(rec, p.key))
        return 0;
    int rc = add_property(c, d->n_properties, p, e);
    if (!rc)
        d->n_properties++;
    return rc;
}

static int take_properties(struct convert_delivery *c, const struct store_record *rec,
                           struct proto_delivery *d, struct err *e)
{
    struct span rest = rec->properties;
    struct proto_property p;
    bool all_utf8 = proto_utf8_ok(rest); /* the separators are, so then every part is */
    while (store_property_next(&rest, &p.key, &p.value)) {
        if (!all_utf8 && !(proto_utf8_ok(p.key) && proto_utf8_ok(p.value)))
            continue;
        int rc = take_property(c, rec, d, p, e);
        if (rc)
            return rc;
    }
    d->properties = c->properties;
    return 0;
}

int convert_to_delivery(struct convert_delivery *c, const struct store_record *rec,
                        struct proto_delivery *ret, struct err *e)
{
    struct proto_delivery d = {
        .body_encoding = rec->sys_flag & STORE_SYSFLAG_COMPRESSED
                             ? APACHE__ROCKETMQ__V2__ENCODING__GZIP
                             : APACHE__ROCKETMQ__V2__ENCODING__IDENTITY,
        .message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL,
        .born_ms = (int64_t)rec->born_ms,
        .store_ms = (int64_t)rec->store_ms,
        .queue_id = rec->queue_id,
        .queue_off = (int64_t)rec->queue_off,
        .body_len = rec->body.len,
    };
    remember_host(c, &rec->store_host);
    d.store_host = span_str(c->store_host);
    int rc = take_properties(c, rec, &d, e);
    if (rc)
        return rc;
    if (d.message_id.len == 0)
        d.message_id = format_offset_id(c->message_id, rec);
    if (d.born_host.len == 0) {
        d.born_host = format_address(c->born_host, &rec->born_host);
    }
    *ret = d;
    return 0;
}

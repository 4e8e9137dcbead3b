/* Prints received messages. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/message_print.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/crc32.h"
#include "tools/json_line.h"

/* Lets accessors take a message whose sender left the system properties out. */
static const Apache__Rocketmq__V2__SystemProperties *
system_of(const Apache__Rocketmq__V2__Message *m)
{
    static const Apache__Rocketmq__V2__SystemProperties none =
        APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES__INIT;
    return m->system_properties ? m->system_properties : &none;
}

static const char *tag_of(const Apache__Rocketmq__V2__SystemProperties *sys)
{
    return sys->_tag_case == APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___TAG_TAG ? sys->tag : NULL;
}

static int64_t offset_of(const Apache__Rocketmq__V2__SystemProperties *sys)
{
    return sys->_queue_offset_case ==
                   APACHE__ROCKETMQ__V2__SYSTEM_PROPERTIES___QUEUE_OFFSET_QUEUE_OFFSET
               ? sys->queue_offset
               : 0;
}

int message_check(const Apache__Rocketmq__V2__Message *m, struct err *e)
{
    const Apache__Rocketmq__V2__SystemProperties *sys = system_of(m);
    const Apache__Rocketmq__V2__Digest *digest = sys->body_digest;
    if (!digest || digest->type != APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32)
        return 0;
    char *end;
    unsigned long said = strtoul(digest->checksum, &end, 16);
    uint32_t found = crc32_add(0, m->body.data, m->body.len);
    if (*end == '\0' && said == found)
        return 0;
    return err_set(e, ERR_CORRUPT,
                   "message '%s' (queue %" PRId32 ", offset %" PRId64
                   "): its body has CRC-32 %08" PRIX32 " and not '%s'",
                   sys->message_id, sys->queue_id, offset_of(sys), found, digest->checksum);
}

/* ---- text ---- */

static void print_byte_escaped(FILE *out, uint8_t c)
{
    switch (c) {
    case '\\':
        fputs("\\\\", out);
        break;
    case '\n':
        fputs("\\n", out);
        break;
    case '\r':
        fputs("\\r", out);
        break;
    case '\t':
        fputs("\\t", out);
        break;
    default:
        fprintf(out, "\\x%02x", c);
    }
}

/* Bytes at the start of `text` that are printed as they are. */
static size_t plain_run(struct span text, bool is_utf8)
{
    size_t n = 0;
    for (; n < text.len; n++) {
        uint8_t c = text.ptr[n];
        bool is_plain = c >= 0x80 ? is_utf8 : c >= ' ' && c != 0x7f && c != '\\';
        if (!is_plain)
            break;
    }
    return n;
}

static void print_escaped(FILE *out, struct span text)
{
    bool is_utf8 = proto_utf8_ok(text);
    while (text.len > 0) {
        size_t n = plain_run(text, is_utf8);
        (void)fwrite(text.ptr, 1, n, out); /* the caller asks ferror */
        text = span_of(text.ptr + n, text.len - n);
        if (text.len == 0)
            return;
        print_byte_escaped(out, text.ptr[0]);
        text = span_of(text.ptr + 1, text.len - 1);
    }
}

int message_print_text(FILE *out, const Apache__Rocketmq__V2__Message *m, struct err *e)
{
    const Apache__Rocketmq__V2__SystemProperties *sys = system_of(m);
    const char *tag = tag_of(sys);
    fprintf(out, "%" PRId64 "\t%" PRId32 "\t", offset_of(sys), sys->queue_id);
    print_escaped(out, span_str(tag ? tag : "-"));
    fputc('\t', out);
    if (sys->n_keys == 0)
        fputc('-', out);
    for (size_t i = 0; i < sys->n_keys; i++) {
        if (i > 0)
            fputc(' ', out);
        print_escaped(out, span_str(sys->keys[i]));
    }
    fputc('\t', out);
    print_escaped(out, span_of(m->body.data, m->body.len));
    fputc('\n', out);
    return ferror(out) ? err_sys(e, errno, "print a message") : 0;
}

/* ---- JSON ---- */

static json_t *base64_to_json(struct span bytes)
{
    char *text = malloc(4 * (bytes.len / 3 + 1) + 1);
    if (!text)
        return NULL;
    int len = EVP_EncodeBlock((unsigned char *)text, bytes.ptr, (int)bytes.len);
    json_t *value = json_stringn(text, (size_t)len);
    free(text);
    return value;
}

static json_t *timestamp_to_json(const Google__Protobuf__Timestamp *t)
{
    return t ? json_integer(t->seconds * 1000 + t->nanos / 1000000) : json_null();
}

static json_t *keys_to_json(const Apache__Rocketmq__V2__SystemProperties *sys)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < sys->n_keys; i++)
        if (json_array_append_new(keys, json_string(sys->keys[i])) < 0)
            goto fail;
    return keys;
fail:
    json_decref(keys);
    return NULL;
}

static json_t *properties_to_json(const Apache__Rocketmq__V2__Message *m)
{
    json_t *object = json_object();
    for (size_t i = 0; i < m->n_user_properties; i++) {
        const Apache__Rocketmq__V2__Message__UserPropertiesEntry *p = m->user_properties[i];
        if (json_object_set_new(object, p->key, json_string(p->value)) < 0)
            goto fail;
    }
    return object;
fail:
    json_decref(object);
    return NULL;
}

int message_print_json(FILE *out, const Apache__Rocketmq__V2__Message *m, struct err *e)
{
    const Apache__Rocketmq__V2__SystemProperties *sys = system_of(m);
    struct span body = span_of(m->body.data, m->body.len);
    bool is_text = proto_utf8_ok(body);
    const char *topic = m->topic ? m->topic->name : NULL;
    json_t *object =
        json_pack("{s:s?, s:i, s:I, s:s, s:s?, s:o, s:o, s:o, s:i, s:o, s:I, s:o, s:o}", "topic",
                  topic, "queueId", sys->queue_id, "queueOffset", (json_int_t)offset_of(sys),
                  "messageId", sys->message_id, "tag", tag_of(sys), "keys", keys_to_json(sys),
                  "bornTimestamp", timestamp_to_json(sys->born_timestamp), "storeTimestamp",
                  timestamp_to_json(sys->_store_timestamp_case ? sys->store_timestamp : NULL),
                  "deliveryAttempt", sys->_delivery_attempt_case ? sys->delivery_attempt : 0,
                  "properties", properties_to_json(m), "bodyLength", (json_int_t)body.len, "body",
                  is_text ? json_stringn((const char *)body.ptr, body.len) : json_null(),
                  "bodyBase64", is_text ? json_null() : base64_to_json(body));
    return json_line_to(out, object, e);
}

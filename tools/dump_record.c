/* Prints one record of the commit log. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_record.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/proto.h"
#include "tools/inflate.h"
#include "tools/paint.h"

enum {
    HOST_TEXT_BYTES = 64,
    ID_TEXT_BYTES = 2 * (16 + 4 + 8) + 1,
    SHA256_TEXT_BYTES = 2 * 32 + 1,
    BODY_SHOWN_BYTES = 40,
};

static const char upper_digits[] = "0123456789ABCDEF";
static const char lower_digits[] = "0123456789abcdef";

/* ---- parts ---- */

/* As RocketMQ prints it: an IPv6 address in brackets, without shortening. */
static void put_host(char text[HOST_TEXT_BYTES], const struct store_host *host)
{
    const uint8_t *a = host->addr;
    if (host->addr_len == 4) {
        (void)snprintf(text, HOST_TEXT_BYTES, "%d.%d.%d.%d:%" PRIu32, a[0], a[1], a[2], a[3],
                       host->port);
        return;
    }
    int n = snprintf(text, HOST_TEXT_BYTES, "[");
    for (size_t i = 0; i < 8; i++)
        n += snprintf(text + n, (size_t)(HOST_TEXT_BYTES - n), "%s%x", i ? ":" : "",
                      be16_get(a + 2 * i));
    (void)snprintf(text + n, (size_t)(HOST_TEXT_BYTES - n), "]:%" PRIu32, host->port);
}

/* `digits` are the sixteen to use; returns the length, and ends in NUL. */
static size_t put_hex(char *text, const uint8_t *bytes, size_t n, const char digits[static 16])
{
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n] = '\0';
    return 2 * n;
}

/* Store host and position in upper-case hex: RocketMQ's offset message id. */
static void put_id(char text[ID_TEXT_BYTES], const struct store_record *rec)
{
    uint8_t tail[12];
    be32_put(tail, rec->store_host.port);
    be64_put(tail + 4, rec->log_off);
    size_t n = put_hex(text, rec->store_host.addr, rec->store_host.addr_len, upper_digits);
    (void)put_hex(text + n, tail, sizeof tail, upper_digits);
}

static bool put_sha256(char text[SHA256_TEXT_BYTES], struct span body)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(body.ptr ? body.ptr : (const uint8_t *)"", body.len, digest, &len, EVP_sha256(),
                   NULL) != 1)
        return false;
    (void)put_hex(text, digest, len, lower_digits);
    return true;
}

/* ---- JSON ---- */

/* The first n bytes that make one character, or 0 when they do not. */
static size_t character_len(struct span text)
{
    for (size_t n = 1; n <= 4 && n <= text.len; n++) {
        if (proto_utf8_ok(span_of(text.ptr, n)))
            return n;
    }
    return 0;
}

/* A copy in which U+FFFD stands for each byte that is not UTF-8; the caller frees it. */
static char *replace_malformed(struct span text, size_t *ret_len)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *copy = malloc(3 * text.len + 1);
    size_t len = 0;
    while (copy && text.len > 0) {
        size_t n = character_len(text);
        memcpy(copy + len, n ? (const char *)text.ptr : replacement, n ? n : 3);
        len += n ? n : 3;
        n += n == 0;
        text = span_of(text.ptr + n, text.len - n);
    }
    *ret_len = len;
    return copy;
}

json_t *dump_text_to_json(struct span text)
{
    if (text.len == 0)
        return json_string("");
    if (proto_utf8_ok(text))
        return json_stringn((const char *)text.ptr, text.len);
    size_t len;
    char *copy = replace_malformed(text, &len);
    json_t *value = copy ? json_stringn(copy, len) : NULL;
    free(copy);
    return value;
}

static int add_property(json_t *object, struct span name, struct span value)
{
    if (proto_utf8_ok(name))
        return json_object_setn_new(object, (const char *)name.ptr, name.len,
                                    dump_text_to_json(value));
    size_t len;
    char *copy = replace_malformed(name, &len);
    int rc = copy ? json_object_setn_new(object, copy, len, dump_text_to_json(value)) : -1;
    free(copy);
    return rc;
}

static json_t *properties_to_json(struct span properties)
{
    json_t *object = json_object();
    struct span name, value;
    while (object && store_property_next(&properties, &name, &value)) {
        if (add_property(object, name, value) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* Adds what the consume queues say; null where nothing is known. */
static int add_place(json_t *object, const struct dump_place *place)
{
    bool has_code = place->is_known && place->is_dispatched;
    int rc = json_object_set_new(object, "tagsCode",
                                 has_code ? json_integer(place->tag_code) : json_null());
    rc |= json_object_set_new(object, "dispatched",
                              place->is_known ? json_boolean(place->is_dispatched) : json_null());
    if (has_code && place->batch_num > 0)
        rc |= json_object_set_new(object, "batchNum", json_integer(place->batch_num));
    return rc;
}

static json_t *bytes_to_base64(struct span bytes)
{
    char *text = bytes.len < INT32_MAX ? malloc(4 * (bytes.len / 3 + 1) + 1) : NULL;
    if (!text)
        return NULL;
    int n = EVP_EncodeBlock((unsigned char *)text, bytes.ptr, (int)bytes.len);
    json_t *value = json_stringn(text, (size_t)n);
    free(text);
    return value;
}

static int set_body(json_t *object, struct span body)
{
    if (body.len == 0 || proto_utf8_ok(body))
        return json_object_set_new(object, "body", dump_text_to_json(body));
    return json_object_set_new(object, "bodyBase64", bytes_to_base64(body));
}

/* Adds the body as it was before it was compressed. */
static int add_body(json_t *object, const struct store_record *rec)
{
    const char *name = inflate_name(rec->sys_flag);
    struct inflated inflated = {0};
    struct err e;
    if (!name)
        return set_body(object, rec->body);
    if (json_object_set_new(object, "bodyCompression", json_string(name)) < 0)
        return -1;
    if (inflate_body(rec->sys_flag, rec->body, DUMP_BODY_MAX, &inflated, &e) < 0)
        return json_object_set_new(object, "bodyError", json_string(e.msg)) < 0
                   ? -1
                   : set_body(object, rec->body);
    int rc = set_body(object, span_of(inflated.bytes, inflated.len));
    if (rc == 0 && inflated.is_cut)
        rc = json_object_set_new(object, "bodyError", json_string("the body is longer"));
    free(inflated.bytes);
    return rc;
}

json_t *dump_record_json(const struct store_walk_item *item, const struct dump_place *place,
                         enum dump_body with_body)
{
    const struct store_record *rec = &item->rec;
    char magic[16], born[HOST_TEXT_BYTES], stored[HOST_TEXT_BYTES];
    char id[ID_TEXT_BYTES], sha256[SHA256_TEXT_BYTES];
    (void)snprintf(magic, sizeof magic, "0x%08" PRIX32, rec->magic);
    put_host(born, &rec->born_host);
    put_host(stored, &rec->store_host);
    put_id(id, rec);
    if (!put_sha256(sha256, rec->body))
        return NULL;
    json_t *object = json_pack(
        "{s:I, s:I, s:s, s:s, s:I, s:b, s:i, s:i, s:I, s:i, s:I, s:s, s:I, s:s, s:i, s:I, s:o, s:o,"
        " s:o, s:I, s:s, s:s}",
        "physicalOffset", (json_int_t)rec->log_off, "storeSize", (json_int_t)rec->size, "magic",
        magic, "version", rec->magic == STORE_MAGIC_V2 ? "V2" : "V1", "bodyCRC",
        (json_int_t)rec->body_crc, "bodyCRCValid", item->body_ok, "queueId", rec->queue_id, "flag",
        rec->flag, "queueOffset", (json_int_t)rec->queue_off, "sysFlag", rec->sys_flag,
        "bornTimestamp", (json_int_t)rec->born_ms, "bornHost", born, "storeTimestamp",
        (json_int_t)rec->store_ms, "storeHost", stored, "reconsumeTimes", rec->reconsume_times,
        "preparedTransactionOffset", (json_int_t)rec->prepared_off, "topic",
        dump_text_to_json(rec->topic), "properties", properties_to_json(rec->properties),
        "propertiesString", dump_text_to_json(rec->properties), "bodyLength",
        (json_int_t)rec->body.len, "bodySha256", sha256, "offsetMsgId", id);
    if (!object)
        return NULL;
    if (add_place(object, place) < 0 ||
        json_object_set_new(object, "recoveryCheckOk", json_boolean(item->body_ok)) < 0 ||
        (with_body == DUMP_WITH_BODY && add_body(object, rec) < 0)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* ---- text ---- */

void dump_print_escaped(struct span text)
{
    bool is_utf8 = proto_utf8_ok(text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool is_plain = c >= 0x80 ? is_utf8 : c >= ' ' && c != 0x7f && c != '\\';
        if (is_plain)
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

static void print_property(const struct store_record *rec, const char *name, const char *label)
{
    struct span value;
    if (!store_property_get(rec->properties, name, &value))
        return;
    printf("  %s=", label);
    dump_print_escaped(value);
}

void dump_put_time(char text[DUMP_TIME_BYTES], uint64_t ms)
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    size_t n = 0;
    if (ms <= INT64_MAX && gmtime_r(&seconds, &tm))
        n = strftime(text, DUMP_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    if (n > 0 && n + sizeof ".000Z" <= DUMP_TIME_BYTES)
        (void)snprintf(text + n, DUMP_TIME_BYTES - n, ".%03uZ", (unsigned)(ms % 1000));
    else
        (void)snprintf(text, DUMP_TIME_BYTES, "?");
}

/* The beginning of a text, cut between characters. */
static struct span shown_part(struct span text)
{
    if (text.len <= BODY_SHOWN_BYTES)
        return text;
    size_t n = BODY_SHOWN_BYTES;
    while (n > BODY_SHOWN_BYTES - 4 && (text.ptr[n] & 0xc0) == 0x80)
        n--;
    return span_of(text.ptr, n);
}

static void print_beginning(struct span text, bool is_cut)
{
    struct span shown = shown_part(text);
    dump_print_escaped(shown);
    puts(shown.len < text.len || is_cut ? "..." : "");
}

static void print_body(const struct store_record *rec)
{
    const char *name = inflate_name(rec->sys_flag);
    struct inflated inflated;
    struct err e;
    printf("  %zu bytes", rec->body.len);
    if (!name) {
        fputs(": ", stdout);
        print_beginning(rec->body, false);
    } else if (inflate_body(rec->sys_flag, rec->body, BODY_SHOWN_BYTES + 4, &inflated, &e) < 0) {
        printf(" of %s, %sdamaged%s: ", name, paint_on(stdout, PAINT_BAD), paint_off(stdout));
        print_beginning(rec->body, false);
    } else {
        printf(" of %s: ", name);
        print_beginning(span_of(inflated.bytes, inflated.len), inflated.is_cut);
        free(inflated.bytes);
    }
}

void dump_record_text(const struct store_walk_item *item)
{
    const struct store_record *rec = &item->rec;
    char time[DUMP_TIME_BYTES];
    dump_put_time(time, rec->store_ms);
    printf("%12" PRIu64 "  ", rec->log_off);
    dump_print_escaped(rec->topic);
    printf("/%" PRId32 "@%" PRIu64 "  %s", rec->queue_id, rec->queue_off, time);
    print_property(rec, "TAGS", "tag");
    print_property(rec, "KEYS", "keys");
    if (!item->body_ok)
        printf("  %sCRC WRONG%s", paint_on(stdout, PAINT_BAD), paint_off(stdout));
    print_body(rec);
}

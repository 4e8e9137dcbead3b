/* Messages whose every part follows from their number, so that nothing but the broker's answers
 * need be kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/store/sent.h"

#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "tests/lib/messaging.h"

enum {
    BATCH = 32, /* messages of one request */
    BODY_MAX = 65536,
    ID_BYTES = 16,
    SHA256_TEXT_BYTES = 2 * 32 + 1,
};

/* 127 characters, as many as a client's topic may have. */
#define LONG_TOPIC                                                                                 \
    "Long-topic-of-127-characters_0123456789012345678901234567890123456789012345678901234567890"   \
    "1234567890123456789012345678901234567"

const char *const sent_topics[] = {"One", "Plain", "Ordered", LONG_TOPIC, NULL};

/* None, plain, two with equal hash codes, and characters of two, three and four bytes. */
static const char *const tags[] = {NULL, "TagA", "Aa", "BB", "größe", "标签", "😀🚀", "x-y_z"};

static const char property[] = "größe 标签 😀";

/* ---- the parts of message i ---- */

static const char *tag_of(size_t i)
{
    return tags[i % (sizeof tags / sizeof tags[0])];
}

static size_t body_len_of(size_t i)
{
    if (i % 101 == 7)
        return BODY_MAX;
    return i % 13 == 0 ? 1 : 1 + i * 7919 % 2048;
}

static size_t n_properties_of(size_t i)
{
    return i % 5;
}

static void put_id(char id[ID_BYTES], size_t i)
{
    (void)snprintf(id, ID_BYTES, "S%07zu", i);
}

static void put_group(char group[ID_BYTES], size_t i)
{
    (void)snprintf(group, ID_BYTES, "group-%zu", i % 7);
}

static void fill_body(char *body, size_t i)
{
    size_t len = body_len_of(i);
    for (size_t at = 0; at < len; at++)
        body[at] = (char)(i * 31 + at * 7 + at / 251);
}

static void put_sha256(char text[SHA256_TEXT_BYTES], size_t i)
{
    static char body[BODY_MAX];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    fill_body(body, i);
    ck_assert_int_eq(EVP_Digest(body, body_len_of(i), digest, &len, EVP_sha256(), NULL), 1);
    for (unsigned at = 0; at < len; at++)
        (void)snprintf(text + 2 * at, 3, "%02x", digest[at]);
}

/* ---- sending ---- */

void sent_make_topics(struct client *c)
{
    messaging_create_topic(c, "One", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 1);
    messaging_create_topic(c, "Plain", SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 4);
    messaging_create_topic(c, "Ordered", SLUICE__V1__TOPIC_TYPE__TOPIC_FIFO, 3);
    messaging_create_topic(c, LONG_TOPIC, SLUICE__V1__TOPIC_TYPE__TOPIC_NORMAL, 2);
}

static void send_batch(struct sent *s, struct client *c, const char *topic, size_t n)
{
    static char bodies[BATCH][BODY_MAX];
    static char ids[BATCH][ID_BYTES], groups[BATCH][ID_BYTES];
    struct messaging_message messages[BATCH];
    ck_assert_uint_le(s->n + n, SENT_MAX);
    for (size_t at = 0; at < n; at++) {
        size_t i = s->n + at;
        put_id(ids[at], i);
        put_group(groups[at], i);
        fill_body(bodies[at], i);
        messages[at] = (struct messaging_message){.topic = topic,
                                                  .tag = tag_of(i),
                                                  .key = ids[at],
                                                  .id = ids[at],
                                                  .body = bodies[at],
                                                  .body_len = body_len_of(i),
                                                  .n_properties = n_properties_of(i),
                                                  .value = property};
        if (strcmp(topic, "Ordered") == 0)
            messages[at].group = groups[at];
    }
    V2(SendMessageResponse) *reply = messaging_send(c, messages, n);
    ck_assert_msg(reply->status->code == CODE(OK), "%s", reply->status->message);
    ck_assert_uint_eq(reply->n_entries, n);
    for (size_t at = 0; at < n; at++) {
        ck_assert_str_eq(reply->entries[at]->message_id, ids[at]);
        s->topics[s->n] = topic;
        s->queue_offs[s->n++] = (uint64_t)reply->entries[at]->offset;
    }
    messaging_free(reply);
}

void sent_publish_to(struct sent *s, struct client *c, const char *topic, size_t n)
{
    struct io *io = io_posix();
    if (s->n == 0)
        s->first_ms = io->tick_ms(io);
    for (size_t at = 0; at < n; at += BATCH)
        send_batch(s, c, topic, n - at < BATCH ? n - at : BATCH);
}

void sent_publish(struct sent *s, struct client *c, size_t n)
{
    /* Half goes to one queue, which needs several files then. */
    static const size_t turns[] = {0, 1, 0, 2, 0, 3};
    size_t turn = 0;
    for (size_t at = 0; at < n; at += BATCH) {
        const char *topic = sent_topics[turns[turn++ % (sizeof turns / sizeof turns[0])]];
        sent_publish_to(s, c, topic, n - at < BATCH ? n - at : BATCH);
    }
}

/* ---- finding ---- */

static int64_t number(const json_t *line, const char *name)
{
    return json_integer_value(json_object_get(line, name));
}

static void expect_text(const json_t *object, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, name));
    ck_assert_pstr_eq(text, wanted);
}

static void expect_properties(const json_t *properties, const char *topic, const char *id, size_t i)
{
    char name[ID_BYTES];
    expect_text(properties, "TAGS", tag_of(i));
    expect_text(properties, "KEYS", id);
    for (size_t p = 0; p < n_properties_of(i) + 1; p++) {
        (void)snprintf(name, sizeof name, "p%zu", p);
        expect_text(properties, name, p < n_properties_of(i) ? property : NULL);
    }
    put_group(name, i);
    expect_text(properties, "__SHARDINGKEY", strcmp(topic, "Ordered") == 0 ? name : NULL);
}

static void expect_line(const struct sent *s, const json_t *line, size_t i)
{
    struct io *io = io_posix();
    char sha256[SHA256_TEXT_BYTES];
    put_sha256(sha256, i);
    expect_text(line, "topic", s->topics[i]);
    expect_text(line, "bodySha256", sha256);
    ck_assert_int_eq(number(line, "bodyLength"), (int64_t)body_len_of(i));
    ck_assert_uint_eq((uint64_t)number(line, "queueOffset"), s->queue_offs[i]);
    ck_assert(json_is_true(json_object_get(line, "tagsCodeOk")));
    ck_assert(json_is_true(json_object_get(line, "bodyCRCOk")));
    uint64_t stored_ms = (uint64_t)number(line, "storeTimestamp");
    ck_assert_uint_ge(stored_ms, s->first_ms);
    ck_assert_uint_le(stored_ms, io->now_ms(io));
}

/* The number of the message with that id; false when it is another's. */
static bool parse_id(const struct sent *s, const char *id, size_t *ret_i)
{
    return id && sscanf(id, "S%7zu", ret_i) == 1 && *ret_i < s->n;
}

static void note_found(struct sent *s, size_t i)
{
    ck_assert_msg(!s->found[i], "message %zu is there twice", i);
    s->found[i] = true;
    s->n_found++;
}

bool sent_find(struct sent *s, const json_t *line)
{
    size_t i;
    const json_t *properties = json_object_get(line, "properties");
    const char *id = json_string_value(json_object_get(properties, "UNIQ_KEY"));
    if (!parse_id(s, id, &i))
        return false;
    note_found(s, i);
    expect_line(s, line, i);
    expect_properties(properties, s->topics[i], id, i);
    return true;
}

bool sent_find_id(struct sent *s, const char *id, const uint8_t *body, size_t body_len)
{
    static char expected[BODY_MAX];
    size_t i;
    if (!parse_id(s, id, &i))
        return false;
    note_found(s, i);
    fill_body(expected, i);
    ck_assert_uint_eq(body_len, body_len_of(i));
    ck_assert_mem_eq(body, expected, body_len);
    return true;
}

void sent_expect_all(struct sent *s)
{
    for (size_t i = 0; i < s->n; i++)
        ck_assert_msg(s->found[i], "message %zu of '%s' is lost", i, s->topics[i]);
    ck_assert_uint_eq(s->n_found, s->n);
    memset(s->found, 0, sizeof s->found);
    s->n_found = 0;
}

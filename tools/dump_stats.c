/* Counts records by topic and tag.
 *
 * It must keep up with the walk, which is about as fast as memory: the topic and the tag of the
 * record before are compared first, since neighbours mostly share them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_stats.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "tools/dump_record.h"
#include "tools/json_line.h"
#include "tools/paint.h"

enum {
    TAGS_MAX = 1000, /* of one topic; the others are counted together */
    TAGS_SHOWN = 8,
    N_SIZES = 12, /* bodies of 0, up to 16, 64, 256, ... 4 MiB and more bytes */
};

struct tag {
    uint64_t n;
    char name[]; /* ends in NUL; may hold others */
};

struct topic {
    struct span name; /* the map's */
    uint64_t n, bytes, body_bytes;
    uint64_t n_bad;              /* bodies whose checksum fails */
    uint64_t first_ms, last_ms;  /* least and greatest store time */
    uint64_t sizes[N_SIZES];     /* of bodies */
    struct map tags;             /* name to struct tag */
    uint64_t n_tags, n_untagged; /* kinds; messages */
    uint64_t n_other;            /* messages with a tag beyond TAGS_MAX */
    struct span tag_name;        /* of the record before: the map's */
    struct tag *tag;
};

struct dump_stats {
    struct map topics;
    struct topic *topic; /* of the record before */
    struct topic all;
};

/* ---- counting ---- */

int dump_stats_new(struct dump_stats **ret_s, struct err *e)
{
    struct dump_stats *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "count messages");
    *ret_s = s;
    return 0;
}

static void free_topic(struct topic *t)
{
    size_t pos = 0;
    for (const struct map_entry *entry; (entry = map_next(&t->tags, &pos));)
        free(entry->value);
    map_fini(&t->tags);
    free(t);
}

void dump_stats_free(struct dump_stats *s)
{
    if (!s)
        return;
    size_t pos = 0;
    for (const struct map_entry *entry; (entry = map_next(&s->topics, &pos));)
        free_topic(entry->value);
    map_fini(&s->topics);
    free(s);
}

/* The map's own copy of a key. */
static struct span key_of(const struct map *m, const void *value)
{
    size_t pos = 0;
    for (const struct map_entry *entry; (entry = map_next(m, &pos));)
        if (entry->value == value)
            return span_of(entry->key, entry->key_len);
    return (struct span){0};
}

static int find_topic(struct dump_stats *s, struct span name, struct err *e)
{
    if (s->topic && span_equal(s->topic->name, name))
        return 0;
    struct topic *t = map_get(&s->topics, name);
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t)
            return err_set(e, ERR_NOMEM, "count messages");
        int rc = map_put(&s->topics, name, t, e);
        if (rc < 0) {
            free(t);
            return rc;
        }
        t->name = key_of(&s->topics, t);
    }
    s->topic = t;
    return 0;
}

static int count_tag(struct topic *t, struct span name, struct err *e)
{
    if (t->tag && span_equal(t->tag_name, name)) {
        t->tag->n++;
        return 0;
    }
    struct tag *tag = map_get(&t->tags, name);
    if (!tag && t->n_tags == TAGS_MAX) {
        t->n_other++;
        return 0;
    }
    if (!tag) {
        tag = calloc(1, sizeof *tag + name.len + 1);
        if (!tag)
            return err_set(e, ERR_NOMEM, "count tags");
        memcpy(tag->name, name.ptr, name.len);
        int rc = map_put(&t->tags, name, tag, e);
        if (rc < 0) {
            free(tag);
            return rc;
        }
        t->n_tags++;
    }
    tag->n++;
    t->tag = tag;
    t->tag_name = span_of(tag->name, name.len);
    return 0;
}

/* The class of a body: 0 for an empty one, then by powers of four from 16 bytes on. */
static size_t class_of(size_t len)
{
    size_t class = len > 0;
    for (size_t top = 16; class > 0 && class < N_SIZES - 1 && len > top; top *= 4)
        class ++;
    return class;
}

static size_t top_of(size_t class)
{
    return class == 0 ? 0 : (size_t)16 << 2 * (class - 1);
}

static void count(struct topic *t, const struct store_walk_item *item)
{
    const struct store_record *rec = &item->rec;
    t->n++;
    t->bytes += rec->size;
    t->body_bytes += rec->body.len;
    t->n_bad += !item->body_ok;
    t->sizes[class_of(rec->body.len)]++;
    if (rec->store_ms < t->first_ms || t->n == 1)
        t->first_ms = rec->store_ms;
    if (rec->store_ms > t->last_ms)
        t->last_ms = rec->store_ms;
}

int dump_stats_add(struct dump_stats *s, const struct store_walk_item *item, struct err *e)
{
    struct span tag;
    int rc = find_topic(s, item->rec.topic, e);
    if (rc < 0)
        return rc;
    count(s->topic, item);
    count(&s->all, item);
    if (store_property_get(item->rec.properties, "TAGS", &tag))
        return count_tag(s->topic, tag, e);
    s->topic->n_untagged++;
    return 0;
}

/* ---- sorting ---- */

static int by_name(const void *a, const void *b)
{
    const struct topic *x = *(struct topic *const *)a, *y = *(struct topic *const *)b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = n ? memcmp(x->name.ptr, y->name.ptr, n) : 0;
    return order ? order : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static int by_count(const void *a, const void *b)
{
    const struct tag *x = (*(const struct map_entry *const *)a)->value;
    const struct tag *y = (*(const struct map_entry *const *)b)->value;
    int order = (x->n < y->n) - (x->n > y->n);
    return order ? order : strcmp(x->name, y->name);
}

/* The values of a map (`is_entries`: its entries) as an array the caller frees; NULL without
 * memory or when there is none. */
static const void **list_of(const struct map *m, bool is_entries, size_t *ret_n)
{
    *ret_n = 0;
    if (m->n_used == 0)
        return NULL;
    const void **list = calloc(m->n_used, sizeof *list);
    size_t pos = 0;
    for (const struct map_entry *entry; list && (entry = map_next(m, &pos));)
        list[(*ret_n)++] = is_entries ? (const void *)entry : entry->value;
    return list;
}

static const void **topics_of(const struct dump_stats *s, size_t *ret_n)
{
    const void **topics = list_of(&s->topics, false, ret_n);
    if (topics)
        qsort(topics, *ret_n, sizeof *topics, by_name);
    return topics;
}

static const void **tags_of(const struct topic *t, size_t *ret_n)
{
    const void **tags = list_of(&t->tags, true, ret_n);
    if (tags)
        qsort(tags, *ret_n, sizeof *tags, by_count);
    return tags;
}

/* ---- text ---- */

static void print_tags(const struct topic *t)
{
    size_t n;
    const void **tags = tags_of(t, &n);
    uint64_t n_more = t->n_other;
    const char *gap = " ";
    printf("  tags    ");
    for (size_t i = 0; i < n; i++) {
        const struct map_entry *entry = tags[i];
        const struct tag *tag = entry->value;
        if (i >= TAGS_SHOWN) {
            n_more += tag->n;
            continue;
        }
        fputs(gap, stdout);
        dump_print_escaped(span_of(entry->key, entry->key_len));
        printf(" %" PRIu64, tag->n);
        gap = ", ";
    }
    if (n_more > 0)
        printf("%sothers %" PRIu64, gap, n_more);
    if (t->n_untagged > 0)
        printf("%snone %" PRIu64, n > 0 ? gap : " ", t->n_untagged);
    putchar('\n');
    free(tags);
}

static void print_sizes(const struct topic *t)
{
    const char *gap = " ";
    printf("  bodies  ");
    for (size_t i = 0; i < N_SIZES; i++) {
        if (t->sizes[i] == 0)
            continue;
        if (i == 0)
            printf("%sempty %" PRIu64, gap, t->sizes[i]);
        else if (i + 1 == N_SIZES)
            printf("%sover %zu KiB %" PRIu64, gap, top_of(i - 1) / 1024, t->sizes[i]);
        else if (top_of(i) < 1024)
            printf("%sto %zu B %" PRIu64, gap, top_of(i), t->sizes[i]);
        else
            printf("%sto %zu KiB %" PRIu64, gap, top_of(i) / 1024, t->sizes[i]);
        gap = ", ";
    }
    putchar('\n');
}

static void print_topic(const struct topic *t)
{
    char first[DUMP_TIME_BYTES], last[DUMP_TIME_BYTES];
    dump_put_time(first, t->first_ms);
    dump_put_time(last, t->last_ms);
    printf("  %" PRIu64 " messages, %" PRIu64 " bytes, %" PRIu64 " of them bodies", t->n, t->bytes,
           t->body_bytes);
    if (t->n_bad > 0)
        printf(", %s%" PRIu64 " with a wrong checksum%s", paint_on(stdout, PAINT_BAD), t->n_bad,
               paint_off(stdout));
    printf("\n  stored   %s to %s\n", first, last);
    print_sizes(t);
}

void dump_stats_print(const struct dump_stats *s, const struct dump_stats_rest *rest)
{
    size_t n;
    const void **topics = topics_of(s, &n);
    for (size_t i = 0; i < n; i++) {
        const struct topic *t = topics[i];
        dump_print_escaped(t->name);
        putchar('\n');
        print_topic(t);
        print_tags(t);
    }
    free(topics);
    printf("%zu topics\n", n);
    if (s->all.n > 0)
        print_topic(&s->all);
    printf("  fillers  %" PRIu64 " bytes\n", rest->filler_bytes);
    if (rest->n_damaged > 0)
        printf("  %sdamage   %" PRIu64 " places, %" PRIu64 " bytes%s\n",
               paint_on(stdout, PAINT_BAD), rest->n_damaged, rest->damaged_bytes,
               paint_off(stdout));
}

/* ---- JSON ---- */

static json_t *sizes_to_json(const struct topic *t)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < N_SIZES; i++) {
        json_t *upto = i + 1 == N_SIZES ? json_null() : json_integer((json_int_t)top_of(i));
        if (t->sizes[i] > 0 &&
            json_array_append_new(list, json_pack("{s:O, s:I}", "upTo", upto, "messages",
                                                  (json_int_t)t->sizes[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
        json_decref(upto);
    }
    return list;
}

static json_t *tags_to_json(const struct topic *t)
{
    size_t n;
    const void **tags = tags_of(t, &n);
    json_t *object = json_object();
    for (size_t i = 0; object && i < n; i++) {
        const struct map_entry *entry = tags[i];
        const struct tag *tag = entry->value;
        json_t *name = dump_text_to_json(span_of(entry->key, entry->key_len));
        int rc =
            name ? json_object_setn_new(object, json_string_value(name), json_string_length(name),
                                        json_integer((json_int_t)tag->n))
                 : -1;
        json_decref(name);
        if (rc < 0) {
            json_decref(object);
            object = NULL;
        }
    }
    free(tags);
    return object;
}

static json_t *topic_to_json(const struct topic *t)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "messages", (json_int_t)t->n, "bytes",
                     (json_int_t)t->bytes, "bodyBytes", (json_int_t)t->body_bytes, "wrongChecksums",
                     (json_int_t)t->n_bad, "firstStoreTimestamp",
                     (json_int_t)(t->n > 0 ? t->first_ms : 0), "lastStoreTimestamp",
                     (json_int_t)t->last_ms, "bodySizes", sizes_to_json(t));
}

static int print_topic_json(const struct topic *t, struct err *e)
{
    json_t *object = topic_to_json(t);
    json_t *more = json_pack("{s:o, s:o, s:I, s:I}", "topic", dump_text_to_json(t->name), "tags",
                             tags_to_json(t), "otherTags", (json_int_t)t->n_other, "untagged",
                             (json_int_t)t->n_untagged);
    if (!object || !more || json_object_update(more, object) < 0) {
        json_decref(object);
        json_decref(more);
        return err_set(e, ERR_NOMEM, "print statistics");
    }
    json_decref(object);
    return json_line(more, e);
}

int dump_stats_json(const struct dump_stats *s, const struct dump_stats_rest *rest, struct err *e)
{
    size_t n;
    const void **topics = topics_of(s, &n);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = print_topic_json(topics[i], e);
    free(topics);
    if (rc < 0)
        return rc;
    json_t *object = topic_to_json(&s->all);
    json_t *more =
        json_pack("{s:n, s:I, s:I, s:I, s:I}", "topic", "topics", (json_int_t)n, "damagedPlaces",
                  (json_int_t)rest->n_damaged, "damagedBytes", (json_int_t)rest->damaged_bytes,
                  "fillerBytes", (json_int_t)rest->filler_bytes);
    if (!object || !more || json_object_update(more, object) < 0) {
        json_decref(object);
        json_decref(more);
        return err_set(e, ERR_NOMEM, "print statistics");
    }
    json_decref(object);
    return json_line(more, e);
}

/* The topic registry. A topic that is being created stands in the map as not live until its file is
 * written, so nobody sends to what a crash could forget. Two locks: LOCK_STATE orders changes and
 * is held while the file is written; LOCK_TOPIC guards the map and is held for moments only. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topic.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "broker/name.h"
#include "broker/state.h"
#include "broker/topic_deleted.h"

struct topic {
    struct topic_info info; /* set before it is live, then constant */
    bool is_live;           /* guarded by LOCK_TOPIC */
};

struct topic_table {
    size_t max_topics;
    topic_clear_fn clear; /* set before it is shared; NULL: nothing to clear */
    void *clear_arg;
    struct lock change;   /* LOCK_STATE */
    struct state_doc doc; /* guarded by `change` */
    struct lock lock;     /* LOCK_TOPIC */
    struct map topics;    /* guarded by `lock`: name to struct topic, freed under it */
};

static const char *const type_names[] = {
    [TOPIC_NORMAL] = "NORMAL",           [TOPIC_FIFO] = "FIFO", [TOPIC_DELAY] = "DELAY",
    [TOPIC_TRANSACTION] = "TRANSACTION", [TOPIC_LITE] = "LITE", [TOPIC_PRIORITY] = "PRIORITY",
};

static const char *const system_names[] = {
    "TBW102",
    "SCHEDULE_TOPIC_XXXX",
    "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRACE_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
    "CHECKPOINT_TOPIC",
};

/* ---- types and names ---- */

const char *topic_type_name(enum topic_type type)
{
    if (type == TOPIC_MIXED)
        return "MIXED";
    assert(type >= TOPIC_NORMAL && type <= TOPIC_PRIORITY);
    return type_names[type];
}

int topic_type_parse(struct span text, enum topic_type *ret_type, struct err *e)
{
    for (int type = TOPIC_NORMAL; type <= TOPIC_PRIORITY; type++) {
        if (span_equal(text, span_str(type_names[type]))) {
            *ret_type = (enum topic_type)type;
            return 0;
        }
    }
    if (span_equal(text, span_str("MIXED"))) {
        *ret_type = TOPIC_MIXED;
        return 0;
    }
    char shown[NAME_SHOWN_BYTES];
    return err_set(e, ERR_INVAL, "read topic type: '%s' is none", name_show(text, shown));
}

static bool is_served(enum topic_type type)
{
    return type == TOPIC_NORMAL || type == TOPIC_FIFO;
}

int topic_check_send(enum topic_type type, enum topic_type message, struct err *e)
{
    if (!is_served(message))
        return err_set(e, ERR_UNSUPPORTED, "message type %s is not served yet",
                       topic_type_name(message));
    if (type != message && type != TOPIC_MIXED)
        return err_set(e, ERR_INVAL, "message type %s does not fit topic type %s",
                       topic_type_name(message), topic_type_name(type));
    return 0;
}

bool topic_is_system(struct span name)
{
    for (size_t i = 0; i < sizeof system_names / sizeof system_names[0]; i++)
        if (span_equal(name, span_str(system_names[i])))
            return true;
    return name_has_prefix(name, "rmq_sys_");
}

int topic_check_name(struct span name, struct err *e)
{
    int rc = name_check("topic", name, TOPIC_NAME_MAX, e);
    if (rc == 0 && topic_is_system(name))
        rc = err_set(e, ERR_INVAL, "topic '%.*s' is the broker's own", (int)name.len,
                     (const char *)name.ptr);
    return rc;
}

/* ---- the file ---- */

/* Integer member `key`, or `fallback` when it is absent; INT64_MIN when it is none. */
static int64_t int_member(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL)
        return fallback;
    return json_is_integer(value) ? json_integer_value(value) : INT64_MIN;
}

static int read_type(const json_t *object, enum topic_type *ret_type, struct err *e)
{
    const json_t *attributes = json_object_get(object, "attributes");
    const char *text = json_string_value(json_object_get(attributes, "message.type"));
    if (text == NULL || strcmp(text, "UNSPECIFIED") == 0) {
        *ret_type = TOPIC_NORMAL;
        return 0;
    }
    return topic_type_parse(span_str(text), ret_type, e);
}

static int info_from_json(const char *name, const json_t *object, struct topic_info *ret,
                          struct err *e)
{
    struct topic_info info = {0};
    size_t len = strlen(name);
    if (len == 0 || len > TOPIC_STORED_MAX)
        return err_set(e, ERR_CORRUPT, "name of %zu bytes", len);
    if (!json_is_object(object))
        return err_set(e, ERR_CORRUPT, "not an object");
    memcpy(info.name, name, len);
    info.is_system = topic_is_system(span_str(name));
    int64_t n_read = int_member(object, "readQueueNums", 16);
    int64_t n_write = int_member(object, "writeQueueNums", 16);
    int64_t perm = int_member(object, "perm", TOPIC_PERM_READ | TOPIC_PERM_WRITE);
    if (n_read < 0 || n_read > TOPIC_QUEUES_MAX || n_write < 0 || n_write > TOPIC_QUEUES_MAX)
        return err_set(e, ERR_CORRUPT, "number of queues not in 0..%d", TOPIC_QUEUES_MAX);
    if (perm < 0 || perm > 0xff)
        return err_set(e, ERR_CORRUPT, "permission not in 0..255");
    info.n_read_queues = (uint32_t)n_read;
    info.n_write_queues = (uint32_t)n_write;
    info.perm = (uint32_t)perm & (TOPIC_PERM_READ | TOPIC_PERM_WRITE);
    int rc = read_type(object, &info.type, e);
    if (rc < 0)
        return rc;
    *ret = info;
    return 0;
}

static json_t *info_to_json(const struct topic_info *info)
{
    return json_pack("{s:{s:s}, s:b, s:I, s:I, s:s, s:s, s:i, s:I}", "attributes", "message.type",
                     topic_type_name(info->type), "order", 0, "perm", (json_int_t)info->perm,
                     "readQueueNums", (json_int_t)info->n_read_queues, "topicFilterType",
                     "SINGLE_TAG", "topicName", info->name, "topicSysFlag", 0, "writeQueueNums",
                     (json_int_t)info->n_write_queues);
}

static int add_topic(struct topic_table *t, const struct topic_info *info, bool is_live,
                     struct err *e)
{
    struct topic *topic = malloc(sizeof *topic);
    if (topic == NULL)
        return err_set(e, ERR_NOMEM, "add topic '%s'", info->name);
    topic->info = *info;
    topic->is_live = is_live;
    int rc = map_put(&t->topics, span_str(info->name), topic, e);
    if (rc < 0)
        free(topic);
    return rc;
}

static int load_topics(struct topic_table *t, struct err *e)
{
    const char *name;
    json_t *object;
    json_object_foreach(t->doc.table, name, object)
    {
        struct topic_info info;
        struct err why;
        if (info_from_json(name, object, &info, &why) < 0) {
            log_warn("topics.json: topic '%.64s': %s, ignoring it", name, why.msg);
            continue;
        }
        int rc = add_topic(t, &info, /* is_live = */ true, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int topic_table_open(struct topic_table **ret_table, const char *config_folder, size_t max_topics,
                     struct io *io, struct err *e)
{
    struct topic_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "open topics");
    t->max_topics = max_topics;
    lock_init(&t->change, LOCK_STATE);
    lock_init(&t->lock, LOCK_TOPIC);
    int rc = state_doc_open(&t->doc, io, config_folder, "topics.json", "topicConfigTable", e);
    if (rc == 0)
        rc = load_topics(t, e);
    if (rc < 0) {
        topic_table_close(t);
        return err_wrap(e, "open topics");
    }
    *ret_table = t;
    return 0;
}

void topic_table_close(struct topic_table *t)
{
    if (t == NULL)
        return;
    const struct map_entry *at;
    for (size_t pos = 0; (at = map_next(&t->topics, &pos)) != NULL;)
        free(at->value);
    map_fini(&t->topics);
    state_doc_close(&t->doc);
    lock_fini(&t->lock);
    lock_fini(&t->change);
    free(t);
}

/* ---- batch queues ---- */

static bool has_batch_queues(const json_t *object)
{
    const json_t *attributes = json_object_get(object, "attributes");
    const char *type = json_string_value(json_object_get(attributes, "queue.type"));
    return type && strcmp(type, "BatchCQ") == 0;
}

int topic_batch_names(const char *config_folder, struct io *io, char ***ret_names, struct err *e)
{
    json_t *root = NULL, *object;
    const char *name;
    size_t n = 0;
    int rc = state_read(io, config_folder, "topics.json", &root, e);
    if (rc < 0 && rc != ERR_NOTFOUND)
        return rc;
    json_t *table = json_object_get(root, "topicConfigTable");
    char **names = calloc(json_object_size(table) + 1, sizeof *names);
    rc = names ? 0 : ERR_NOMEM;
    json_object_foreach(table, name, object)
    {
        if (rc == 0 && has_batch_queues(object) && !(names[n++] = strdup(name)))
            rc = ERR_NOMEM;
    }
    json_decref(root);
    if (rc < 0) {
        topic_batch_free(names);
        return err_set(e, rc, "list the topics with batch queues");
    }
    *ret_names = names;
    return 0;
}

void topic_batch_free(char **names)
{
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

/* ---- use ---- */

bool topic_get(struct topic_table *t, struct span name, struct topic_info *ret)
{
    lock_take(&t->lock);
    const struct topic *topic = map_get(&t->topics, name);
    bool found = topic != NULL && topic->is_live;
    if (found)
        *ret = topic->info;
    lock_drop(&t->lock);
    return found;
}

static int check_settings(const struct topic_info *want, struct err *e)
{
    if (want->n_read_queues < 1 || want->n_read_queues > TOPIC_QUEUES_MAX ||
        want->n_write_queues < 1 || want->n_write_queues > TOPIC_QUEUES_MAX)
        return err_set(e, ERR_INVAL, "create topic '%s': number of queues not in 1..%d", want->name,
                       TOPIC_QUEUES_MAX);
    if (want->perm & ~(uint32_t)(TOPIC_PERM_READ | TOPIC_PERM_WRITE))
        return err_set(e, ERR_INVAL, "create topic '%s': no such permission '%" PRIu32 "'",
                       want->name, want->perm);
    if (!is_served(want->type))
        return err_set(e, ERR_UNSUPPORTED, "create topic '%s': topic type %s is not served yet",
                       want->name, topic_type_name(want->type));
    return 0;
}

static int check_same(const struct topic_info *have, const struct topic_info *want, struct err *e)
{
    if (have->type != want->type)
        return err_set(e, ERR_EXISTS, "create topic '%s': exists with type %s", have->name,
                       topic_type_name(have->type));
    if (have->n_read_queues != want->n_read_queues || have->n_write_queues != want->n_write_queues)
        return err_set(e, ERR_EXISTS,
                       "create topic '%s': exists with %" PRIu32 " read and %" PRIu32
                       " write queues",
                       have->name, have->n_read_queues, have->n_write_queues);
    if (have->perm != want->perm)
        return err_set(e, ERR_EXISTS, "create topic '%s': exists with permission %" PRIu32,
                       have->name, have->perm);
    return 0;
}

static void free_topic(struct topic_table *t, struct span name)
{
    lock_take(&t->lock);
    free(map_remove(&t->topics, name));
    lock_drop(&t->lock);
}

/* Writes the file with the topic's object changed (NULL: removed) and the name marked. */
static int write_marked(struct topic_table *t, const char *name, json_t *object,
                        uint64_t below_log_off, struct err *e)
{
    json_t *before = NULL;
    int rc = topic_deleted_mark(t->doc.root, name, below_log_off, &before, e);
    if (rc < 0) {
        json_decref(object);
        return rc;
    }
    rc = state_doc_change(&t->doc, name, object, e);
    if (rc < 0)
        topic_deleted_undo(t->doc.root, name, before);
    else
        json_decref(before);
    return rc;
}

/* What was left under the name of a deleted topic is cleared before the name lives again: a send
 * that raced with the deletion may have come later than it. */
static int write_new(struct topic_table *t, const struct topic_info *info, struct err *e)
{
    uint64_t below_log_off = 0;
    bool was_deleted = topic_deleted_has(t->doc.root, info->name);
    if (was_deleted && t->clear) {
        int rc = t->clear(t->clear_arg, span_str(info->name), &below_log_off, e);
        if (rc < 0)
            return rc;
    }
    json_t *object = info_to_json(info);
    if (!object)
        return err_set(e, ERR_NOMEM, "describe topic '%s'", info->name);
    return was_deleted ? write_marked(t, info->name, object, below_log_off, e)
                       : state_doc_change(&t->doc, info->name, object, e);
}

/* Adds a topic that does not exist and writes it. */
static int create_new(struct topic_table *t, const struct topic_info *want, struct err *e)
{
    lock_assert_held(&t->change);
    struct topic_info info = *want;
    info.is_system = topic_is_system(span_str(info.name));
    lock_take(&t->lock);
    int rc = t->topics.n_used >= t->max_topics
                 ? err_set(e, ERR_BUSY, "create topic '%s': %zu are there, which is maxTopics",
                           info.name, t->topics.n_used)
                 : add_topic(t, &info, /* is_live = */ false, e);
    lock_drop(&t->lock);
    if (rc < 0)
        return rc;

    rc = write_new(t, &info, e);
    if (rc < 0) {
        free_topic(t, span_str(info.name));
        return err_wrap(e, "create topic '%s'", info.name);
    }
    lock_take(&t->lock);
    struct topic *topic = map_get(&t->topics, span_str(info.name));
    topic->is_live = true;
    lock_drop(&t->lock);
    return 0;
}

void topic_table_on_clear(struct topic_table *t, topic_clear_fn clear, void *arg)
{
    t->clear = clear;
    t->clear_arg = arg;
}

int topic_table_settle(struct topic_table *t, uint64_t log_begin, uint64_t log_end, struct err *e)
{
    lock_take(&t->change);
    bool must_write = topic_deleted_settle(t->doc.root, log_begin, log_end);
    int rc = must_write ? state_doc_write(&t->doc, e) : 0;
    lock_drop(&t->change);
    return rc;
}

int topic_create(struct topic_table *t, const struct topic_info *want, struct err *e)
{
    int rc = topic_check_name(span_str(want->name), e);
    if (rc == 0)
        rc = check_settings(want, e);
    if (rc < 0)
        return rc;
    struct topic_info have;
    lock_take(&t->change);
    rc = topic_get(t, span_str(want->name), &have) ? check_same(&have, want, e)
                                                   : create_new(t, want, e);
    lock_drop(&t->change);
    return rc;
}

int topic_ensure(struct topic_table *t, const struct topic_info *want, struct err *e)
{
    int rc = check_settings(want, e);
    if (rc < 0)
        return rc;
    struct topic_info have;
    lock_take(&t->change);
    rc = topic_get(t, span_str(want->name), &have) ? 0 : create_new(t, want, e);
    lock_drop(&t->change);
    return rc;
}

int topic_delete(struct topic_table *t, struct span name, struct err *e)
{
    struct topic_info have;
    char shown[NAME_SHOWN_BYTES];
    lock_take(&t->change);
    int rc = 0;
    if (!topic_get(t, name, &have))
        rc = err_set(e, ERR_NOTFOUND, "delete topic '%s': not found", name_show(name, shown));
    else if (have.is_system)
        rc = err_set(e, ERR_INVAL, "delete topic '%s': it is the broker's own", have.name);
    else
        rc = write_marked(t, have.name, /* object = */ NULL, UINT64_MAX, e);
    if (rc == 0)
        free_topic(t, name);
    lock_drop(&t->change);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct topic_info *)a)->name, ((const struct topic_info *)b)->name);
}

int topic_list(struct topic_table *t, struct topic_info **ret_topics, size_t *ret_n, struct err *e)
{
    lock_take(&t->lock);
    size_t n = 0;
    struct topic_info *list = calloc(t->topics.n_used + 1, sizeof *list);
    const struct map_entry *at;
    for (size_t pos = 0; list && (at = map_next(&t->topics, &pos)) != NULL;) {
        const struct topic *topic = at->value;
        if (topic->is_live)
            list[n++] = topic->info;
    }
    lock_drop(&t->lock);
    if (list == NULL)
        return err_set(e, ERR_NOMEM, "list topics");
    qsort(list, n, sizeof *list, by_name);
    *ret_topics = list;
    *ret_n = n;
    return 0;
}

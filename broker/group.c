/* The group registry. Groups made on first use are in memory at once and in the file at the next
 * save: losing one in a crash loses nothing, its next use makes it again. Those made by
 * group_create are not live before the file is written. Locks as in topic.c: LOCK_STATE orders
 * changes, LOCK_GROUP guards the map. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "broker/name.h"
#include "broker/state.h"

struct group {
    struct group_info info; /* set before it is in the map, then constant */
    bool is_live;           /* guarded by LOCK_GROUP */
    bool is_saved;          /* guarded by LOCK_GROUP: the document has it */
};

struct group_table {
    size_t max_groups;
    struct lock change;   /* LOCK_STATE */
    struct state_doc doc; /* guarded by `change` */
    struct lock lock;     /* LOCK_GROUP */
    struct map groups;    /* guarded by `lock`: name to struct group, freed under it */
    size_t n_unsaved;     /* guarded by `lock` */
};

/* RocketMQ's default retry steps, in seconds. */
static const uint32_t default_steps_s[] = {
    1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200,
};

enum { N_DEFAULT_STEPS = sizeof default_steps_s / sizeof default_steps_s[0] };

void group_info_init(struct group_info *info, struct span name)
{
    memset(info, 0, sizeof *info);
    size_t len = name.len < GROUP_STORED_MAX ? name.len : GROUP_STORED_MAX;
    if (len > 0)
        memcpy(info->name, name.ptr, len);
    info->consume_enabled = true;
    info->max_attempts = GROUP_DEFAULT_ATTEMPTS;
    info->retry.kind = GROUP_RETRY_CUSTOMIZED;
    info->retry.n_steps = N_DEFAULT_STEPS;
    for (size_t i = 0; i < N_DEFAULT_STEPS; i++)
        info->retry.step_ms[i] = (uint64_t)default_steps_s[i] * 1000;
}

int group_check_name(struct span name, struct err *e)
{
    int rc = name_check("group", name, GROUP_NAME_MAX, e);
    if (rc == 0 && name_has_prefix(name, "CID_RMQ_SYS_"))
        rc = err_set(e, ERR_INVAL, "group '%.*s' is the broker's own", (int)name.len,
                     (const char *)name.ptr);
    return rc;
}

/* ---- the file ---- */

/* A non-negative integer member into *value, which keeps its default when there is none. */
static void read_u64(const json_t *object, const char *key, uint64_t *value)
{
    const json_t *member = json_object_get(object, key);
    if (json_is_integer(member) && json_integer_value(member) >= 0)
        *value = (uint64_t)json_integer_value(member);
}

static void read_exponential(const json_t *policy, struct group_retry *retry)
{
    uint64_t multiplier = 2;
    retry->kind = GROUP_RETRY_EXPONENTIAL;
    retry->initial_ms = 5000;
    retry->max_ms = UINT64_C(2) * 60 * 60 * 1000;
    read_u64(policy, "initial", &retry->initial_ms);
    read_u64(policy, "max", &retry->max_ms);
    read_u64(policy, "multiplier", &multiplier);
    retry->multiplier = multiplier < 1 ? 1 : multiplier > 1000 ? 1000 : (uint32_t)multiplier;
}

/* Steps given in the file replace the defaults; none, or too many, leave them. */
static void read_steps(const json_t *policy, struct group_retry *retry)
{
    const json_t *next = json_object_get(policy, "next");
    size_t n = json_array_size(next);
    if (n == 0 || n > GROUP_RETRY_STEPS_MAX)
        return;
    retry->n_steps = n;
    for (size_t i = 0; i < n; i++) {
        json_int_t ms = json_integer_value(json_array_get(next, i));
        retry->step_ms[i] = ms < 0 ? 0 : (uint64_t)ms;
    }
}

static void read_retry(const json_t *object, struct group_retry *retry)
{
    const json_t *policy = json_object_get(object, "groupRetryPolicy");
    const char *type = json_string_value(json_object_get(policy, "type"));
    if (type != NULL && strcmp(type, "EXPONENTIAL") == 0)
        read_exponential(json_object_get(policy, "exponentialRetryPolicy"), retry);
    else
        read_steps(json_object_get(policy, "customizedRetryPolicy"), retry);
}

static int info_from_json(const char *name, const json_t *object, struct group_info *ret,
                          struct err *e)
{
    size_t len = strlen(name);
    if (len == 0 || len > GROUP_STORED_MAX)
        return err_set(e, ERR_CORRUPT, "name of %zu bytes", len);
    if (!json_is_object(object))
        return err_set(e, ERR_CORRUPT, "not an object");
    struct group_info info;
    group_info_init(&info, span_str(name));
    uint64_t n_retries = GROUP_DEFAULT_ATTEMPTS - 1;
    read_u64(object, "retryMaxTimes", &n_retries);
    info.max_attempts =
        n_retries < GROUP_ATTEMPTS_MAX ? (uint32_t)n_retries + 1 : GROUP_ATTEMPTS_MAX;
    info.fifo = json_is_true(json_object_get(object, "consumeMessageOrderly"));
    info.consume_enabled = !json_is_false(json_object_get(object, "consumeEnable"));
    read_retry(object, &info.retry);
    *ret = info;
    return 0;
}

static json_t *retry_to_json(const struct group_retry *retry)
{
    if (retry->kind == GROUP_RETRY_EXPONENTIAL)
        return json_pack("{s:s, s:{s:I, s:I, s:I}}", "type", "EXPONENTIAL",
                         "exponentialRetryPolicy", "initial", (json_int_t)retry->initial_ms, "max",
                         (json_int_t)retry->max_ms, "multiplier", (json_int_t)retry->multiplier);
    json_t *steps = json_array();
    for (size_t i = 0; i < retry->n_steps; i++)
        if (json_array_append_new(steps, json_integer((json_int_t)retry->step_ms[i])) != 0) {
            json_decref(steps);
            return NULL;
        }
    return json_pack("{s:s, s:{s:o}}", "type", "CUSTOMIZED", "customizedRetryPolicy", "next",
                     steps);
}

static json_t *info_to_json(const struct group_info *info)
{
    json_t *retry = retry_to_json(&info->retry);
    if (retry == NULL)
        return NULL;
    return json_pack("{s:{}, s:i, s:b, s:b, s:b, s:b, s:i, s:s, s:o, s:i, s:b, s:I, s:i, s:i}",
                     "attributes", "brokerId", 0, "consumeBroadcastEnable", 1, "consumeEnable",
                     (int)info->consume_enabled, "consumeFromMinEnable", 1, "consumeMessageOrderly",
                     (int)info->fifo, "consumeTimeoutMinute", 15, "groupName", info->name,
                     "groupRetryPolicy", retry, "groupSysFlag", 0, "notifyConsumerIdsChangedEnable",
                     1, "retryMaxTimes", (json_int_t)info->max_attempts - 1, "retryQueueNums", 1,
                     "whichBrokerWhenConsumeSlowly", 1);
}

static int add_group(struct group_table *t, const struct group_info *info, struct group **ret_group,
                     struct err *e)
{
    struct group *group = calloc(1, sizeof *group);
    if (group == NULL)
        return err_set(e, ERR_NOMEM, "add group '%s'", info->name);
    group->info = *info;
    int rc = map_put(&t->groups, span_str(info->name), group, e);
    if (rc < 0) {
        free(group);
        return rc;
    }
    *ret_group = group;
    return 0;
}

static int check_room(const struct group_table *t, const char *name, struct err *e)
{
    if (t->groups.n_used >= t->max_groups)
        return err_set(e, ERR_BUSY, "create group '%s': %zu are there, which is maxGroups", name,
                       t->groups.n_used);
    return 0;
}

static int load_groups(struct group_table *t, struct err *e)
{
    const char *name;
    json_t *object;
    json_object_foreach(t->doc.table, name, object)
    {
        struct group_info info;
        struct err why;
        if (info_from_json(name, object, &info, &why) < 0) {
            log_warn("subscriptionGroup.json: group '%.64s': %s, ignoring it", name, why.msg);
            continue;
        }
        struct group *group;
        int rc = add_group(t, &info, &group, e);
        if (rc < 0)
            return rc;
        group->is_live = true;
        group->is_saved = true;
    }
    return 0;
}

int group_table_open(struct group_table **ret_table, const char *config_folder, size_t max_groups,
                     struct io *io, struct err *e)
{
    struct group_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "open groups");
    t->max_groups = max_groups;
    lock_init(&t->change, LOCK_STATE);
    lock_init(&t->lock, LOCK_GROUP);
    int rc = state_doc_open(&t->doc, io, config_folder, "subscriptionGroup.json",
                            "subscriptionGroupTable", e);
    if (rc == 0)
        rc = load_groups(t, e);
    if (rc < 0) {
        group_table_close(t);
        return err_wrap(e, "open groups");
    }
    *ret_table = t;
    return 0;
}

void group_table_close(struct group_table *t)
{
    if (t == NULL)
        return;
    const struct map_entry *at;
    for (size_t pos = 0; (at = map_next(&t->groups, &pos)) != NULL;)
        free(at->value);
    map_fini(&t->groups);
    state_doc_close(&t->doc);
    lock_fini(&t->lock);
    lock_fini(&t->change);
    free(t);
}

/* ---- use ---- */

bool group_get(struct group_table *t, struct span name, struct group_info *ret)
{
    lock_take(&t->lock);
    const struct group *group = map_get(&t->groups, name);
    bool found = group != NULL && group->is_live;
    if (found)
        *ret = group->info;
    lock_drop(&t->lock);
    return found;
}

/* Adds a group with defaults, live and not yet saved. */
static int add_default(struct group_table *t, struct span name, struct group_info *ret,
                       struct err *e)
{
    lock_assert_held(&t->lock);
    struct group_info info;
    group_info_init(&info, name);
    struct group *group;
    int rc = check_room(t, info.name, e);
    if (rc == 0)
        rc = add_group(t, &info, &group, e);
    if (rc < 0)
        return rc;
    group->is_live = true;
    t->n_unsaved++;
    *ret = info;
    return 0;
}

int group_use(struct group_table *t, struct span name, struct group_info *ret, struct err *e)
{
    if (group_get(t, name, ret))
        return 0;
    int rc = group_check_name(name, e);
    if (rc < 0)
        return rc;
    lock_take(&t->lock);
    const struct group *group = map_get(&t->groups, name);
    if (group == NULL)
        rc = add_default(t, name, ret, e);
    else if (group->is_live)
        *ret = group->info;
    else
        rc = err_set(e, ERR_BUSY, "use group '%s': it is being created", group->info.name);
    lock_drop(&t->lock);
    return rc;
}

static int check_same(const struct group_info *have, const struct group_info *want, struct err *e)
{
    if (have->fifo != want->fifo)
        return err_set(e, ERR_EXISTS, "create group '%s': exists and is %s", have->name,
                       have->fifo ? "orderly" : "not orderly");
    if (have->max_attempts != want->max_attempts)
        return err_set(e, ERR_EXISTS, "create group '%s': exists with %" PRIu32 " attempts",
                       have->name, have->max_attempts);
    return 0;
}

/* Ends the creation of `group`: live when it was written, gone when not. */
static void settle(struct group_table *t, struct group *group, int rc)
{
    lock_take(&t->lock);
    if (rc == 0) {
        group->is_live = true;
        group->is_saved = true;
    } else {
        free(map_remove(&t->groups, span_str(group->info.name)));
    }
    lock_drop(&t->lock);
}

static int write_group(struct group_table *t, const struct group_info *info, struct err *e)
{
    lock_assert_held(&t->change);
    json_t *object = info_to_json(info);
    int rc = object ? state_doc_change(&t->doc, info->name, object, e)
                    : err_set(e, ERR_NOMEM, "write group");
    return rc < 0 ? err_wrap(e, "create group '%s'", info->name) : 0;
}

static int create_locked(struct group_table *t, const struct group_info *want, struct err *e)
{
    struct group *group;
    lock_take(&t->lock);
    const struct group *have = map_get(&t->groups, span_str(want->name));
    int rc = have ? check_same(&have->info, want, e) : check_room(t, want->name, e);
    if (rc == 0 && have == NULL)
        rc = add_group(t, want, &group, e);
    lock_drop(&t->lock);
    if (rc < 0 || have != NULL)
        return rc;
    rc = write_group(t, want, e);
    settle(t, group, rc);
    return rc;
}

int group_create(struct group_table *t, const struct group_info *want, struct err *e)
{
    int rc = group_check_name(span_str(want->name), e);
    if (rc < 0)
        return rc;
    if (want->max_attempts < 1 || want->max_attempts > GROUP_ATTEMPTS_MAX)
        return err_set(e, ERR_INVAL, "create group '%s': attempts not in 1..%d", want->name,
                       GROUP_ATTEMPTS_MAX);
    if (want->retry.n_steps > GROUP_RETRY_STEPS_MAX)
        return err_set(e, ERR_INVAL, "create group '%s': more than %d retry steps", want->name,
                       GROUP_RETRY_STEPS_MAX);
    lock_take(&t->change);
    rc = create_locked(t, want, e);
    lock_drop(&t->change);
    return rc;
}

int group_delete(struct group_table *t, struct span name, struct err *e)
{
    struct group_info have;
    char shown[NAME_SHOWN_BYTES];
    lock_take(&t->change);
    int rc = group_get(t, name, &have)
                 ? state_doc_change(&t->doc, have.name, /* value = */ NULL, e)
                 : err_set(e, ERR_NOTFOUND, "delete group '%s': not found", name_show(name, shown));
    if (rc == 0) {
        lock_take(&t->lock);
        struct group *group = map_remove(&t->groups, name);
        t->n_unsaved -= !group->is_saved;
        free(group);
        lock_drop(&t->lock);
    }
    lock_drop(&t->change);
    return rc;
}

/* Puts every unsaved group into the document. */
static int note_unsaved(struct group_table *t, struct err *e)
{
    lock_assert_held(&t->lock);
    const struct map_entry *at;
    for (size_t pos = 0; (at = map_next(&t->groups, &pos)) != NULL;) {
        const struct group *group = at->value;
        if (group->is_saved || !group->is_live)
            continue;
        json_t *object = info_to_json(&group->info);
        if (object == NULL || json_object_set_new(t->doc.table, group->info.name, object) != 0)
            return err_set(e, ERR_NOMEM, "save groups");
    }
    return 0;
}

static void mark_saved(struct group_table *t)
{
    const struct map_entry *at;
    lock_take(&t->lock);
    for (size_t pos = 0; (at = map_next(&t->groups, &pos)) != NULL;) {
        struct group *group = at->value;
        bool is_written = json_object_get(t->doc.table, group->info.name) != NULL;
        t->n_unsaved -= is_written && !group->is_saved;
        group->is_saved = group->is_saved || is_written;
    }
    lock_drop(&t->lock);
}

int group_save(struct group_table *t, struct err *e)
{
    int rc = 0;
    lock_take(&t->change);
    lock_take(&t->lock);
    size_t n_unsaved = t->n_unsaved;
    if (n_unsaved > 0)
        rc = note_unsaved(t, e);
    lock_drop(&t->lock);
    if (rc == 0 && n_unsaved > 0) {
        rc = state_doc_write(&t->doc, e);
        if (rc == 0)
            mark_saved(t);
    }
    lock_drop(&t->change);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct group_info *)a)->name, ((const struct group_info *)b)->name);
}

int group_list(struct group_table *t, struct group_info **ret_groups, size_t *ret_n, struct err *e)
{
    lock_take(&t->lock);
    size_t n = 0;
    struct group_info *list = calloc(t->groups.n_used + 1, sizeof *list);
    const struct map_entry *at;
    for (size_t pos = 0; list && (at = map_next(&t->groups, &pos)) != NULL;) {
        const struct group *group = at->value;
        if (group->is_live)
            list[n++] = group->info;
    }
    lock_drop(&t->lock);
    if (list == NULL)
        return err_set(e, ERR_NOMEM, "list groups");
    qsort(list, n, sizeof *list, by_name);
    *ret_groups = list;
    *ret_n = n;
    return 0;
}

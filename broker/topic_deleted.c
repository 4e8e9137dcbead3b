/* The topics that were deleted. A mark is a number: the byte of the commit log where the name's new
 * life begins. Of a name that does not live again it is negative: -1 - the log's end when a broker
 * last started, or -1 when none has since.
 *
 * The deletion itself cannot tell where the name's last record will be: a send that races with it
 * may come later. At a start nobody sends, and all there is of the name lies before the log's end.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/topic_deleted.h"

#include <stdlib.h>
#include <string.h>

#include "broker/state.h"

static const char member[] = "sluiceDeleted";

enum { NOT_LIVING = -1 };

/* A mark that is no number came from elsewhere, and says only that there was one. All negative ones
 * are alike here, as they were to every version. */
static uint64_t position_of(const json_t *mark)
{
    json_int_t value = json_integer_value(mark);
    return value < 0 ? UINT64_MAX : (uint64_t)value;
}

int topic_deleted_read(const char *config_folder, struct io *io, struct store_deleted **ret_deleted,
                       size_t *ret_n, struct err *e)
{
    json_t *root = NULL, *mark;
    const char *name;
    size_t n = 0;
    int rc = state_read(io, config_folder, "topics.json", &root, e);
    if (rc < 0 && rc != ERR_NOTFOUND)
        return rc;
    const json_t *living = json_object_get(root, "topicConfigTable");
    json_t *marks = json_object_get(root, member);
    struct store_deleted *all = calloc(json_object_size(marks) + 1, sizeof *all);
    rc = all ? 0 : ERR_NOMEM;
    json_object_foreach(marks, name, mark)
    {
        /* made again by somebody who does not know of marks: nothing of it may be left out */
        if (position_of(mark) == UINT64_MAX && json_object_get(living, name))
            continue;
        char *copy = rc == 0 ? strdup(name) : NULL;
        if (!copy)
            rc = ERR_NOMEM;
        else
            all[n++] = (struct store_deleted){.topic = copy, .below_log_off = position_of(mark)};
    }
    json_decref(root);
    if (rc < 0) {
        topic_deleted_free(all, n);
        return err_set(e, rc, "list the deleted topics");
    }
    *ret_deleted = all;
    *ret_n = n;
    return 0;
}

void topic_deleted_free(struct store_deleted *deleted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((char *)deleted[i].topic);
    free(deleted);
}

bool topic_deleted_has(const json_t *root, const char *name)
{
    return json_object_get(json_object_get(root, member), name) != NULL;
}

int topic_deleted_mark(json_t *root, const char *name, uint64_t below_log_off, json_t **ret_before,
                       struct err *e)
{
    json_t *marks = json_object_get(root, member);
    if (!json_is_object(marks)) {
        marks = json_object();
        if (json_object_set_new(root, member, marks) != 0) /* NULL is refused */
            return err_set(e, ERR_NOMEM, "mark topic '%s' as deleted", name);
    }
    json_t *before = json_incref(json_object_get(marks, name));
    json_int_t value = below_log_off > INT64_MAX ? NOT_LIVING : (json_int_t)below_log_off;
    if (json_object_set_new(marks, name, json_integer(value)) != 0) {
        json_decref(before);
        return err_set(e, ERR_NOMEM, "mark topic '%s' as deleted", name);
    }
    *ret_before = before;
    return 0;
}

/* Records of the name that are left out lie below it; UINT64_MAX: not known. */
static uint64_t place_of(json_int_t value)
{
    if (value >= 0)
        return (uint64_t)value;
    return value == NOT_LIVING ? UINT64_MAX : (uint64_t)(NOT_LIVING - value);
}

bool topic_deleted_settle(json_t *root, uint64_t log_begin, uint64_t log_end)
{
    const json_t *living = json_object_get(root, "topicConfigTable");
    json_t *marks = json_object_get(root, member), *mark;
    const char *name;
    void *next;
    bool is_behind = false;
    json_object_foreach_safe(marks, next, name, mark)
    {
        json_int_t value = json_integer_value(mark);
        bool is_negative = value < 0;
        bool is_ignored = is_negative && json_object_get(living, name);
        uint64_t place = place_of(value);
        is_behind = is_behind || (!is_negative && place > log_end);
        if (place > log_end)
            place = log_end;
        if (is_ignored || place <= log_begin)
            (void)json_object_del(marks, name); /* it is there */
        else                                    /* not 0: the log begins before it */
            (void)json_integer_set(mark, is_negative ? NOT_LIVING - (json_int_t)place
                                                     : (json_int_t)place);
    }
    return is_behind;
}

void topic_deleted_undo(json_t *root, const char *name, json_t *before)
{
    json_t *marks = json_object_get(root, member);
    if (before)
        (void)json_object_set_new(marks, name, before); /* the name is there: needs no memory */
    else
        (void)json_object_del(marks, name); /* it is there */
}

/* Small JSON files: integer keys may be bare, so a pass over the text quotes them before jansson
 * reads it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_keys.h"
#include "base/log.h"

int state_parse(const char *text, size_t len, json_t **ret_root, struct err *e)
{
    char *quoted = malloc(2 * len + 1);
    if (quoted == NULL)
        return err_set(e, ERR_NOMEM, "read %zu bytes of JSON", len);
    json_error_t why;
    json_t *root = json_loadb(quoted, json_keys_quote(text, len, quoted), 0, &why);
    free(quoted);
    if (root == NULL)
        return err_set(e, ERR_CORRUPT, "read JSON: line %d, column %d: %s", why.line, why.column,
                       why.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, ERR_CORRUPT, "read JSON: not an object");
    }
    *ret_root = root;
    return 0;
}

static int read_one(struct io *io, const char *path, json_t **ret_root, struct err *e)
{
    uint8_t *buf;
    size_t len;
    int rc = io_read_file(io, path, STATE_FILE_MAX, &buf, &len, e);
    if (rc < 0)
        return rc;
    rc = state_parse((const char *)buf, len, ret_root, e);
    free(buf);
    return rc < 0 ? err_wrap(e, "file '%s'", path) : 0;
}

static int join_path(char path[STATE_PATH_MAX], const char *folder, const char *name,
                     const char *suffix, struct err *e)
{
    int n = snprintf(path, STATE_PATH_MAX, "%s/%s%s", folder, name, suffix);
    if (n < 0 || n >= STATE_PATH_MAX)
        return err_set(e, ERR_TOOBIG, "name file '%s': folder name too long", name);
    return 0;
}

/* Moves a damaged file out of the way: the next write would make it the .bak, in place of the good
 * one.
 */
static void set_aside(struct io *io, const char *path)
{
    char aside[STATE_PATH_MAX];
    if (snprintf(aside, sizeof aside, "%s.damaged", path) < (int)sizeof aside)
        (void)io->rename(io, path, aside); /* absent, or left where it is: read as damaged again */
}

int state_read(struct io *io, const char *folder, const char *name, json_t **ret_root,
               struct err *e)
{
    char path[STATE_PATH_MAX];
    char bak[STATE_PATH_MAX];
    int rc = join_path(path, folder, name, "", e);
    if (rc == 0)
        rc = join_path(bak, folder, name, ".bak", e);
    if (rc < 0)
        return rc;

    struct err first = {0};
    rc = read_one(io, path, ret_root, &first);
    if (rc == 0)
        return 0;
    if (rc != ERR_NOTFOUND && rc != ERR_CORRUPT && rc != ERR_TOOBIG) {
        *e = first;
        return rc;
    }
    struct err second = {0};
    int bak_rc = read_one(io, bak, ret_root, &second);
    if (bak_rc == 0) {
        log_warn("%s, using '%s'", first.msg, bak);
        set_aside(io, path);
        return 0;
    }
    *e = rc == ERR_NOTFOUND ? second : first; /* the one that says what is damaged */
    return e->code;
}

int state_write(struct io *io, const char *folder, const char *name, const json_t *root,
                struct err *e)
{
    char path[STATE_PATH_MAX];
    int rc = join_path(path, folder, name, "", e);
    if (rc == 0)
        rc = io_make_dirs(io, folder, e);
    if (rc < 0)
        return rc;
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL)
        return err_set(e, ERR_NOMEM, "write '%s'", path);
    rc = io_replace_file(io, path, text, strlen(text), /* keep_bak = */ true, e);
    free(text);
    return rc;
}

int state_bump_version(json_t *root, uint64_t now_ms, struct err *e)
{
    json_t *old = json_object_get(root, "dataVersion");
    json_int_t counter = json_integer_value(json_object_get(old, "counter"));
    json_int_t state = json_integer_value(json_object_get(old, "stateVersion"));
    json_t *version = json_pack("{s:I, s:I, s:I}", "counter", counter < INT64_MAX ? counter + 1 : 0,
                                "stateVersion", state, "timestamp", (json_int_t)now_ms);
    if (version == NULL || json_object_set_new(root, "dataVersion", version) != 0)
        return err_set(e, ERR_NOMEM, "note a change");
    return 0;
}

static int find_table(struct state_doc *doc, struct err *e)
{
    doc->table = json_object_get(doc->root, doc->member);
    if (doc->table == NULL) {
        doc->table = json_object();
        if (doc->table == NULL || json_object_set_new(doc->root, doc->member, doc->table) != 0)
            return err_set(e, ERR_NOMEM, "begin '%s'", doc->name);
    }
    if (!json_is_object(doc->table))
        return err_set(e, ERR_CORRUPT, "read '%s/%s': '%s' is not an object", doc->folder,
                       doc->name, doc->member);
    return 0;
}

int state_doc_open(struct state_doc *doc, struct io *io, const char *folder, const char *name,
                   const char *member, struct err *e)
{
    memset(doc, 0, sizeof *doc);
    size_t len = strlen(folder);
    if (len >= sizeof doc->folder)
        return err_set(e, ERR_TOOBIG, "name file '%s': folder name too long", name);
    memcpy(doc->folder, folder, len + 1);
    doc->name = name;
    doc->member = member;
    doc->io = io;
    struct err why;
    int rc = state_read(io, folder, name, &doc->root, &why);
    if (rc == ERR_NOTFOUND) {
        doc->root = json_object();
        rc = doc->root ? 0 : err_set(&why, ERR_NOMEM, "begin '%s'", name);
    }
    if (rc == 0)
        rc = find_table(doc, &why);
    if (rc < 0) {
        state_doc_close(doc);
        *e = why;
    }
    return rc;
}

void state_doc_close(struct state_doc *doc)
{
    json_decref(doc->root);
    doc->root = NULL;
    doc->table = NULL;
}

int state_doc_write(struct state_doc *doc, struct err *e)
{
    int rc = state_bump_version(doc->root, doc->io->now_ms(doc->io), e);
    return rc < 0 ? rc : state_write(doc->io, doc->folder, doc->name, doc->root, e);
}

/* The table with one name set or removed; the old one is untouched. */
static json_t *changed_table(const json_t *table, const char *key, json_t *value)
{
    json_t *next = json_copy((json_t *)table);
    if (next == NULL) {
        json_decref(value);
        return NULL;
    }
    if (value == NULL) {
        (void)json_object_del(next, key); /* fails only when it is not there */
    } else if (json_object_set_new(next, key, value) != 0) {
        json_decref(next);
        return NULL;
    }
    return next;
}

int state_doc_change(struct state_doc *doc, const char *key, json_t *value, struct err *e)
{
    json_t *old = json_incref(doc->table);
    json_t *next = changed_table(doc->table, key, value);
    int rc = 0;
    if (next == NULL || json_object_set_new(doc->root, doc->member, next) != 0)
        rc = err_set(e, ERR_NOMEM, "change '%s' in '%s'", key, doc->name);
    if (rc == 0)
        rc = state_doc_write(doc, e);
    if (rc == 0)
        doc->table = next;
    else
        (void)json_object_set(doc->root, doc->member, old); /* the name is there: needs no memory */
    json_decref(old);
    return rc;
}

/* Tells what a path is, by its first bytes where they are clear, else by its name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_kind.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/quiet_file.h"
#include "store/store.h"
#include "tools/timer_format.h"

enum { HEAD_BYTES = 64, INDEX_NAME_DIGITS = 17 };

static bool has_log_magic(const uint8_t *head)
{
    uint32_t magic = be32_get(head + 4);
    return magic == STORE_MAGIC_V1 || magic == STORE_MAGIC_V2 || magic == STORE_MAGIC_BLANK;
}

/* The last part of a path. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int refuse(const char *path, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "'%s' is no store and no file of one that is known", path);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len > n && strcmp(text + len - n, end) == 0;
}

bool dump_is_config(const char *name)
{
    return ends_with(name, ".json") || ends_with(name, ".json.bak") ||
           strcmp(name, "timermetrics") == 0 || strcmp(name, "transactionMetrics") == 0 ||
           strcmp(name, "position-checkpoint") == 0;
}

static bool is_index_name(const char *name)
{
    return strlen(name) == INDEX_NAME_DIGITS &&
           strspn(name, "0123456789") == (size_t)INDEX_NAME_DIGITS;
}

static bool is_queue_file(const char *path, const uint8_t *head, uint64_t bytes)
{
    struct store_queue_entry entry;
    return strstr(path, "consumequeue/") || (bytes % STORE_QUEUE_ENTRY_BYTES == 0 && bytes > 0 &&
                                             store_queue_entry_decode(head, &entry));
}

static bool is_timer_log(const char *path, const uint8_t *head)
{
    struct timer_record rec;
    return strstr(path, "timerlog/") ||
           (!strstr(path, "consumequeue/") &&
            timer_record_decode(span_of(head, HEAD_BYTES), &rec) == TIMER_RECORD);
}

static int judge_file(const char *path, const uint8_t *head, uint64_t bytes, enum dump_kind *ret,
                      struct err *e)
{
    const char *name = name_of(path);
    uint64_t start;
    if (has_log_magic(head))
        *ret = DUMP_LOG;
    else if (strcmp(name, "checkpoint") == 0)
        *ret = DUMP_CHECKPOINT;
    else if (strcmp(name, DUMP_TIMER_CHECK) == 0)
        *ret = DUMP_TIMER_PROGRESS;
    else if (strncmp(name, "timerwheel", strlen("timerwheel")) == 0)
        *ret = DUMP_TIMER_WHEEL;
    else if (dump_is_config(name))
        *ret = DUMP_CONFIG;
    else if (is_index_name(name))
        *ret = DUMP_INDEX;
    else if (!store_parse_name(name, &start))
        return refuse(path, e);
    else if (is_timer_log(path, head))
        *ret = DUMP_TIMER_LOG;
    else /* of the log: it is empty, or damaged at its start */
        *ret = is_queue_file(path, head, bytes) ? DUMP_QUEUE : DUMP_LOG;
    return 0;
}

static int detect_file(const char *path, struct io *io, enum dump_kind *ret, struct err *e)
{
    uint8_t head[HEAD_BYTES] = {0};
    struct quiet_file f;
    size_t n;
    int rc = quiet_open(&f, io, path, e);
    if (rc < 0)
        return rc;
    rc = quiet_read(&f, 0, head, sizeof head, &n, e);
    quiet_close(&f);
    return rc < 0 ? err_wrap(e, "read '%s'", path) : judge_file(path, head, f.bytes, ret, e);
}

static bool is_folder(const char *folder, const char *name)
{
    char child[PATH_MAX];
    struct stat st;
    int n = snprintf(child, sizeof child, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof child && stat(child, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The kind of a folder whose first known file is of this kind. */
static enum dump_kind folder_of(enum dump_kind kind)
{
    if (kind == DUMP_QUEUE)
        return DUMP_QUEUES;
    if (kind == DUMP_CONFIG || kind == DUMP_TIMER_PROGRESS)
        return DUMP_CONFIGS;
    return kind;
}

/* A folder is what the first known file in it is, by name; the folders of queues hold folders. */
static int detect_folder(const char *path, struct io *io, enum dump_kind *ret, struct err *e)
{
    if (is_folder(path, "commitlog")) {
        *ret = DUMP_STORE;
        return 0;
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), rc = 1;
    if (n < 0)
        return err_sys(e, errno, "open folder '%s'", path);
    bool has_folders = false;
    for (int i = 0; i < n; i++) {
        char child[PATH_MAX];
        int len = snprintf(child, sizeof child, "%s/%s", path, names[i]->d_name);
        bool is_named = names[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof child;
        struct err ignored;
        enum dump_kind kind;
        if (is_named && is_folder(path, names[i]->d_name))
            has_folders = true;
        else if (is_named && rc == 1 && detect_file(child, io, &kind, &ignored) == 0) {
            *ret = folder_of(kind);
            rc = 0;
        }
        free(names[i]);
    }
    free(names);
    if (rc == 0)
        return 0;
    if (!has_folders || !strstr(path, "consumequeue"))
        return refuse(path, e);
    *ret = DUMP_QUEUES;
    return 0;
}

int dump_detect(const char *path, struct io *io, enum dump_kind *ret, struct err *e)
{
    struct stat st;
    enum dump_kind kind = DUMP_LOG;
    if (stat(path, &st) < 0)
        return err_sys(e, errno, "open '%s'", path);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return refuse(path, e);
    int rc =
        S_ISDIR(st.st_mode) ? detect_folder(path, io, &kind, e) : detect_file(path, io, &kind, e);
    if (rc == 0)
        *ret = kind;
    return rc;
}

/* Tells what a path is, by its first bytes where they are clear, else by its name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_kind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store.h"
#include "tools/dump_queues.h"

enum { HEAD_BYTES = 20 };

static bool has_log_magic(const uint8_t head[HEAD_BYTES])
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
    return err_set(e, ERR_UNSUPPORTED, "'%s' is no store, commit log, consume queue or checkpoint",
                   path);
}

static int judge_file(const char *path, const uint8_t head[HEAD_BYTES], uint64_t bytes,
                      enum dump_kind *ret, struct err *e)
{
    struct store_queue_entry entry;
    uint64_t start;
    bool is_numbered = dump_parse_name(name_of(path), &start);
    bool is_queue = bytes % STORE_QUEUE_ENTRY_BYTES == 0 && bytes > 0 &&
                    (strstr(path, "consumequeue/") || store_queue_entry_decode(head, &entry));
    if (has_log_magic(head))
        *ret = DUMP_LOG;
    else if (strcmp(name_of(path), "checkpoint") == 0)
        *ret = DUMP_CHECKPOINT;
    else if (strstr(path, "batchconsumequeue/"))
        return err_set(e, ERR_UNSUPPORTED, "'%s' is a queue of batches, which dump cannot read",
                       path);
    else if (is_numbered) /* of the log: it is empty, or damaged at its start */
        *ret = is_queue ? DUMP_QUEUE : DUMP_LOG;
    else
        return refuse(path, e);
    return 0;
}

static int detect_file(const char *path, struct io *io, enum dump_kind *ret, struct err *e)
{
    uint8_t head[HEAD_BYTES] = {0};
    uint64_t bytes = 0;
    int fd = io->open(io, path, O_RDONLY, 0);
    if (fd < 0)
        return err_sys(e, -fd, "open '%s'", path);
    int rc = io->size(io, fd, &bytes);
    int64_t n = rc < 0 ? rc : io->pread(io, fd, head, sizeof head, 0);
    (void)io->close(io, fd); /* read only: nothing to lose */
    if (n < 0)
        return err_sys(e, (int)-n, "read '%s'", path);
    return judge_file(path, head, bytes, ret, e);
}

/* The kind of a folder is that of the first numbered file in it. */
static int detect_folder(const char *path, struct io *io, enum dump_kind *ret, struct err *e)
{
    char child[PATH_MAX];
    struct stat st;
    (void)snprintf(child, sizeof child, "%s/commitlog", path);
    if (stat(child, &st) == 0 && S_ISDIR(st.st_mode)) {
        *ret = DUMP_STORE;
        return 0;
    }
    DIR *dir = opendir(path);
    if (!dir)
        return err_sys(e, errno, "open folder '%s'", path);
    bool has_folders = false;
    int rc = 1;
    for (struct dirent *entry = readdir(dir); entry && rc == 1; entry = readdir(dir)) {
        uint64_t start;
        (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        has_folders |= entry->d_name[0] != '.' && stat(child, &st) == 0 && S_ISDIR(st.st_mode);
        if (dump_parse_name(entry->d_name, &start))
            rc = detect_file(child, io, ret, e);
    }
    (void)closedir(dir);
    if (rc == 0 && *ret == DUMP_QUEUE)
        *ret = DUMP_QUEUES;
    if (rc <= 0)
        return rc;
    if (!has_folders || !(strstr(path, "consumequeue")) || strstr(path, "batchconsumequeue"))
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

/* A scratch folder for one test. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/tmpdir.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

void tmpdir_use_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", /* overwrite = */ 0); /* else it only takes longer */
}

char *tmpdir_make(void)
{
    const char *base = getenv("TMPDIR");
    char *path = tmpdir_path(base ? base : "/tmp", "sluice-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

char *tmpdir_copy(const char *path)
{
    char *command = NULL, *copy = tmpdir_make();
    ck_assert_int_gt(asprintf(&command, "cp -a '%s/.' '%s'", path, copy), 0);
    ck_assert_int_eq(system(command), 0);
    free(command);
    return copy;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tmpdir_remove(char *path)
{
    if (!path)
        return;
    ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(path);
}

char *tmpdir_path(const char *folder, const char *name)
{
    char *path = NULL;
    ck_assert_int_gt(asprintf(&path, "%s/%s", folder, name), 0);
    return path;
}

void tmpdir_put(const char *folder, const char *name, const char *text)
{
    struct err e;
    char *path = tmpdir_path(folder, name), *slash = strrchr(path, '/');
    *slash = '\0';
    ck_assert_msg(io_make_dirs(io_posix(), path, &e) == 0, "%s", e.msg);
    *slash = '/';
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
}

void tmpdir_put_zeros(const char *folder, const char *name, off_t bytes)
{
    char *path = tmpdir_path(folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, bytes), 0);
    (void)close(fd);
    free(path);
}

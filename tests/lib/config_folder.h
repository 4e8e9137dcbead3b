/* A config folder of a store for one test: empty, or as RocketMQ left it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_CONFIG_FOLDER_H
#define TESTS_LIB_CONFIG_FOLDER_H

#include <check.h>
#include <stdlib.h>

#include "base/io.h"
#include "tests/lib/tmpdir.h"

/* The whole file as text, to be freed. */
static inline char *config_folder_read(const char *folder, const char *name)
{
    struct err e;
    uint8_t *buf;
    size_t len;
    char *path = tmpdir_path(folder, name);
    ck_assert_msg(io_read_file(io_posix(), path, 1 << 20, &buf, &len, &e) == 0, "%s", e.msg);
    free(path);
    return (char *)buf;
}

/* Copies one file of tests/data/rocketmq-config, which a RocketMQ 5.5.0 broker wrote. */
static inline void config_folder_copy(const char *folder, const char *data, const char *name)
{
    char *from = tmpdir_path(data, "rocketmq-config");
    char *text = config_folder_read(from, name);
    tmpdir_put(folder, name, text);
    free(text);
    free(from);
}

#endif

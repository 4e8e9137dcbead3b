/* Runs a fuzz target over the files and folders named, for compilers without a fuzzer. Fails when
 * there was no input; a target fails by aborting. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"

enum { MAX_INPUT_BYTES = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t replay_file(const char *path)
{
    uint8_t *buf;
    size_t len;
    struct err e;
    if (io_read_file(io_posix(), path, MAX_INPUT_BYTES, &buf, &len, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(EXIT_FAILURE);
    }
    /* Without the NUL behind it, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(len);
    if (len > 0)
        memcpy(exact, buf, len);
    free(buf);
    (void)LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 1;
}

static size_t replay_folder(const char *path, DIR *dir)
{
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        n += replay_file(file);
    }
    return n;
}

static size_t replay(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return replay_file(path);
    const size_t n = replay_folder(path, dir);
    (void)closedir(dir);
    return n;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    printf("%zu inputs\n", n);
    return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

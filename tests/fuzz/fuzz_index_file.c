/* Fuzzes whole files of the key index, as `dump` and `verify` read them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/index_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_items(struct index_file *f)
{
    struct store_index_item item;
    struct err e;
    bool is_item;
    uint32_t newest;
    int rc = 0;
    for (uint32_t n = 1; rc == 0 && n < f->n_items; n++) {
        rc = index_file_item(f, n, &item, &is_item, &e);
        if (rc == 0 && is_item)
            rc = index_file_slot(f, item.hash % f->n_slots, &newest, &e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct index_file f;
    char path[64];
    struct err e;
    int fd = memfd_create("index", 0);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (index_file_open(&f, path, 0, io_posix(), &e) == 0) {
        read_items(&f);
        index_file_close(&f);
    }
    (void)close(fd);
    return 0;
}

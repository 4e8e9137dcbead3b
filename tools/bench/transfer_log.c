/* Makes the log that transfers are taken from. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/transfer_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/store.h"

#define FILE_BODIES_MAX (UINT64_C(768) << 20) /* the rest of a file is left for the records */

static uint32_t dice(uint64_t i)
{
    return (uint32_t)((i * UINT64_C(0x9e3779b97f4a7c15) >> 33) % TRANSFER_TAGS);
}

/* Valid until the next call: a store copies it at once. */
static const char *tag_of(uint64_t i)
{
    static char tag[8];
    (void)snprintf(tag, sizeof tag, "T%u", dice(i));
    return tag;
}

/* Where the body lies and which tag it has; the scan itself hits nothing. */
static bool note_record(void *arg, const struct store_record *rec)
{
    struct transfer_log *l = arg;
    struct span tag = {0};
    char text[8] = {0};
    (void)store_property_get(rec->properties, "TAGS", &tag);
    if (tag.len < 2 || tag.len >= sizeof text || l->n_records >= l->filled.n_messages)
        return false;
    memcpy(text, tag.ptr + 1, tag.len - 1);
    l->records[l->n_records++] = (struct transfer_record){
        .off = rec->log_off + (uint64_t)(rec->body.ptr - rec->raw.ptr),
        .len = (uint32_t)rec->body.len,
        .tag = (uint32_t)strtoul(text, NULL, 10),
    };
    l->log_bytes = rec->log_off + rec->size;
    return false;
}

static int find_records(struct transfer_log *l, struct err *e)
{
    const struct store_match match = {.record = note_record, .arg = l};
    struct filled_pass pass;
    l->records = calloc(l->filled.n_messages, sizeof *l->records);
    if (!l->records)
        return err_set(e, ERR_NOMEM, "note where the messages are");
    int rc = filled_scan(&l->filled, &match, &pass, e);
    if (rc == 0 && l->n_records != l->filled.n_messages)
        rc = err_set(e, ERR_FAILED, "find %zu messages of %llu", l->n_records,
                     (unsigned long long)l->filled.n_messages);
    return rc;
}

static int open_file(struct transfer_log *l, struct err *e)
{
    char path[SCRATCH_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/store/commitlog/%020d", l->filled.folder, 0);
    l->file = open(path, O_RDONLY | O_CLOEXEC);
    return l->file < 0 ? err_sys(e, errno, "open '%s'", path) : 0;
}

int transfer_log_make(struct transfer_log *l, const char *dir, uint32_t body_bytes, uint64_t bytes,
                      struct err *e)
{
    const struct filled_options opt = {
        .dir = dir,
        .n_messages = (bytes < FILE_BODIES_MAX ? bytes : FILE_BODIES_MAX) / body_bytes,
        .body_bytes = body_bytes,
        .tag_of = tag_of,
    };
    *l = (struct transfer_log){.file = -1};
    int rc = filled_make(&l->filled, &opt, e);
    if (rc == 0)
        rc = find_records(l, e);
    if (rc == 0)
        rc = filled_drop(&l->filled, e); /* its threads would be measured too */
    if (rc == 0)
        rc = filled_map(&l->filled, "commitlog", &l->map, e);
    if (rc == 0)
        rc = open_file(l, e);
    if (rc == 0)
        l->body_bytes = body_bytes;
    else
        transfer_log_free(l);
    return rc;
}

void transfer_log_free(struct transfer_log *l)
{
    if (l->file >= 0 && l->filled.folder[0])
        (void)close(l->file);
    filled_unmap(&l->map);
    filled_free(&l->filled);
    free(l->records);
    *l = (struct transfer_log){.file = -1};
}

static uint64_t n_resident(const uint8_t *base, uint64_t n_pages, uint64_t page, uint8_t *found)
{
    uint64_t n = 0;
    if (mincore((void *)base, n_pages * page, found) < 0)
        return 0;
    for (uint64_t i = 0; i < n_pages; i++)
        n += found[i] & 1;
    return n;
}

int transfer_log_warm(struct transfer_log *l, struct err *e)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n_pages = (l->log_bytes + page - 1) / page;
    uint8_t *found = malloc(n_pages);
    if (!found)
        return err_set(e, ERR_NOMEM, "look at what is in memory");
    volatile uint8_t sink = 0;
    for (uint64_t at = 0; at < l->log_bytes; at += page)
        sink ^= l->map.bases[0][at];
    uint64_t n = n_resident(l->map.bases[0], n_pages, page, found);
    free(found);
    return n == n_pages ? 0
                        : err_set(e, ERR_FAILED, "keep the log in memory: %llu of %llu pages are",
                                  (unsigned long long)n, (unsigned long long)n_pages);
}

/* Shows the items of key-index files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/dump.h"
#include "tools/dump_record.h"
#include "tools/hex.h"
#include "tools/index_file.h"
#include "tools/json_line.h"

static void show_header(const struct index_file *f, const char *path)
{
    char begin[DUMP_TIME_BYTES], end[DUMP_TIME_BYTES];
    dump_put_time(begin, f->header.begin_ms);
    dump_put_time(end, f->header.end_ms);
    printf("%s\n  %" PRIu32 " items in %" PRIu32 " of %" PRIu32 " slots, records at %" PRIu64
           " to %" PRIu64 "\n  stored %s to %s\n",
           path, f->header.n_next - 1, f->header.n_used_slots, f->n_slots, f->header.begin_log_off,
           f->header.end_log_off, begin, end);
}

static int show_item(struct dump *d, const struct index_file *f, uint32_t n,
                     const struct store_index_item *item, struct err *e)
{
    if (item->log_off < d->filter.log.from || item->log_off >= d->filter.log.to)
        return 0;
    d->limit--;
    if (d->format == DUMP_JSON)
        return json_line(json_pack("{s:I, s:I, s:I, s:I, s:I}", "item", (json_int_t)n, "keyHash",
                                   (json_int_t)item->hash, "physicalOffset",
                                   (json_int_t)item->log_off, "seconds", (json_int_t)item->seconds,
                                   "previous", (json_int_t)item->prev),
                         e);
    printf("%12" PRIu32 "  key hash %" PRIu32 ", record at %" PRIu64 ", %" PRIu32
           " s after the first, before it %" PRIu32 "\n",
           n, item->hash, item->log_off, item->seconds, item->prev);
    if (d->format == DUMP_HEX)
        hex_print(span_of(f->buf + (size_t)(n - f->buf_first) * STORE_INDEX_ITEM_BYTES,
                          STORE_INDEX_ITEM_BYTES),
                  store_index_item_at(f->n_slots, n));
    return 0;
}

static int show_items(struct dump *d, struct index_file *f, const char *path, struct err *e)
{
    int rc = 0;
    for (uint32_t n = 1; rc == 0 && n < f->n_items && dump_goes_on(d); n++) {
        struct store_index_item item;
        bool is_item = false;
        rc = index_file_item(f, n, &item, &is_item, e);
        if (rc < 0)
            return err_wrap(e, "read index '%s'", path);
        if (!is_item || item.prev >= n)
            dump_finding(d, "%12" PRIu32 "  DAMAGED: item with numbers that cannot be in '%s'", n,
                         path);
        else
            rc = show_item(d, f, n, &item, e);
    }
    return rc;
}

static int show_file(struct dump *d, const char *path, struct err *e)
{
    struct index_file *f = malloc(sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, "read index '%s'", path);
    int rc = index_file_open(f, path, (uint32_t)d->index_slots, d->io, e);
    if (rc == ERR_CORRUPT) {
        dump_finding(d, "DAMAGED: %s", e->msg);
        rc = 0;
    } else if (rc == 0) {
        if (d->format != DUMP_JSON)
            show_header(f, path);
        rc = show_items(d, f, path, e);
        index_file_close(f);
    }
    free(f);
    return rc;
}

int dump_index(struct dump *d, struct err *e)
{
    struct stat st;
    struct dirent **names;
    if (stat(d->path, &st) == 0 && !S_ISDIR(st.st_mode))
        return show_file(d, d->path, e);
    int n = scandir(d->path, &names, NULL, alphasort), rc = 0;
    if (n < 0)
        return err_sys(e, errno, "open folder '%s'", d->path);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s/%s", d->path, names[i]->d_name);
        bool is_file = stat(path, &st) == 0 && S_ISREG(st.st_mode);
        if (rc == 0 && is_file && len > 0 && (size_t)len < sizeof path && dump_goes_on(d))
            rc = show_file(d, path, e);
        free(names[i]);
    }
    free(names);
    return rc;
}

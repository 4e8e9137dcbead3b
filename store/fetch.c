/* The kernel reads ahead what adjoins a page fault, megabytes of it. That is right when most of it
 * is wanted, and a hundred times too much for one record in a hundred. So the pages of few hits are
 * asked for one by one, and all of them before the first is needed: what the kernel finds in memory
 * makes it read nothing more, and the disk works on them side by side. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fetch.h"

#include "store/consume_queue.h"

enum {
    RECENT_BYTES = 64 << 20, /* of the log's end: in memory since this process wrote them */
    DENSE_DIVISOR = 8,       /* read all when a part of this is wanted */
};

/* Pages of one file that wait to be asked for. */
struct fetch {
    struct commit_log *log;
    struct mapped_file *file; /* pinned; may be NULL */
    uint64_t from, upto;      /* in the file; equal: none */
};

static bool is_dense(const struct store_queue_entry *entries, size_t n, uint64_t n_looked_at)
{
    const struct store_queue_entry *last = &entries[n - 1];
    uint64_t wanted = 0;
    if (n == 1)
        return n_looked_at < DENSE_DIVISOR;
    for (size_t i = 0; i < n; i++)
        wanted += entries[i].size;
    return wanted >= (last->log_off + last->size - entries->log_off) / DENSE_DIVISOR;
}

static bool is_recent(const struct commit_log *log, uint64_t log_off)
{
    return log_off >= log->begin_off && log_off + RECENT_BYTES >= commit_log_published(log);
}

static void ask(struct fetch *f)
{
    if (f->from < f->upto)
        (void)f->file->io->advise(f->file->io, f->file->base + f->from, f->upto - f->from,
                                  IO_WILLNEED);
    f->from = f->upto = 0;
}

static bool holds(const struct mapped_file *file, uint64_t log_off)
{
    return file && log_off >= file->start && log_off - file->start < file->bytes;
}

/* The pages of the entry's record in its file, which is pinned; false when it cannot be there. */
static bool find_pages(struct fetch *f, const struct store_queue_entry *entry, uint64_t *ret_from,
                       uint64_t *ret_upto)
{
    struct err ignored;
    struct mapped_file *file;
    if (!holds(f->file, entry->log_off)) {
        if (mapped_files_pin(&f->log->files, entry->log_off, &file, &ignored) < 0)
            return false;
        ask(f);
        mapped_file_unpin(f->file);
        f->file = file;
    }
    uint64_t at = entry->log_off - f->file->start;
    if (!consume_queue_is_real(entry) || entry->size > f->file->bytes - at)
        return false;
    *ret_from = at - at % MAPPED_PAGE_BYTES;
    *ret_upto = at + entry->size + MAPPED_PAGE_BYTES - 1;
    *ret_upto -= *ret_upto % MAPPED_PAGE_BYTES;
    *ret_upto = *ret_upto < f->file->bytes ? *ret_upto : f->file->bytes;
    return true;
}

static bool is_in_memory(struct fetch *f, const struct store_queue_entry *entry)
{
    uint64_t from, upto;
    if (!find_pages(f, entry, &from, &upto))
        return true; /* nothing to read */
    struct io *io = f->file->io;
    return io->is_resident(io, f->file->base + from) > 0;
}

void fetch_hits(struct commit_log *log, const struct store_queue_entry *entries, size_t n,
                uint64_t n_looked_at)
{
    struct fetch f = {.log = log};
    if (n == 0 || is_recent(log, entries[0].log_off) || is_dense(entries, n, n_looked_at))
        return;
    if (!is_in_memory(&f, &entries[0]) || !is_in_memory(&f, &entries[n - 1]))
        for (size_t i = 0; i < n; i++) {
            uint64_t from, upto;
            if (!find_pages(&f, &entries[i], &from, &upto))
                continue;
            parts_use(f.file, from, upto); /* first: afterwards it may be in memory */
            if (from > f.upto || from < f.from || f.from == f.upto) {
                ask(&f);
                f.from = from;
            }
            f.upto = upto > f.upto ? upto : f.upto;
        }
    ask(&f);
    mapped_file_unpin(f.file);
}

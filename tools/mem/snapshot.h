/* What a broker or a store costs in memory at one moment. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_SNAPSHOT_H
#define TOOLS_MEM_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"
#include "tools/options.h"

struct client;

enum { MEM_PATHS_MAX = 16, MEM_PATH_NAME_BYTES = 16 };

/* Page faults for one path: see struct store_path_faults. */
struct mem_faults {
    char path[MEM_PATH_NAME_BYTES];
    uint64_t minor, major, n_batches, n_sampled;
};

/* What the broker's allocator holds: HeapMemory of admin.proto. */
struct mem_heap {
    uint64_t allocated_bytes, active_bytes, metadata_bytes, resident_bytes, retained_bytes;
};

struct mem_snapshot {
    struct store_file_info *files; /* by path; owned */
    size_t n_files;
    struct store_file_info total;
    bool is_broker;              /* else what follows is not known */
    struct store_memory process; /* the broker's */
    bool has_heap;               /* the broker told */
    struct mem_heap heap;
    uint64_t lead_bytes, lead_ms;
    struct mem_faults faults[MEM_PATHS_MAX];
    size_t n_faults;
    uint64_t n_appended, appended_bytes, n_append_waits;
    uint64_t n_groups, n_grouped, max_grouped, written_bytes; /* sync flush only */
};

/* Where snapshots come from. */
struct mem_source {
    const char *store;     /* a folder; NULL: a broker */
    struct client *client; /* of the broker */
};

/* Checks the folder, or connects. */
int mem_source_open(struct mem_source *ret, const char *store, const struct options_broker *broker,
                    struct err *e) MUST_CHECK;
void mem_source_close(struct mem_source *source);

int mem_snapshot_take(const struct mem_source *source, struct mem_snapshot *ret,
                      struct err *e) MUST_CHECK;
void mem_snapshot_free(struct mem_snapshot *snapshot); /* zeroed is fine */

#endif

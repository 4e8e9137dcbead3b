/* What a doctor says of a machine and a store: one check for each thing that matters. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include "base/err.h"
#include "tools/host.h"

/* What of a store is known from outside; all 0 where there is none yet. */
struct doctor_store {
    uint64_t n_log_files, n_queue_files, n_index_files;
    uint64_t log_file_bytes; /* of the longest; 0: none */
    uint64_t total_bytes, resident_bytes;
    uint64_t free_bytes, disk_bytes;       /* of its file system; both 0: not known */
    uint64_t n_free_inodes, n_disk_inodes; /* likewise, or it does not count them */
};

enum doctor_state {
    DOCTOR_FINE,
    DOCTOR_NOTE,    /* worth knowing, or of no effect now */
    DOCTOR_FOUND,   /* worth changing */
    DOCTOR_UNKNOWN, /* the kernel does not tell */
};

struct doctor_check {
    const char *group, *name;
    char value[192];
    enum doctor_state state;
    char why[640];    /* what it does to a store */
    char remedy[256]; /* what to do; empty: nothing */
};

typedef void (*doctor_fn)(void *arg, const struct doctor_check *check);

/* Calls `fn` for every check, those of a group together. Pure. */
void doctor_examine(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg);

/* The parts of it, one file each. */
void doctor_kernel(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg);
void doctor_memory(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg);
void doctor_disk(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg);
void doctor_limits(const struct host *h, const struct doctor_store *s, doctor_fn fn, void *arg);

/* ---- for those parts ---- */

/* What requests may take with the options as they come (maxRequestMemory). */
enum { DOCTOR_REQUEST_BYTES = 512 << 20 };

/* What a broker that starts here with the options as they come may take of its memory limit. */
struct doctor_need {
    uint64_t dirty_bytes; /* before its flusher acts: flushBytes and populateWindow */
    uint64_t stall_bytes; /* before senders wait: eight times flushBytes, and populateWindow */
    uint64_t total_bytes; /* that and requests */
};

struct doctor_need doctor_need(const struct host *h);

/* A check about to be made: `value` is formatted, the state is FINE. */
struct doctor_check doctor_check(const char *group, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The same of a number: "unknown" and "no limit" are put into words. */
struct doctor_check doctor_check_number(const char *group, const char *name, uint64_t n);
struct doctor_check doctor_check_bytes(const char *group, const char *name, uint64_t bytes);

void doctor_say(struct doctor_check *c, enum doctor_state state, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void doctor_advise(struct doctor_check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* "1.5 GiB" */
enum { DOCTOR_BYTES_TEXT = 32 };
const char *doctor_bytes(uint64_t bytes, char ret[DOCTOR_BYTES_TEXT]);

#endif

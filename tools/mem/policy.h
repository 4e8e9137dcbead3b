/* How a store may treat the pages of its log, put in front of the seam to the kernel. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_MEM_POLICY_H
#define TOOLS_MEM_POLICY_H

#include <stdint.h>

#include "base/io.h"

enum mem_policy {
    POLICY_LAZY,   /* the writer meets each page's first fault; pages stay mapped */
    POLICY_WHOLE,  /* a file is populated when it is made; pages stay mapped */
    POLICY_WINDOW, /* populated ahead of the writer; pages stay mapped */
    POLICY_DROP,   /* and behind it page-table entries go: what the store does */
    POLICY_LOCKED, /* and what is there of a file is locked until it goes */
    POLICY_N,
};

const char *mem_policy_name(enum mem_policy policy);

/* The real seam but for what the policy does. */
struct mem_policy_io {
    struct io io; /* first: what the store is given */
    enum mem_policy policy;
    uint64_t log_file_bytes; /* other files are left alone */
};

void mem_policy_init(struct mem_policy_io *p, enum mem_policy policy, uint64_t log_file_bytes);

#endif

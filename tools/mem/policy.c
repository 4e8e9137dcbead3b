/* Policies for the pages of a log.
 *
 * The store asks for a window ahead of its writer to be populated and for page-table entries behind
 * it to go, and asks it of the seam to the kernel: so a policy is a seam that does otherwise, and
 * the store under it is the one that is shipped.
 *
 * Locked, a whole file is marked, and its pages are locked as they come. To lock each piece as it
 * is populated would split the mapping there, and what of a 2 MiB page a split cuts through is
 * unmapped: the writer would meet as many faults as if nothing were populated. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mem/policy.h"

#include <errno.h>
#include <sys/mman.h>

const char *mem_policy_name(enum mem_policy policy)
{
    static const char *const names[] = {
        [POLICY_LAZY] = "lazy",        [POLICY_WHOLE] = "whole",   [POLICY_WINDOW] = "window",
        [POLICY_DROP] = "drop-behind", [POLICY_LOCKED] = "locked",
    };
    return names[policy];
}

static const struct mem_policy_io *of(const struct io *io)
{
    return (const struct mem_policy_io *)(const void *)io; /* its first member */
}

static int populate(struct io *io, uint8_t *base, uint64_t len)
{
    return of(io)->policy == POLICY_LAZY ? 0 : io_posix()->populate(io_posix(), base, len);
}

/* What is done to all of a log file. */
static int treat_whole(enum mem_policy policy, uint8_t *base, uint64_t len)
{
    if (policy == POLICY_WHOLE)
        return io_posix()->populate(io_posix(), base, len);
    if (policy == POLICY_LOCKED && mlock2(base, len, MLOCK_ONFAULT) < 0)
        return -errno;
    return 0;
}

static int map(struct io *io, int fd, uint64_t len, bool writable, uint8_t **ret_base)
{
    struct io *real = io_posix();
    uint8_t *base;
    int rc = real->map(real, fd, len, writable, &base);
    if (rc == 0 && writable && len == of(io)->log_file_bytes) {
        rc = treat_whole(of(io)->policy, base, len);
        if (rc < 0)
            (void)real->unmap(real, base, len); /* the failure before is the one to tell */
    }
    if (rc == 0)
        *ret_base = base;
    return rc;
}

static int advise(struct io *io, uint8_t *base, uint64_t len, enum io_advice advice)
{
    enum mem_policy policy = of(io)->policy;
    if (advice == IO_DONTNEED && policy < POLICY_DROP)
        return 0;
    if (advice == IO_DONTNEED && policy == POLICY_LOCKED)
        (void)munlock(base, len); /* what was never locked is no failure */
    return io_posix()->advise(io_posix(), base, len, advice);
}

void mem_policy_init(struct mem_policy_io *p, enum mem_policy policy, uint64_t log_file_bytes)
{
    *p = (struct mem_policy_io){
        .io = *io_posix(), .policy = policy, .log_file_bytes = log_file_bytes};
    p->io.populate = populate;
    p->io.map = map;
    p->io.advise = advise;
}

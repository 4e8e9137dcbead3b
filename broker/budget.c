/* How much memory the broker may take: what options say, else a share of the limit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/budget.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/memory_share.h"

struct budget budget_choose(const struct config *cfg, uint64_t limit_bytes)
{
    struct budget b = {.resident_bytes = cfg->resident_budget_bytes,
                       .mapped_bytes = cfg->mapped_budget_bytes,
                       .populated_bytes = cfg->populate_window_bytes,
                       .flush_bytes = cfg->flush_bytes};
    if (b.resident_bytes == 0)
        b.resident_bytes = memory_share_resident(limit_bytes);
    if (b.mapped_bytes == 0)
        b.mapped_bytes = memory_share_mapped(b.resident_bytes, cfg->log_file_bytes);
    if (b.populated_bytes == 0)
        b.populated_bytes = memory_share_populated(b.resident_bytes);
    if (b.flush_bytes == 0)
        b.flush_bytes = memory_share_flush(b.resident_bytes);
    return b;
}

int budget_find(struct budget *ret, const struct config *cfg, struct io *io, struct err *e)
{
    const char *source = "as option 'residentMemoryBudget' says";
    struct memory_limit limit = {0};
    if (cfg->resident_budget_bytes == 0) {
        int rc = memory_limit_read(&limit, io, "", e);
        if (rc)
            return err_wrap(e, "choose memory budgets, say residentMemoryBudget");
        source = memory_source_text(limit.source);
    }
    *ret = budget_choose(cfg, limit.bytes);
    log_info("memory budgets: resident %" PRIu64 " MiB (%s%s), mapped %" PRIu64
             " MiB, populated %" PRIu64 " MiB, flushed at %" PRIu64 " MiB, locked none",
             ret->resident_bytes >> 20, limit.bytes ? "half of " : "", source,
             ret->mapped_bytes >> 20, ret->populated_bytes >> 20, ret->flush_bytes >> 20);
    return 0;
}

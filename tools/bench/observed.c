/* Latencies beside the pauses of the machine. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/observed.h"

#include <stdlib.h>

#define MACHINE_SHARE 0.999

int observed_begin(struct observed **ret_observed, struct err *e)
{
    struct observed *o = calloc(1, sizeof *o);
    if (!o)
        return err_set(e, ERR_NOMEM, "measure latency");
    int rc = hiccups_start(&o->hiccups, e);
    if (rc == 0)
        *ret_observed = o;
    else
        free(o);
    return rc;
}

void observed_end(struct observed *o)
{
    hiccups_stop(o->hiccups);
    timings_sum(&o->timings, hiccups_pauses(o->hiccups), &o->all, &o->between);
    o->machine_ns = (double)latency_at(hiccups_wakes(o->hiccups), MACHINE_SHARE);
    o->paused_share = hiccups_share(o->hiccups);
}

void observed_free(struct observed *o)
{
    if (!o)
        return;
    hiccups_free(o->hiccups);
    timings_free(&o->timings);
    free(o);
}

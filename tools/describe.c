/* Holds who asks the commands for their options. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/describe.h"

#include <stddef.h>

static const struct describe *present; /* set and read by the main thread */

void describe_set(const struct describe *d)
{
    present = d;
}

const struct describe *describe_get(void)
{
    return present;
}

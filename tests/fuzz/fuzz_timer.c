/* Fuzzes the timer files: what is believed holds numbers that can be. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tools/timer_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct timer_record rec;
    struct timer_slot slot;
    struct timer_progress progress;
    if (timer_record_decode(span_of(data, len), &rec) == TIMER_RECORD &&
        (len < TIMER_RECORD_BYTES || rec.prev < -1 || rec.log_off < 0 || rec.size <= 0))
        abort();
    if (len >= TIMER_SLOT_BYTES && timer_slot_decode(data, &slot) && slot.unit == 0 &&
        slot.first == 0 && slot.last == 0 && slot.n == 0)
        abort();
    if (timer_progress_decode(span_of(data, len), &progress) != (len >= TIMER_CHECK_BYTES))
        abort();
    return 0;
}

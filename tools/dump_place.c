/* Asks the consume queues about a record. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dump_place.h"

int dump_place_find(struct queue_files *q, const struct store_record *rec, struct dump_place *ret,
                    struct err *e)
{
    struct queue_folder *folder;
    struct queue_entry entry;
    bool found;
    int rc = queue_files_get(q, rec->topic, rec->queue_id, &folder, e);
    if (rc == 0)
        rc = queue_files_find(q, folder, rec, &found, &entry, e);
    if (rc < 0)
        return rc;
    *ret = (struct dump_place){.is_known = true, .is_dispatched = found};
    if (found) {
        ret->tag_code = entry.at.tag_code;
        ret->batch_num = folder->is_batch ? (int)entry.n : 0;
    }
    return 0;
}

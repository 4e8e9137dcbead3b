/* A record of the commit log as a line of text or as JSON. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DUMP_RECORD_H
#define TOOLS_DUMP_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* What the consume queues say of a record. */
struct dump_place {
    bool is_known;      /* there were consume queues to ask; all below is unknown otherwise */
    bool is_dispatched; /* an entry points at the record */
    int64_t tag_code;   /* of that entry */
    int batch_num;      /* messages in the record, in a queue of batches; else 0 */
};

/* Whether the object of a record has its body. */
enum dump_body { DUMP_WITHOUT_BODY, DUMP_WITH_BODY };

/* A body is inflated to at most this much. */
enum { DUMP_BODY_MAX = 64 << 20 };

/* The object of one record, with the field names of RocketMQ's listings; NULL without memory. Bytes
 * that are not UTF-8 become U+FFFD. The body is decompressed: `body` when it is UTF-8, else
 * `bodyBase64`; `bodyError` beside the stored bytes when that fails. */
json_t *dump_record_json(const struct store_walk_item *item, const struct dump_place *place,
                         enum dump_body with_body);

/* A string of text from the disk, as above. */
json_t *dump_text_to_json(struct span text);

enum { DUMP_TIME_BYTES = 32 };

/* UTC with milliseconds, "2026-01-31T12:30:00.000Z"; "?" for what is no time. */
void dump_put_time(char text[DUMP_TIME_BYTES], uint64_t ms);

/* One line on stdout: the beginning of the body too, decompressed. Control characters are escaped.
 */
void dump_record_text(const struct store_walk_item *item);

/* Text for a person: control characters, backslashes and what is not UTF-8 escaped as in C. */
void dump_print_escaped(struct span text);

#endif

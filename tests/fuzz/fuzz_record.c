/* Fuzzes what reads foreign bytes in store/record.c. What decodes must lie within the input, and
 * must encode to the same bytes again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

static bool is_within(struct span part, struct span whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_properties(struct span properties)
{
    struct span rest = properties, name, value;
    while (store_property_next(&rest, &name, &value)) {
        must(name.len > 0 && value.len > 0);
        must(is_within(name, properties) && is_within(value, properties));
        must(is_within(rest, properties));
    }
}

/* Encodes the record again. What we would not write ourselves is let be: a version 2 record with a
 * short topic, a wrong checksum, a topic that cannot name a folder. */
static void check_encoding(const struct store_record *rec)
{
    const struct store_message m = {
        .topic = rec->topic,
        .queue_id = rec->queue_id,
        .flag = rec->flag,
        .sys_flag = rec->sys_flag,
        .born_ms = rec->born_ms,
        .born_host = rec->born_host,
        .reconsume_times = rec->reconsume_times,
        .prepared_off = rec->prepared_off,
        .properties = rec->properties,
        .body = &rec->body,
        .n_body = 1,
    };
    struct record_plan plan;
    struct err e;
    if (record_plan(&m, &rec->store_host, INT32_MAX, &plan, &e) < 0 || plan.magic != rec->magic ||
        plan.body_crc != rec->body_crc)
        return;
    must(plan.size == rec->size);
    uint8_t *copy = malloc(plan.size);
    must(copy != NULL);
    record_write(copy, &plan, &m);
    record_patch(copy, &plan, rec->queue_off, rec->log_off, rec->store_ms);
    must(memcmp(copy, rec->raw.ptr, plan.size) == 0);
    free(copy);
}

static void check_record(struct span input)
{
    struct store_record rec;
    const char *why = NULL;
    switch (record_decode(input, RECORD_OFF_UNKNOWN, &rec, &why)) {
    case RECORD_OK:
        must(rec.raw.ptr == input.ptr && rec.raw.len == rec.size && rec.size <= input.len);
        must(is_within(rec.body, rec.raw) && is_within(rec.topic, rec.raw));
        must(is_within(rec.properties, rec.raw));
        (void)store_body_check(&rec, NULL);
        (void)record_tag_code(&rec);
        check_properties(rec.properties);
        check_encoding(&rec);
        break;
    case RECORD_BLANK:
        must(rec.size >= FORMAT_FILLER_BYTES);
        break;
    case RECORD_SHORT:
        must(rec.size == 0 || rec.size > input.len);
        break;
    case RECORD_BAD:
        must(why != NULL);
        break;
    case RECORD_ZERO:
        break;
    }
}

static void check_find(struct span input)
{
    size_t n = 0;
    for (size_t at = record_find(input, 0, 0); at < input.len; at = record_find(input, 0, at + 1)) {
        struct store_record rec;
        struct span rest = span_of(input.ptr + at, input.len - at);
        must(record_decode(rest, at, &rec, NULL) != RECORD_BAD);
        must(++n <= input.len);
    }
}

static void check_small_formats(struct span input)
{
    struct store_queue_entry entry;
    struct store_checkpoint cp;
    struct err e;
    if (input.len >= STORE_QUEUE_ENTRY_BYTES && store_queue_entry_decode(input.ptr, &entry)) {
        uint8_t copy[STORE_QUEUE_ENTRY_BYTES];
        record_queue_entry_encode(copy, &entry);
        must(memcmp(copy, input.ptr, sizeof copy) == 0);
    }
    if (store_checkpoint_decode(input, &cp, &e) == 0) {
        uint8_t copy[STORE_CHECKPOINT_BYTES];
        record_checkpoint_encode(copy, &cp);
        must(memcmp(copy, input.ptr, FORMAT_CHECKPOINT_FIELDS_BYTES) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span input = span_of(data, len);
    check_record(input);
    check_find(input);
    check_small_formats(input);
    check_properties(input);
    return 0;
}

/* Does one thing many times, for callgrind to count: usage: drive append|scan|encode N FOLDER. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "proto/proto.h"
#include "tools/bench/filled.h"

enum { BODY_BYTES = 1024, HIT_IN = 100 };

static const char *tag_of(uint64_t i)
{
    return i % HIT_IN == 0 ? "Wanted" : "Other";
}

/* store_append is what is counted. */
static int append(uint64_t n, const char *folder, struct filled *f, struct err *e)
{
    const struct filled_options opt = {
        .dir = folder, .n_messages = n, .body_bytes = BODY_BYTES, .tag_of = tag_of};
    return filled_make(f, &opt, e);
}

static bool match_record(void *arg, const struct store_record *rec)
{
    struct span tag = {0};
    (void)store_property_get(rec->properties, "TAGS", &tag);
    return filter_match_tag(arg, tag);
}

/* store_scan is what is counted; one entry in a hundred is a hit. */
static int scan(const struct filled *f, struct err *e)
{
    struct filter *filter;
    struct filled_pass pass;
    int rc = filter_compile_tags(&filter, span_str("Wanted || Absent"), e);
    if (rc < 0)
        return rc;
    struct store_match match = {.record = match_record, .arg = filter};
    match.tag_codes = filter_codes(filter, &match.n_tag_codes);
    rc = filled_scan(f, &match, &pass, e);
    filter_free(filter);
    if (rc == 0 && pass.n_hits != f->n_messages / HIT_IN)
        rc = err_set(e, ERR_FAILED, "scan: a wrong number of hits");
    return rc;
}

/* This function is what is counted. */
void guard_encode(uint64_t n, uint8_t *buf, size_t size);

__attribute__((noinline)) void guard_encode(uint64_t n, uint8_t *buf, size_t size)
{
    const struct span key = span_str("key-0000");
    struct proto_delivery d = {
        .has = PROTO_HAS_TAG | PROTO_HAS_BORN_TIMESTAMP | PROTO_HAS_INVISIBLE_DURATION,
        .topic = span_str("a-topic-of-some-length"),
        .message_id = span_str("010242AC1100020001071E2D2C00000000"),
        .tag = span_str("TagA"),
        .keys = &key,
        .n_keys = 1,
        .digest_type = APACHE__ROCKETMQ__V2__DIGEST_TYPE__CRC32,
        .digest = span_str("0badcafe"),
        .body_encoding = APACHE__ROCKETMQ__V2__ENCODING__IDENTITY,
        .message_type = APACHE__ROCKETMQ__V2__MESSAGE_TYPE__NORMAL,
        .born_ms = 1700000000000,
        .born_host = span_str("127.0.0.1:50000"),
        .store_ms = 1700000000001,
        .store_host = span_str("127.0.0.1:10911"),
        .receipt_handle = span_str("a-receipt-handle-that-is-as-long-as-those-that-a-broker-makes"),
        .queue_id = 3,
        .invisible_ms = 60000,
        .delivery_attempt = 1,
        .body_len = BODY_BYTES,
    };
    for (uint64_t i = 0; i < n; i++) {
        d.queue_off = (int64_t)i;
        if (proto_delivery_room(&d) > size)
            abort();
        (void)proto_delivery_encode(&d, buf, size);
    }
}

int main(int argc, char **argv)
{
    static uint8_t head[4096];
    struct filled f = {0};
    struct err e;
    if (argc != 4)
        return 2;
    uint64_t n = strtoull(argv[2], NULL, 10);
    int rc = 0;
    if (strcmp(argv[1], "encode") == 0)
        guard_encode(n, head, sizeof head);
    else
        rc = append(n, argv[3], &f, &e);
    if (rc == 0 && strcmp(argv[1], "scan") == 0)
        rc = scan(&f, &e);
    filled_free(&f);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", argv[1], e.msg);
    return rc < 0;
}

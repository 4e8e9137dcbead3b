/* Wire message <-> stored record: the only place that knows both (rocketmq-grpc 8). Bodies are
 * passed on as they lie, in pieces; nothing here copies one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CONVERT_H
#define BROKER_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/status.h"
#include "proto/proto.h"
#include "store/store.h"

/* ---- from the wire ---- */

enum { CONVERT_PROPERTIES_MAX = 32767 }; /* what a record can hold (rocketmq-store 2.5) */

/* The encoded properties of one message; big, so a caller has one and uses it again. */
struct convert_properties {
    uint8_t text[CONVERT_PROPERTIES_MAX];
};

/* Where and when the messages of a request came from. */
struct convert_origin {
    struct span address; /* as text, without the port and brackets; points into the peer */
    struct store_host host;
    uint64_t now_ms;
};

/* Of "127.0.0.1:40112" or "[::1]:40112", which outlives it; 0.0.0.0:0 for anything else. */
struct convert_origin convert_origin_of(const char *peer, uint64_t now_ms);

/* Makes the record of a checked message (bounds.h): everything but its queue. `ret` points into
 * `in` and `props`. The status says what is too long for a record: ERR_INVAL. */
int convert_to_record(const struct proto_message *in, const struct convert_origin *origin,
                      struct convert_properties *props, struct store_message *ret,
                      struct status *ret_status) MUST_CHECK;

/* Whether clients may not set a property of that name (rocketmq-grpc 8.2). */
bool convert_is_reserved(struct span name);

/* "127.0.0.1:40112" or "[::1]:40112" as an address; false, and 0.0.0.0:0, when it is neither. */
bool convert_parse_host(const char *text, struct store_host *ret);

/* ---- to the wire ---- */

enum { CONVERT_HOST_BYTES = 64, CONVERT_ID_BYTES = 65, CONVERT_FEW = 16 };

/* What a delivery points to beside the record; reused from message to message. Zeroed: empty. */
struct convert_delivery {
    struct proto_property *properties; /* the few, or allocated; NULL: not yet */
    size_t n_properties_max;
    struct span *keys; /* as above */
    size_t n_keys_max;
    struct proto_property few_properties[CONVERT_FEW];
    struct span few_keys[CONVERT_FEW];
    struct store_host store_host_of; /* that of store_host, which is the same nearly always */
    char store_host[CONVERT_HOST_BYTES];
    char born_host[CONVERT_HOST_BYTES];
    char message_id[CONVERT_ID_BYTES];
};

void convert_delivery_fini(struct convert_delivery *c);

/* Fills in what the record says; topic, digest, receipt handle and attempt are the caller's. `ret`
 * points into `rec` and `c`, and is valid until either changes. Property text that is not UTF-8 is
 * left out. ERR_NOMEM. */
int convert_to_delivery(struct convert_delivery *c, const struct store_record *rec,
                        struct proto_delivery *ret, struct err *e) MUST_CHECK;

/* The tag of a record; empty when it has none. */
struct span convert_tag(const struct store_record *rec);

#endif

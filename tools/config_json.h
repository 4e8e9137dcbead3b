/* The JSON files under config/, as RocketMQ and Sluice write them. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_CONFIG_JSON_H
#define TOOLS_CONFIG_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

enum { CONFIG_BYTES_MAX = 64 << 20 };

/* Integer keys may be bare. ERR_CORRUPT says where and what. The caller drops the reference. */
int config_json_parse(const void *text, size_t len, json_t **ret_root, struct err *e) MUST_CHECK;

#endif

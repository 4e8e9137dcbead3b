/* Tells about the folder of a store. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_STORE_ROOT_H
#define TOOLS_STORE_ROOT_H

#include <stdbool.h>

#include "base/err.h"

/* ERR_UNSUPPORTED: the folder is no store, which has a folder 'commitlog'. */
int store_root_check(const char *root, struct err *e) MUST_CHECK;

/* Whether a broker, RocketMQ's too, has the store open. */
bool store_root_is_live(const char *root);

#endif

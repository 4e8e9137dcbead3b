/* The names of RocketMQ 5's broker options that Sluice knows and does not act on. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_CONFIG_KNOWN_H
#define BROKER_CONFIG_KNOWN_H

#include <stdbool.h>

bool config_is_known(const char *name);

#endif

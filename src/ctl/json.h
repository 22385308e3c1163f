/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

#include <glib.h>
#include <jansson.h>
#include <systemd/sd-bus.h>

/**
 * ctl_json_read:
 * @message: a message, positioned at a complete value
 * @value: (out) (transfer full): the value. Variants are unwrapped, dictionaries are objects with
 *   their keys as they are on the bus, structures are arrays. An integer above 2^63-1, which
 * Jansson cannot hold, becomes a string of its digits
 *
 * Returns: 0, or a negative errno.
 */
int ctl_json_read(sd_bus_message *message, json_t **value);

/** ctl_json_text: Returns: (transfer none): the string under @key, or "". */
const char *ctl_json_text(const json_t *object, const char *key);

/** ctl_json_number: Returns: the integer under @key, or 0. */
json_int_t ctl_json_number(const json_t *object, const char *key);

/**
 * ctl_json_sort:
 * @rows: an array
 * @compare: (scope call): gets two `json_t *const *`
 *
 * Returns: (transfer full): @rows in order.
 */
json_t *ctl_json_sort(const json_t *rows, GCompareFunc compare);

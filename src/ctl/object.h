/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

/**
 * ctl_object_print: prints @object for people, one line `Key: value` for each member: sizes with
 * units, times, users by name, lists and dictionaries on one line.
 */
void ctl_object_print(const json_t *object);

/** ctl_object_size: Returns: (transfer full) (nullable): the size under @key with a unit. */
char *ctl_object_size(const json_t *object, const char *key);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/digest.h"

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

/** BerthResultKey: a key that a worker's dictionary must have. A table ends with a NULL key. */
typedef struct BerthResultKey {
    const char *key;
    const char *type; /* "s", "t", "u", "b", "as", "au" or "aa{sv}" */
    enum {
        BERTH_RESULT_ANY,
        BERTH_RESULT_DIGEST, /* a text that must be one */
        BERTH_RESULT_HIDDEN, /* not for callers */
    } what;
    const struct BerthResultKey *rows; /* with "aa{sv}" */
} BerthResultKey;

/**
 * berth_result_copy:
 * @result: what a worker said, positioned at an `a{sv}`
 * @keys: exactly these it must have, at most 32
 * @reply: where an `a{sv}` belongs
 * @bytes: (inout): what may still be copied; less is left then
 * @error: BERTH_ERROR_FAILED: it says something else; BERTH_ERROR_LIMITS_EXCEEDED: it is too much
 *   for a message on the bus
 */
bool berth_result_copy(sd_bus_message *result, const BerthResultKey *keys, sd_bus_message *reply,
                       size_t *bytes, GError **error);

/** BERTH_RESULT_BYTES_MAX: what one reply may hold; a message bus takes 32 MiB. */
#define BERTH_RESULT_BYTES_MAX (16u << 20)

/**
 * berth_result_seek: goes to the value of @key.
 * @result: what a worker said, positioned anywhere
 * @type: that its value must have
 *
 * Returns: 1 inside of the variant; 0 when there is no such key; a negative errno.
 */
int berth_result_seek(sd_bus_message *result, const char *key, const char *type);

/**
 * berth_result_read:
 * @type: a basic type
 * @value: (out): as for sd_bus_message_read_basic(); a text is valid as long as @result
 * @error: BERTH_ERROR_FAILED: there is no such thing
 */
bool berth_result_read(sd_bus_message *result, const char *key, char type, void *value,
                       GError **error);

/**
 * berth_result_read_ids: Returns: (transfer full) (element-type uint32_t): the `au` at @key, or
 * NULL.
 * @error: BERTH_ERROR_FAILED: there is no such thing
 */
GArray *berth_result_read_ids(sd_bus_message *result, const char *key, GError **error);

/**
 * berth_result_read_digest: Returns: (transfer full): `Digest`, the only key there may be, or NULL.
 * @result: what a worker said a transfer led to, positioned at its `a{sv}`
 * @error: BERTH_ERROR_FAILED: it says something else
 */
char *berth_result_read_digest(sd_bus_message *result, GError **error);

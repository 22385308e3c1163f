/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/**
 * BerthJsonLimits: how much a document may hold. The parsed form of JSON is far larger than its
 * text (an empty object takes about 300 bytes), so that the length of the text alone bounds little.
 */
typedef struct {
    size_t bytes;        /* of text */
    unsigned depth;      /* of nested objects and arrays */
    unsigned containers; /* objects and arrays */
    unsigned values;     /* roughly: containers and commas */
} BerthJsonLimits;

/**
 * berth_json_load:
 * @data: @length bytes of untrusted text
 * @limits: what it may hold, checked before anything is allocated
 * @error: BERTH_ERROR_MANIFEST_INVALID: over a limit, not JSON, a key twice in an object, or not an
 *   object
 *
 * Jansson seeds its hash tables from /dev/urandom when it first needs to: a process that confines
 * itself calls json_object_seed(0) before.
 *
 * Returns: (transfer full) (nullable): the object.
 */
json_t *berth_json_load(const void *data, size_t length, const BerthJsonLimits *limits,
                        GError **error);

/** berth_json_load_array: as berth_json_load(), but of an array. */
json_t *berth_json_load_array(const void *data, size_t length, const BerthJsonLimits *limits,
                              GError **error);

/*
 * Reading members. JSON null counts as absent, since Go programs write it for empty lists. Each
 * sets BERTH_ERROR_MANIFEST_INVALID naming @key when the member has another type.
 */

/**
 * berth_json_get_string:
 * @object: an object
 * @key: the member
 * @max: bytes it may have
 * @value: (out) (transfer none): the text inside @object, or NULL when absent
 */
bool berth_json_get_string(const json_t *object, const char *key, size_t max, const char **value,
                           GError **error);

/**
 * berth_json_get_array:
 * @max: entries it may have
 * @value: (out) (transfer none): the array, or NULL when absent
 */
bool berth_json_get_array(const json_t *object, const char *key, size_t max, const json_t **value,
                          GError **error);

/** berth_json_get_object: @value: (out) (transfer none): the object, or NULL when absent. */
bool berth_json_get_object(const json_t *object, const char *key, const json_t **value,
                           GError **error);

/**
 * berth_json_get_integer:
 * @max: what it may be at most; at least it is 0
 * @value: (out): the number
 *
 * An absent one is an error too.
 */
bool berth_json_get_integer(const json_t *object, const char *key, int64_t max, int64_t *value,
                            GError **error);

/**
 * berth_json_get_strings:
 * @value: (out) (transfer full): the member's object as a table from text to text, or NULL when
 *   absent
 */
bool berth_json_get_strings(const json_t *object, const char *key, GHashTable **value,
                            GError **error);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "settings/registries.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** BerthRegistryType: of the field of BerthRegistrySettings that a key sets. */
typedef enum {
    BERTH_REGISTRY_BOOL,  /* bool */
    BERTH_REGISTRY_COUNT, /* unsigned */
    BERTH_REGISTRY_SIZE,  /* uint64_t, bytes or bytes a second */
    BERTH_REGISTRY_USEC,  /* uint64_t, microseconds */
    BERTH_REGISTRY_TEXT,  /* char *, "" when not set */
    BERTH_REGISTRY_LIST,  /* char **, never NULL */
    BERTH_REGISTRY_WORD,  /* unsigned-sized enumeration, named in BerthRegistryKey.words */
} BerthRegistryType;

typedef struct BerthRegistryKey BerthRegistryKey;

/**
 * BerthRegistryParse:
 * @key: its row of the table
 * @text: a value as in a file, not empty unless the built-in value is
 * @field: the field of BerthRegistrySettings; what it held is freed
 * @error: BERTH_ERROR_SETTINGS_INVALID, naming key and value but not yet where they stand; without
 *   secrets
 */
typedef bool BerthRegistryParse(const BerthRegistryKey *key, const char *text, void *field,
                                GError **error);

/** BerthRegistryKey: what is known of one key of registries.d. */
struct BerthRegistryKey {
    const char *name;
    const char *builtin; /* in the syntax of the file, "" when there is none */
    BerthRegistryType type;
    BerthRegistryParse *parse;
    size_t offset;            /* of the field in BerthRegistrySettings */
    uint64_t min, max;        /* of numbers and time spans */
    const char *const *words; /* of BERTH_REGISTRY_WORD, by value, NULL-terminated */
};

/** berth_registry_key: Returns: (transfer none): the row of @id. */
const BerthRegistryKey *berth_registry_key(BerthRegistryKeyId id);

/** berth_registry_key_find: Returns: the key of that name, or -ENOENT. */
int berth_registry_key_find(const char *name);

/** berth_registry_bool_parse: @text: yes, true, on, 1, or no, false, off, 0, in any case. */
bool berth_registry_bool_parse(const char *text, bool *value);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How registries.c keeps the groups and registry-match.c finds them; nobody else's business. */

#include "settings/registries.h"

/** BerthRegistryValue: one key of a group; both NULL when the group does not set it. */
typedef struct {
    char *text; /* valid, not empty */
    char *origin;
} BerthRegistryValue;

/** BerthRegistryGroup: what all groups of one name say together. */
typedef struct {
    BerthRegistryPattern *pattern; /* NULL: [defaults] */
    char *origin;                  /* where it was opened first */
    BerthRegistryValue values[_BERTH_REGISTRY_KEY_MAX];
} BerthRegistryGroup;

struct BerthRegistries {
    unsigned references;
    GPtrArray *groups; /* BerthRegistryGroup, by precedence */
    BerthRegistryGroup *defaults;
    GPtrArray *lines; /* BerthSettingsLine */
};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * BerthWanted: what a sandbox is to be, as it was asked for by a caller of Create or in a settings
 * file; not checked yet. All owned; NULL and 0 where nothing was said.
 */
typedef struct {
    char *name;
    char *mode;          /* with argument: `container:X` */
    uint64_t shm_size;   /* bytes */
    uint64_t shm_inodes; /* count */
    char *huge, *numa;
    GHashTable *sysctls, *labels; /* (element-type utf8 utf8) */
    char **users, **groups;       /* names or decimal IDs */
    bool publish;
} BerthWanted;

/** berth_wanted_clear: frees what @wanted holds and zeroes it. */
void berth_wanted_clear(BerthWanted *wanted);

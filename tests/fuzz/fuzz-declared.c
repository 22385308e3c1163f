/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: files of sandboxes.d. Any text is read or refused with an error that names a line;
 * what is read has a name each, no two the same.
 */

#include "base/error.h"
#include "base/names.h"
#include "settings/declared.h"
#include "settings/reader.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const GPtrArray *declared)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < declared->len; i++) {
        const BerthDeclared *one = declared->pdata[i];

        g_assert(berth_name_check(one->wanted.name, NULL));
        g_assert(g_hash_table_add(names, one->wanted.name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GPtrArray) lines = berth_settings_lines_new();
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) declared = NULL;
    g_autoptr(GError) error = NULL;

    if (berth_settings_read_text("f.conf", (const char *)data, size, lines, &error))
        declared = berth_declared_from_lines(lines, UINT64_C(1) << 34, warnings, &error);
    g_assert(!declared == !!error);
    if (declared)
        check(declared);
    else
        g_assert(error->code == BERTH_ERROR_SETTINGS_INVALID &&
                 g_str_has_prefix(error->message, "f.conf:"));
    return 0;
}

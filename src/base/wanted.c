/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a sandbox is to be, as plain data, shared by those who ask (settings, bus) and the one who
 * makes it. Meaning is given to it in daemon/wanted.c.
 */

#include "base/wanted.h"

void berth_wanted_clear(BerthWanted *wanted)
{
    g_free(wanted->name);
    g_free(wanted->mode);
    g_free(wanted->huge);
    g_free(wanted->numa);
    g_clear_pointer(&wanted->sysctls, g_hash_table_unref);
    g_clear_pointer(&wanted->labels, g_hash_table_unref);
    g_strfreev(wanted->users);
    g_strfreev(wanted->groups);
    *wanted = (BerthWanted){ 0 };
}

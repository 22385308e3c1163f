/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which kinds of jobs a worker can do is said by its program: each has a table of its own, and with
 * it only the libraries that those need.
 */

#include "transfer/kind.h"

const BerthKind *berth_kind_find(const char *name)
{
    for (const BerthKind *const *kind = berth_kinds; *kind; kind++)
        if (g_str_equal((*kind)->name, name))
            return *kind;
    return NULL;
}

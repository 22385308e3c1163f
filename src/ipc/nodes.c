/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of NUMA nodes and their text form, which is both what callers write in a memory policy and
 * what the kernel writes in /sys/devices/system/node. Pure computation: what the machine has is
 * read in machine.c.
 */

#include "ipc/nodes.h"

#include "base/error.h"
#include "base/names.h"

#include <string.h>

static bool nodes_have(const BerthNodes *nodes, unsigned node)
{
    return nodes->bits[node / 64] >> (node % 64) & 1;
}

/* Reads a node number and moves *text behind it. */
static bool read_node(const char **text, unsigned *node, GError **error)
{
    const char *p = *text;
    unsigned value = 0;

    if (!g_ascii_isdigit(*p))
        return berth_set_error(
            error, BERTH_ERROR_INVALID_OPTION,
            "a node list is numbers and ranges separated by commas, as in 0,2-3");
    for (; g_ascii_isdigit(*p); p++) {
        value = value * 10 + (unsigned)(*p - '0');
        if (value >= BERTH_NODES_MAX) /* checked at each digit, so that it cannot wrap */
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION, "node numbers are below %d",
                                   BERTH_NODES_MAX);
    }
    *text = p;
    *node = value;
    return true;
}

bool berth_nodes_parse(const char *text, BerthNodes *nodes, GError **error)
{
    const char *p = text;

    *nodes = (BerthNodes){ 0 };
    if (!*p)
        return true;

    for (;;) {
        unsigned first = 0, last;

        if (!read_node(&p, &first, error))
            return false;
        last = first;
        if (*p == '-') {
            p++;
            if (!read_node(&p, &last, error))
                return false;
        }
        if (last < first)
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   "the range %u-%u runs backwards", first, last);
        for (unsigned node = first; node <= last; node++)
            nodes->bits[node / 64] |= UINT64_C(1) << (node % 64);

        if (!*p)
            return true;
        if (*p != ',') {
            g_autofree char *rest = berth_quote(p);
            return berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                   "'%s' in the node list is neither a comma nor a range", rest);
        }
        p++;
    }
}

bool berth_nodes_is_empty(const BerthNodes *nodes)
{
    static const BerthNodes none;

    return memcmp(nodes, &none, sizeof none) == 0;
}

int berth_nodes_first_missing(const BerthNodes *nodes, const BerthNodes *present)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(nodes->bits); i++) {
        uint64_t missing = nodes->bits[i] & ~present->bits[i];

        if (missing)
            return (int)(i * 64) + __builtin_ctzll(missing);
    }
    return -1;
}

char *berth_nodes_format(const BerthNodes *nodes)
{
    GString *out = g_string_new(NULL);

    for (unsigned node = 0; node < BERTH_NODES_MAX; node++) {
        unsigned last = node;

        if (!nodes_have(nodes, node))
            continue;
        while (last + 1 < BERTH_NODES_MAX && nodes_have(nodes, last + 1))
            last++;
        g_string_append_printf(out, "%s%u", out->len ? "," : "", node);
        if (last > node)
            g_string_append_printf(out, "-%u", last);
        node = last;
    }
    return g_string_free(out, FALSE);
}

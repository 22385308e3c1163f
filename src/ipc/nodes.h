/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define BERTH_NODES_MAX 1024 /* MAX_NUMNODES of the largest kernels */

/** BerthNodes: a set of NUMA nodes. All zero is the empty set. */
typedef struct {
    uint64_t bits[BERTH_NODES_MAX / 64];
} BerthNodes;

/**
 * berth_nodes_parse:
 * @text: a list as the kernel writes it: numbers and ascending ranges, separated by commas, such as
 *   `0,2-3`; the empty text is the empty set. The kernel's further forms (`all`, strides, white
 *   space, empty items) are refused: they differ between kernel versions
 * @nodes: (out): the set; undefined on error
 * @error: BERTH_ERROR_INVALID_OPTION with the bare reason, for a caller that knows which option it
 * is
 */
bool berth_nodes_parse(const char *text, BerthNodes *nodes, GError **error);

/** berth_nodes_is_empty: Returns: whether no node is in @nodes. */
bool berth_nodes_is_empty(const BerthNodes *nodes);

/**
 * berth_nodes_first_missing:
 * @nodes: a set
 * @present: another
 *
 * Returns: the lowest node of @nodes that is not in @present, or -1 when @nodes is a subset.
 */
int berth_nodes_first_missing(const BerthNodes *nodes, const BerthNodes *present);

/** berth_nodes_format: Returns: (transfer full): the set as berth_nodes_parse() reads it. */
char *berth_nodes_format(const BerthNodes *nodes);

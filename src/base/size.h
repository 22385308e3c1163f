/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * BERTH_SHM_INODES_MAX: inodes of one tmpfs at most. The kernel takes more (2^54), no machine can
 * hold them.
 */
#define BERTH_SHM_INODES_MAX (UINT64_C(1) << 40)

/**
 * berth_size_parse:
 * @text: a size in Docker's grammar: a decimal number, fractions allowed, at most one space, then
 *   nothing or one of b k m g t p in upper or lower case, each with an optional `b` or `ib`; every
 *   unit is binary. No leading space, sign or other text
 * @bytes: (out): the size, fractions of a byte cut off
 * @error: BERTH_ERROR_INVALID_SIZE naming @text
 *
 * Returns: whether @text is a size that fits into 63 bits.
 */
bool berth_size_parse(const char *text, uint64_t *bytes, GError **error);

/**
 * berth_size_or_percent_parse:
 * @text: a size as for berth_size_parse(), or a percentage `N%` with N from 0 to 100, fractions
 *   allowed
 * @total: what 100% is, in bytes
 * @bytes: (out): the size
 * @error: BERTH_ERROR_INVALID_SIZE naming @text
 */
bool berth_size_or_percent_parse(const char *text, uint64_t total, uint64_t *bytes, GError **error);

/**
 * berth_size_format:
 * @bytes: a size in bytes
 *
 * Returns: (transfer full): the size for people, `64M` or `1.5G`; exact when a unit divides it.
 */
char *berth_size_format(uint64_t bytes);

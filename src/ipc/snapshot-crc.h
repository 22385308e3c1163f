/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * berth_crc32c:
 * @crc: 0, or what an earlier call returned: then it goes on from there
 * @data: @length bytes
 *
 * Returns: the CRC-32C (Castagnoli, RFC 3720 appendix B.4) of all bytes so far.
 */
uint32_t berth_crc32c(uint32_t crc, const void *data, size_t length);

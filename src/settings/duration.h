/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * berth_duration_parse:
 * @text: a time span in the manner of systemd.time(7): whole numbers, each with one of the units
 *   us, ms, s, sec, m, min, h, d, spaces between them allowed, `1min 30s`; a number alone is in
 *   seconds
 * @usec: (out): the span in microseconds, less than 2^63
 */
bool berth_duration_parse(const char *text, uint64_t *usec);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** BerthContentRange: RFC 9110, 14.4. */
typedef struct {
    int64_t first; /* -1: unsatisfied, as in an answer 416 */
    int64_t last;  /* the last byte that is there, at least @first */
    int64_t total; /* of the whole, more than @last; -1: `*` */
} BerthContentRange;

/**
 * berth_content_range_parse:
 * @text: `bytes 0-9/10`, or with an asterisk for the range or the length, but not for both
 */
bool berth_content_range_parse(const char *text, BerthContentRange *range);

/**
 * berth_range_parse:
 * @text: `0-9` or `bytes=0-9`, as an upload's answer says how much of it arrived (distribution
 *   specification, "Pushing a blob in chunks")
 * @last: (out): the last byte that arrived; -1 with `0-0` is not told apart from one byte
 */
bool berth_range_parse(const char *text, int64_t *last);

/**
 * berth_retry_after_parse:
 * @text: seconds in decimal or a date, RFC 9110, 10.2.3
 * @now: seconds since the epoch
 * @seconds: (out): from now; 0 for a date in the past
 */
bool berth_retry_after_parse(const char *text, int64_t now, uint64_t *seconds);

/**
 * berth_link_next:
 * @text: a Link header, RFC 8288
 *
 * Returns: (transfer full) (nullable): the target of the first link whose relation is `next`, as it
 *   stands there.
 */
char *berth_link_next(const char *text);

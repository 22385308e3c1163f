/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

/**
 * BerthOption: one known key of an `a{sv}` argument. A table of them ends with a NULL key.
 *
 * Types and what they are stored as at @offset of the target:
 *   "s" char *, "b" bool, "t" uint64_t, "u" uint32_t, "as" GStrv, "a{ss}" GHashTable * of strings,
 *   "a{sas}" GHashTable * of GStrv, "h" int, a duplicate with close-on-exec, "aa{sv}" GPtrArray *
 *   of structures that @rows describes. All owned by the target, which starts zeroed, "h" at -1;
 *   see berth_options_init() and berth_options_clear().
 */
typedef struct BerthOption {
    const char *key;
    const char *type;
    size_t offset;
    bool required;                  /* an error without it */
    const struct BerthOption *rows; /* with "aa{sv}": the keys of each */
    size_t row_size;                /* and the size of its structure */
} BerthOption;

/**
 * berth_options_read:
 * @message: positioned at an `a{sv}`
 * @options: the known keys, at most 32
 * @target: structure to fill
 * @seen: (out) (optional): bit n is set when @options[n] was given
 * @error: BERTH_ERROR_INVALID_ARGS naming the key that is unknown, given twice, missing or of
 *   another type;
 *   BERTH_ERROR_INVALID_OPTION when its value is far too large
 *
 * On failure @target may be partly filled; its owner clears it.
 */
bool berth_options_read(sd_bus_message *message, const BerthOption *options, void *target,
                        uint32_t *seen, GError **error);

/** berth_options_init: @target: zeroed; its descriptors become -1. */
void berth_options_init(const BerthOption *options, void *target);

/** berth_options_clear: frees all that berth_options_read() put into @target. */
void berth_options_clear(const BerthOption *options, void *target);

/**
 * berth_dictionary_read:
 * @message: positioned at an `a{ss}`
 * @what: what it is, for messages
 * @target: (out) (transfer full) (element-type utf8 utf8): its entries
 * @error: BERTH_ERROR_INVALID_ARGS when a key is there twice
 */
bool berth_dictionary_read(sd_bus_message *message, const char *what, GHashTable **target,
                           GError **error);

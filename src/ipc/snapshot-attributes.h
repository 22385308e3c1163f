/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Of which file: of what a descriptor is open on; or, for what is better not opened (FIFOs, links),
 * of a name in the working directory, with -1 for the descriptor.
 */

/** berth_attributes_add: appends the extended attributes that are kept, as records
 * (snapshot-pax.h). */
void berth_attributes_add(int fd, const char *name, GByteArray *records);

/** berth_attributes_space: Returns: bytes that the attributes use of a tmpfs's room for inodes. */
uint64_t berth_attributes_space(int fd, const char *name);

/**
 * berth_attribute_set:
 * @attribute: its name, which may be anything; one that is not kept is not set
 * @late: whether the file has the owner that it is to have: then only those are set that it would
 * have lost with its owner, else only the others
 *
 * Returns: false and errno on error.
 */
bool berth_attribute_set(int fd, const char *name, const char *attribute, const void *value,
                         size_t size, bool late);

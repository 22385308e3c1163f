/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/** BerthExtent: a part of a file with data, the rest being holes. */
typedef struct {
    uint64_t offset, length; /* bytes */
} BerthExtent;

/** BerthMember: a member of an archive, but for its data. Nothing in it is owned. */
typedef struct {
    const char *path;
    const char *target;         /* (nullable): of a symbolic link */
    const char *link;           /* (nullable): the member that it is another name of */
    const GByteArray *records;  /* (nullable): further records, see berth_pax_record() */
    const BerthExtent *extents; /* (nullable): @n_extents of them, when it has holes */
    size_t n_extents;
    uint64_t size;                        /* bytes of its contents, holes included */
    const struct timespec *atime, *mtime; /* (nullable) */
    mode_t mode;                          /* its type included; 0 is a file that root may read */
    uid_t uid;
    gid_t gid;
} BerthMember;

#define BERTH_PAX_BLOCK 512 /* bytes: the headers and data of a member begin at a multiple */

/** berth_pax_record: appends a record `KEY=VALUE` to @records. */
void berth_pax_record(GByteArray *records, const char *key, const void *value, size_t length);

/**
 * berth_pax_attribute: appends the record of the extended attribute @name.
 *
 * In its key, `%` and `=` are written as `%25` and `%3D`, as GNU tar does.
 */
void berth_pax_attribute(GByteArray *records, const char *name, const void *value, size_t length);

/**
 * berth_pax_attribute_name: Returns: (transfer full): the name of the attribute that a key of a
 * record, without its prefix, stands for.
 */
char *berth_pax_attribute_name(const char *key);

/**
 * berth_pax_header:
 * @out: gets the headers of @member, and the map of its holes, which belongs to its data already
 *
 * Returns: how many bytes of contents follow; then zeros up to a whole block.
 */
uint64_t berth_pax_header(const BerthMember *member, GByteArray *out);

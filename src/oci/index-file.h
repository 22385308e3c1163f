/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "oci/store-internal.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define BERTH_INDEX_FILE_HEAD                                                                      \
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","              \
    "\"manifests\":[\n"
#define BERTH_INDEX_FILE_EMPTY BERTH_INDEX_FILE_HEAD "]}\n"
#define BERTH_INDEX_FILE_MAX   (64 * 1024 * 1024) /* bytes: 150,000 images */

#define BERTH_ANNOTATION_NAME  "org.opencontainers.image.ref.name"

/**
 * BerthIndexFile: the text of the store's index.json in our own form: a first line that is always
 * the same, one line for each entry, which begins with the entry's name when it has one, and a last
 * line. So one entry is found and replaced without reading the others. What other tools wrote is
 * brought into that form in memory; members that mean nothing to us stay.
 */
typedef struct {
    char *text; /* length bytes, then NUL */
    size_t length;
    size_t begin; /* of the first entry's line */
    size_t end;   /* of the last entry's line; there the last line of the file begins */
} BerthIndexFile;

/** BerthIndexLine: an entry: its JSON in the text. */
typedef struct {
    size_t begin; /* of the line */
    size_t next;  /* of the line after it */
} BerthIndexLine;

/**
 * berth_index_file_parse:
 * @text: (transfer full): @length bytes, malloc()ed, of whoever wrote index.json, and a NUL
 * @strict: parse all of it even when it looks like our own form
 * @error: BERTH_ERROR_STORE_CORRUPT
 *
 * Returns: (transfer full) (nullable): the file.
 */
BerthIndexFile *berth_index_file_parse(char *text, size_t length, bool strict, GError **error);

/**
 * berth_index_file_read:
 * @strict: as for berth_index_file_parse(); for when a line turned out to be no entry
 * @error: BERTH_ERROR_STORE_CORRUPT or BERTH_ERROR_FAILED
 *
 * Returns: (transfer full) (nullable): the file, as it is at one moment; empty when there is none.
 */
BerthIndexFile *berth_index_file_read(BerthStore *store, bool strict, GError **error);

/** berth_index_file_free: frees @file (nullable). */
void berth_index_file_free(BerthIndexFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BerthIndexFile, berth_index_file_free)

/**
 * berth_index_file_next:
 * @line: (inout): the line before, zeroed for the first; then the next
 *
 * Returns: whether there is one.
 */
bool berth_index_file_next(const BerthIndexFile *file, BerthIndexLine *line);

/**
 * berth_index_file_next_named: as berth_index_file_next(), of the entries with the name @name.
 */
bool berth_index_file_next_named(const BerthIndexFile *file, const char *name,
                                 BerthIndexLine *line);

/**
 * berth_index_file_next_with: as berth_index_file_next(), of the entries that hold @text somewhere,
 * which begins and ends with a quotation mark.
 */
bool berth_index_file_next_with(const BerthIndexFile *file, const char *text, BerthIndexLine *line);

/**
 * berth_index_file_entry:
 * @line: one of @file's
 * @error: BERTH_ERROR_STORE_CORRUPT: somebody changed it; read the file again, strictly
 *
 * Returns: (transfer full) (nullable): the entry, an object.
 */
json_t *berth_index_file_entry(const BerthIndexFile *file, const BerthIndexLine *line,
                               GError **error);

/**
 * berth_index_file_format:
 * @entry: an entry
 *
 * Returns: (transfer full): its line, without comma and line feed.
 */
char *berth_index_file_format(const json_t *entry);

/**
 * berth_index_file_pieces:
 * @file: with the lines that were found
 * @out: (element-type BerthIndexLine): lines that go, in their order
 * @in: (element-type utf8): entries of berth_index_file_format() that come
 *
 * Returns: (transfer container) (element-type struct iovec): the text without the ones and with the
 *   others, in pieces that belong to @file and @in.
 */
GArray *berth_index_file_pieces(const BerthIndexFile *file, const GArray *out, const GPtrArray *in);

/**
 * berth_index_file_replace:
 * @file: what the index is by now; the caller holds BERTH_STORE_LOCK_INDEX since it was read
 * @out: as of berth_index_file_pieces()
 * @in: as of berth_index_file_pieces()
 * @error: BERTH_ERROR_STORE_FULL or BERTH_ERROR_FAILED; then nothing has changed
 *
 * Replaces index.json. First all blobs put in place become durable, at the end so does the index.
 */
bool berth_index_file_replace(BerthStore *store, const BerthIndexFile *file, const GArray *out,
                              const GPtrArray *in, GError **error);

/**
 * berth_index_file_place:
 * @temporary: the next index.json
 * @error: BERTH_ERROR_STORE_FULL or BERTH_ERROR_FAILED
 *
 * The last step of berth_index_file_replace().
 */
bool berth_index_file_place(BerthStore *store, BerthTemporary *temporary, GError **error);

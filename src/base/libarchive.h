/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <glib.h>
#include <stdbool.h>

/*
 * libarchive, loaded when it is needed. It brings a dozen libraries along, among them an XML parser
 * and ICU, which a privileged service has no business to have mapped, and which would cost every
 * worker two milliseconds at its start. Include this instead of <archive.h>, and write its
 * functions as ever; a function that is missing in the list below does not link.
 */

/** berth_libarchive_load:
 * @error: BERTH_ERROR_NOT_SUPPORTED: it is not installed
 *
 * Loads the library, once for the process. Before its first function, and before the process
 * confines itself.
 */
bool berth_libarchive_load(GError **error);

#define BERTH_LIBARCHIVE_FUNCTIONS(F)                                                              \
    F(archive_entry_atime)                                                                         \
    F(archive_entry_atime_is_set)                                                                  \
    F(archive_entry_atime_nsec)                                                                    \
    F(archive_entry_clone)                                                                         \
    F(archive_entry_copy_hardlink)                                                                 \
    F(archive_entry_copy_pathname)                                                                 \
    F(archive_entry_copy_symlink)                                                                  \
    F(archive_entry_filetype)                                                                      \
    F(archive_entry_free)                                                                          \
    F(archive_entry_gid)                                                                           \
    F(archive_entry_hardlink)                                                                      \
    F(archive_entry_hardlink_utf8)                                                                 \
    F(archive_entry_mtime)                                                                         \
    F(archive_entry_mtime_is_set)                                                                  \
    F(archive_entry_mtime_nsec)                                                                    \
    F(archive_entry_new)                                                                           \
    F(archive_entry_pathname)                                                                      \
    F(archive_entry_pathname_utf8)                                                                 \
    F(archive_entry_perm)                                                                          \
    F(archive_entry_set_atime)                                                                     \
    F(archive_entry_set_filetype)                                                                  \
    F(archive_entry_set_gid)                                                                       \
    F(archive_entry_set_mode)                                                                      \
    F(archive_entry_set_mtime)                                                                     \
    F(archive_entry_set_pathname)                                                                  \
    F(archive_entry_set_perm)                                                                      \
    F(archive_entry_set_size)                                                                      \
    F(archive_entry_set_uid)                                                                       \
    F(archive_entry_size)                                                                          \
    F(archive_entry_size_is_set)                                                                   \
    F(archive_entry_sparse_add_entry)                                                              \
    F(archive_entry_sparse_count)                                                                  \
    F(archive_entry_symlink)                                                                       \
    F(archive_entry_symlink_utf8)                                                                  \
    F(archive_entry_uid)                                                                           \
    F(archive_entry_xattr_add_entry)                                                               \
    F(archive_entry_xattr_next)                                                                    \
    F(archive_entry_xattr_reset)                                                                   \
    F(archive_error_string)                                                                        \
    F(archive_filter_bytes)                                                                        \
    F(archive_filter_code)                                                                         \
    F(archive_read_append_filter)                                                                  \
    F(archive_read_data)                                                                           \
    F(archive_read_data_block)                                                                     \
    F(archive_read_free)                                                                           \
    F(archive_read_header_position)                                                                \
    F(archive_read_new)                                                                            \
    F(archive_read_next_header)                                                                    \
    F(archive_read_open)                                                                           \
    F(archive_read_open_fd)                                                                        \
    F(archive_read_support_format_raw)                                                             \
    F(archive_read_support_format_tar)                                                             \
    F(archive_set_error)                                                                           \
    F(archive_write_add_filter_none)                                                               \
    F(archive_write_close)                                                                         \
    F(archive_write_data)                                                                          \
    F(archive_write_fail)                                                                          \
    F(archive_write_finish_entry)                                                                  \
    F(archive_write_free)                                                                          \
    F(archive_write_header)                                                                        \
    F(archive_write_new)                                                                           \
    F(archive_write_open)                                                                          \
    F(archive_write_set_bytes_per_block)                                                           \
    F(archive_write_set_format_pax)                                                                \
    F(archive_write_set_format_pax_restricted)                                                     \
    F(archive_write_set_options)

/** BerthLibarchive: its functions. */
typedef struct {
#define BERTH_MEMBER(_name) __typeof__(&(_name)) _name;
    BERTH_LIBARCHIVE_FUNCTIONS(BERTH_MEMBER)
#undef BERTH_MEMBER
} BerthLibarchive;

extern BerthLibarchive berth_libarchive;

#ifndef BERTH_LIBARCHIVE_NO_NAMES
#define archive_entry_atime               (berth_libarchive.archive_entry_atime)
#define archive_entry_atime_is_set        (berth_libarchive.archive_entry_atime_is_set)
#define archive_entry_atime_nsec          (berth_libarchive.archive_entry_atime_nsec)
#define archive_entry_clone               (berth_libarchive.archive_entry_clone)
#define archive_entry_copy_hardlink       (berth_libarchive.archive_entry_copy_hardlink)
#define archive_entry_copy_pathname       (berth_libarchive.archive_entry_copy_pathname)
#define archive_entry_copy_symlink        (berth_libarchive.archive_entry_copy_symlink)
#define archive_entry_filetype            (berth_libarchive.archive_entry_filetype)
#define archive_entry_free                (berth_libarchive.archive_entry_free)
#define archive_entry_gid                 (berth_libarchive.archive_entry_gid)
#define archive_entry_hardlink            (berth_libarchive.archive_entry_hardlink)
#define archive_entry_hardlink_utf8       (berth_libarchive.archive_entry_hardlink_utf8)
#define archive_entry_mtime               (berth_libarchive.archive_entry_mtime)
#define archive_entry_mtime_is_set        (berth_libarchive.archive_entry_mtime_is_set)
#define archive_entry_mtime_nsec          (berth_libarchive.archive_entry_mtime_nsec)
#define archive_entry_new                 (berth_libarchive.archive_entry_new)
#define archive_entry_pathname            (berth_libarchive.archive_entry_pathname)
#define archive_entry_pathname_utf8       (berth_libarchive.archive_entry_pathname_utf8)
#define archive_entry_perm                (berth_libarchive.archive_entry_perm)
#define archive_entry_set_atime           (berth_libarchive.archive_entry_set_atime)
#define archive_entry_set_filetype        (berth_libarchive.archive_entry_set_filetype)
#define archive_entry_set_gid             (berth_libarchive.archive_entry_set_gid)
#define archive_entry_set_mode            (berth_libarchive.archive_entry_set_mode)
#define archive_entry_set_mtime           (berth_libarchive.archive_entry_set_mtime)
#define archive_entry_set_pathname        (berth_libarchive.archive_entry_set_pathname)
#define archive_entry_set_perm            (berth_libarchive.archive_entry_set_perm)
#define archive_entry_set_size            (berth_libarchive.archive_entry_set_size)
#define archive_entry_set_uid             (berth_libarchive.archive_entry_set_uid)
#define archive_entry_size                (berth_libarchive.archive_entry_size)
#define archive_entry_size_is_set         (berth_libarchive.archive_entry_size_is_set)
#define archive_entry_sparse_add_entry    (berth_libarchive.archive_entry_sparse_add_entry)
#define archive_entry_sparse_count        (berth_libarchive.archive_entry_sparse_count)
#define archive_entry_symlink             (berth_libarchive.archive_entry_symlink)
#define archive_entry_symlink_utf8        (berth_libarchive.archive_entry_symlink_utf8)
#define archive_entry_uid                 (berth_libarchive.archive_entry_uid)
#define archive_entry_xattr_add_entry     (berth_libarchive.archive_entry_xattr_add_entry)
#define archive_entry_xattr_next          (berth_libarchive.archive_entry_xattr_next)
#define archive_entry_xattr_reset         (berth_libarchive.archive_entry_xattr_reset)
#define archive_error_string              (berth_libarchive.archive_error_string)
#define archive_filter_bytes              (berth_libarchive.archive_filter_bytes)
#define archive_filter_code               (berth_libarchive.archive_filter_code)
#define archive_read_append_filter        (berth_libarchive.archive_read_append_filter)
#define archive_read_data                 (berth_libarchive.archive_read_data)
#define archive_read_data_block           (berth_libarchive.archive_read_data_block)
#define archive_read_free                 (berth_libarchive.archive_read_free)
#define archive_read_header_position      (berth_libarchive.archive_read_header_position)
#define archive_read_new                  (berth_libarchive.archive_read_new)
#define archive_read_next_header          (berth_libarchive.archive_read_next_header)
#define archive_read_open                 (berth_libarchive.archive_read_open)
#define archive_read_open_fd              (berth_libarchive.archive_read_open_fd)
#define archive_read_support_format_raw   (berth_libarchive.archive_read_support_format_raw)
#define archive_read_support_format_tar   (berth_libarchive.archive_read_support_format_tar)
#define archive_set_error                 (berth_libarchive.archive_set_error)
#define archive_write_add_filter_none     (berth_libarchive.archive_write_add_filter_none)
#define archive_write_close               (berth_libarchive.archive_write_close)
#define archive_write_data                (berth_libarchive.archive_write_data)
#define archive_write_fail                (berth_libarchive.archive_write_fail)
#define archive_write_finish_entry        (berth_libarchive.archive_write_finish_entry)
#define archive_write_free                (berth_libarchive.archive_write_free)
#define archive_write_header              (berth_libarchive.archive_write_header)
#define archive_write_new                 (berth_libarchive.archive_write_new)
#define archive_write_open                (berth_libarchive.archive_write_open)
#define archive_write_set_bytes_per_block (berth_libarchive.archive_write_set_bytes_per_block)
#define archive_write_set_format_pax      (berth_libarchive.archive_write_set_format_pax)
#define archive_write_set_format_pax_restricted                                                    \
    (berth_libarchive.archive_write_set_format_pax_restricted)
#define archive_write_set_options (berth_libarchive.archive_write_set_options)
#endif

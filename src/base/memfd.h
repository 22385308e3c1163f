/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Memory that is passed between processes as a descriptor, memfd_create(2), with all four seals:
 * nobody, not even who made it, can change it any more. That is how secrets travel.
 */

/**
 * berth_memfd_sealed:
 * @name: for /proc; no secret
 * @data: (array length=size): what it shall hold
 * @size: bytes
 * @error: BERTH_ERROR_FAILED
 *
 * Returns: (transfer full): a memfd that nobody can change any more (all four seals of fcntl(2)),
 *   or -1.
 */
int berth_memfd_sealed(const char *name, const void *data, size_t size, GError **error);

/**
 * berth_memfd_check:
 * @fd: a memfd that somebody else made
 * @max: bytes it may have
 * @what: what it is, for messages
 * @error: BERTH_ERROR_INVALID_OPTION: it is no memfd with all four seals, or has more than @max
 *   bytes
 */
bool berth_memfd_check(int fd, size_t max, const char *what, GError **error);

/**
 * berth_memfd_read: checks as berth_memfd_check() does, and reads all of it, wherever its position
 * is.
 *
 * Returns: (transfer full): its bytes, wiped when the last reference goes; NULL on error.
 */
GBytes *berth_memfd_read(int fd, size_t max, const char *what, GError **error);

/**
 * berth_secret_bytes:
 * @data: (transfer full): of g_malloc(), @size bytes
 *
 * Returns: (transfer full): bytes that are wiped when the last reference goes.
 */
GBytes *berth_secret_bytes(void *data, size_t size);

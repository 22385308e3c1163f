/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * BerthError:
 *
 * Error codes of the BERTH_ERROR domain. Each stands for exactly one D-Bus error name; the table in
 * error.c is the only place that maps them (see berth_error_dbus_name()).
 */
typedef enum {
    BERTH_ERROR_FAILED, /* org.freedesktop.DBus.Error.Failed: the machine failed, not the caller */
    BERTH_ERROR_INVALID_ARGS,
    BERTH_ERROR_ACCESS_DENIED,
    BERTH_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
    BERTH_ERROR_LIMITS_EXCEEDED,
    BERTH_ERROR_TIMEOUT,
    BERTH_ERROR_INVALID_MODE,
    BERTH_ERROR_INVALID_NAME,
    BERTH_ERROR_INVALID_SIZE,
    BERTH_ERROR_INVALID_REFERENCE,
    BERTH_ERROR_INVALID_OPTION,
    BERTH_ERROR_NO_SUCH_SANDBOX,
    BERTH_ERROR_SANDBOX_EXISTS,
    BERTH_ERROR_NOT_SHAREABLE,
    BERTH_ERROR_SANDBOX_BUSY,
    BERTH_ERROR_QUOTA_EXCEEDED,
    BERTH_ERROR_NOT_SUPPORTED,
    BERTH_ERROR_NO_SUCH_IMAGE,
    BERTH_ERROR_NO_SUCH_TRANSFER,
    BERTH_ERROR_DIGEST_MISMATCH,
    BERTH_ERROR_MANIFEST_INVALID,
    BERTH_ERROR_MANIFEST_UNKNOWN,
    BERTH_ERROR_PLATFORM_UNAVAILABLE,
    BERTH_ERROR_REGISTRY_BLOCKED,
    BERTH_ERROR_REGISTRY_UNREACHABLE,
    BERTH_ERROR_REGISTRY_ERROR,
    BERTH_ERROR_AUTHENTICATION_REQUIRED,
    BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE,
    BERTH_ERROR_NONDISTRIBUTABLE_REFUSED,
    BERTH_ERROR_ARCHIVE_INVALID,
    BERTH_ERROR_STORE_FULL,
    BERTH_ERROR_STORE_CORRUPT,
    BERTH_ERROR_SETTINGS_INVALID,
    BERTH_ERROR_CANCELLED,
    _BERTH_ERROR_MAX,
} BerthError;

#define BERTH_ERROR (berth_error_quark())
GQuark berth_error_quark(void);

/**
 * berth_error_dbus_name:
 * @code: a BerthError
 *
 * Returns: (static): the D-Bus error name of @code; the one of BERTH_ERROR_FAILED when @code is out
 *   of range.
 */
const char *berth_error_dbus_name(int code);

/**
 * berth_error_from_dbus_name:
 * @name: a D-Bus error name
 *
 * Returns: the BerthError with that name, or -EINVAL when it is none of ours.
 */
int berth_error_from_dbus_name(const char *name);

/**
 * berth_set_error:
 * @error: (nullable): where to store the error
 * @code: a BerthError
 * @format: printf-style message; it says what was wrong, with the value, and what to do
 *
 * Returns: false, so that a caller can return its result.
 */
bool berth_set_error(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * berth_set_error_errno:
 * @error: (nullable): where to store the error
 * @code: a BerthError
 * @err: a positive errno value; its text is appended after a colon
 * @format: printf-style message
 *
 * Returns: false, so that a caller can return its result.
 */
bool berth_set_error_errno(GError **error, int code, int err, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

#ifdef __clang_analyzer__ /* it sees one file at a time, and would take failures for successes */
#define berth_set_error(...)       ((void)berth_set_error(__VA_ARGS__), false)
#define berth_set_error_errno(...) ((void)berth_set_error_errno(__VA_ARGS__), false)
#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The project's error domain. Everything below the bus reports failure as `bool` + `GError **` in
 * this domain; what a D-Bus caller sees as the error name is looked up here and nowhere else, so
 * that a name cannot be spelled two ways. It relies on GLib only and must never log: who sets an
 * error does not know whether anybody considers it one.
 */

#include "base/error.h"

#include <errno.h>
#include <string.h>

#define FREEDESKTOP "org.freedesktop.DBus.Error."
#define OURS        "org.berthd.Berth1.Error."

static const char *const dbus_names[_BERTH_ERROR_MAX] = {
    [BERTH_ERROR_FAILED] = FREEDESKTOP "Failed",
    [BERTH_ERROR_INVALID_ARGS] = FREEDESKTOP "InvalidArgs",
    [BERTH_ERROR_ACCESS_DENIED] = FREEDESKTOP "AccessDenied",
    [BERTH_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED] =
        FREEDESKTOP "InteractiveAuthorizationRequired",
    [BERTH_ERROR_LIMITS_EXCEEDED] = FREEDESKTOP "LimitsExceeded",
    [BERTH_ERROR_TIMEOUT] = FREEDESKTOP "Timeout",
    [BERTH_ERROR_INVALID_MODE] = OURS "InvalidMode",
    [BERTH_ERROR_INVALID_NAME] = OURS "InvalidName",
    [BERTH_ERROR_INVALID_SIZE] = OURS "InvalidSize",
    [BERTH_ERROR_INVALID_REFERENCE] = OURS "InvalidReference",
    [BERTH_ERROR_INVALID_OPTION] = OURS "InvalidOption",
    [BERTH_ERROR_NO_SUCH_SANDBOX] = OURS "NoSuchSandbox",
    [BERTH_ERROR_SANDBOX_EXISTS] = OURS "SandboxExists",
    [BERTH_ERROR_NOT_SHAREABLE] = OURS "NotShareable",
    [BERTH_ERROR_SANDBOX_BUSY] = OURS "SandboxBusy",
    [BERTH_ERROR_QUOTA_EXCEEDED] = OURS "QuotaExceeded",
    [BERTH_ERROR_NOT_SUPPORTED] = OURS "NotSupported",
    [BERTH_ERROR_NO_SUCH_IMAGE] = OURS "NoSuchImage",
    [BERTH_ERROR_NO_SUCH_TRANSFER] = OURS "NoSuchTransfer",
    [BERTH_ERROR_DIGEST_MISMATCH] = OURS "DigestMismatch",
    [BERTH_ERROR_MANIFEST_INVALID] = OURS "ManifestInvalid",
    [BERTH_ERROR_MANIFEST_UNKNOWN] = OURS "ManifestUnknown",
    [BERTH_ERROR_PLATFORM_UNAVAILABLE] = OURS "PlatformUnavailable",
    [BERTH_ERROR_REGISTRY_BLOCKED] = OURS "RegistryBlocked",
    [BERTH_ERROR_REGISTRY_UNREACHABLE] = OURS "RegistryUnreachable",
    [BERTH_ERROR_REGISTRY_ERROR] = OURS "RegistryError",
    [BERTH_ERROR_AUTHENTICATION_REQUIRED] = OURS "AuthenticationRequired",
    [BERTH_ERROR_FOREIGN_LAYER_UNAVAILABLE] = OURS "ForeignLayerUnavailable",
    [BERTH_ERROR_NONDISTRIBUTABLE_REFUSED] = OURS "NondistributableRefused",
    [BERTH_ERROR_ARCHIVE_INVALID] = OURS "ArchiveInvalid",
    [BERTH_ERROR_STORE_FULL] = OURS "StoreFull",
    [BERTH_ERROR_STORE_CORRUPT] = OURS "StoreCorrupt",
    [BERTH_ERROR_SETTINGS_INVALID] = OURS "SettingsInvalid",
    [BERTH_ERROR_CANCELLED] = OURS "Cancelled",
};

#undef berth_set_error
#undef berth_set_error_errno

/* clang-format would put spaces into the name */
/* clang-format off */
G_DEFINE_QUARK(berth-error-quark, berth_error)
/* clang-format on */

const char *berth_error_dbus_name(int code)
{
    if (code < 0 || code >= _BERTH_ERROR_MAX)
        code = BERTH_ERROR_FAILED;
    return dbus_names[code];
}

int berth_error_from_dbus_name(const char *name)
{
    for (int code = 0; code < _BERTH_ERROR_MAX; code++)
        if (g_str_equal(dbus_names[code], name))
            return code;
    return -EINVAL;
}

bool berth_set_error(GError **error, int code, const char *format, ...)
{
    if (error) {
        va_list args;

        g_assert(!*error);
        va_start(args, format);
        *error = g_error_new_valist(BERTH_ERROR, code, format, args);
        va_end(args);
    }
    return false;
}

bool berth_set_error_errno(GError **error, int code, int err, const char *format, ...)
{
    if (error) {
        g_autofree char *what = NULL;
        va_list args;

        g_assert(!*error);
        va_start(args, format);
        what = g_strdup_vprintf(format, args);
        va_end(args);
        *error = g_error_new(BERTH_ERROR, code, "%s: %s", what, g_strerror(err));
    }
    return false;
}

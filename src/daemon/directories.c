/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directories of the service, from the environment that systemd sets for
 * ConfigurationDirectory=, StateDirectory= and RuntimeDirectory= (systemd.exec(5)), so that a
 * private instance needs nothing else.
 */

#include "daemon/directories.h"

#include "base/error.h"

#include <string.h>

static const struct {
    const char *variable, *usual;
} directories[_BERTH_DIRECTORY_MAX] = {
    [BERTH_DIRECTORY_CONFIGURATION] = { "CONFIGURATION_DIRECTORY", "/etc/berth" },
    [BERTH_DIRECTORY_STATE] = { "STATE_DIRECTORY", "/var/lib/berth" },
    [BERTH_DIRECTORY_RUNTIME] = { "RUNTIME_DIRECTORY", "/run/berth" },
};

/* systemd separates several with colons: ours is the first. */
static char *first_of(BerthDirectory directory)
{
    const char *value = g_getenv(directories[directory].variable);

    if (!value || !*value)
        value = directories[directory].usual;
    return g_strndup(value, strcspn(value, ":"));
}

bool berth_directories_check(GError **error)
{
    for (BerthDirectory directory = 0; directory < _BERTH_DIRECTORY_MAX; directory++) {
        g_autofree char *path = first_of(directory);

        if (!g_path_is_absolute(path))
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                                   "%s=%s is not an absolute path; give one",
                                   directories[directory].variable, path);
    }
    return true;
}

char *berth_directory(BerthDirectory directory)
{
    g_autofree char *path = first_of(directory);

    return g_canonicalize_filename(path, "/");
}

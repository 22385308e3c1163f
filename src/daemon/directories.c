/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The directories of the service, from the environment that systemd sets for
 * ConfigurationDirectory=, StateDirectory= and RuntimeDirectory= (systemd.exec(5)), so that a
 * private instance needs nothing else.
 */

#include "daemon/directories.h"

#include <string.h>

static const struct {
    const char *variable, *usual;
} directories[_BERTH_DIRECTORY_MAX] = {
    [BERTH_DIRECTORY_CONFIGURATION] = { "CONFIGURATION_DIRECTORY", "/etc/berth" },
    [BERTH_DIRECTORY_STATE] = { "STATE_DIRECTORY", "/var/lib/berth" },
    [BERTH_DIRECTORY_RUNTIME] = { "RUNTIME_DIRECTORY", "/run/berth" },
};

char *berth_directory(BerthDirectory directory)
{
    const char *value = g_getenv(directories[directory].variable);

    if (!value || !*value)
        value = directories[directory].usual;
    /* systemd separates several with colons: ours is the first */
    g_autofree char *first = g_strndup(value, strcspn(value, ":"));
    return g_canonicalize_filename(first, NULL);
}

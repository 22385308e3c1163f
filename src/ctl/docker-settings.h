/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

#include <glib.h>
#include <stdbool.h>

/** CtlDockerSettings: what of a daemon.json means something to Berth, in the syntax of its files.
 */
typedef struct {
    char *berth_conf;    /* (nullable): for berth.conf.d */
    char *registries;    /* (nullable): for registries.d */
    GPtrArray *warnings; /* (element-type utf8): for the user, each a sentence */
} CtlDockerSettings;

/**
 * ctl_docker_settings_convert:
 * @document: a daemon.json. `insecure-registries`, `registry-mirrors`,
 *   `allow-nondistributable-artifacts`, `default-ipc-mode` or `default-shm-mode`, and
 *   `default-shm-size` are looked at
 * @error: BERTH_ERROR_SETTINGS_INVALID naming the key and the value
 *
 * Returns: (transfer full): the settings; NULL on error.
 */
CtlDockerSettings *ctl_docker_settings_convert(const json_t *document, GError **error);

void ctl_docker_settings_free(CtlDockerSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlDockerSettings, ctl_docker_settings_free)

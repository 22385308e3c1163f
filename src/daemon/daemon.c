/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service knows of its surroundings: where its settings lie, which bus it is on.
 */

#include "daemon/daemon.h"

#include "base/log.h"
#include "base/messages.h"
#include "daemon/declared.h"
#include "daemon/directories.h"
#include "ipc/machine.h"
#include "settings/declared.h"

static void log_warnings(const GPtrArray *warnings)
{
    for (guint i = 0; i < warnings->len; i++)
        berth_log_event(LOG_WARNING, BERTH_MESSAGE_SETTINGS_WARNING, NULL, "%s",
                        (const char *)warnings->pdata[i]);
}

void berth_daemon_drop_settings(BerthDaemon *daemon)
{
    g_clear_pointer(&daemon->settings, berth_settings_unref);
    g_clear_pointer(&daemon->declared, g_ptr_array_unref);
    g_clear_pointer(&daemon->registries, berth_registries_unref);
}

bool berth_daemon_load_settings(BerthDaemon *daemon, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *configuration = berth_directory(BERTH_DIRECTORY_CONFIGURATION);
    g_autofree char *state = berth_directory(BERTH_DIRECTORY_STATE);
    g_autofree char *runtime = berth_directory(BERTH_DIRECTORY_RUNTIME);
    g_autofree char *volatile_settings = g_build_filename(runtime, "conf", NULL);
    const char *const directories[] = { configuration, volatile_settings, "/usr/lib/berth", NULL };
    const BerthSettingsPaths paths = { directories, state, daemon->mode_option,
                                       daemon->mode_option_by };
    g_autoptr(BerthSettings) settings = NULL;
    g_autoptr(GPtrArray) declared = NULL;
    g_autoptr(BerthRegistries) registries = NULL;
    BerthWorkerUser worker_user;
    uint64_t memory;

    if (!berth_machine_memory(&memory, error))
        return false;
    settings = berth_settings_load(&paths, memory, warnings, error);
    if (!settings)
        return false;
    declared = berth_declared_load(directories, memory, warnings, error);
    if (!declared || !berth_declared_check(settings, declared, error))
        return false;
    registries = berth_registries_load(directories, warnings, error);
    if (!registries || !berth_worker_user_find(settings, &worker_user, error))
        return false;
    log_warnings(warnings);
    berth_daemon_drop_settings(daemon);
    daemon->settings = g_steal_pointer(&settings);
    daemon->registries = g_steal_pointer(&registries);
    daemon->declared = g_steal_pointer(&declared);
    daemon->worker_user = worker_user;
    return true;
}

const char *berth_daemon_bus_id(const BerthDaemon *daemon)
{
    static char text[SD_ID128_STRING_MAX];
    sd_id128_t id;

    if (!*text && sd_bus_get_bus_id(daemon->bus, &id) >= 0)
        sd_id128_to_string(id, text);
    return text;
}

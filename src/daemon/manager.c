/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Manager interface: version and defaults as properties, the merged settings, and Reload(),
 * which puts new settings into force as a whole or not at all.
 */

#include "base/error.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/names.h"
#include "base/userinfo.h"
#include "daemon/entries.h"
#include "daemon/objects.h"
#include "settings/registry-keys.h"

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    return sd_bus_message_append(reply, "s", BERTH_VERSION);
}

static int get_mode(sd_bus *bus, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    const BerthDaemon *daemon = userdata;

    return sd_bus_message_append(reply, "s",
                                 berth_ipc_mode_to_string(daemon->settings->default_ipc_mode));
}

static int get_shm_size(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
    const BerthDaemon *daemon = userdata;

    return sd_bus_message_append(reply, "t", daemon->settings->default_shm_size);
}

static int emit_settings(BerthDaemon *daemon, BerthRegistries *before)
{
    const BerthSettings *settings = daemon->settings;
    g_auto(GStrv) changed = berth_registries_changed(before, daemon->registries);
    BERTH_AUTO_MESSAGE *signal = NULL;
    int r = sd_bus_message_new_signal(daemon->bus, &signal, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER,
                                      "SettingsChanged");

    if (r >= 0)
        r = sd_bus_message_open_container(signal, 'a', "{sv}");
    if (r >= 0)
        r = sd_bus_message_append(signal, "{sv}{sv}", "DefaultIpcMode", "s",
                                  berth_ipc_mode_to_string(settings->default_ipc_mode),
                                  "DefaultShmSize", "t", settings->default_shm_size);
    if (r >= 0)
        r = berth_entry_strv(signal, "Registries", changed);
    if (r >= 0)
        r = sd_bus_message_close_container(signal);
    return r < 0 ? r : sd_bus_send(NULL, signal, NULL);
}

/* @before: what was in force: the signal names the registries whose settings changed. */
static void announce(BerthDaemon *daemon, BerthRegistries *before)
{
    int r = emit_settings(daemon, before);

    if (r >= 0)
        r = sd_bus_emit_properties_changed(daemon->bus, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER,
                                           "DefaultIpcMode", "DefaultShmSize", NULL);
    if (r < 0)
        berth_warning("cannot announce the new settings: %s", g_strerror(-r));
}

bool berth_manager_reload(BerthDaemon *daemon, BerthDeclaredDone done, void *userdata,
                          GError **error)
{
    g_autoptr(GPtrArray) before = g_ptr_array_ref(daemon->declared);
    g_autoptr(BerthRegistries) registries = berth_registries_ref(daemon->registries);
    g_autoptr(GError) failure = NULL;

    if (!berth_daemon_load_settings(daemon, &failure)) {
        berth_log_event(LOG_ERR, BERTH_MESSAGE_SETTINGS_INVALID, NULL,
                        "the settings in force are kept: %s", failure->message);
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
    }
    berth_log_event(LOG_INFO, BERTH_MESSAGE_SETTINGS_CHANGED, NULL, "settings read again");
    announce(daemon, registries);
    berth_transfers_settings_changed(daemon->transfers);
    berth_declared_report_dropped(daemon, before);
    berth_declared_apply(daemon, done, userdata);
    return true;
}

static void on_reloaded(void *userdata)
{
    BerthCall *call = userdata;
    g_autoptr(GError) error = NULL;
    BerthVerdict verdict = berth_call_reply_empty(call, &error); /* before error is looked at */

    berth_call_finish(call, verdict, error);
}

static BerthVerdict act_reload(BerthCall *call, GError **error)
{
    return berth_manager_reload(call->daemon, on_reloaded, call, error) ? BERTH_CALL_WAITING
                                                                        : BERTH_CALL_FAILED;
}

static const BerthOption no_options[] = { { NULL } };

static bool parse_get_settings(BerthCall *call, GError **error)
{
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

static int append_row(sd_bus_message *reply, const char *group, const char *key, const char *value,
                      const char *origin)
{
    return sd_bus_message_append(reply, "a{sv}", 4, "Group", "s", group, "Key", "s", key, "Value",
                                 "s", value, "Origin", "s", origin);
}

/* Passwords in URLs of proxies are root's only. */
static int append_registries(sd_bus_message *reply, BerthRegistries *registries, bool to_root)
{
    g_autoptr(GArray) rows = berth_registries_rows(registries);
    int r = 0;

    for (guint i = 0; r >= 0 && i < rows->len; i++) {
        const BerthRegistryRow *row = &g_array_index(rows, BerthRegistryRow, i);
        g_autofree char *redacted = NULL;

        if (!to_root && g_str_equal(row->key, berth_registry_key(BERTH_REGISTRY_PROXY)->name))
            redacted = berth_userinfo_redact(row->value);
        r = append_row(reply, row->group, row->key, redacted ? redacted : row->value, row->origin);
    }
    return r;
}

static BerthVerdict act_get_settings(BerthCall *call, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);
    GPtrArray *rows = berth_settings_rows(call->daemon->settings);
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < rows->len; i++) {
        const BerthSettingRow *row = rows->pdata[i];

        r = append_row(reply, row->group, row->key, row->value, row->origin);
    }
    if (r >= 0)
        r = append_registries(reply, call->daemon->registries, call->caller->uid == 0);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

static const BerthMethod methods[] = {
    BERTH_METHOD(BERTH_IF_MANAGER, "Reload", "", "", "", "", BERTH_NEEDS("reload", BERTH_WHO_ROOT),
                 .act = act_reload),
    BERTH_METHOD(BERTH_IF_MANAGER, "GetSettings", "a{sv}", SD_BUS_PARAM(options), "aa{sv}",
                 SD_BUS_PARAM(settings), BERTH_OPEN_TO_ALL, .parse = parse_get_settings,
                 .act = act_get_settings),
    { NULL },
};

static const sd_bus_vtable others[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("DefaultIpcMode", "s", get_mode, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("DefaultShmSize", "t", get_shm_size, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_SIGNAL_WITH_NAMES("SettingsChanged", "a{sv}", SD_BUS_PARAM(settings), 0),
    SD_BUS_VTABLE_END,
};

int berth_manager_register(BerthDaemon *daemon)
{
    static sd_bus_vtable *vtable;

    berth_methods_register(methods);
    if (!vtable)
        vtable = berth_methods_vtable(methods, others);
    return sd_bus_add_object_vtable(daemon->bus, NULL, BERTH_OBJECT_ROOT, BERTH_IF_MANAGER, vtable,
                                    daemon);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Registries interface: which registries have settings, and what is in force for a name, with
 * the origin of each value. Everybody may ask, so passwords in the URL of a proxy are root's only;
 * files that settings name are not even looked at.
 */

#include "base/error.h"
#include "base/names.h"
#include "daemon/entries.h"
#include "daemon/lookup.h"
#include "daemon/objects.h"
#include "settings/registry-keys.h"

typedef struct {
    const char *registry; /* of the message */
    BerthRegistryName *name;
    BerthLookup *lookup;
} Arguments;

static void clear_arguments(void *data)
{
    Arguments *arguments = data;

    berth_lookup_cancel(arguments->lookup);
    berth_registry_name_free(arguments->name);
}

static const BerthOption no_options[] = { { NULL } };

static bool parse_list(BerthCall *call, GError **error)
{
    return berth_options_read(call->message, no_options, NULL, NULL, error);
}

static BerthVerdict act_list(BerthCall *call, GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);
    g_autoptr(GArray) rows = berth_registries_groups(call->daemon->registries);
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    r = sd_bus_message_open_container(reply, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < rows->len; i++) {
        const BerthRegistryGroupRow *row = &g_array_index(rows, BerthRegistryGroupRow, i);

        r = sd_bus_message_append(reply, "a{sv}", 2, "Registry", "s", row->registry, "Origin", "s",
                                  row->origin);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

static bool parse_get_settings(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;
    int r = sd_bus_message_read(call->message, "s", &arguments->registry);

    if (r < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_ARGS, -r, "cannot read the name");
    arguments->name = berth_registry_name_parse(arguments->registry, error);
    return arguments->name;
}

/* What the value of Proxy= holds is for root; everybody else sees it without its secrets. */
static const char *text_of(const BerthRegistrySettings *settings, BerthRegistryKeyId id,
                           const void *field, bool to_root)
{
    if (id == BERTH_REGISTRY_PROXY && !to_root)
        return settings->values[id];
    return *(char *const *)field;
}

/* Appends one key with the D-Bus type that is natural for it. */
static int append_key(sd_bus_message *reply, const BerthRegistrySettings *settings,
                      BerthRegistryKeyId id, bool to_root)
{
    const BerthRegistryKey *key = berth_registry_key(id);
    const void *field = (const char *)settings + key->offset;

    switch (key->type) {
    case BERTH_REGISTRY_BOOL:
        return sd_bus_message_append(reply, "{sv}", key->name, "b", *(const bool *)field);
    case BERTH_REGISTRY_COUNT:
        return sd_bus_message_append(reply, "{sv}", key->name, "u", *(const unsigned *)field);
    case BERTH_REGISTRY_SIZE:
    case BERTH_REGISTRY_USEC:
        return sd_bus_message_append(reply, "{sv}", key->name, "t", *(const uint64_t *)field);
    case BERTH_REGISTRY_TEXT:
        return sd_bus_message_append(reply, "{sv}", key->name, "s",
                                     text_of(settings, id, field, to_root));
    case BERTH_REGISTRY_LIST:
        return berth_entry_strv(reply, key->name, *(char **const *)field);
    case BERTH_REGISTRY_WORD:
        return sd_bus_message_append(reply, "{sv}", key->name, "s",
                                     key->words[*(const unsigned *)field]);
    }
    g_assert_not_reached();
}

static int append_origins(sd_bus_message *reply, const BerthRegistrySettings *settings)
{
    int r = berth_entry_open(reply, "Origins", "a{ss}");

    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "{ss}");
    for (int id = 0; r >= 0 && id < _BERTH_REGISTRY_KEY_MAX; id++)
        r = sd_bus_message_append(reply, "{ss}", berth_registry_key(id)->name,
                                  settings->origins[id]);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : berth_entry_close(reply);
}

static BerthVerdict reply_settings(BerthCall *call, const BerthRegistrySettings *settings,
                                   GError **error)
{
    BERTH_AUTO_MESSAGE *reply = berth_call_new_reply(call, error);
    int r;

    if (!reply)
        return BERTH_CALL_FAILED;
    r = sd_bus_message_open_container(reply, 'a', "{sv}");
    for (int id = 0; r >= 0 && id < _BERTH_REGISTRY_KEY_MAX; id++)
        r = append_key(reply, settings, id, call->caller->uid == 0);
    if (r >= 0)
        r = append_origins(reply, settings);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return berth_call_reply(call, reply, r, error);
}

static void on_found(GPtrArray *found, const GError *failure, void *userdata)
{
    g_autoptr(GPtrArray) settings = found;
    BerthCall *call = userdata;
    Arguments *arguments = call->arguments;
    g_autoptr(GError) error = NULL;
    BerthVerdict verdict = BERTH_CALL_FAILED;

    arguments->lookup = NULL;
    if (settings)
        verdict = reply_settings(call, settings->pdata[0], &error);
    berth_call_finish(call, verdict, error ? error : failure);
}

static BerthVerdict act_get_settings(BerthCall *call, GError **error)
{
    Arguments *arguments = call->arguments;

    arguments->lookup =
        berth_lookup_start(call->daemon, call->caller->uid, call->daemon->registries,
                           &arguments->name, 1, on_found, call, error);
    return arguments->lookup ? BERTH_CALL_WAITING : BERTH_CALL_FAILED;
}

static const BerthMethod methods[] = {
    BERTH_METHOD(BERTH_IF_REGISTRIES, "List", "a{sv}", SD_BUS_PARAM(options), "aa{sv}",
                 SD_BUS_PARAM(registries), BERTH_OPEN_TO_ALL, .parse = parse_list, .act = act_list),
    BERTH_METHOD(BERTH_IF_REGISTRIES, "GetSettings", "s", SD_BUS_PARAM(registry), "a{sv}",
                 SD_BUS_PARAM(settings), BERTH_OPEN_TO_ALL, .arguments_size = sizeof(Arguments),
                 .parse = parse_get_settings, .act = act_get_settings, .clear = clear_arguments),
    { NULL },
};

static const sd_bus_vtable others[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_VTABLE_END,
};

int berth_registries_register(BerthDaemon *daemon)
{
    static sd_bus_vtable *vtable;

    berth_methods_register(methods);
    if (!vtable)
        vtable = berth_methods_vtable(methods, others);
    return sd_bus_add_object_vtable(daemon->bus, NULL, BERTH_OBJECT_ROOT, BERTH_IF_REGISTRIES,
                                    vtable, daemon);
}

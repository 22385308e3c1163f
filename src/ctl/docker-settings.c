/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From Docker's daemon.json to settings files. Every value is checked as the service would check
 * it, so that what is written can be read; one bad entry refuses all of it. Only text is made here;
 * it must never write a file.
 */

#include "ctl/docker-settings.h"

#include "base/error.h"
#include "base/mode.h"
#include "base/names.h"
#include "base/registry-name.h"
#include "base/size.h"
#include "base/userinfo.h"
#include "ctl/text.h"

#include <string.h>

#define SEPARATOR "://"
#define HUB       "docker.io"

/* What will be one group of registries.d. */
typedef struct {
    char *name; /* in its one spelling */
    bool insecure, allow_nondistributable;
    GString *mirrors; /* separated by spaces */
} Group;

typedef struct {
    GPtrArray *groups; /* (element-type Group) in the order in which they were named */
    GPtrArray *warnings;
} Converter;

void ctl_docker_settings_free(CtlDockerSettings *settings)
{
    if (!settings)
        return;
    g_free(settings->berth_conf);
    g_free(settings->registries);
    g_ptr_array_unref(settings->warnings);
    g_free(settings);
}

static void group_free(void *data)
{
    Group *group = data;

    g_free(group->name);
    g_string_free(group->mirrors, TRUE);
    g_free(group);
}

/* The group called @name, made when it is new. */
static Group *group_of(Converter *converter, const char *name)
{
    Group *group;

    for (guint i = 0; i < converter->groups->len; i++) {
        group = converter->groups->pdata[i];
        if (g_str_equal(group->name, name))
            return group;
    }
    group = g_new0(Group, 1);
    group->name = g_strdup(name);
    group->mirrors = g_string_new(NULL);
    g_ptr_array_add(converter->groups, group);
    return group;
}

static bool invalid(GError **error, const char *key, const char *value, const char *hint)
{
    g_autofree char *redacted = berth_userinfo_redact(value);
    g_autofree char *quoted = berth_quote(redacted);

    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("\"%s\": '%s' is invalid: %s"),
                           key, quoted, hint);
}

typedef bool TakeEntry(Converter *converter, const char *key, const char *entry, GError **error);

static bool take_list(Converter *converter, const json_t *document, const char *key,
                      TakeEntry *take, GError **error)
{
    const json_t *list = json_object_get(document, key), *entry;
    size_t i;

    if (!list || json_is_null(list))
        return true;
    if (!json_is_array(list))
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("\"%s\" is not a list"), key);
    json_array_foreach(list, i, entry)
    {
        if (!json_is_string(entry))
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                                   _("\"%s\" has an entry that is not a string"), key);
        if (!take(converter, key, json_string_value(entry), error))
            return false;
    }
    return true;
}

/* The group of a name, domain or network. */
static Group *group_of_entry(Converter *converter, const char *key, const char *entry,
                             GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(BerthRegistryPattern) pattern = berth_registry_pattern_parse(entry, &failure);

    if (pattern)
        return group_of(converter, pattern->text);
    if (strstr(entry, SEPARATOR)) /* this text is a contract: tools match on it */
        berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s", failure->message);
    else
        berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("\"%s\": %s"), key,
                        failure->message);
    return NULL;
}

static bool take_insecure(Converter *converter, const char *key, const char *entry, GError **error)
{
    const char *separator = strstr(entry, SEPARATOR);
    const char *name = separator ? separator + strlen(SEPARATOR) : entry;
    Group *group;

    if (separator) {
        g_autofree char *redacted = berth_userinfo_redact(entry);
        g_autofree char *quoted = berth_quote(redacted);

        g_ptr_array_add(converter->warnings,
                        g_strdup_printf("\"%s\": the scheme of '%s' is left out", key, quoted));
    }
    group = group_of_entry(converter, key, name, error);
    if (group)
        group->insecure = true;
    return group;
}

static bool take_allowed(Converter *converter, const char *key, const char *entry, GError **error)
{
    Group *group = group_of_entry(converter, key, entry, error);

    if (group)
        group->allow_nondistributable = true;
    return group;
}

/* A mirror is a URL there: its scheme decides whether it may be insecure here. */
static bool take_mirror(Converter *converter, const char *key, const char *entry, GError **error)
{
    bool plain = g_ascii_strncasecmp(entry, "http://", strlen("http://")) == 0;
    const char *separator = strstr(entry, SEPARATOR);
    g_autofree char *place = g_strdup(separator ? separator + strlen(SEPARATOR) : "");
    g_autoptr(BerthRegistryName) name = NULL;
    g_autoptr(GError) failure = NULL;
    g_autofree char *canonical = NULL, *host = NULL;
    GString *mirrors = group_of(converter, HUB)->mirrors;

    if (!plain && g_ascii_strncasecmp(entry, "https://", strlen("https://")) != 0)
        return invalid(error, key, entry, "write a URL that begins with https:// or http://");
    if (g_str_has_suffix(place, "/"))
        place[strlen(place) - 1] = '\0';
    name = berth_registry_name_parse(place, &failure);
    if (!name)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("\"%s\": %s"), key,
                               failure->message);
    canonical = berth_registry_name_format(name);
    g_string_append_printf(mirrors, "%s%s", mirrors->len > 0 ? " " : "", canonical);
    host = berth_registry_name_authority(name);
    if (plain)
        group_of(converter, host)->insecure = true;
    return true;
}

static char *write_registries(const Converter *converter)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < converter->groups->len; i++) {
        const Group *group = converter->groups->pdata[i];

        g_string_append_printf(text, "\n[registry %s]\n", group->name);
        if (group->allow_nondistributable)
            g_string_append(text, "AllowNondistributable=yes\n");
        if (group->insecure)
            g_string_append(text, "Insecure=yes\n");
        if (group->mirrors->len > 0)
            g_string_append_printf(text, "Mirrors=%s\n", group->mirrors->str);
    }
    return text->len > 0 ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* The string under @key; NULL when there is none. */
static bool get_string(const json_t *document, const char *key, const char **text, GError **error)
{
    const json_t *value = json_object_get(document, key);

    *text = json_string_value(value);
    return *text || !value || json_is_null(value) ||
           berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("\"%s\" is not a string"), key);
}

/* Docker called it one and then the other. */
static bool add_mode(GString *text, const json_t *document, GError **error)
{
    const char *mode, *older;
    g_autofree char *quoted = NULL;

    if (!get_string(document, "default-ipc-mode", &mode, error) ||
        !get_string(document, "default-shm-mode", &older, error))
        return false;
    if (mode && older)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               _("\"default-ipc-mode\" and \"default-shm-mode\" are the same; give "
                                 "one of them"));
    mode = mode ?: older;
    if (!mode)
        return true;
    quoted = berth_quote(mode);
    if (!berth_ipc_mode_may_be_default(berth_ipc_mode_from_word(mode)))
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               /* tools match on this text, in every language */
                               "default IPC mode setting (%s) is invalid; use \"shareable\" or "
                               "\"private\"",
                               quoted);
    g_string_append_printf(text, "DefaultIpcMode=%s\n", mode);
    return true;
}

/* A size as text, or a number of bytes. */
static bool add_size(GString *text, const json_t *document, GError **error)
{
    static const char key[] = "default-shm-size";
    const json_t *value = json_object_get(document, key);
    g_autofree char *digits = json_is_integer(value) ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    const char *size = digits ?: json_string_value(value);
    uint64_t bytes;

    if (!value || json_is_null(value))
        return true;
    if (!size)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, _("\"%s\" is not a size"), key);
    if (!berth_size_parse(size, &bytes, NULL) || bytes == 0)
        return invalid(error, key, size, "write a size above 0, as in \"64M\"");
    g_string_append_printf(text, "DefaultShmSize=%s\n", size);
    return true;
}

static bool write_berth_conf(const json_t *document, char **conf, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (!add_mode(text, document, error) || !add_size(text, document, error))
        return false;
    *conf = text->len > 0 ? g_strconcat("\n[Sandboxes]\n", text->str, NULL) : NULL;
    return true;
}

CtlDockerSettings *ctl_docker_settings_convert(const json_t *document, GError **error)
{
    g_autoptr(CtlDockerSettings) settings = g_new0(CtlDockerSettings, 1);
    g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func(group_free);
    Converter converter = { .groups = groups };

    converter.warnings = settings->warnings = g_ptr_array_new_with_free_func(g_free);
    if (!take_list(&converter, document, "registry-mirrors", take_mirror, error) ||
        !take_list(&converter, document, "insecure-registries", take_insecure, error) ||
        !take_list(&converter, document, "allow-nondistributable-artifacts", take_allowed, error) ||
        !write_berth_conf(document, &settings->berth_conf, error))
        return NULL;
    settings->registries = write_registries(&converter);
    return g_steal_pointer(&settings);
}

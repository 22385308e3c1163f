/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keys of registries.d: one table with name, built-in value, type, parser and bounds. Built-in
 * values are text and take the same way as those of files. It must never look at the machine:
 * whether a file exists is found out by who opens it. No message may hold the password that a
 * proxy's URL can have.
 */

#include "settings/registry-keys.h"

#include "base/error.h"
#include "base/names.h"
#include "base/size.h"
#include "base/userinfo.h"
#include "settings/duration.h"
#include "settings/proxy.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define SECOND          UINT64_C(1000000) /* µs */
#define MSEC            UINT64_C(1000)
#define DAY             (24 * 3600 * SECOND)

#define RETRIES_MAX     100
#define CONNECTIONS_MAX 256 /* what a server could still take for honest use */

static bool invalid(GError **error, const BerthRegistryKey *key, const char *text, const char *hint)
{
    g_autofree char *quoted = berth_quote(text);

    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s=%s is invalid: %s", key->name,
                           quoted, hint);
}

bool berth_registry_bool_parse(const char *text, bool *value)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_ascii_strcasecmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    return false;
}

static bool parse_bool(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    return berth_registry_bool_parse(text, field) || invalid(error, key, text, "use yes or no");
}

static bool check_bounds(const BerthRegistryKey *key, const char *text, uint64_t value,
                         GError **error)
{
    g_autofree char *hint = NULL;

    if (value >= key->min && value <= key->max)
        return true;
    hint = g_strdup_printf("write a number from %" PRIu64 " to %" PRIu64, key->min, key->max);
    return invalid(error, key, text, hint);
}

static bool parse_count(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    uint64_t value;

    if (!g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, &value, NULL))
        return invalid(error, key, text, "write a number, as in 5");
    if (!check_bounds(key, text, value, error))
        return false;
    *(unsigned *)field = (unsigned)value;
    return true;
}

static bool parse_size(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    uint64_t value;

    if (!berth_size_parse(text, &value, NULL))
        return invalid(error, key, text, "write bytes a second, as in 500k or 1.5M; 0: no limit");
    if (!check_bounds(key, text, value, error))
        return false;
    *(uint64_t *)field = value;
    return true;
}

static bool parse_usec(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    uint64_t value;

    if (!berth_duration_parse(text, &value))
        return invalid(error, key, text,
                       "write a time span, as in 30s, 500ms or 1min 30s; a number alone is in "
                       "seconds");
    if (value < key->min || value > key->max)
        return invalid(error, key, text, "write a time span from 1ms to 1d");
    *(uint64_t *)field = value;
    return true;
}

static void set_text(void *field, const char *text)
{
    g_free(*(char **)field);
    *(char **)field = g_strdup(text);
}

static bool parse_path(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    if (*text && !g_path_is_absolute(text))
        return invalid(error, key, text, "write an absolute path");
    if (strlen(text) >= PATH_MAX)
        return invalid(error, key, text, "the path is too long");
    set_text(field, text);
    return true;
}

static bool parse_location(const BerthRegistryKey *key, const char *text, void *field,
                           GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(BerthRegistryName) name = *text ? berth_registry_name_parse(text, &failure) : NULL;
    g_autofree char *canonical = name ? berth_registry_name_format(name) : NULL;

    if (failure)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s: %s", key->name,
                               failure->message);
    set_text(field, canonical ? canonical : "");
    return true;
}

static bool parse_proxy(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    const char *hint;

    if (*text && !g_str_equal(text, "none") && !berth_proxy_check(text, &hint)) {
        g_autofree char *redacted = berth_userinfo_redact(text);

        return invalid(error, key, redacted, hint);
    }
    set_text(field, text);
    return true;
}

static bool parse_word(const BerthRegistryKey *key, const char *text, void *field, GError **error)
{
    g_autofree char *words = NULL, *hint = NULL;

    G_STATIC_ASSERT(sizeof(BerthMirrorsFor) == sizeof(unsigned));
    G_STATIC_ASSERT(sizeof(BerthForeignLayers) == sizeof(unsigned));
    for (unsigned i = 0; key->words[i]; i++)
        if (g_str_equal(key->words[i], text)) {
            *(unsigned *)field = i;
            return true;
        }
    words = g_strjoinv(", ", (char **)key->words);
    hint = g_strdup_printf("use one of %s", words);
    return invalid(error, key, text, hint);
}

/* Returns: (transfer full): the one spelling of an entry of a list, or NULL. */
typedef char *ParseEntry(const char *entry, GError **error);

static char *parse_mirror(const char *entry, GError **error)
{
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(entry, error);

    return name ? berth_registry_name_format(name) : NULL;
}

static char *parse_url_host(const char *entry, GError **error)
{
    g_autoptr(BerthRegistryPattern) pattern = berth_registry_pattern_parse(entry, error);
    g_autofree char *quoted = NULL;

    if (!pattern)
        return NULL;
    if (!pattern->name || !*pattern->name->path)
        return g_strdup(pattern->text);
    quoted = berth_quote(entry);
    berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                    "'%s' has a path; write host[:port], *.domain or a network", quoted);
    return NULL;
}

static bool parse_list(const BerthRegistryKey *key, const char *text, ParseEntry *parse,
                       void *field, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);

    for (char **word = words; *word; word++) {
        g_autoptr(GError) failure = NULL;
        g_autofree char *entry = NULL;

        if (!**word) /* between two spaces */
            continue;
        entry = parse(*word, &failure);
        if (!entry)
            return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s: %s", key->name,
                                   failure->message);
        g_strv_builder_add(builder, entry);
    }
    g_strfreev(*(char ***)field);
    *(char ***)field = g_strv_builder_end(builder);
    return true;
}

static bool parse_mirrors(const BerthRegistryKey *key, const char *text, void *field,
                          GError **error)
{
    if (!parse_list(key, text, parse_mirror, field, error))
        return false;
    return g_strv_length(*(char ***)field) <= BERTH_MIRRORS_MAX ||
           invalid(error, key, text, "name at most 32 mirrors");
}

static bool parse_url_hosts(const BerthRegistryKey *key, const char *text, void *field,
                            GError **error)
{
    return parse_list(key, text, parse_url_host, field, error);
}

static const char *const mirrors_for_words[] = {
    [BERTH_MIRRORS_FOR_ALL] = "all",
    [BERTH_MIRRORS_FOR_TAGS] = "tags",
    [BERTH_MIRRORS_FOR_DIGESTS] = "digests",
    NULL,
};

static const char *const foreign_layers_words[] = {
    [BERTH_FOREIGN_REGISTRY_FIRST] = "registry-first",
    [BERTH_FOREIGN_REGISTRY_ONLY] = "registry-only",
    [BERTH_FOREIGN_URL_ONLY] = "url-only",
    [BERTH_FOREIGN_SKIP] = "skip",
    NULL,
};

#define KEY(name_, field_, type_, parse_, builtin_, ...)                                           \
    {                                                                                              \
        .name = name_, .builtin = builtin_, .type = BERTH_REGISTRY_##type_, .parse = parse_,       \
        .offset = offsetof(BerthRegistrySettings, field_), __VA_ARGS__                             \
    }

/* clang-format off */
static const BerthRegistryKey keys[_BERTH_REGISTRY_KEY_MAX] = {
    [BERTH_REGISTRY_ALLOW_NONDISTRIBUTABLE] =
        KEY("AllowNondistributable", allow_nondistributable, BOOL, parse_bool, "no"),
    /* berth_registries_lookup() makes it yes for loopback */
    [BERTH_REGISTRY_INSECURE] = KEY("Insecure", insecure, BOOL, parse_bool, "no"),
    [BERTH_REGISTRY_BLOCKED] = KEY("Blocked", blocked, BOOL, parse_bool, "no"),
    [BERTH_REGISTRY_LOCATION] = KEY("Location", location, TEXT, parse_location, ""),
    [BERTH_REGISTRY_MIRRORS] = KEY("Mirrors", mirrors, LIST, parse_mirrors, ""),
    [BERTH_REGISTRY_MIRRORS_FOR] =
        KEY("MirrorsFor", mirrors_for, WORD, parse_word, "all", .words = mirrors_for_words),
    [BERTH_REGISTRY_CA_FILE] = KEY("CAFile", ca_file, TEXT, parse_path, ""),
    [BERTH_REGISTRY_CLIENT_CERTIFICATE] =
        KEY("ClientCertificate", client_certificate, TEXT, parse_path, ""),
    [BERTH_REGISTRY_CLIENT_KEY] = KEY("ClientKey", client_key, TEXT, parse_path, ""),
    [BERTH_REGISTRY_CREDENTIALS_FILE] =
        KEY("CredentialsFile", credentials_file, TEXT, parse_path, ""),
    [BERTH_REGISTRY_PROXY] = KEY("Proxy", proxy, TEXT, parse_proxy, ""),
    [BERTH_REGISTRY_CONNECT_TIMEOUT] =
        KEY("ConnectTimeout", connect_timeout, USEC, parse_usec, "10s", .min = MSEC, .max = DAY),
    [BERTH_REGISTRY_STALL_TIMEOUT] =
        KEY("StallTimeout", stall_timeout, USEC, parse_usec, "30s", .min = MSEC, .max = DAY),
    [BERTH_REGISTRY_RETRIES] =
        KEY("Retries", retries, COUNT, parse_count, "5", .min = 0, .max = RETRIES_MAX),
    [BERTH_REGISTRY_MAX_CONNECTIONS] =
        KEY("MaxConnections", max_connections, COUNT, parse_count, "6", .min = 1,
            .max = CONNECTIONS_MAX),
    [BERTH_REGISTRY_MAX_BANDWIDTH] =
        KEY("MaxBandwidth", max_bandwidth, SIZE, parse_size, "0", .min = 0, .max = INT64_MAX),
    [BERTH_REGISTRY_FOREIGN_LAYERS] =
        KEY("ForeignLayers", foreign_layers, WORD, parse_word, "registry-first",
            .words = foreign_layers_words),
    [BERTH_REGISTRY_FOREIGN_URL_HOSTS] =
        KEY("ForeignUrlHosts", foreign_url_hosts, LIST, parse_url_hosts, ""),
};
/* clang-format on */

const BerthRegistryKey *berth_registry_key(BerthRegistryKeyId id)
{
    g_assert(id < _BERTH_REGISTRY_KEY_MAX);
    return &keys[id];
}

int berth_registry_key_find(const char *name)
{
    for (int id = 0; id < _BERTH_REGISTRY_KEY_MAX; id++)
        if (g_str_equal(keys[id].name, name))
            return id;
    return -ENOENT;
}

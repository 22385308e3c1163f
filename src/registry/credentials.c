/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credentials from an auth.json. The file comes from a caller or from the administrator, and is
 * bounded before it is parsed. No message may repeat a part of it but the key of an entry: a slip
 * of the hand puts a password anywhere. It must never run a credential helper: whoever may, runs it
 * and hands over its result.
 */

#include "registry/credentials.h"

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"
#include "base/registry-name.h"
#include "base/userinfo.h"

#include <string.h>

#define SEPARATOR "://"
#define BASE64    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* RFC 6750, section 2.1 */
#define BEARER "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

/* far more than one has, far less than what would take long */
static const BerthJsonLimits limits = {
    .bytes = BERTH_CREDENTIALS_FILE_MAX,
    .depth = 16,
    .containers = 4096,
    .values = 16384,
};

static void wipe_string(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    g_free(text);
}

void berth_credentials_free(BerthCredentials *credentials)
{
    if (!credentials)
        return;
    wipe_string(credentials->user);
    wipe_string(credentials->password);
    wipe_string(credentials->identity_token);
    wipe_string(credentials->registry_token);
    g_free(credentials);
}

/* Overwrites every string in @value, whoever else holds a reference. */
static void wipe_json(json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_string(value))
        explicit_bzero((char *)json_string_value(value), json_string_length(value));
    json_array_foreach(value, i, item)
    {
        wipe_json(item);
    }
    json_object_foreach(value, key, item)
    {
        wipe_json(item);
    }
}

static void release_json(json_t *value)
{
    if (value)
        wipe_json(value);
    json_decref(value);
}

typedef json_t SecretJson;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SecretJson, release_json)

static bool unusable(GError **error, const char *key, const char *why)
{
    g_autofree char *redacted = berth_userinfo_redact(key);
    g_autofree char *quoted = berth_quote(redacted);

    return berth_set_error(error, BERTH_ERROR_AUTHENTICATION_REQUIRED,
                           "the credentials for '%s' cannot be used: %s", quoted, why);
}

/* Docker Hub has three names. */
static BerthRegistryName *parse_name(const char *text)
{
    BerthRegistryName *name = berth_registry_name_parse(text, NULL);

    if (name && name->port < 0 && g_str_equal(name->host, "registry-1.docker.io")) {
        g_free(name->host);
        name->host = g_strdup("docker.io");
    }
    return name;
}

/*
 * What the key of an entry names, NULL when that is no registry. A URL's scheme says nothing: the
 * port, which would, is not in it.
 */
static BerthRegistryName *parse_key(const char *key, bool *is_url)
{
    static const char *const endings[] = { "/", "/v1", "/v2" };
    const char *separator = strstr(key, SEPARATOR);
    g_autofree char *place = g_strdup(separator ? separator + strlen(SEPARATOR) : key);

    *is_url = separator != NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++)
        if (g_str_has_suffix(place, endings[i]) &&
            (i == 0 || strchr(place, '/') == place + strlen(place) - strlen(endings[i])))
            place[strlen(place) - strlen(endings[i])] = '\0';
    return parse_name(place);
}

static bool is_at(const BerthRegistryName *entry, const BerthRegistryName *asked)
{
    size_t length = strlen(entry->path);

    return entry->port == asked->port && g_str_equal(entry->host, asked->host) &&
           strncmp(entry->path, asked->path, length) == 0 &&
           (length == 0 || asked->path[length] == '\0' || asked->path[length] == '/');
}

/* The entry for @asked, NULL when there is none. */
static const json_t *find_entry(const json_t *entries, const BerthRegistryName *asked,
                                const char **found)
{
    const json_t *best = NULL;
    size_t best_length = 0;
    bool best_is_url = false;
    const char *key;
    json_t *entry;

    json_object_foreach((json_t *)entries, key, entry)
    {
        bool is_url;
        g_autoptr(BerthRegistryName) name = parse_key(key, &is_url);
        size_t length = name ? strlen(name->path) : 0;

        if (!name || !is_at(name, asked))
            continue;
        if (!best || length > best_length || (length == best_length && best_is_url && !is_url)) {
            best = entry;
            best_length = length;
            best_is_url = is_url;
            *found = key;
        }
    }
    return best;
}

/* Strictly: what GLib would skip could be a slip of the hand. */
static bool is_base64(const char *text)
{
    size_t length = strspn(text, BASE64), padding = strspn(text + length, "=");

    return text[length + padding] == '\0' && padding <= 2 && (length + padding) % 4 == 0;
}

/* Splits base64 of user:password. */
static bool take_auth(BerthCredentials *credentials, const char *key, const char *auth,
                      GError **error)
{
    gsize length;
    guchar *decoded;
    const guchar *colon;
    bool ok;

    if (!is_base64(auth))
        return unusable(error, key, "\"auth\" is not base64; write it anew with berthctl login");
    decoded = g_base64_decode(auth, &length);
    while (length > 0 && decoded[length - 1] == '\0') /* Docker's own padding */
        length--;
    colon = memchr(decoded, ':', length);
    ok = colon && !memchr(decoded, '\0', length);
    if (ok) {
        credentials->user = g_strndup((const char *)decoded, (gsize)(colon - decoded));
        credentials->password =
            g_strndup((const char *)colon + 1, length - (gsize)(colon - decoded) - 1);
    }
    explicit_bzero(decoded, length);
    g_free(decoded);
    return ok || unusable(error, key,
                          "\"auth\" is not base64 of user:password; write it anew with "
                          "berthctl login");
}

/* A member that is a string, "" when it is absent. */
static bool get_text(const json_t *entry, const char *key, const char *member, const char **text,
                     GError **error)
{
    g_autofree char *why = g_strdup_printf("\"%s\" is not a string", member);

    if (!berth_json_get_string(entry, member, BERTH_CREDENTIALS_FILE_MAX, text, NULL))
        return unusable(error, key, why);
    *text = *text ?: "";
    return true;
}

static bool take_tokens(BerthCredentials *credentials, const char *key, const json_t *entry,
                        GError **error)
{
    const char *identity, *registry;

    if (!get_text(entry, key, "identitytoken", &identity, error) ||
        !get_text(entry, key, "registrytoken", &registry, error))
        return false;
    if (registry[strspn(registry, BEARER)])
        return unusable(error, key, "\"registrytoken\" has characters that no bearer token has");
    credentials->identity_token = *identity ? g_strdup(identity) : NULL;
    credentials->registry_token = *registry ? g_strdup(registry) : NULL;
    return true;
}

/* Returns false on error; *@credentials stays NULL when the entry is empty. */
static bool read_entry(const char *key, const json_t *entry, BerthCredentials **credentials,
                       GError **error)
{
    g_autoptr(BerthCredentials) found = g_new0(BerthCredentials, 1);
    const char *auth, *user, *password;

    if (!json_is_object(entry))
        return unusable(error, key, "its entry is not an object");
    if (!get_text(entry, key, "auth", &auth, error) ||
        !get_text(entry, key, "username", &user, error) ||
        !get_text(entry, key, "password", &password, error) ||
        !take_tokens(found, key, entry, error))
        return false;
    if (*auth) {
        if (!take_auth(found, key, auth, error))
            return false;
    } else if (*user) {
        if (strchr(user, ':'))
            return unusable(error, key, "no user name can have a ':'");
        found->user = g_strdup(user);
        found->password = g_strdup(password);
    }
    if (found->user || found->identity_token || found->registry_token)
        *credentials = g_steal_pointer(&found);
    return true;
}

bool berth_credentials_find(GBytes *auth_json, const char *registry, const char *repository,
                            BerthCredentials **credentials, GError **error)
{
    gsize length;
    const void *data = g_bytes_get_data(auth_json, &length);
    g_autoptr(BerthRegistryName) host = parse_name(registry);
    g_autoptr(BerthRegistryName) asked = NULL;
    g_autoptr(SecretJson) root = NULL;
    const json_t *entries, *entry;
    const char *key = NULL;

    *credentials = NULL;
    if (!host)
        return true;
    asked = berth_registry_name_new(host, repository);
    root = berth_json_load(data ?: "", length, &limits, NULL); /* its messages quote the text */
    if (!root)
        return berth_set_error(error, BERTH_ERROR_AUTHENTICATION_REQUIRED,
                               "the credentials given for %s are not a JSON object of at most %d "
                               "bytes; see containers-auth.json(5)",
                               registry, BERTH_CREDENTIALS_FILE_MAX);
    if (!berth_json_get_object(root, "auths", &entries, NULL))
        return unusable(error, registry, "\"auths\" is not an object; see containers-auth.json(5)");
    entry = entries ? find_entry(entries, asked, &key) : NULL;
    return !entry || read_entry(key, entry, credentials, error);
}

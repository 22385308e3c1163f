/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From settings to the rows of a job: for one repository, the mirrors that may be read from and the
 * registry. It decides nothing that settings/ has not decided, and must never let a name through
 * that is blocked. What was found is what a job gets that starts now; one that waited asks again.
 */

#include "daemon/endpoints.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memfd.h"
#include "daemon/entries.h"
#include "daemon/lookup.h"
#include "daemon/tls-files.h"
#include "settings/registry-keys.h"

#include <string.h>

struct BerthEndpoints {
    BerthRegistries *registries; /* they were found in */
    BerthRegistrySettings *registry;
    GPtrArray *mirrors; /* (element-type BerthRegistrySettings) in the order to try */
};

struct BerthEndpointsFind {
    BerthDaemon *daemon;
    uid_t user;
    BerthRegistries *registries; /* both lookups are made in the same */
    BerthEndpointsUse use;
    BerthLookup *lookup;
    BerthEndpoints *found;
    BerthEndpointsDone done;
    void *userdata;
};

void berth_endpoints_free(BerthEndpoints *endpoints)
{
    if (!endpoints)
        return;
    berth_registries_unref(endpoints->registries);
    berth_registry_settings_free(endpoints->registry);
    g_ptr_array_unref(endpoints->mirrors);
    g_free(endpoints);
}

void berth_endpoints_cancel(BerthEndpointsFind *find)
{
    if (!find)
        return;
    berth_lookup_cancel(find->lookup);
    berth_endpoints_free(find->found);
    berth_registries_unref(find->registries);
    g_free(find);
}

static void finish(BerthEndpointsFind *find, const GError *error)
{
    BerthEndpointsDone done = find->done;
    void *userdata = find->userdata;
    BerthEndpoints *found = error ? NULL : g_steal_pointer(&find->found);

    berth_endpoints_cancel(find);
    done(found, error, userdata);
}

/* Whether a transfer can go to what @settings are of. */
static bool check_usable(const BerthRegistrySettings *settings, GError **error)
{
    g_autofree char *name = berth_registry_name_format(settings->name);

    if (settings->blocked)
        return berth_set_error(error, BERTH_ERROR_REGISTRY_BLOCKED,
                               "the settings block %s: Blocked=yes at %s%s", name,
                               settings->origins[BERTH_REGISTRY_BLOCKED],
                               settings->unresolved ? ", which is about a network, and the name "
                                                      "cannot be resolved"
                                                    : "");
    if (!*settings->serving->path)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "Location=%s at %s leaves no repository for %s; add one to it",
                               settings->location, settings->origins[BERTH_REGISTRY_LOCATION],
                               name);
    return true;
}

static void on_mirrors(GPtrArray *settings, const GError *error, void *userdata)
{
    BerthEndpointsFind *find = userdata;

    find->lookup = NULL;
    for (guint i = 0; settings && i < settings->len; i++) {
        g_autoptr(BerthRegistrySettings) mirror = g_steal_pointer(&settings->pdata[i]);
        g_autoptr(GError) reason = NULL;

        if (check_usable(mirror, &reason))
            g_ptr_array_add(find->found->mirrors, g_steal_pointer(&mirror));
        else
            berth_info("a mirror is left out: %s", reason->message);
    }
    if (settings)
        g_ptr_array_unref(settings);
    finish(find, error);
}

static bool find_mirrors(BerthEndpointsFind *find, GError **error)
{
    GPtrArray *names = find->found->registry->mirror_names;

    find->lookup = berth_lookup_start(find->daemon, find->user, find->registries,
                                      (BerthRegistryName *const *)names->pdata, names->len,
                                      on_mirrors, find, error);
    return find->lookup;
}

static void on_registry(GPtrArray *settings, const GError *failure, void *userdata)
{
    BerthEndpointsFind *find = userdata;
    g_autoptr(GError) error = NULL;
    bool read = find->use == BERTH_ENDPOINTS_READ;

    find->lookup = NULL;
    if (!settings) {
        finish(find, failure);
        return;
    }
    find->found->registry = g_steal_pointer(&settings->pdata[0]);
    g_ptr_array_unref(settings);
    if (!check_usable(find->found->registry, &error) || !read ||
        find->found->registry->mirror_names->len == 0 || !find_mirrors(find, &error))
        finish(find, error);
}

static void free_settings(void *settings)
{
    berth_registry_settings_free(settings);
}

BerthEndpointsFind *berth_endpoints_find(BerthDaemon *daemon, uid_t user, const char *registry,
                                         const char *repository, BerthEndpointsUse use,
                                         BerthEndpointsDone done, void *userdata, GError **error)
{
    g_autoptr(BerthRegistryName) host = berth_registry_name_parse(registry, error);
    g_autoptr(BerthRegistryName) name = host ? berth_registry_name_new(host, repository) : NULL;
    BerthEndpointsFind *find;

    if (!name)
        return NULL;
    find = g_new0(BerthEndpointsFind, 1);
    *find = (BerthEndpointsFind){ .daemon = daemon,
                                  .user = user,
                                  .registries = berth_registries_ref(daemon->registries),
                                  .use = use,
                                  .found = g_new0(BerthEndpoints, 1),
                                  .done = done,
                                  .userdata = userdata };
    find->found->registries = berth_registries_ref(find->registries);
    find->found->mirrors = g_ptr_array_new_with_free_func(free_settings);
    find->lookup =
        berth_lookup_start(daemon, user, find->registries, &name, 1, on_registry, find, error);
    if (find->lookup)
        return find;
    berth_endpoints_cancel(find);
    return NULL;
}

bool berth_endpoints_are_of(const BerthEndpoints *endpoints, const BerthRegistries *registries)
{
    return endpoints->registries == registries;
}

const BerthRegistrySettings *berth_endpoints_settings(const BerthEndpoints *endpoints)
{
    return endpoints->registry;
}

static bool has_credentials(const BerthRegistrySettings *settings, bool given)
{
    return (!given && *settings->credentials_file) || berth_tls_has_client(settings);
}

bool berth_endpoints_have_credentials(const BerthEndpoints *endpoints, bool given)
{
    for (guint i = 0; i < endpoints->mirrors->len; i++)
        if (has_credentials(endpoints->mirrors->pdata[i], given))
            return true;
    return has_credentials(endpoints->registry, given);
}

/* Appends @bytes (nullable: nothing) as a sealed memfd. */
static bool append_bytes(sd_bus_message *row, const char *key, GBytes *bytes, GError **error)
{
    BERTH_AUTO_FD fd = -1;
    gsize length;
    const void *data;
    int r;

    if (!bytes)
        return true;
    data = g_bytes_get_data(bytes, &length);
    fd = berth_memfd_sealed(key, data, length, error);
    if (fd < 0)
        return false;
    r = sd_bus_message_append(row, "{sv}", key, "h", fd);
    return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot pass %s", key);
}

static bool append_tls(sd_bus_message *row, const BerthRegistrySettings *settings, bool client,
                       GError **error)
{
    g_autoptr(GBytes) authorities = NULL, certificate = NULL, key = NULL;

    return berth_tls_authorities(settings, &authorities, error) &&
           (!client || berth_tls_client(settings, &certificate, &key, error)) &&
           append_bytes(row, "CaCertificates", authorities, error) &&
           append_bytes(row, "ClientCertificate", certificate, error) &&
           append_bytes(row, "ClientKey", key, error);
}

static bool append_credentials(sd_bus_message *row, const BerthRegistrySettings *settings,
                               const BerthEndpointsCredentials *credentials, GError **error)
{
    g_autoptr(GBytes) file = NULL;
    int r;

    if (credentials->given >= 0) {
        r = sd_bus_message_append(row, "{sv}", "Credentials", "h", credentials->given);
        return r >= 0 || berth_set_error_errno(error, BERTH_ERROR_FAILED, -r,
                                               "cannot pass the caller's credentials");
    }
    if (!credentials->machine || !*settings->credentials_file)
        return true;
    file = berth_settings_file_read(settings, BERTH_REGISTRY_CREDENTIALS_FILE,
                                    BERTH_CREDENTIALS_FILE_MAX, error);
    return file && append_bytes(row, "Credentials", file, error);
}

static bool append_proxy(sd_bus_message *row, const BerthRegistrySettings *settings, GError **error)
{
    g_autoptr(GBytes) url = NULL;

    if (!*settings->proxy)
        return true;
    url = g_bytes_new_static(settings->proxy, strlen(settings->proxy)); /* outlives it */
    return append_bytes(row, "Proxy", url, error);
}

static int append_addresses(sd_bus_message *row, const BerthRegistrySettings *settings)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) addresses = NULL;

    for (guint i = 0; i < settings->pinned->len; i++) {
        g_autofree char *text =
            berth_address_format(&g_array_index(settings->pinned, BerthAddress, i));

        g_strv_builder_add(builder, text);
    }
    addresses = g_strv_builder_end(builder);
    return berth_entry_strv(row, "Addresses", addresses);
}

static const char *word_of(BerthRegistryKeyId id, unsigned value)
{
    return berth_registry_key(id)->words[value];
}

static int append_plain(sd_bus_message *row, const BerthEndpoints *endpoints,
                        const BerthRegistrySettings *settings)
{
    const BerthRegistrySettings *registry = endpoints->registry;
    bool mirror = settings != registry;
    g_autofree char *name = berth_registry_name_format(settings->serving);
    g_autofree char *upstream = berth_registry_name_authority(registry->name);
    unsigned mirrors_for = mirror ? registry->mirrors_for : BERTH_MIRRORS_FOR_ALL;
    int r = sd_bus_message_append(row, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "Name", "s",
                                  name, "Source", "s", mirror ? "mirror" : "registry", "For", "s",
                                  word_of(BERTH_REGISTRY_MIRRORS_FOR, mirrors_for), "Insecure", "b",
                                  settings->insecure, "Namespace", "s", mirror ? upstream : "",
                                  "ConnectTimeout", "t", settings->connect_timeout, "StallTimeout",
                                  "t", settings->stall_timeout, "Retries", "u", settings->retries,
                                  "MaxConnections", "u", settings->max_connections, "MaxBandwidth",
                                  "t", settings->max_bandwidth);

    return r < 0 ? r : append_addresses(row, settings);
}

static bool append_row(sd_bus_message *job, const BerthEndpoints *endpoints,
                       const BerthRegistrySettings *settings,
                       const BerthEndpointsCredentials *credentials, GError **error)
{
    int r = sd_bus_message_open_container(job, 'a', "{sv}");

    if (r >= 0)
        r = append_plain(job, endpoints, settings);
    if (r >= 0 && (!append_tls(job, settings, credentials->machine, error) ||
                   !append_credentials(job, settings, credentials, error) ||
                   !append_proxy(job, settings, error)))
        return false;
    if (r >= 0)
        r = sd_bus_message_close_container(job);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot describe an endpoint");
}

bool berth_endpoints_append(const BerthEndpoints *endpoints, sd_bus_message *job, const char *key,
                            const BerthEndpointsCredentials *credentials, GError **error)
{
    int r = berth_entry_open(job, key, "aa{sv}");

    if (r >= 0)
        r = sd_bus_message_open_container(job, 'a', "a{sv}");
    for (guint i = 0; r >= 0 && i < endpoints->mirrors->len; i++)
        if (!append_row(job, endpoints, endpoints->mirrors->pdata[i], credentials, error))
            return false;
    if (r >= 0 && !append_row(job, endpoints, endpoints->registry, credentials, error))
        return false;
    if (r >= 0)
        r = sd_bus_message_close_container(job);
    if (r >= 0)
        r = berth_entry_close(job);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot describe %s", key);
}

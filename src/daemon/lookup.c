/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in force for names of registries, where a name may have to be resolved first. A worker
 * does that, since the service has no network, and what a name server answers is nobody's word. A
 * worker that fails is an error and not a name that cannot be resolved: it must never make a
 * setting come out otherwise than it would.
 */

#include "daemon/lookup.h"

#include "base/error.h"
#include "daemon/entries.h"
#include "daemon/method.h"
#include "daemon/query.h"

#include <string.h>

struct BerthLookup {
    BerthRegistries *registries;
    GPtrArray *names;  /* (element-type BerthRegistryName) */
    GPtrArray *hosts;  /* (element-type utf8) (nullable) of each name what is to be resolved */
    BerthQuery *query; /* set while a worker resolves, or will */
    sd_event_source *later;
    BerthLookupDone done;
    void *userdata;
};

void berth_lookup_cancel(BerthLookup *lookup)
{
    if (!lookup)
        return;
    berth_query_cancel(lookup->query);
    sd_event_source_disable_unref(lookup->later);
    g_ptr_array_unref(lookup->names);
    g_ptr_array_unref(lookup->hosts);
    berth_registries_unref(lookup->registries);
    g_free(lookup);
}

static void free_name(void *name)
{
    berth_registry_name_free(name);
}

static void free_settings(void *settings)
{
    berth_registry_settings_free(settings);
}

/*
 * Appends what a worker says that @host resolves to. An address of one link has a zone behind it,
 * which no network can name.
 */
static bool read_addresses(const char *host, char *const *texts, GArray *addresses, GError **error)
{
    for (; texts && *texts; texts++) {
        g_autofree char *text = g_strndup(*texts, strcspn(*texts, "%"));
        BerthAddress address;

        if (!berth_address_parse(text, &address))
            return berth_set_error(error, BERTH_ERROR_FAILED,
                                   "the worker that resolves names did not give addresses for %s",
                                   host);
        g_array_append_val(addresses, address);
    }
    return true;
}

/* @found: (nullable): host → GStrv; a host that is not in it cannot be resolved. */
static BerthRegistrySettings *look_up(const BerthLookup *lookup, guint index, GHashTable *found,
                                      GError **error)
{
    const BerthRegistryName *name = lookup->names->pdata[index];
    const char *host = lookup->hosts->pdata[index];
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(BerthAddress));
    BerthAddresses addresses;

    if (!host)
        return berth_registries_lookup(lookup->registries, name, NULL);
    if (found && !read_addresses(host, g_hash_table_lookup(found, host), list, error))
        return NULL;
    addresses = (BerthAddresses){ (const BerthAddress *)(void *)list->data, list->len };
    return berth_registries_lookup(lookup->registries, name, &addresses);
}

/* Answers; @lookup is gone then. */
static void answer(BerthLookup *lookup, GHashTable *found, const GError *failure)
{
    BerthLookupDone done = lookup->done;
    void *userdata = lookup->userdata;
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_settings);
    g_autoptr(GError) error = failure ? g_error_copy(failure) : NULL;

    for (guint i = 0; !error && i < lookup->names->len; i++) {
        BerthRegistrySettings *settings = look_up(lookup, i, found, &error);

        if (settings)
            g_ptr_array_add(all, settings);
    }
    berth_lookup_cancel(lookup);
    done(error ? NULL : g_steal_pointer(&all), error, userdata);
}

static int on_later(sd_event_source *source, void *userdata)
{
    answer(userdata, NULL, NULL);
    return 0;
}

typedef struct {
    GHashTable *addresses;
} Result;

static const BerthOption result_keys[] = {
    { "Addresses", "a{sas}", offsetof(Result, addresses), .required = true },
    { NULL },
};

static void on_resolved(sd_bus_message *message, const GError *failure, void *userdata)
{
    BerthLookup *lookup = userdata;
    g_autoptr(GError) error = NULL;
    Result result = { 0 };

    lookup->query = NULL; /* gone when this is called */
    if (message && !berth_worker_read_result(message, result_keys, &result, NULL, &error))
        failure = error;
    answer(lookup, result.addresses, failure);
    berth_options_clear(result_keys, &result);
}

/* The hosts to resolve, each once; NULL when there is none. */
static char **hosts_to_resolve(const BerthLookup *lookup)
{
    g_autoptr(GPtrArray) hosts = g_ptr_array_new();

    for (guint i = 0; i < lookup->hosts->len; i++) {
        char *host = lookup->hosts->pdata[i];

        if (host && !g_ptr_array_find_with_equal_func(hosts, host, g_str_equal, NULL))
            g_ptr_array_add(hosts, host);
    }
    if (hosts->len == 0)
        return NULL;
    for (guint i = 0; i < hosts->len; i++)
        hosts->pdata[i] = g_strdup(hosts->pdata[i]);
    g_ptr_array_add(hosts, NULL);
    return (char **)g_ptr_array_steal(hosts, NULL);
}

static bool fill(sd_bus_message *job, void *userdata, GError **error)
{
    g_auto(GStrv) hosts = hosts_to_resolve(userdata);
    int r = berth_entry_strv(job, "Hosts", hosts);

    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot ask for addresses");
}

static bool begin(BerthLookup *lookup, BerthDaemon *daemon, uid_t user, GError **error)
{
    static const BerthStoreJob job = { .kind = "resolve", .fill = fill, .outside = true };
    g_auto(GStrv) hosts = hosts_to_resolve(lookup);
    int r;

    if (hosts) {
        lookup->query = berth_query_start(daemon->queries, user, &job, on_resolved, lookup);
        return true;
    }
    r = sd_event_add_defer(daemon->event, &lookup->later, on_later, lookup);
    return r >= 0 ||
           berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot look settings up");
}

BerthLookup *berth_lookup_start(BerthDaemon *daemon, uid_t user, BerthRegistries *registries,
                                BerthRegistryName *const *names, size_t n_names,
                                BerthLookupDone done, void *userdata, GError **error)
{
    BerthLookup *lookup = g_new0(BerthLookup, 1);

    lookup->registries = berth_registries_ref(registries);
    lookup->names = g_ptr_array_new_with_free_func(free_name);
    lookup->hosts = g_ptr_array_new_with_free_func(g_free);
    lookup->done = done;
    lookup->userdata = userdata;
    for (size_t i = 0; i < n_names; i++) {
        g_ptr_array_add(lookup->names, berth_registry_name_new(names[i], names[i]->path));
        g_ptr_array_add(lookup->hosts, berth_registries_host_to_resolve(registries, names[i]));
    }
    if (begin(lookup, daemon, user, error))
        return lookup;
    berth_lookup_cancel(lookup);
    return NULL;
}

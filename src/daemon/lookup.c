/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in force for names of registries, where a name may have to be resolved first. A worker
 * does that, since the service has no network and answers of a name server are nobody's word: what
 * comes back is checked to be addresses, and of nothing but what was asked for.
 */

#include "daemon/lookup.h"

#include "base/error.h"

struct BerthLookup {
    BerthRegistries *registries;
    GPtrArray *names; /* (element-type BerthRegistryName) */
    sd_event_source *later;
    BerthLookupDone done;
    void *userdata;
};

void berth_lookup_cancel(BerthLookup *lookup)
{
    if (!lookup)
        return;
    sd_event_source_disable_unref(lookup->later);
    g_ptr_array_unref(lookup->names);
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

static int on_later(sd_event_source *source, void *userdata)
{
    BerthLookup *lookup = userdata;
    BerthLookupDone done = lookup->done;
    void *done_data = lookup->userdata;
    GPtrArray *settings = g_ptr_array_new_with_free_func(free_settings);

    for (guint i = 0; i < lookup->names->len; i++)
        g_ptr_array_add(settings,
                        berth_registries_lookup(lookup->registries, lookup->names->pdata[i], NULL));
    berth_lookup_cancel(lookup);
    done(settings, NULL, done_data);
    return 0;
}

BerthLookup *berth_lookup_start(BerthDaemon *daemon, BerthRegistries *registries,
                                BerthRegistryName *const *names, size_t n_names,
                                BerthLookupDone done, void *userdata, GError **error)
{
    BerthLookup *lookup = g_new0(BerthLookup, 1);
    int r;

    lookup->registries = berth_registries_ref(registries);
    lookup->names = g_ptr_array_new_with_free_func(free_name);
    lookup->done = done;
    lookup->userdata = userdata;
    for (size_t i = 0; i < n_names; i++)
        g_ptr_array_add(lookup->names, berth_registry_name_new(names[i], names[i]->path));
    r = sd_event_add_defer(daemon->event, &lookup->later, on_later, lookup);
    if (r >= 0)
        return lookup;
    berth_set_error_errno(error, BERTH_ERROR_FAILED, -r, "cannot look settings up");
    berth_lookup_cancel(lookup);
    return NULL;
}

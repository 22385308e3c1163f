/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where foreign layers may come from. Their URLs are written by whoever made the image, so without
 * the administrator's word they must never lead inside the network; the answer is a set of
 * addresses to connect to and not a yes, so that a second answer of the resolver changes nothing.
 */

#include "settings/registries.h"

GArray *berth_registry_settings_url_addresses(const BerthRegistrySettings *settings,
                                              const BerthRegistryName *host,
                                              const BerthAddresses *addresses)
{
    GArray *allowed = g_array_new(FALSE, FALSE, sizeof(BerthAddress));
    g_autoptr(GPtrArray) patterns =
        g_ptr_array_new_with_free_func((GDestroyNotify)berth_registry_pattern_free);
    g_autoptr(BerthRegistryName) any_port = berth_registry_name_new(host, "");
    bool named = false;

    any_port->port = -1;
    for (char **entry = settings->foreign_url_hosts; *entry; entry++) {
        BerthRegistryPattern *pattern = berth_registry_pattern_parse(*entry, NULL);

        g_assert(pattern); /* was checked when it was read */
        g_ptr_array_add(patterns, pattern);
        named = named || berth_registry_pattern_matches_name(pattern, host) ||
                berth_registry_pattern_matches_name(pattern, any_port);
    }
    for (size_t i = 0; i < addresses->count; i++) {
        const BerthAddress *address = &addresses->list[i];
        bool allow = named || (patterns->len == 0 && berth_address_is_public(address));

        for (unsigned j = 0; !allow && j < patterns->len; j++) {
            const BerthRegistryPattern *pattern = patterns->pdata[j];

            allow = pattern->kind == BERTH_PATTERN_NETWORK &&
                    berth_network_contains(&pattern->network, address);
        }
        if (allow)
            g_array_append_vals(allowed, address, 1);
    }
    return allowed;
}

bool berth_foreign_layers_narrows(BerthForeignLayers settings, BerthForeignLayers wanted)
{
    return wanted == settings || wanted == BERTH_FOREIGN_SKIP ||
           settings == BERTH_FOREIGN_REGISTRY_FIRST;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known about a server before it is asked: the settings in force for it, with their secrets
 * as bytes. Nothing is read from files here; whoever starts a transfer hands all of it over.
 */

#include "registry/endpoint.h"

#include "base/registry-name.h"
#include "registry/secret.h"

#define SECOND UINT64_C(1000000)

BerthEndpoint *berth_endpoint_new(const char *host, const char *repository)
{
    BerthEndpoint *endpoint = g_new0(BerthEndpoint, 1);

    *endpoint = (BerthEndpoint){
        .name = *repository ? g_strdup_printf("%s/%s", host, repository) : g_strdup(host),
        .host = g_strdup(host),
        .repository = g_strdup(repository),
        .space = g_strdup(""),
        .addresses = g_ptr_array_new_with_free_func(g_free),
        .proxy = g_strdup(""),
        .connect_timeout = 10 * SECOND,
        .stall_timeout = 30 * SECOND,
        .retries = 5,
        .max_connections = 6,
    };
    return endpoint;
}

void berth_endpoint_free(BerthEndpoint *endpoint)
{
    if (!endpoint)
        return;
    g_free(endpoint->name);
    g_free(endpoint->host);
    g_free(endpoint->repository);
    g_free(endpoint->space);
    g_ptr_array_unref(endpoint->addresses);
    g_clear_pointer(&endpoint->ca, g_bytes_unref);
    g_clear_pointer(&endpoint->client_certificate, g_bytes_unref);
    g_clear_pointer(&endpoint->client_key, g_bytes_unref);
    g_clear_pointer(&endpoint->credentials, g_bytes_unref);
    berth_secret_free(endpoint->proxy);
    g_free(endpoint);
}

bool berth_endpoint_is_loopback(const BerthEndpoint *endpoint)
{
    g_autoptr(BerthRegistryName) name = berth_registry_name_parse(endpoint->host, NULL);

    return name && berth_registry_name_is_loopback(name);
}

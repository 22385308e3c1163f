/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The places of a job: rows as the service wrote them, with files as sealed memory, made into
 * clients. Whatever is secret stays in memory that is wiped; nothing is opened by path here, since
 * the worker may not and need not read the machine's settings.
 */

#include "transfer/endpoints.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX                                                                                   \
    (4 * 1024 * 1024) /* bytes; the CA certificates of a whole distribution are 0.2                \
                       */

#define ROW(_key, _type, _member)                                                                  \
    {                                                                                              \
        _key, _type, offsetof(BerthEndpointRow, _member)                                           \
    }

const BerthOption berth_endpoint_keys[] = {
    { "Name", "s", offsetof(BerthEndpointRow, name), .required = true },
    { "Source", "s", offsetof(BerthEndpointRow, source), .required = true },
    { "For", "s", offsetof(BerthEndpointRow, serves), .required = true },
    ROW("Insecure", "b", insecure),
    ROW("Addresses", "as", addresses),
    ROW("Namespace", "s", space),
    ROW("ConnectTimeout", "t", connect_timeout),
    ROW("StallTimeout", "t", stall_timeout),
    ROW("Retries", "u", retries),
    ROW("MaxConnections", "u", max_connections),
    ROW("MaxBandwidth", "t", max_bandwidth),
    ROW("CaCertificates", "h", ca_certificates),
    ROW("ClientCertificate", "h", client_certificate),
    ROW("ClientKey", "h", client_key),
    ROW("Credentials", "h", credentials),
    ROW("Proxy", "h", proxy),
    { NULL },
};

static void wipe(gpointer data)
{
    GByteArray *bytes = data;

    if (bytes->len > 0)
        explicit_bzero(bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

/* (nullable) What @fd holds; NULL without an error when there is none. */
static bool read_memfd(int fd, GBytes **bytes, GError **error)
{
    struct stat st;
    GByteArray *buffer;
    ssize_t n;

    *bytes = NULL;
    if (fd < 0)
        return true;
    if (fstat(fd, &st) < 0 || st.st_size > FILE_MAX)
        return berth_set_error(error, BERTH_ERROR_INVALID_ARGS,
                               "a file of a registry is too large");
    buffer = g_byte_array_new();
    g_byte_array_set_size(buffer, (guint)st.st_size);
    n = pread(fd, buffer->data, (size_t)st.st_size, 0);
    *bytes = g_bytes_new_with_free_func(buffer->data, n < 0 ? 0 : (gsize)n, wipe, buffer);
    return n == st.st_size || berth_set_error_errno(error, BERTH_ERROR_FAILED, n < 0 ? errno : EIO,
                                                    "cannot read a file of a registry");
}

static bool read_files(BerthEndpoint *endpoint, const BerthEndpointRow *row, GError **error)
{
    g_autoptr(GBytes) proxy = NULL;

    if (!read_memfd(row->ca_certificates, &endpoint->ca, error) ||
        !read_memfd(row->client_certificate, &endpoint->client_certificate, error) ||
        !read_memfd(row->client_key, &endpoint->client_key, error) ||
        !read_memfd(row->credentials, &endpoint->credentials, error) ||
        !read_memfd(row->proxy, &proxy, error))
        return false;
    if (proxy) {
        g_free(endpoint->proxy);
        endpoint->proxy = g_strndup(g_bytes_get_data(proxy, NULL), g_bytes_get_size(proxy));
    }
    return true;
}

static void source_free(gpointer data)
{
    BerthSource *source = data;

    if (source->client)
        berth_client_free(source->client);
    if (source->endpoint)
        berth_endpoint_free(source->endpoint);
    g_free(source);
}

static bool serves_from_string(const char *word, BerthMirrorsFor *serves)
{
    static const char *const words[] = { "all", "tags", "digests", NULL };

    for (int i = 0; words[i]; i++)
        if (g_str_equal(words[i], word)) {
            *serves = i;
            return true;
        }
    return false;
}

static BerthSource *source_new(BerthHttp *http, const BerthEndpointRow *row, GError **error)
{
    BerthSource *source = g_new0(BerthSource, 1);
    const char *slash = strchr(row->name, '/');
    g_autofree char *host =
        g_strndup(row->name, slash ? (gsize)(slash - row->name) : strlen(row->name));
    BerthEndpoint *endpoint = berth_endpoint_new(host, slash ? slash + 1 : "");

    source->endpoint = endpoint;
    if (!read_files(endpoint, row, error)) {
        source_free(source);
        return NULL;
    }
    endpoint->mirror = g_str_equal(row->source, "mirror");
    if (row->space) {
        g_free(endpoint->space);
        endpoint->space = g_strdup(row->space);
    }
    endpoint->insecure = row->insecure;
    for (char **address = row->addresses; address && *address; address++)
        g_ptr_array_add(endpoint->addresses, g_strdup(*address));
    endpoint->connect_timeout = row->connect_timeout;
    endpoint->stall_timeout = row->stall_timeout;
    endpoint->retries = row->retries;
    endpoint->max_connections = row->max_connections;
    endpoint->max_bandwidth = row->max_bandwidth;
    if (!serves_from_string(row->serves, &source->serves))
        (void)berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "invalid For '%s'", row->serves);
    else
        source->client = berth_client_new(http, endpoint, error);
    if (!source->client) {
        source_free(source);
        return NULL;
    }
    return source;
}

GPtrArray *berth_sources_new(BerthHttp *http, const GPtrArray *rows, GError **error)
{
    g_autoptr(GPtrArray) sources = g_ptr_array_new_with_free_func(source_free);

    for (guint i = 0; i < rows->len; i++) {
        BerthSource *source = source_new(http, rows->pdata[i], error);

        if (!source)
            return NULL;
        g_ptr_array_add(sources, source);
    }
    if (sources->len > 0)
        return g_steal_pointer(&sources);
    (void)berth_set_error(error, BERTH_ERROR_INVALID_ARGS, "no place to read from is given");
    return NULL;
}

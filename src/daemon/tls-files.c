/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Certificates, keys and other files of a registry. A worker could not read them, so the service
 * does and hands over the contents, which it must never look into. Who can write there is the
 * administrator; still nothing here can hang on a pipe or swallow a disk.
 */

#include "daemon/tls-files.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/memfd.h"
#include "settings/registry-keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERTS_VARIABLE    "BERTH_CERTS_DIRECTORIES"
#define CERTS_DIRECTORIES "/etc/containers/certs.d:/etc/docker/certs.d"

#define PEM_MAX           1048576 /* bytes of one file; all authorities of a machine are 0.25 MB */
#define AUTHORITIES_MAX   4194304 /* bytes of all that count for one registry */

static bool unusable(GError **error, const char *what, const char *path, const char *why)
{
    return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID, "%s: cannot use %s: %s", what, path,
                           why);
}

/* Reads what is open at @fd to its end. NULL and errno on failure, EFBIG when it is too large. */
static GBytes *read_all(int fd, size_t max)
{
    char *data = g_malloc(max + 1); /* the system gives only what is touched */
    size_t length = 0;
    g_autoptr(GBytes) bytes = NULL;
    ssize_t n = 1;

    while (length <= max && n != 0) {
        n = read(fd, data + length, max + 1 - length);
        if (n < 0 && errno != EINTR)
            break;
        length += n > 0 ? (size_t)n : 0;
    }
    bytes = berth_secret_bytes(data, length);
    if (n < 0)
        return NULL;
    errno = EFBIG;
    return length > max ? NULL : g_steal_pointer(&bytes);
}

/* @what: the setting or directory that led to @path. */
static GBytes *read_file(const char *path, const char *what, size_t max, GError **error)
{
    BERTH_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    g_autofree char *too_large = NULL;
    struct stat st;
    GBytes *bytes;

    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)unusable(error, what, path, g_strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        (void)unusable(error, what, path, "it is not a regular file");
        return NULL;
    }
    bytes = read_all(fd, max);
    if (!bytes && errno == EFBIG)
        too_large = g_strdup_printf("it has more than %zu bytes", max);
    if (!bytes)
        (void)unusable(error, what, path, too_large ? too_large : g_strerror(errno));
    return bytes;
}

GBytes *berth_settings_file_read(const BerthRegistrySettings *settings, BerthRegistryKeyId id,
                                 size_t max, GError **error)
{
    const BerthRegistryKey *key = berth_registry_key(id);
    const char *path = *(char *const *)((const char *)settings + key->offset);
    g_autofree char *what = g_strdup_printf("%s=, set at %s", key->name, settings->origins[id]);

    return read_file(path, what, max, error);
}

/* The directories below certs.d that are for the host that serves, those that do not exist too. */
static GPtrArray *certs_directories(const BerthRegistrySettings *settings)
{
    const char *list = getenv(CERTS_VARIABLE);
    g_auto(GStrv) roots = g_strsplit(list && *list ? list : CERTS_DIRECTORIES, ":", -1);
    g_autofree char *host = berth_registry_name_authority(settings->serving);
    bool is_hub = g_str_equal(host, "registry-1.docker.io");
    GPtrArray *directories = g_ptr_array_new_with_free_func(g_free);

    for (char **root = roots; *root; root++) {
        g_ptr_array_add(directories, g_build_filename(*root, host, NULL));
        if (is_hub)
            g_ptr_array_add(directories, g_build_filename(*root, "docker.io", NULL));
    }
    return directories;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Appends the paths of the files in @directory that end in @suffix, by name, to @paths. A directory
 * that is not there has none.
 */
static bool list_files(const char *directory, const char *suffix, GPtrArray *paths, GError **error)
{
    BERTH_AUTO_DIR *dir = opendir(directory);
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    const struct dirent *entry;

    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ||
               unusable(error, "certs.d", directory, g_strerror(errno));
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && g_str_has_suffix(entry->d_name, suffix))
            g_ptr_array_add(found, g_build_filename(directory, entry->d_name, NULL));
    g_ptr_array_sort(found, compare_names);
    g_ptr_array_extend_and_steal(paths, g_steal_pointer(&found));
    return true;
}

/* The paths of all files of certs.d that end in @suffix. NULL on error. */
static GPtrArray *find_files(const BerthRegistrySettings *settings, const char *suffix,
                             GError **error)
{
    g_autoptr(GPtrArray) directories = certs_directories(settings);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < directories->len; i++)
        if (!list_files(directories->pdata[i], suffix, paths, error))
            return NULL;
    return g_steal_pointer(&paths);
}

static bool append_pem(GByteArray *all, GBytes *pem, GError **error)
{
    gsize length;
    const guint8 *data = g_bytes_get_data(pem, &length);

    if (all->len + length >= AUTHORITIES_MAX)
        return berth_set_error(error, BERTH_ERROR_SETTINGS_INVALID,
                               "CAFile= and certs.d hold more than %d bytes of certificates",
                               AUTHORITIES_MAX);
    if (length > 0)
        g_byte_array_append(all, data, (guint)length);
    g_byte_array_append(all, (const guint8 *)"\n", 1);
    return true;
}

bool berth_tls_authorities(const BerthRegistrySettings *settings, GBytes **pem, GError **error)
{
    g_autoptr(GPtrArray) paths = find_files(settings, ".crt", error);
    g_autoptr(GByteArray) all = g_byte_array_new();

    *pem = NULL;
    if (!paths)
        return false;
    if (*settings->ca_file) {
        g_autoptr(GBytes) file =
            berth_settings_file_read(settings, BERTH_REGISTRY_CA_FILE, PEM_MAX, error);

        if (!file || !append_pem(all, file, error))
            return false;
    }
    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GBytes) file = read_file(paths->pdata[i], "certs.d", PEM_MAX, error);

        if (!file || !append_pem(all, file, error))
            return false;
    }
    if (all->len > 0)
        *pem = g_byte_array_free_to_bytes(g_steal_pointer(&all));
    return true;
}

static bool read_client_of_settings(const BerthRegistrySettings *settings, GBytes **certificate,
                                    GBytes **key, GError **error)
{
    bool own_key = *settings->client_key;

    *certificate =
        berth_settings_file_read(settings, BERTH_REGISTRY_CLIENT_CERTIFICATE, PEM_MAX, error);
    if (!*certificate)
        return false;
    *key = own_key ? berth_settings_file_read(settings, BERTH_REGISTRY_CLIENT_KEY, PEM_MAX, error)
                   : g_bytes_ref(*certificate);
    return *key;
}

static bool read_client_of_certs(const char *path, GBytes **certificate, GBytes **key,
                                 GError **error)
{
    g_autofree char *stem = g_strndup(path, strlen(path) - strlen(".cert"));
    g_autofree char *key_path = g_strconcat(stem, ".key", NULL);

    *certificate = read_file(path, "certs.d", PEM_MAX, error);
    *key = *certificate ? read_file(key_path, "certs.d", PEM_MAX, error) : NULL;
    return *key;
}

bool berth_tls_client(const BerthRegistrySettings *settings, GBytes **certificate, GBytes **key,
                      GError **error)
{
    g_autoptr(GBytes) found = NULL, found_key = NULL;
    g_autoptr(GPtrArray) paths = NULL;

    *certificate = *key = NULL;
    if (*settings->client_certificate) {
        if (!read_client_of_settings(settings, &found, &found_key, error))
            return false;
    } else {
        paths = find_files(settings, ".cert", error);
        if (!paths ||
            (paths->len > 0 && !read_client_of_certs(paths->pdata[0], &found, &found_key, error)))
            return false;
    }
    *certificate = g_steal_pointer(&found);
    *key = g_steal_pointer(&found_key);
    return true;
}

bool berth_tls_has_client(const BerthRegistrySettings *settings)
{
    g_autoptr(GPtrArray) paths = NULL;

    if (*settings->client_certificate)
        return true;
    paths = find_files(settings, ".cert", NULL);
    return !paths || paths->len > 0; /* what cannot be looked at could be there */
}

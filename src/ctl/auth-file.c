/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The auth.json files of the calling user: where they are, and what they say for a registry. No
 * message may repeat a part of one: a slip of the hand puts a password anywhere, and a parser's
 * message quotes what it stumbled over.
 */

#include "ctl/auth-file.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/registry-name.h"
#include "ctl/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX   (1 << 20) /* bytes; Docker's file holds other settings too */
#define HUB        "docker.io"
#define HUB_SERVER "https://index.docker.io/v1/" /* what Docker's programs call it */

static const BerthJsonLimits limits = {
    .bytes = FILE_MAX,
    .depth = 32,
    .containers = 20000,
    .values = 100000,
};

GPtrArray *ctl_auth_file_places(bool *required)
{
    GPtrArray *places = g_ptr_array_new_with_free_func(g_free);
    const char *named = g_getenv("REGISTRY_AUTH_FILE");
    const char *runtime = g_getenv("XDG_RUNTIME_DIR"), *docker = g_getenv("DOCKER_CONFIG");

    *required = named && *named;
    if (*required) {
        g_ptr_array_add(places, g_strdup(named));
        return places;
    }
    if (runtime && *runtime)
        g_ptr_array_add(places, g_build_filename(runtime, "containers/auth.json", NULL));
    g_ptr_array_add(places,
                    g_build_filename(g_get_user_config_dir(), "containers/auth.json", NULL));
    g_ptr_array_add(places, docker && *docker
                                ? g_build_filename(docker, "config.json", NULL)
                                : g_build_filename(g_get_home_dir(), ".docker/config.json", NULL));
    return places;
}

/* Returns: what read() gave last; a file that is longer than @max is cut there. */
static ssize_t read_all(int fd, char *buffer, size_t max, size_t *length)
{
    ssize_t n = 1;

    *length = 0;
    while (*length < max && n != 0) {
        n = read(fd, buffer + *length, max - *length);
        if (n < 0 && errno != EINTR)
            return n;
        *length += n > 0 ? (size_t)n : 0;
    }
    return n;
}

bool ctl_auth_file_read(const char *path, bool required, json_t **document, GError **error)
{
    BERTH_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    g_autofree char *buffer = NULL;
    size_t length;

    *document = NULL;
    if (fd < 0)
        return (!required && (errno == ENOENT || errno == ENOTDIR)) ||
               berth_set_error_errno(error, BERTH_ERROR_INVALID_OPTION, errno,
                                     _("cannot read the credentials in %s"), path);
    buffer = g_malloc(FILE_MAX + 1);
    if (read_all(fd, buffer, FILE_MAX + 1, &length) < 0)
        return berth_set_error_errno(error, BERTH_ERROR_INVALID_OPTION, errno,
                                     _("cannot read the credentials in %s"), path);
    *document = berth_json_load(buffer, length, &limits, NULL);
    explicit_bzero(buffer, length);
    return *document || berth_set_error(error, BERTH_ERROR_INVALID_OPTION,
                                        _("%s is no auth.json: it must hold one JSON object, of at "
                                          "most %d bytes; see containers-auth.json(5)"),
                                        path, FILE_MAX);
}

bool ctl_auth_file_write(const char *path, const json_t *document, GError **error)
{
    char *resolved = realpath(path, NULL);
    const char *target = resolved ?: path;
    g_autofree char *directory = g_path_get_dirname(target);
    char *text = json_dumps(document, JSON_INDENT(4));
    g_autoptr(GError) failure = NULL;
    bool ok = text && g_mkdir_with_parents(directory, 0700) == 0;

    if (!ok)
        berth_set_error_errno(error, BERTH_ERROR_FAILED, text ? errno : ENOMEM, _("cannot make %s"),
                              directory);
    else if (!g_file_set_contents_full(target, text, -1,
                                       G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                       0600, &failure))
        ok = berth_set_error(error, BERTH_ERROR_FAILED, _("cannot write %s: %s"), target,
                             failure->message);
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    free(resolved);
    return ok;
}

bool ctl_auth_file_key_names(const char *key, const char *name)
{
    static const char *const protocol[] = { "/v1", "/v2" }; /* paths that Docker's URLs have */
    const char *scheme = strstr(key, "://");
    g_autofree char *place = g_strdup(scheme ? scheme + strlen("://") : key);
    g_autoptr(BerthRegistryName) parsed = NULL;
    g_autofree char *spelling = NULL;

    if (g_str_has_suffix(place, "/"))
        place[strlen(place) - 1] = '\0';
    for (size_t i = 0; scheme && i < G_N_ELEMENTS(protocol); i++)
        if (g_strcmp0(strchr(place, '/'), protocol[i]) == 0)
            *strchr(place, '/') = '\0';
    parsed = berth_registry_name_parse(place, NULL);
    spelling = parsed ? berth_registry_name_format(parsed) : NULL;
    return g_strcmp0(spelling, name) == 0;
}

/* The host of a key, which may be a URL as Docker writes them, and in *@path what is behind it. */
static char *split_key(const char *key, const char **path)
{
    const char *scheme = strstr(key, "://");
    const char *start = scheme ? scheme + strlen("://") : key, *slash = strchr(start, '/');
    g_autofree char *host = slash ? g_strndup(start, slash - start) : g_strdup(start);

    /* the path of a URL is that of the protocol: /v1/ */
    *path = slash && !scheme ? slash + 1 : "";
    if (g_ascii_strcasecmp(host, "index.docker.io") == 0 ||
        g_ascii_strcasecmp(host, "registry-1.docker.io") == 0)
        return g_strdup(HUB);
    return g_ascii_strdown(host, -1);
}

/* Whether the repository is @path or below. */
static bool lies_in(const char *repository, const char *path)
{
    size_t length = strlen(path);

    return length == 0 || (strncmp(repository, path, length) == 0 &&
                           (!repository[length] || repository[length] == '/'));
}

/* Returns: the member of @object whose key names the registry best, and the key. */
static json_t *find_member(const json_t *object, const BerthReference *reference, const char **name)
{
    json_t *best = NULL;
    size_t best_length = 0;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        const char *path;
        g_autofree char *host = split_key(key, &path);

        if (strcmp(host, reference->registry) != 0 || !lies_in(reference->repository, path) ||
            (best && strlen(path) <= best_length))
            continue;
        best = value;
        best_length = strlen(path);
        *name = key;
    }
    return best;
}

bool ctl_auth_file_find(const json_t *document, const BerthReference *reference,
                        CtlAuthEntry *found)
{
    const char *server = strcmp(reference->registry, HUB) == 0 ? HUB_SERVER : reference->registry;
    const char *key = NULL;
    const json_t *entry = find_member(json_object_get(document, "auths"), reference, &key);
    const json_t *helper =
        find_member(json_object_get(document, "credHelpers"), reference, &server);

    *found = (CtlAuthEntry){ 0 };
    if (json_is_string(helper)) {
        found->helper = json_string_value(helper);
    } else if (json_object_size(entry) > 0) {
        found->entry = entry;
    } else if (json_is_string(json_object_get(document, "credsStore"))) {
        found->helper = json_string_value(json_object_get(document, "credsStore"));
        if (key)
            server = key;
    }
    found->server = server;
    if (found->helper && !*found->helper)
        found->helper = NULL;
    return found->entry || found->helper;
}
